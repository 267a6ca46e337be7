import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { type Lab, MIRRORS_DIRECTORY } from "./lab.ts";
import { say } from "./say.ts";

const EVENTS = "/run/events";
const PROGRAM = "/run/tell";
const TIME_LIMIT_MS = 60_000;
const POLL_MS = 100;

/** `dm-ulog monitor`, with a program that writes its events to a file. */
export class Monitor {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static start(lab: Lab, ...words: string[]): Monitor {
    rmSync(EVENTS, { force: true });
    writeFileSync(PROGRAM, `#!/bin/sh\necho "$@" >> ${EVENTS}\n`, { mode: 0o755 });
    const options = ["--mirrors-dir", MIRRORS_DIRECTORY, "--interval", "1", "--retry", "1", "--program", PROGRAM];
    const child = spawn(process.execPath, [lab.mainPath, "monitor", ...options, ...words], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => say(`monitor: ${line}`));
    }
    return new Monitor(child);
  }

  /** What the program was called with so far, a line each. */
  get events(): string[] {
    return existsSync(EVENTS) ? readFileSync(EVENTS, "utf8").trim().split("\n") : [];
  }

  /** Waits until the program has been called with this line, so many times. */
  async waitFor(event: string, times = 1): Promise<void> {
    const deadline = Date.now() + TIME_LIMIT_MS;
    while (this.events.filter((one) => one === event).length < times) {
      if (this.#process.exitCode !== null) throw new Error(`The monitor has ended with ${this.#process.exitCode}`);
      if (Date.now() > deadline) throw new Error(`No event "${event}", but: ${this.events.join(", ")}`);
      await sleep(POLL_MS);
    }
  }

  /** Sends it the signal of a child that has ended, over and over. Returns what ends that. */
  rainSignals(): () => void {
    const rain = setInterval(() => this.#process.kill("SIGCHLD"), 1);
    return () => clearInterval(rain);
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, "exit");
    this.#process.kill();
    await exited;
  }
}
