// A global of the browser's library that connect's declarations name; Node's types have the class but not this alias.
type HeadersInit = NonNullable<ConstructorParameters<typeof Headers>[0]>;
