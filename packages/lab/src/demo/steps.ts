// The acts of the demonstration, in order.
import { certificatesRotate } from "./certificates-rotate.ts";
import { enrolment } from "./enrolment.ts";
import { metrics } from "./metrics.ts";
import { onTheWire } from "./on-the-wire.ts";
import { plaintext } from "./plaintext.ts";
import { policy } from "./policy.ts";
import { proxyKilled } from "./proxy-killed.ts";
import type { Step } from "./stage.ts";
import { strict } from "./strict.ts";

export const steps: readonly Step[] = [plaintext, enrolment, onTheWire, strict, policy, certificatesRotate, proxyKilled, metrics];
