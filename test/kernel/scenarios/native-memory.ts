/** What the native host takes of the machine's memory, all of which is locked. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const LOGS_FOLDER = "/run/logs";
const LOG_BYTES = 8192;
const REGIONS = 20_000;
const REGION_SIZE_SECTORS = 64;
const COUNTS = [0, 1, 64];
/** Of all its processes, without the core's own memory and the state files that hold the same. */
const MOST_KIB = 8 * 1024;
const CORES = /memfd:dm-ulog|\/state\//;
const NOT_CHECKED = Buffer.alloc(0);

/** KiB that the server's processes take, each page counted once, without what `isLeftOut`. */
function memoryKiB(isLeftOut: RegExp): number {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const ours = pids.filter((pid) => /^dm-ulogd/.test(textOf(`/proc/${pid}/comm`)));
  return ours.reduce((sum, pid) => sum + sizeOf(textOf(`/proc/${pid}/smaps`), isLeftOut), 0);
}

/** Empty where the process has ended meanwhile. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function sizeOf(smaps: string, isLeftOut: RegExp): number {
  let sum = 0;
  let isCounted = false;
  for (const line of smaps.split("\n")) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) isCounted = !isLeftOut.test(line);
    else if (isCounted && line.startsWith("Pss:")) sum += Number(/\d+/.exec(line)?.[0]);
  }
  return sum;
}

const nativeMemory: Scenario = {
  name: "native-memory",
  sentence: `The memory of the native host with ${COUNTS.join(", ")} mirrors, each with a log on a device of ${REGIONS} regions.`,
  nativeOnly: "its memory",
  timeLimitMs: 120_000,
  async run(lab) {
    const sizeSectors = REGIONS * REGION_SIZE_SECTORS;
    const legs: MirrorOptions["legs"] = [
      await lab.dm.create("zero0", `0 ${sizeSectors} zero`),
      await lab.dm.create("zero1", `0 ${sizeSectors} zero`),
    ];
    mkdirSync(LOGS_FOLDER, { recursive: true });
    // As an administrator gets it: the lab's other servers have a smaller recorder.
    await lab.server.start({ words: ["--flight-recorder", "2M"] });
    let made = 0;
    for (const count of COUNTS) {
      for (; made < count; made++) {
        const logDevice = `${LOGS_FOLDER}/${made}`;
        writeFileSync(logDevice, "");
        truncateSync(logDevice, LOG_BYTES);
        const options: MirrorOptions = { ...MIRROR, name: `m${made}`, legs, sizeSectors, logDevice, sync: "nosync" };
        await lab.makeMirror(
          { ...options, regionSizeSectors: REGION_SIZE_SECTORS, logType: "clustered-disk" },
          NOT_CHECKED,
        );
      }
      const all = memoryKiB(/$^/);
      const own = memoryKiB(CORES);
      lab.note(`${count} mirrors: ${own} KiB, and ${all - own} KiB of the core's`);
      assert(own <= MOST_KIB, `${own} KiB, more than ${MOST_KIB}`);
    }
    await lab.dm.removeAll();
    await lab.server.stop();
  },
};

export const nativeMemoryScenarios = [nativeMemory];
