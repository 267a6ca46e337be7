// Makes what was written to a leg of a mirror durable.

import { closeSync, fsyncSync, openSync } from "node:fs";
import { findOrMakeNode, parseNumbers } from "./block-nodes.ts";
import { ENODEV, systemError } from "./system-calls.ts";

/**
 * Flushes the write cache of a block device, `major:minor`. The kernel has the device claimed; reading it beside that
 * is allowed. May take as long as the device does. Throws with `errno`.
 */
export function flushLeg(leg: string, runtimeDirectory: string | undefined): void {
  const numbers = parseNumbers(leg);
  if (numbers === undefined) throw systemError(`${leg} is no device`, ENODEV);
  const fd = openSync(findOrMakeNode(numbers, runtimeDirectory), "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
