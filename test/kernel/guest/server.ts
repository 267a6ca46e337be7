import { type ChildProcess, spawn } from "node:child_process";
import { get } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { type CommandResult, runCommand, tryCommand } from "./command.ts";
import { say } from "./say.ts";

const CONTROL_SOCKET = "/run/dm-ulog/control.sock";
const POLL_INTERVAL_MS = 50;
const START_TIME_LIMIT_MS = 20_000;
const STOP_TIME_LIMIT_MS = 10_000;
/** The kernel sends a flush that only clears 3 s late. */
const WAIT_TIME_LIMIT_MS = 20_000;

/** What the scenarios use of a log as `dm-ulog status --json` describes it. Large counts are decimal strings. */
export interface LogStatus {
  uuid: string;
  luid: string;
  type: string;
  state: string;
  regionSizeSectors: number;
  regionCount: number;
  inSyncRegions: number;
  outOfSyncRegions: number;
  dirtyRegions: number;
  marks: string;
  flushes: string;
  resynced: string;
  /** Null for a core log. */
  device: { error: string | null } | null;
}

export interface Status {
  logs: LogStatus[];
  counters: { flushes: string; flushesWithoutWrite: string; deviceWrites: string; deviceBytes: string };
}

/** The server under test, as a person would start it. */
export class Server {
  readonly #program: string;
  #child: ChildProcess | undefined;
  #isStopping = false;
  readonly #reportDeath: (error: Error) => void;

  constructor(repositoryPath: string, reportDeath: (error: Error) => void) {
    this.#program = join(repositoryPath, "dist/cli/main.js");
    this.#reportDeath = reportDeath;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  async start(...options: string[]): Promise<void> {
    const child = spawn(process.execPath, [this.#program, "serve", ...options], { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    this.#isStopping = false;
    createInterface({ input: child.stderr }).on("line", (line) => say(`server: ${line}`));
    const lines = createInterface({ input: child.stdout });
    child.on("exit", (exitCode, signal) => {
      this.#child = undefined;
      if (!this.#isStopping) this.#reportDeath(new Error(`The server ended by itself: ${exitCode ?? signal}`));
    });
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("The server never said it was serving")), START_TIME_LIMIT_MS);
      child.on("error", reject);
      lines.on("line", (line) => {
        say(`server: ${line}`);
        if (!line.includes("serving")) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** A clean end: asked with SIGTERM, the server must leave with 0. */
  async stop(): Promise<void> {
    const outcome = await this.#end("SIGTERM");
    if (outcome !== 0) throw new Error(`The server answered SIGTERM with ${outcome} instead of ending with 0`);
  }

  /** An end without notice: the server gets no chance to do anything more. */
  async kill(): Promise<void> {
    const outcome = await this.#end("SIGKILL");
    if (outcome !== "SIGKILL") throw new Error(`The server ended with ${outcome} before it was killed`);
  }

  async #end(signal: NodeJS.Signals): Promise<number | string | null> {
    const child = this.#child;
    if (!child) throw new Error("There is no server to end");
    this.#isStopping = true;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`The server outlived ${signal}`)), STOP_TIME_LIMIT_MS);
      child.once("exit", (exitCode, exitSignal) => {
        clearTimeout(timer);
        resolve(exitCode ?? exitSignal);
      });
      child.kill(signal);
    });
  }

  /** Starts one server more, which is expected to leave by itself. */
  tryAnother(): Promise<CommandResult> {
    return tryCommand(process.execPath, [this.#program, "serve"], START_TIME_LIMIT_MS);
  }

  /** Asks the control socket: starting a process for `status --json` costs the guest two seconds. */
  async logs(): Promise<LogStatus[]> {
    return (await this.status()).logs;
  }

  /** The same, as a person would ask. */
  async logsOfCommandLine(): Promise<LogStatus[]> {
    const text = await runCommand(process.execPath, [this.#program, "status", "--json"]);
    return (JSON.parse(text) as Status).logs;
  }

  status(): Promise<Status> {
    return new Promise((resolve, reject) => {
      const asking = get({ socketPath: CONTROL_SOCKET, path: "/status" }, async (response) => {
        const body = await text(response);
        if (response.statusCode === 200) resolve(JSON.parse(body) as Status);
        else reject(new Error(`The server does not tell its status: ${response.statusCode} ${body}`));
      });
      asking.on("error", reject);
    });
  }

  /** What a person reads who asks. */
  statusOfCommandLine(): Promise<string> {
    return runCommand(process.execPath, [this.#program, "status"]);
  }

  /** The only log there is. */
  async onlyLog(): Promise<LogStatus> {
    const logs = await this.logs();
    const [log] = logs;
    if (!log || logs.length !== 1) throw new Error(`There is to be one log: ${JSON.stringify(logs)}`);
    return log;
  }

  async waitForLog(what: string, isSo: (log: LogStatus) => boolean): Promise<LogStatus> {
    const deadline = Date.now() + WAIT_TIME_LIMIT_MS;
    for (;;) {
      const log = await this.onlyLog();
      if (isSo(log)) return log;
      if (Date.now() > deadline)
        throw new Error(`${what}: not so after ${WAIT_TIME_LIMIT_MS} ms: ${JSON.stringify(log)}`);
      await sleep(POLL_INTERVAL_MS);
    }
  }
}
