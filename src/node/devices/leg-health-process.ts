// The process that reads the status lines of mirrors for leg-health.ts, and may hang at any of them. A name on each line of its standard
// input, an object on each line of its standard output; `ready` comes before the first.

import { readFileSync, writeSync } from "node:fs";
import { readStatus } from "./mapped-device.ts";

const names = readFileSync(0, "utf8").trimEnd().split("\n");
writeSync(1, "ready\n");
for (const line of names) {
  const name = JSON.parse(line) as string;
  writeSync(1, `${JSON.stringify({ name, text: statusText(name) })}\n`);
}

/** Null where the mirror is gone, or is something else by now. */
function statusText(name: string): string | null {
  try {
    const [target] = readStatus(name);
    return target?.type === "mirror" ? target.text : null;
  } catch {
    return null;
  }
}
