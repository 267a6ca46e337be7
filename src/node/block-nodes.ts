// Where to open a block device that is known by its numbers.

import { existsSync, mkdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { nodesDirectory } from "./runtime-paths.ts";
import { ENOTBLK, ENXIO, makeBlockNode, systemError } from "./system-calls.ts";

/** A block device's numbers. */
export interface DeviceNumbers {
  major: number;
  minor: number;
}

/** The numbers in `major:minor`, or undefined where the text is something else. */
export function parseNumbers(text: string): DeviceNumbers | undefined {
  const match = /^(\d+):(\d+)$/.exec(text);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

/** The numbers of a block device's node; 0:0 for a regular file. Throws -ENOTBLK for anything else. */
export function numbersOf(stats: Stats): DeviceNumbers {
  if (stats.isFile()) return { major: 0, minor: 0 };
  if (!stats.isBlockDevice()) throw systemError("Neither a block device nor a file", ENOTBLK);
  const { rdev } = stats;
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}

/**
 * The node of a block device, or undefined where /dev has none. The one that the kernel itself names comes first: it is
 * the same for every program, so that locks taken on it meet.
 */
export function findNode({ major, minor }: DeviceNumbers): string | undefined {
  const kernels = kernelsName(`${major}:${minor}`);
  const paths = [...(kernels === undefined ? [] : [`/dev/${kernels}`]), `/dev/block/${major}:${minor}`];
  return paths.find((path) => isNodeOf(path, major, minor));
}

/** As `findNode`; without a node one is made in the runtime directory. Throws with `errno`. */
export function findOrMakeNode(numbers: DeviceNumbers, runtimeDirectory: string | undefined): string {
  const found = findNode(numbers);
  if (found !== undefined) return found;
  const { major, minor } = numbers;
  if (runtimeDirectory === undefined) throw systemError(`/dev has no node of ${major}:${minor}`, ENXIO);
  const path = join(nodesDirectory(runtimeDirectory), `${major}:${minor}`);
  if (!existsSync(path)) {
    mkdirSync(nodesDirectory(runtimeDirectory), { recursive: true, mode: 0o700 });
    makeBlockNode(path, ((minor & 0xfff00) * 0x1000 + major * 0x100 + (minor & 0xff)) >>> 0);
  }
  return path;
}

function isNodeOf(path: string, major: number, minor: number): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isBlockDevice()) return false;
  const found = numbersOf(stats);
  return found.major === major && found.minor === minor;
}

function kernelsName(numbers: string): string | undefined {
  try {
    return /^DEVNAME=(.+)$/m.exec(readFileSync(`/sys/dev/block/${numbers}/uevent`, "utf8"))?.[1];
  } catch {
    return undefined;
  }
}
