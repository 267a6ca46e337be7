// How the legs of mirrors are. The kernel alone knows, and tells it in a mirror's status line; but for that line it asks the server too.
// So whoever reads it waits as long as the server lets the kernel wait, and cannot even be killed meanwhile. A process of its own reads
// it, and is left behind where that takes too long: it ends when the server has answered.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type LegHealth, parseMirrorStatus } from "../mirrors/mirror-status.ts";

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

/** For Node.js to start. */
const START_LIMIT_MS = 5000;
/** For all mirrors together: an answer takes a tenth of a millisecond. */
const ANSWER_LIMIT_MS = 2000;

/** Reads the health of these mirrors. Takes 2 s at most after the process has started, however many they are. */
export function readLegHealth(
  names: readonly string[],
  { program = fileURLToPath(new URL("./leg-health-process.js", import.meta.url)), limitMs = ANSWER_LIMIT_MS } = {},
): Promise<HealthReading> {
  const legs = new Map<string, LegCondition[]>();
  if (names.length === 0) return Promise.resolve({ legs, missing: undefined });
  return new Promise((resolve) => {
    // With nothing of this process's own open, so that nobody waits for it who waits for this one.
    const child = spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "ignore"], cwd: "/", env: {} });
    const lines = createInterface({ input: child.stdout });
    const end = (missing: string | undefined) => {
      clearTimeout(timer);
      lines.close();
      child.removeAllListeners();
      child.on("error", () => {});
      child.stdin.destroy();
      child.stdout.destroy();
      child.kill("SIGKILL");
      child.unref();
      resolve({ legs, missing });
    };
    let timer = setTimeout(
      () => end(`the process that reads it has not started within ${START_LIMIT_MS / 1000} s`),
      START_LIMIT_MS,
    );
    lines.on("line", (line) => {
      if (line === "ready") {
        clearTimeout(timer);
        timer = setTimeout(
          () => end(`the kernel has not told it within ${limitMs / 1000} s: it waits for the server`),
          limitMs,
        );
        return;
      }
      const { name, text } = JSON.parse(line) as { name: string; text: string | null };
      const health = text === null ? undefined : parseLegHealth(text);
      if (health !== undefined) legs.set(name, health);
    });
    child.on("error", (error) => end(`the process that reads it cannot be started: ${error.message}`));
    child.on("close", (code) =>
      end(code === 0 ? undefined : "the process that reads it has failed. It needs root and the optional packages"),
    );
    child.stdin.on("error", () => {});
    child.stdin.end(names.map((name) => `${JSON.stringify(name)}\n`).join(""));
  });
}

/** Of a mirror's status line: `2 8:0 8:16 128/128 1 AD 3 clustered-disk 8:32 A`. Undefined where it is none. */
export function parseLegHealth(text: string): LegCondition[] | undefined {
  const conditions = parseMirrorStatus(text)?.legs.map(({ health }) => CONDITIONS[health]);
  return conditions === undefined || conditions.includes(undefined as never) ? undefined : conditions;
}
