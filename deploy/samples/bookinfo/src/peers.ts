// Where the other services are: names and ports from the environment, as the original application reads them.
type Environment = Readonly<Record<string, string | undefined>>;

/** Base URL of a service, `http://reviews:9080`. Kubernetes itself sets `<NAME>_SERVICE_PORT`. */
export function peerUrl(env: Environment, service: string): string {
  const key = service.toUpperCase();
  const domain = env["SERVICES_DOMAIN"] ? `.${env["SERVICES_DOMAIN"]}` : "";
  return `http://${env[`${key}_HOSTNAME`] || service}${domain}:${env[`${key}_SERVICE_PORT`] || "9080"}`;
}
