/**
 * A machine of User Mode Linux: Linux as an ordinary process of the host, and disks that outlive it.
 *
 * Invariant: unless SIGKILL ends this process, the guest's whole process group ends with it and its folder is removed.
 * Otherwise the guest's other processes would outlive the one that was started, and keep the disk images locked.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { compileGuest } from "./compile.ts";
import { type BootPlan, DISK_SIZE_BYTES, DISKS, type GuestReport } from "./guest/contract.ts";
import { environmentForRegisters } from "./xstate.ts";

const MEMORY_MIB = 512;

export interface GuestListener {
  onReport(report: GuestReport): void;
  onConsole(line: string): void;
}

const machines = new Set<Machine>();
process.on("exit", () => {
  for (const machine of machines) machine.destroy();
});
for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.on(signal, () => process.exit(exitCode));
}

export class Machine {
  readonly #folder: string;
  /** Words of the guest's command line. */
  readonly #disks: string[];
  readonly #environment: { LD_PRELOAD?: string };
  #process: ChildProcess | undefined;

  constructor(labFolder: string) {
    this.#folder = mkdtempSync(join(tmpdir(), "dm-ulog-kernel-"));
    machines.add(this);
    const inFolder = (name: string) => join(this.#folder, name);
    compileGuest(labFolder, this.#folder);
    this.#environment = environmentForRegisters(labFolder, this.#folder);
    symlinkSync(process.execPath, inFolder("node"));
    copyFileSync(join(labFolder, "init"), inFolder("init"));
    chmodSync(inFolder("init"), 0o755);
    mkdirSync(inFolder("uml"));
    this.#disks = DISKS.map((_device, index) => {
      const image = inFolder(`disk${index}.img`);
      writeFileSync(image, "");
      truncateSync(image, DISK_SIZE_BYTES);
      return `ubd${index}=${image}`;
    });
  }

  /** Resolves when the guest has ended and all it printed was handed over. */
  boot(plan: BootPlan, listener: GuestListener, memoryMiB = MEMORY_MIB): Promise<void> {
    const inFolder = (name: string) => join(this.#folder, name);
    writeFileSync(inFolder("plan.json"), JSON.stringify(plan));
    const root = ["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", `init=${inFolder("init")}`];
    const consoles = ["con=null", "con0=null,fd:1", "con1=null,fd:3"];
    const linux = spawn(
      "linux.uml",
      [`mem=${memoryMiB}M`, `uml_dir=${inFolder("uml")}`, ...this.#disks, ...root, ...consoles],
      {
        stdio: ["ignore", "pipe", "pipe", "pipe"],
        detached: true,
        env: { ...process.env, ...this.#environment, ...this.#whereMemoryLies() },
      },
    );
    this.#process = linux;
    const [, stdout, stderr, reports] = linux.stdio;
    for (const stream of [stdout, stderr]) {
      createInterface({ input: stream as NodeJS.ReadableStream }).on("line", listener.onConsole);
    }
    createInterface({ input: reports as NodeJS.ReadableStream }).on("line", (line) => {
      listener.onReport(JSON.parse(line) as GuestReport);
    });
    return new Promise((resolve, reject) => {
      linux.on("error", reject);
      // Processes that outlive it would keep the consoles open.
      linux.on("exit", () => this.kill());
      linux.on("close", () => resolve());
    });
  }

  /**
   * The guest's memory is a file of the host, on /dev/shm unless told otherwise. Where that is too small, as in many
   * containers, the guest dies of a bus error when it touches what does not fit.
   */
  #whereMemoryLies(): { TMPDIR?: string } {
    if (existsSync("/dev/shm")) {
      const { bavail, bsize } = statfsSync("/dev/shm");
      // The other machines may not have touched theirs yet.
      if (bavail * bsize >= machines.size * MEMORY_MIB * 1024 * 1024) return {};
    }
    return { TMPDIR: this.#folder };
  }

  /** Like a power cut: the guest gets no chance to write anything more. */
  kill(): void {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }

  destroy(): void {
    this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
    machines.delete(this);
  }
}
