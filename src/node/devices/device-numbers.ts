// A block device's numbers, and its node in /dev. It makes no system calls of our own, so that it loads everywhere.

import { readFileSync, type Stats, statSync } from "node:fs";

/** A block device's numbers. */
export interface DeviceNumbers {
  major: number;
  minor: number;
}

/** The numbers in `major:minor`, or undefined if the text is something else. */
export function parseNumbers(text: string): DeviceNumbers | undefined {
  const match = /^(\d+):(\d+)$/.exec(text);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

/** The numbers of the device that a node stands for. */
export function numbersOfNode({ rdev }: Stats): DeviceNumbers {
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}

/**
 * The node of a block device, or undefined if /dev has none. The kernel's own name comes first: it is the same for every
 * program, so that all of them lock the same node.
 */
export function findNode({ major, minor }: DeviceNumbers): string | undefined {
  const kernels = kernelsName(`${major}:${minor}`);
  const paths = [...(kernels === undefined ? [] : [`/dev/${kernels}`]), `/dev/block/${major}:${minor}`];
  return paths.find((path) => isNodeOf(path, major, minor));
}

function isNodeOf(path: string, major: number, minor: number): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isBlockDevice()) return false;
  const found = numbersOfNode(stats);
  return found.major === major && found.minor === minor;
}

function kernelsName(numbers: string): string | undefined {
  try {
    return /^DEVNAME=(.+)$/m.exec(readFileSync(`/sys/dev/block/${numbers}/uevent`, "utf8"))?.[1];
  } catch {
    return undefined;
  }
}
