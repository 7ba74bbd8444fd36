// P-256 certificates of one root for the peers of the benchmark, made with the openssl program.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const VALID_DAYS = "2";

/** Writes ca.pem, a.pem, a.key (client side), b.pem and b.key (server side; DNS name ambit-bench-b). */
export function writeBenchCertificates(directory: string): void {
  const openssl = (...args: readonly string[]) =>
    execFileSync("openssl", args, { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  const key = (name: string) => openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name);
  key("ca.key");
  openssl("req", "-x509", "-new", "-key", "ca.key", "-sha256", "-days", VALID_DAYS, "-subj", "/O=ambit-bench", "-out", "ca.pem");
  for (const side of ["a", "b"]) {
    key(`${side}.key`);
    openssl("req", "-new", "-key", `${side}.key`, "-subj", `/CN=ambit-bench-${side}`, "-out", `${side}.csr`);
    writeFileSync(
      join(directory, `${side}.ext`),
      `subjectAltName=URI:spiffe://cluster.local/ns/bench/sa/${side},DNS:ambit-bench-${side}\nextendedKeyUsage=serverAuth,clientAuth\nkeyUsage=digitalSignature\n`,
    );
    openssl(
      "x509",
      "-req",
      "-in",
      `${side}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-sha256",
      "-days",
      VALID_DAYS,
      "-extfile",
      `${side}.ext`,
      "-out",
      `${side}.pem`,
    );
  }
}
