// Makes the writes to a leg of a mirror durable.

import { closeSync, fsyncSync, openSync } from "node:fs";
import { ENODEV, systemError } from "../system-calls.ts";
import { findOrMakeNode, parseNumbers } from "./block-nodes.ts";

/**
 * Flushes the write cache of a block device, `major:minor`. The kernel has claimed the device, but still allows reading it.
 * This may take as long as the device does. Throws with `errno`.
 */
export function flushLeg(leg: string, runtimeDirectory: string | undefined): void {
  const numbers = parseNumbers(leg);
  if (numbers === undefined) throw systemError(`${leg} is not a device`, ENODEV);
  const fd = openSync(findOrMakeNode(numbers, runtimeDirectory), "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
