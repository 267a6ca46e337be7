/** Swap and dirty pages on a mirror: the server must answer while the machine has no memory left but what its answer frees. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand, tryCommand } from "../guest/command.ts";
import { DISK_SIZE_BYTES, DISKS } from "../guest/contract.ts";
import { SECTOR_SIZE_BYTES } from "../guest/disk.ts";
import type { Lab } from "../guest/lab.ts";
import { DISK_MIRROR, MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

/** Of all memory, what the hog takes: more than is free, and less than free memory and swap together. */
const SHARE = 0.78;
const PASSES = 2;
/** A machine that swaps is slow. One that has deadlocked never ends. */
const HOG_TIME_LIMIT_MS = 100_000;
const NOT_CHECKED = Buffer.alloc(0);

const SWAP: MirrorOptions = { ...MIRROR, sizeSectors: DISK_SIZE_BYTES / SECTOR_SIZE_BYTES, regionSizeSectors: 1024 };
const KINDS: { title: string; options: MirrorOptions }[] = [
  { title: "kernel core", options: { ...SWAP, logType: "kernel core", sync: "nosync" } },
  { title: "core log", options: { ...SWAP, sync: "nosync" } },
  {
    title: "disk log",
    options: { ...SWAP, logType: "clustered-disk", logDevice: DISK_MIRROR.logDevice as string, sync: "nosync" },
  },
];

function memoryMiB(what: string): number {
  const line = new RegExp(`^${what}:\\s+(\\d+) kB$`, "m").exec(readFileSync("/proc/meminfo", "utf8"));
  return Math.floor(Number(line?.[1]) / 1024);
}

function pagesOut(): number {
  return Number(/^pswpout (\d+)$/m.exec(readFileSync("/proc/vmstat", "utf8"))?.[1]);
}

/**
 * A server that takes a page, or waits for one to be read, stays alive by luck. Other faults are of the guest, which keeps the
 * marks of its page tables in software.
 */
function memoryOf({ server }: Lab): { majorFaults: number; residentKiB: number } {
  const fields = readFileSync(`/proc/${server.pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"));
  return { majorFaults: Number(fields[9]), residentKiB: Number(resident?.[1]) };
}

async function swapOn(lab: Lab, title: string, options: MirrorOptions): Promise<void> {
  const mirror = await lab.makeMirror(options, NOT_CHECKED);
  await runCommand("mkswap", [mirror.path]);
  await runCommand("swapon", [mirror.path]);
  const before = pagesOut();
  const memoryBefore = memoryOf(lab);
  const takenMiB = Math.floor(memoryMiB("MemTotal") * SHARE);
  const startedAt = performance.now();
  const words = [String(takenMiB), String(PASSES)];
  const { exitCode, stderr } = await tryCommand(join(lab.repositoryPath, "dist/native/hog"), words, HOG_TIME_LIMIT_MS);
  assert.equal(exitCode, 0, `${title}: the hog has failed: ${stderr}`);
  const seconds = (performance.now() - startedAt) / 1000;
  const swapped = pagesOut() - before;
  const memoryAfter = memoryOf(lab);
  await runCommand("swapoff", [mirror.path]);
  const { health } = await mirror.status();
  assert.equal(health, "AA");
  assert.ok(swapped > 1000, `${swapped} pages went to swap: the hog was too small`);
  assert.deepEqual(memoryAfter, memoryBefore, `${title}: the server's memory was not all there`);
  lab.note(`${title}: ${takenMiB} MiB in ${PASSES} passes, ${swapped} pages to swap, ${seconds.toFixed(1)} s`);
  await mirror.remove();
}

const swapOnMirror: Scenario = {
  name: "swap-on-mirror",
  sentence:
    "Swap lies on a mirror while a program takes more memory than there is: beside the kernel's own log, with a log in memory and on a device.",
  notForNode: "it may wait for memory that only its own answer frees",
  timeLimitMs: 400_000,
  isAlone: true,
  // Touching a page for the first time takes the guest 0.2 ms.
  memoryMiB: 192,
  async run(lab) {
    for (const leg of [DISKS[0], DISKS[1]]) {
      await runCommand("dd", ["if=/dev/zero", `of=${leg}`, "bs=1M", `count=${DISK_SIZE_BYTES >> 20}`, "oflag=direct"]);
    }
    // Rather the hog's pages go to swap than those of programs, which would be read again all the time.
    writeFileSync("/proc/sys/vm/swappiness", "200");
    await lab.server.start();
    for (const { title, options } of KINDS) await swapOn(lab, title, options);
    await lab.server.stop();
  },
};

/** What the guest keeps for itself and the page cache: a fraction of the file. */
const LEFT_MIB = 28;
const FILE_MIB = 48;
const FILES = 3;
const FOLDER = "/run/on-mirror";

/** Writes files that are larger than what memory is left, and reads them back. */
async function writeBack(lab: Lab, title: string, options: MirrorOptions): Promise<void> {
  const mirror = await lab.makeMirror(options, NOT_CHECKED);
  await runCommand("mkfs.ext4", ["-q", "-O", "^has_journal", mirror.path], HOG_TIME_LIMIT_MS);
  mkdirSync(FOLDER, { recursive: true });
  await runCommand("mount", [mirror.path, FOLDER]);
  const takenMiB = memoryMiB("MemAvailable") - LEFT_MIB;
  const hog = spawn(join(lab.repositoryPath, "dist/native/hog"), [String(takenMiB), "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(hog.stdout, "data");
  const memoryBefore = memoryOf(lab);
  const startedAt = performance.now();
  for (let i = 0; i < FILES; i++) {
    const words = ["if=/dev/urandom", `of=${FOLDER}/file`, "bs=64k", `count=${FILE_MIB * 16}`, "conv=fsync"];
    await runCommand("dd", words, HOG_TIME_LIMIT_MS);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const memoryAfter = memoryOf(lab);
  const before = await runCommand("sha256sum", [`${FOLDER}/file`], HOG_TIME_LIMIT_MS);
  hog.kill("SIGKILL");
  await once(hog, "exit");
  await runCommand("umount", [FOLDER]);
  await runCommand("mount", [mirror.path, FOLDER]);
  assert.equal(await runCommand("sha256sum", [`${FOLDER}/file`], HOG_TIME_LIMIT_MS), before);
  await runCommand("umount", [FOLDER]);
  assert.equal((await mirror.status()).health, "AA");
  assert.deepEqual(memoryAfter, memoryBefore, `${title}: the server's memory was not all there`);
  lab.note(`${title}: ${FILES} files of ${FILE_MIB} MiB with ${LEFT_MIB} MiB of memory left, ${seconds.toFixed(1)} s`);
  await mirror.remove();
}

const writebackBeyondRam: Scenario = {
  name: "writeback-beyond-ram",
  sentence: "A file system on a mirror takes files larger than the memory that is left: beside the kernel's own log.",
  notForNode: "it may wait for memory that only its own answer frees",
  timeLimitMs: 400_000,
  isAlone: true,
  memoryMiB: 192,
  async run(lab) {
    await lab.server.start();
    for (const { title, options } of KINDS) await writeBack(lab, title, options);
    await lab.server.stop();
  },
};

export const swapScenarios = [swapOnMirror, writebackBeyondRam];
