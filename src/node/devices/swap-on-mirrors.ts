// Finds swap that lies on mirrors whose log this machine's server keeps. The Node.js host must not serve them: the kernel frees
// memory by writing to swap, that write waits for the server's answer, and a thread of the server waits for memory.

import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "./block-devices.ts";
import type { TableLine } from "./device-mapper.ts";

/** Names of the mirrors with a userspace log that swap is on, in whatever way: a mirror, a volume on it, a file on that. */
export function swapOnMirrors(machine: Pick<Machine, "sys" | "proc" | "node">, tables: readonly TableLine[]): string[] {
  const served = new Set(tables.flatMap(({ name, type, text }) => (isServed(type, text) ? [name] : [])));
  if (served.size === 0) return [];
  const found = new Set<string>();
  for (const numbers of swapDevices(machine)) {
    for (const name of namesBelow(machine, numbers)) if (served.has(name)) found.add(name);
  }
  return [...found];
}

function isServed(type: string, text: string): boolean {
  return type === "mirror" && /^\s*userspace\s/.test(text);
}

/** `major:minor` of each device that is swap, or that has a file system with a file that is. */
function swapDevices(machine: Pick<Machine, "proc" | "node">): string[] {
  const lines = (readText(join(machine.proc, "swaps")) ?? "").split("\n").slice(1);
  return lines.flatMap((line) => {
    const path = (/^(\S+)/.exec(line)?.[1] ?? "").replace(/\\(\d{3})/g, (_octal, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 8)),
    );
    const found = path === "" ? undefined : machine.node(path);
    if (found?.kind === "block device") return found.numbers;
    if (found?.kind !== "file") return [];
    const device = BigInt(found.inode.split(":")[0] ?? 0);
    return `${(device >> 8n) & 0xfffn}:${(device & 0xffn) | ((device >> 12n) & 0xfff00n)}`;
  });
}

/** Names of the mappings that a device is or lies on. */
function namesBelow(machine: Pick<Machine, "sys">, numbers: string, seen = new Set<string>()): string[] {
  if (seen.has(numbers)) return [];
  seen.add(numbers);
  const folder = realPath(join(machine.sys, "dev/block", numbers));
  if (folder === undefined) return [];
  const name = readText(join(folder, "dm/name"))?.trim();
  const slaves = list(join(folder, "slaves")).flatMap(
    (slave) => readText(join(folder, "slaves", slave, "dev"))?.trim() ?? [],
  );
  // A partition has none of its own: its disk is the folder above.
  const disk =
    readText(join(folder, "partition")) === undefined ? undefined : readText(join(folder, "..", "dev"))?.trim();
  const below = [...slaves, ...(disk === undefined ? [] : [disk])];
  return [...(name === undefined ? [] : [name]), ...below.flatMap((one) => namesBelow(machine, one, seen))];
}

/** The folder that the kernel's link leads to: only there is a partition's disk the folder above. */
function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
