// The arrows of ARCHITECTURE.md, one rule each, each with its reason.
const processes = ["ztunnel", "istiod-lite", "cni-plugin", "lab", "cli"];
const TESTS = "(\\.test\\.ts$|\\.testing\\.ts$|/testing/|/bench/)";
const src = (...names) => `^packages/(${names.join("|")})/src`;

/** Package `name` may import only `allowed` (besides itself and npm packages). */
const only = (name, allowed, comment) => ({
  name: `${name}-imports`,
  severity: "error",
  comment,
  from: { path: src(name), pathNot: TESTS },
  to: { path: "^(packages|deploy|e2e|scripts)/", pathNot: `^packages/(${[name, ...allowed].join("|")})/` },
});

module.exports = {
  forbidden: [
    {
      name: "no-cycles",
      severity: "error",
      comment:
        "A cycle has no order to load it in. Types alone load nothing, and what is imported when it is called is loaded by then.",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only", "dynamic-import"] } },
    },
    only("core", [], "The vocabulary depends on nothing."),
    only("api", ["core"], "The wire knows only the vocabulary."),
    only("decide", ["core"], "Decisions are pure: processes, CLI and tests must be able to ask them alike."),
    only("linux", ["core"], "System calls know nothing of the mesh."),
    only("engine", ["core", "linux"], "The engine moves bytes; it does not know who may talk to whom."),
    only("identity", ["core", "api"], "Certificates come over the wire."),
    only("discovery", ["core", "api", "decide"], "The mesh state implements the view that decisions read."),
    only("hbone", ["core", "linux", "engine"], "A thin protocol over the engine."),
    only("kube", ["core"], "Objects come in, typed; what they mean is for istiod-lite."),
    only("runtime", ["core"], "What any process needs, and nothing of what it does."),
    only("wire", ["core"], "Evidence is read off bytes; who captures them and what for is others' business."),
    ...processes.map((name) => ({
      name: `${name}-is-a-process`,
      severity: "error",
      comment: "Processes meet on the wire; none imports another.",
      from: { path: "^packages/", pathNot: `^packages/${name}/` },
      to: { path: src(name) },
    })),
    {
      name: "testkit-is-for-tests",
      severity: "error",
      comment: "Fakes must not reach production.",
      from: { pathNot: `(${TESTS}|^packages/testkit/|^e2e/|^scripts/)` },
      to: { path: "^packages/testkit/" },
    },
    {
      name: "koffi-stays-below",
      severity: "error",
      comment: "Pointers and descriptors live in linux and engine only; the binding must be replaceable.",
      from: { path: "^(packages|e2e|deploy)/", pathNot: "^packages/(linux|engine)/" },
      to: { path: "node_modules/koffi" },
    },
    {
      name: "protobuf-stays-in-api",
      severity: "error",
      comment: "One place knows the wire format.",
      from: { path: "^packages/", pathNot: "^packages/(api|identity|discovery|istiod-lite|testkit)/" },
      to: { path: "node_modules/@bufbuild/protobuf" },
    },
    {
      name: "no-node-network-stack-in-the-data-path",
      severity: "error",
      comment: "Bytes of the mesh move through the engine (docs/adr/0001).",
      from: { path: "^packages/(engine/src|hbone/src|ztunnel/src/(proxy|dns))", pathNot: TESTS },
      to: { path: "^(node:)?(http|http2|https|net|tls|stream|dgram)$" },
    },
    {
      name: "decide-is-pure",
      severity: "error",
      comment: "No I/O, no clock, no environment in a decision.",
      from: { path: "^packages/(decide|core)/src", pathNot: "\\.test\\.ts$" },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "translate-is-pure",
      severity: "error",
      comment: "Translators are functions of their inputs, golden-tested.",
      from: { path: "^packages/istiod-lite/src/translate", pathNot: "\\.test\\.ts$" },
      to: { dependencyTypes: ["core"] },
    },
  ],
  options: {
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    exclude: { path: "packages/api/src/gen" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
      extensions: [".ts", ".js"],
    },
  },
};
