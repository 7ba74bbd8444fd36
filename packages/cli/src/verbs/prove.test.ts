import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import type { ProofReport } from "../proof-lines.ts";
import { run } from "../run.ts";

const proven: ProofReport = {
  url: "http://details.shop:9080/",
  marker: "ambit-proof-1",
  isAnswered: true,
  answer: "HTTP 200",
  capturedOn: "wire",
  isProven: true,
  isEncrypted: true,
  isMarkerAbsent: true,
  isMarkerReadable: false,
  connections: [
    {
      source: { ip: "10.244.1.2", port: 5000 },
      destination: { ip: "fd00::2", port: 15008 },
      kind: "tls13",
      cipherSuite: "TLS_AES_256_GCM_SHA384",
      alpn: "h2",
      clientIdentity: "spiffe://cluster.local/ns/shop/sa/cart",
      serverIdentity: null,
      containsMarker: false,
      bytesUp: 10,
      bytesDown: 20,
    },
  ],
  notes: [],
};

const pods = [
  { name: "cart-v1-abcd12-x1y2z", namespace: "shop", node: "n1", ips: ["fd00::9", "10.0.0.9"], redirection: "enabled" },
];

/** A labd that answers every proof with `report`. */
async function lab(t: TestContext, report: ProofReport) {
  const directory = await mkdtemp(join(tmpdir(), "ambit-prove-"));
  const asked: unknown[] = [];
  const server = createServer((request, response) => {
    if (request.url !== "/prove") {
      response.end(JSON.stringify({ nodes: [], pods }));
      return;
    }
    void json(request).then((body) => {
      asked.push(body);
      response.end(JSON.stringify(report));
    });
  });
  server.listen(join(directory, "labd.sock"));
  await once(server, "listening");
  t.after(async () => {
    server.close();
    await rm(directory, { recursive: true });
  });
  return {
    asked,
    async prove(...argv: string[]) {
      const outs: string[] = [];
      const errs: string[] = [];
      const io = {
        out: (text: string) => void outs.push(text),
        err: (text: string) => void errs.push(text),
        env: { AMBIT_LAB_DIR: directory },
        signal: new AbortController().signal,
      };
      const code = await run(["prove", ...argv], io);
      return { code, out: outs.join(""), err: errs.join("") };
    },
  };
}

test("prove exits with 0 and names identities when the path is encrypted and the marker absent", async (t) => {
  const { prove, asked } = await lab(t, proven);
  const { code, out } = await prove("--from", "deploy/cart", "--to", "svc/details:9080", "-n", "shop");
  assert.equal(code, 0);
  assert.deepEqual(asked, [{ namespace: "shop", pod: "deploy/cart", url: "http://details.shop:9080/" }]);
  assert.match(out, /on the wire between the nodes/);
  assert.match(out, /10\.244\.1\.2:5000 -> \[fd00::2\]:15008 {2}TLS 1\.3, TLS_AES_256_GCM_SHA384, h2, 10 bytes up, 20 down/);
  assert.match(out, /client +spiffe:\/\/cluster\.local\/ns\/shop\/sa\/cart\n +server +not proved/);
  assert.match(out, /verdict +ENCRYPTED/);
});

test("prove exits with 1 when the marker can be read, when something is missing, and says when a path stays on its node", async (t) => {
  const readable = { ...proven, isProven: false, isEncrypted: false, isMarkerAbsent: false, isMarkerReadable: true };
  const leak = await lab(t, { ...readable, capturedOn: "cable" });
  const seen = await leak.prove("--from", "pod/cart", "--to", "svc/details:9080");
  assert.equal(seen.code, 3);
  assert.match(seen.out, /nothing of this path crosses the wire[\s\S]*CAN BE READ[\s\S]*verdict +READABLE/);

  const partly = await lab(t, { ...proven, isProven: false, isMarkerAbsent: false, notes: ["3 packets were lost"] });
  const unsure = await partly.prove("--from", "pod/cart", "--to", "svc/details:9080");
  assert.equal(unsure.code, 3);
  assert.match(unsure.out, /note +3 packets were lost\nverdict +NOT PROVED: that the marker is absent/);
});

test("prove asks pods by address, over HTTP or TCP, and prints JSON", async (t) => {
  const { prove, asked } = await lab(t, proven);
  const { out } = await prove("--from", "pod/a", "--to", "deploy/cart-v1:80", "-n", "shop", "--path", "/x", "-o", "json");
  assert.equal(JSON.parse(out).kind, "Proof");
  await prove("--from", "pod/a", "--to", "pod/cart-v1-abcd12-x1y2z", "--port", "81", "-n", "shop", "--tcp");
  assert.deepEqual(
    asked.map((request) => (request as { url: string }).url),
    ["http://[fd00::9]:80/x", "tcp://[fd00::9]:81"],
  );
});

test("prove refuses what it cannot ask", async (t) => {
  const { prove, asked } = await lab(t, proven);
  for (const [argv, code, reason] of [
    [["--from", "pod/a"], 2, /--to is missing/],
    [["--from", "svc/a", "--to", "svc/b:1"], 2, /cannot make a request/],
    [["--from", "pod/a", "--to", "sa/b:1"], 2, /cannot be asked/],
    [["--from", "pod/a", "--to", "pod/none:1"], 1, /has no running pod/],
    [["--from", "pod/a", "--to", "svc/b", "--port", "x"], 2, /not a port/],
    [["--from", "pod/a", "--to", "svc/b"], 1, /No node proxy knows/],
    [["--from", "pod/a", "--to", "svc/b:1", "--path", "x"], 2, /must begin with/],
  ] as const) {
    const answer = await prove(...argv);
    assert.equal(answer.code, code, argv.join(" "));
    assert.match(answer.err, reason);
  }
  assert.deepEqual(asked, []);
});
