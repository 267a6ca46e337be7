// Checks what the machine needs to serve. Each missing thing is a sentence that says what to type.

import { readFileSync } from "node:fs";

const CAP_NET_ADMIN = 12;
const CAP_SYS_ADMIN = 21;

/** What is missing to serve this machine's kernel, as sentences; empty if nothing is missing. */
export function missingPrerequisites(): string[] {
  if (process.platform !== "linux") {
    return [`Serving needs Linux, and this is ${process.platform}. Try the simulated kernel: npm start.`];
  }
  const missing: string[] = [];
  const capabilities = effectiveCapabilities();
  const lacking = [
    { bit: CAP_NET_ADMIN, name: "CAP_NET_ADMIN" },
    { bit: CAP_SYS_ADMIN, name: "CAP_SYS_ADMIN" },
  ].filter(({ bit }) => ((capabilities >> BigInt(bit)) & 1n) === 0n);
  if (lacking.length > 0) {
    missing.push(
      `The privilege to answer the kernel is missing (${lacking.map(({ name }) => name).join(" and ")}): the kernel ` +
        "silently drops replies from other processes. Type: sudo dm-ulog serve",
    );
  }
  const connector = connectorNames();
  if (connector === undefined) {
    missing.push("This kernel has no connector (CONFIG_CONNECTOR). Type: sudo modprobe cn");
  } else if (!/\b7:1\b/.test(connector)) {
    missing.push("The kernel module dm-log-userspace is not loaded. Type: sudo modprobe dm-log-userspace");
  }
  return missing;
}

function effectiveCapabilities(): bigint {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return BigInt(`0x${line?.[1] ?? "0"}`);
}

function connectorNames(): string | undefined {
  try {
    return readFileSync("/proc/net/connector", "utf8");
  } catch {
    return undefined;
  }
}
