// How the legs of mirrors are. The kernel alone knows, and tells it in a mirror's status line; but for that line it asks the server too.
// So whoever reads it waits as long as the server lets the kernel wait, and a process of its own reads it.

import { fileURLToPath } from "node:url";
import { type LegHealth, parseMirrorStatus } from "../mirrors/mirror-status.ts";
import { type Answers, askProcess } from "./asked-process.ts";

/** By the letters that the kernel has for them. */
const CONDITIONS = {
  A: "alive",
  D: "write-failed",
  S: "copy-failed",
  R: "read-failed",
  F: "flush-failed",
  U: "failed",
} as const satisfies Record<LegHealth, string>;

/** `copy-failed`: the resync could not read it or write to it. The first failure since the mirror's last resume that weighs most. */
export type LegCondition = (typeof CONDITIONS)[LegHealth];

export interface HealthReading {
  /** In the order of the legs, by the name of the mirror. */
  legs: Map<string, LegCondition[]>;
  /** Why mirrors are missing there: a sentence; undefined where all were read. */
  missing: string | undefined;
}

/** For all mirrors together: an answer takes a tenth of a millisecond. */
const ANSWER_LIMIT_MS = 2000;

/** Reads the health of these mirrors. Takes 2 s at most after the process has started, however many they are. */
export async function readLegHealth(
  names: readonly string[],
  { program = fileURLToPath(new URL("./leg-health-process.js", import.meta.url)), limitMs = ANSWER_LIMIT_MS } = {},
): Promise<HealthReading> {
  const legs = new Map<string, LegCondition[]>();
  const { answers, failure } = await askProcess<string | null>(program, names, limitMs);
  for (const [name, text] of answers) {
    const health = text === null ? undefined : parseLegHealth(text);
    if (health !== undefined) legs.set(name, health);
  }
  return { legs, missing: failure === undefined ? undefined : missingSentence(failure) };
}

function missingSentence({ kind, message }: NonNullable<Answers<unknown>["failure"]>): string {
  if (kind === "time") return `the kernel has not told it ${message}: it waits for the server`;
  if (kind === "end") return `the process that reads it ${message}. It needs root and the optional packages`;
  return `the process that reads it ${message}`;
}

/** Of a mirror's status line: `2 8:0 8:16 128/128 1 AD 3 clustered-disk 8:32 A`. Undefined where it is none. */
export function parseLegHealth(text: string): LegCondition[] | undefined {
  const conditions = parseMirrorStatus(text)?.legs.map(({ health }) => CONDITIONS[health]);
  return conditions === undefined || conditions.includes(undefined as never) ? undefined : conditions;
}
