import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { type CommandResult, tryCommand } from "./command.ts";
import { say } from "./say.ts";
import type { ServerOptions, ServerProgram } from "./server-program.ts";
import type { LogStatus, Status } from "./status.ts";

const POLL_INTERVAL_MS = 50;
const START_TIME_LIMIT_MS = 20_000;
const STOP_TIME_LIMIT_MS = 10_000;
/** The kernel sends a flush that only clears 3 s late. */
const WAIT_TIME_LIMIT_MS = 20_000;
const QUIET_TIME_MS = 1000;
/** A server whose successor was killed serves again by then, or has ended. */
const SURVIVAL_TIME_MS = 400;

/** The server under test, as a person would start it. */
export class Server {
  readonly #program: ServerProgram;
  #child: ChildProcess | undefined;
  /** The first line of the current server. */
  #greeting = "";
  #isStopping = false;
  readonly #reportDeath: (error: Error) => void;

  constructor(program: ServerProgram, reportDeath: (error: Error) => void) {
    this.#program = program;
    this.#reportDeath = reportDeath;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  async start(options: ServerOptions = {}): Promise<void> {
    const [program, ...args] = this.#program.command(options);
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#watch(child);
    createInterface({ input: child.stderr }).on("line", (line) => say(`server: ${line}`));
    const lines = createInterface({ input: child.stdout });
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("The server never said it was serving")), START_TIME_LIMIT_MS);
      child.on("error", reject);
      lines.on("line", (line) => {
        say(`server: ${line}`);
        if (!line.includes("serving")) return;
        clearTimeout(timer);
        this.#greeting = line;
        resolve();
      });
    });
  }

  /** A clean end: after SIGTERM the server must exit with 0. */
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

  /** Starts another server that takes the place of this one, which ends with 0. */
  async takeOver(): Promise<void> {
    const old = this.#child;
    if (!old) throw new Error("There is no server to take over from");
    this.#isStopping = true;
    // Its end is expected, and is no end of the one that `start` begins to watch.
    old.removeAllListeners("exit");
    const outcome = Promise.race([
      new Promise<number | string | null>((resolve) => old.once("exit", (code, signal) => resolve(code ?? signal))),
      sleep(STOP_TIME_LIMIT_MS).then(() => "still there"),
    ]);
    await this.start({ words: ["--take-over"] });
    if ((await outcome) !== 0) throw new Error(`The server that was taken over from ended with ${await outcome}`);
  }

  /**
   * The same, and one of the two is killed so long after the new one was started. Returns which server serves then, the one that
   * was not killed or, where the old one had handed over before, a third.
   */
  async takeOverAndKill(whom: "old" | "new", afterMs: number): Promise<"old" | "new" | "third"> {
    const old = this.#child;
    if (!old) throw new Error("There is no server to take over from");
    this.#isStopping = true;
    old.removeAllListeners("exit");
    const starting = this.start({ words: ["--take-over"] }).then(
      () => "serves",
      (error: Error) => error.message,
    );
    const fresh = this.#child as ChildProcess;
    fresh.removeAllListeners("exit");
    const ended = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;
    await sleep(afterMs);
    (whom === "old" ? old : fresh).kill("SIGKILL");
    if (whom === "old") {
      const outcome = await starting;
      if (outcome !== "serves" || ended(fresh)) throw new Error(`The new server does not go on: ${outcome}`);
      this.#watch(fresh);
      return "new";
    }
    await sleep(SURVIVAL_TIME_MS);
    if (ended(old)) {
      await this.start();
      return "third";
    }
    this.#watch(old);
    return "old";
  }

  /** From now on this process is the server, and its end by itself a failure. */
  #watch(child: ChildProcess): void {
    this.#child = child;
    this.#isStopping = false;
    child.on("exit", (exitCode, signal) => {
      this.#child = undefined;
      if (!this.#isStopping) this.#reportDeath(new Error(`The server ended by itself: ${exitCode ?? signal}`));
    });
  }

  /** Starts another server, which is expected to exit by itself. */
  tryAnother(options: ServerOptions = {}): Promise<CommandResult> {
    const [program, ...args] = this.#program.command(options);
    return tryCommand(program, args, START_TIME_LIMIT_MS);
  }

  async logs(): Promise<LogStatus[]> {
    return (await this.status()).logs;
  }

  /** Of the process that answers the kernel. */
  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error("There is no server to ask");
    return pid;
  }

  async status(): Promise<Status> {
    return this.#program.status(this.pid, this.#greeting);
  }

  /** The only log there is. */
  async onlyLog(): Promise<LogStatus> {
    const logs = await this.logs();
    const [log] = logs;
    if (!log || logs.length !== 1) throw new Error(`There is to be one log: ${inspect(logs)}`);
    return log;
  }

  async waitForLog(what: string, isSo: (log: LogStatus) => boolean): Promise<LogStatus> {
    const deadline = Date.now() + WAIT_TIME_LIMIT_MS;
    for (;;) {
      const log = await this.onlyLog();
      if (isSo(log)) return log;
      if (Date.now() > deadline) throw new Error(`${what}: not so after ${WAIT_TIME_LIMIT_MS} ms: ${inspect(log)}`);
      await sleep(POLL_INTERVAL_MS);
    }
  }

  /** The kernel asks for nothing any more: what it has asked for is answered. */
  async waitQuiet(): Promise<void> {
    const deadline = Date.now() + WAIT_TIME_LIMIT_MS;
    for (let before = ""; ; ) {
      const { requests } = (await this.status()).counters;
      const now = JSON.stringify(requests);
      if (now === before) return;
      if (Date.now() > deadline) throw new Error(`The kernel still asks after ${WAIT_TIME_LIMIT_MS} ms`);
      before = now;
      await sleep(QUIET_TIME_MS);
    }
  }
}
