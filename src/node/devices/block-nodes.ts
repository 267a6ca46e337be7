// Finds or makes the node of a block device from its numbers.

import { existsSync, mkdirSync, type Stats } from "node:fs";
import { join } from "node:path";
import { nodesDirectory } from "../state/runtime-paths.ts";
import { ENOTBLK, ENXIO, makeBlockNode, systemError } from "../system-calls.ts";
import { type DeviceNumbers, findNode, numbersOfNode } from "./device-numbers.ts";

export { findNode, parseNumbers } from "./device-numbers.ts";

/** The numbers of a block device's node; 0:0 for a regular file. Throws -ENOTBLK for anything else. */
export function numbersOf(stats: Stats): DeviceNumbers {
  if (stats.isFile()) return { major: 0, minor: 0 };
  if (!stats.isBlockDevice()) throw systemError("Neither a block device nor a file", ENOTBLK);
  return numbersOfNode(stats);
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
