/**
 * systemd with one service and nothing else, as the first process of a PID namespace of its own: this guest's first process
 * is the lab's. Units are enforced as on a machine that it started: control groups, namespaces and system call filters are
 * the kernel's.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { runCommand, tryCommand } from "./command.ts";
import { say } from "./say.ts";

const UNITS = "/run/systemd/system";
const TARGET = "lab.target";
/** systemctl costs the guest a third of a second. */
const POLL_MS = 500;
const TIME_LIMIT_MS = 30_000;

export class Systemd {
  readonly #process: ChildProcess;
  readonly #service: string;

  private constructor(process: ChildProcess, service: string) {
    this.#process = process;
    this.#service = service;
  }

  /** Starts it, and with it the service: `unit` is the text of its file, `dropIn` that of what this machine has otherwise. */
  static start(service: string, unit: string, dropIn: string): Systemd {
    mkdirSync(join(UNITS, `${service}.d`), { recursive: true });
    writeFileSync(join(UNITS, service), unit);
    writeFileSync(join(UNITS, `${service}.d`, "lab.conf"), dropIn);
    writeFileSync(join(UNITS, TARGET), `[Unit]\nDefaultDependencies=no\nWants=${service}\n`);
    const namespaces = ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc"];
    const systemd = ["/lib/systemd/systemd", "--system", `--unit=${TARGET}`, "--log-target=console", "--log-color=no"];
    const child = spawn("unshare", [...namespaces, ...systemd], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, container: "lab" },
    });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => say(`systemd: ${line}`));
    }
    return new Systemd(child, service);
  }

  /** Tells systemd to do something with the service. Returns what systemctl prints. */
  do(...words: string[]): Promise<string> {
    const [program, ...args] = this.#systemctl(words);
    return runCommand(program, args);
  }

  /** systemd listens to root of its own PID namespace. */
  #systemctl(words: string[]): [program: string, ...args: string[]] {
    return this.#inside("systemctl", ...words, this.#service);
  }

  /** Runs a program among those that systemd runs, which have process numbers of their own. Returns what it prints. */
  run(...words: string[]): Promise<string> {
    const [program, ...args] = this.#inside(...words);
    return runCommand(program, args);
  }

  #inside(...words: string[]): [program: string, ...args: string[]] {
    const { pid } = this.#process;
    const init = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return ["nsenter", "--target", init, "--pid", "--mount", ...words];
  }

  /** Waits until the service has these properties, such as { ActiveState: "active" }. */
  async waitFor(wanted: Record<string, string>): Promise<void> {
    const deadline = Date.now() + TIME_LIMIT_MS;
    const names = Object.keys(wanted);
    for (;;) {
      const [program, ...args] = this.#systemctl(["show", "--property", names.join(",")]);
      const { stdout } = await tryCommand(program, args);
      const found = Object.fromEntries(stdout.split("\n").map((line) => line.split("=", 2) as [string, string]));
      if (names.every((name) => found[name] === wanted[name])) return;
      if (Date.now() > deadline) throw new Error(`${JSON.stringify(wanted)}: not so, but ${JSON.stringify(found)}`);
      await sleep(POLL_MS);
    }
  }

  /** Ends it, and all that it has started. */
  async end(): Promise<void> {
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }
}
