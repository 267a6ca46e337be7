// What is on the log devices of mirrors. A device may hang, so a process of its own reads them, and another one those behind it.

import { closeSync, openSync, readSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { sizeOf } from "../system-calls.ts";
import { askProcess } from "./asked-process.ts";
import { findIfThere, THIS_MACHINE } from "./block-devices.ts";
import { findNode, parseNumbers } from "./block-nodes.ts";
import { logRegionsOf } from "./log-header.ts";

/** What a log device is and holds. */
export interface LogDeviceFacts {
  /** Null where it is not there. */
  sizeBytes: number | null;
  /** Why it cannot be read, or null. */
  error: string | null;
  /** Regions of the log on it, or null where it holds none. */
  regionCount: number | null;
  /** The same for every name of one device or file; null where it is not there. */
  identity: string | null;
}

const READ_LIMIT_MS = 2000;
/** Where more hang, something else is wrong, and nobody waits for the rest. */
const HANGING_MAX = 3;

/** By the names that tables have for them. Takes three times 2 s at most, and what starting a process takes. */
export async function readLogDevices(
  names: readonly string[],
  { program = fileURLToPath(new URL("./log-device-facts-process.js", import.meta.url)), limitMs = READ_LIMIT_MS } = {},
): Promise<Record<string, LogDeviceFacts>> {
  const facts: Record<string, LogDeviceFacts> = {};
  let left = [...new Set(names)];
  for (let tries = 0; left.length > 0 && tries < HANGING_MAX; tries++) {
    const { answers, failure } = await askProcess<LogDeviceFacts>(program, left, limitMs);
    for (const [name, answer] of answers) facts[name] = answer;
    const [stuck, ...behind] = left.filter((name) => !answers.has(name));
    left = behind;
    if (stuck === undefined) break;
    facts[stuck] = unread(
      stuck,
      failure?.kind === "time"
        ? `it hangs: a read has not ended ${failure.message}`
        : `the process that reads it ${failure?.message}`,
    );
  }
  for (const name of left) facts[name] = unread(name, "it was not tried, because others hang");
  return facts;
}

/** Of one device, in this process. */
export function readLogDevice(name: string): LogDeviceFacts {
  const facts = unread(name, null);
  try {
    const numbers = parseNumbers(name);
    const path = numbers === undefined ? name : findNode(numbers);
    if (path === undefined) throw new Error(`/dev has no node of ${name}`);
    const file = openSync(path, "r");
    try {
      facts.sizeBytes = sizeOf(file);
      const head = Buffer.alloc(16);
      facts.regionCount = logRegionsOf(head.subarray(0, readSync(file, head, 0, head.length, 0)));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    facts.error = (error as Error).message;
  }
  return facts;
}

function unread(name: string, error: string | null): LogDeviceFacts {
  const device = findIfThere(THIS_MACHINE, name);
  return {
    sizeBytes: null,
    error,
    regionCount: null,
    identity: device === undefined ? null : (device.numbers ?? device.inode),
  };
}
