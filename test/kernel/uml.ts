/**
 * One boot of User Mode Linux: Linux as an ordinary process of the host.
 *
 * Invariant: whatever ends this process but SIGKILL, the guest's whole process group ends with it and its folder goes.
 * The processes of a guest outlive the one that was started, and would hold the disk images.
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

const MEMORY_MIB = 512;

export interface GuestListener {
  onReport(report: GuestReport): void;
  onConsole(line: string): void;
}

const liveGuests = new Set<Guest>();
process.on("exit", () => {
  for (const guest of liveGuests) guest.destroy();
});
for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.on(signal, () => process.exit(exitCode));
}

export class Guest {
  /** Resolves when the guest has ended and all it printed was handed over. */
  readonly ended: Promise<void>;
  readonly #folder: string;
  #process: ChildProcess | undefined;

  constructor(labFolder: string, plan: BootPlan, listener: GuestListener) {
    this.#folder = mkdtempSync(join(tmpdir(), "dm-ulog-kernel-"));
    liveGuests.add(this);
    const inFolder = (name: string) => join(this.#folder, name);
    compileGuest(labFolder, this.#folder);
    writeFileSync(inFolder("plan.json"), JSON.stringify(plan));
    symlinkSync(process.execPath, inFolder("node"));
    copyFileSync(join(labFolder, "init"), inFolder("init"));
    chmodSync(inFolder("init"), 0o755);
    mkdirSync(inFolder("uml"));
    const disks = DISKS.map((_device, index) => {
      const image = inFolder(`disk${index}.img`);
      writeFileSync(image, "");
      truncateSync(image, DISK_SIZE_BYTES);
      return `ubd${index}=${image}`;
    });
    const root = ["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", `init=${inFolder("init")}`];
    const consoles = ["con=null", "con0=null,fd:1", "con1=null,fd:3"];
    const linux = spawn(
      "linux.uml",
      [`mem=${MEMORY_MIB}M`, `uml_dir=${inFolder("uml")}`, ...disks, ...root, ...consoles],
      {
        stdio: ["ignore", "pipe", "pipe", "pipe"],
        detached: true,
        env: { ...process.env, ...this.#whereMemoryLies() },
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
    this.ended = new Promise((resolve, reject) => {
      linux.on("error", reject);
      // What outlives it would keep the consoles open.
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
      if (bavail * bsize >= MEMORY_MIB * 1024 * 1024) return {};
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
    liveGuests.delete(this);
  }
}
