// What can only be learnt by a call that may hang, and that nobody can end who waits in it: of a device, or of the kernel that waits for
// a server. A process of its own makes the calls, and is left behind where one takes too long; it ends when the call does.

import { spawn } from "node:child_process";
import { readFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";

export interface Answers<T> {
  /** By the name that was asked for. */
  answers: Map<string, T>;
  /** Why some are missing there: `start` and `end` mean the process, `time` that one call took too long. Undefined where all are there. */
  failure: { kind: "start" | "end" | "time"; message: string } | undefined;
}

/** For Node.js to start. */
const START_LIMIT_MS = 5000;

/** Asks a program that is written with `answerEach`. Takes `limitMs` at most after the process has started, however many names there are. */
export function askProcess<T>(program: string, names: readonly string[], limitMs: number): Promise<Answers<T>> {
  const answers = new Map<string, T>();
  if (names.length === 0) return Promise.resolve({ answers, failure: undefined });
  return new Promise((resolve) => {
    // With nothing of this process's own open, so that nobody waits for it who waits for this one.
    const child = spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "ignore"], cwd: "/", env: {} });
    const lines = createInterface({ input: child.stdout });
    const end = (failure: Answers<T>["failure"]) => {
      clearTimeout(timer);
      lines.close();
      child.removeAllListeners();
      child.on("error", () => {});
      child.stdin.destroy();
      child.stdout.destroy();
      child.kill("SIGKILL");
      child.unref();
      resolve({ answers, failure });
    };
    const startLimit = `has not started within ${START_LIMIT_MS / 1000} s`;
    let timer = setTimeout(() => end({ kind: "start", message: startLimit }), START_LIMIT_MS);
    lines.on("line", (line) => {
      if (line === "ready") {
        clearTimeout(timer);
        timer = setTimeout(() => end({ kind: "time", message: `within ${limitMs / 1000} s` }), limitMs);
        return;
      }
      const { name, answer } = JSON.parse(line) as { name: string; answer: T };
      answers.set(name, answer);
    });
    child.on("error", (error) => end({ kind: "start", message: `cannot be started: ${error.message}` }));
    child.on("close", (code) => end(code === 0 ? undefined : { kind: "end", message: "has failed" }));
    child.stdin.on("error", () => {});
    child.stdin.end(names.map((name) => `${JSON.stringify(name)}\n`).join(""));
  });
}

/**
 * The whole work of such a process: answers each name on a line of its standard input with an object on a line of its standard output.
 * `ready` comes before the first.
 */
export function answerEach(answerTo: (name: string) => unknown): void {
  const names = readFileSync(0, "utf8").trimEnd().split("\n");
  writeSync(1, "ready\n");
  for (const line of names) {
    const name = JSON.parse(line) as string;
    writeSync(1, `${JSON.stringify({ name, answer: answerTo(name) })}\n`);
  }
}
