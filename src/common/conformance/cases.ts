// The cases. Each does what a kernel, a device or a power cut may do; what the host must do then, the judge knows.

import { asciiBytes, type Request, type RequestName, requestType } from "../kernel-frames.ts";
import { MILLISECOND_NS, SECOND_NS } from "../sim/clock.ts";
import type { Mirror } from "./mirror.ts";
import { randomLife } from "./random-life.ts";
import { coreLog, diskLog, REGIONS_PER_BLOCK, type Scene } from "./scene.ts";
import type { CallKind, Trouble } from "./stage.ts";

export interface Case {
  readonly name: string;
  /** What happens in it. */
  readonly words: string;
  run(scene: Scene): void;
}

const EIO = 5;
const EBUSY = 16;
const ENOSPC = 28;
/** Linear memory grows for a log of so many regions. */
const MANY_REGIONS = 16_000_000;
/** The core writes clears after 3 s. */
const QUIET_NS = 4 * SECOND_NS;
/** Longer than a host waits for legs. */
const LEGS_HANG_NS = 12 * SECOND_NS;
const OTHER_PORT = 4711;

/** Requests for a log, one after the other. */
type Script = readonly (readonly [RequestName, Request["data"]?])[];

const CORE_LIFE: Script = [
  ["CTR", asciiBytes(coreLog(300))],
  ["GET_REGION_SIZE"],
  ["RESUME"],
  ["GET_SYNC_COUNT"],
  ["GET_RESYNC_WORK"],
  ["SET_REGION_SYNC", [0, 1]],
  ["MARK_REGION", [0]],
  ["FLUSH"],
  ["IS_CLEAN", [0]],
  ["GET_RESYNC_WORK"],
  ["SET_REGION_SYNC", [1, 1]],
  ["MARK_REGION", [0, 1]],
  ["CLEAR_REGION", [0]],
  ["IN_SYNC", [299]],
  ["STATUS_INFO"],
  ["STATUS_TABLE"],
  ["PRESUSPEND"],
  ["POSTSUSPEND"],
  ["RESUME"],
  ["PRESUSPEND"],
  ["POSTSUSPEND"],
  ["DTR"],
];

const diskLife = (table: string): Script => [
  ["CTR", asciiBytes(table)],
  ["RESUME"],
  ["GET_SYNC_COUNT"],
  ["MARK_REGION", [5, 70_000]],
  ["FLUSH"],
  ["FLUSH", [100_000]],
  ["SET_REGION_SYNC", [7, 0]],
  ["GET_RESYNC_WORK"],
  ["SET_REGION_SYNC", [7, 1]],
  ["CLEAR_REGION", [5, 70_000]],
  ["FLUSH"],
  ["IS_CLEAN", [5]],
  ["STATUS_INFO"],
  ["PRESUSPEND"],
  ["POSTSUSPEND"],
  ["RESUME"],
  ["MARK_REGION", [9]],
  ["FLUSH"],
  ["PRESUSPEND"],
  ["POSTSUSPEND"],
  ["DTR"],
];

function play(mirror: Mirror, script: Script): void {
  for (const [type, data] of script) mirror.ask(type, data);
}

/** A FLUSH with marks far apart, so that several writes are under way at once. */
const FAR_APART = [1, REGIONS_PER_BLOCK + 1, 3 * REGIONS_PER_BLOCK + 1];

/** One trouble of a device, and what a mirror does in it and afterwards. */
function withTrouble(kind: CallKind, trouble: Trouble): (scene: Scene) => void {
  return (scene) => {
    const { stage, file } = scene;
    stage.start();
    const disk = scene.diskLog("LVM-disk", file);
    const core = scene.coreLog("LVM-core");
    stage.trouble(kind, trouble);
    disk.ask("FLUSH", FAR_APART);
    core.ok("STATUS_INFO");
    disk.ask("FLUSH", [9]);
    disk.ask("STATUS_INFO");
    // The device is repaired, and the mirror resumed.
    play(disk, [["PRESUSPEND"], ["POSTSUSPEND"], ["RESUME"], ["MARK_REGION", [2]], ["FLUSH"], ["STATUS_INFO"]]);
    stage.advance(QUIET_NS);
  };
}

/** A log that is made or resumed while its device is in trouble. */
function troubledBeginning(kind: CallKind, trouble: Trouble): (scene: Scene) => void {
  return (scene) => {
    const { stage, block } = scene;
    stage.start();
    const disk = scene.mirror("LVM-disk");
    stage.trouble(kind, trouble);
    play(disk, diskLife(diskLog(block, 4 * REGIONS_PER_BLOCK)));
    play(disk, diskLife(diskLog(block, 4 * REGIONS_PER_BLOCK)));
  };
}

export const CASES: readonly Case[] = [
  {
    name: "start",
    words: "the program starts, and a request comes for a log that nobody has made",
    run: (scene) => {
      scene.stage.start();
      scene.stage.deliver(scene.request("IN_SYNC", [0]));
      scene.stage.advance(SECOND_NS);
    },
  },
  {
    name: "core-log",
    words: "a log in memory is made, used, suspended and removed",
    run: (scene) => {
      scene.stage.start();
      play(scene.mirror("LVM-core"), CORE_LIFE);
    },
  },
  {
    name: "disk-log",
    words: "a log on a device is made, used, suspended and removed; devices answer at once",
    run: (scene) => {
      scene.stage.start();
      play(scene.mirror("LVM-file"), diskLife(diskLog(scene.file, 4 * REGIONS_PER_BLOCK)));
      play(scene.mirror("LVM-block"), diskLife(diskLog(scene.block, 4 * REGIONS_PER_BLOCK)));
    },
  },
  {
    name: "slow-write",
    words: "a WRITE is not answered for a while; other requests are answered meanwhile",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const disk = scene.diskLog("LVM-disk", file);
      stage.hold("WRITE");
      disk.waits("FLUSH", [5]);
      disk.ok("IN_SYNC", [5]);
      const core = scene.coreLog("LVM-core");
      stage.advance(SECOND_NS);
      core.ok("MARK_REGION", [1]);
      stage.release();
      expectReplies(disk, 1);
    },
  },
  {
    name: "slow-flush",
    words: "a WRITE is answered, and the FLUSH after it is not for a while",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const disk = scene.diskLog("LVM-disk", file);
      stage.hold("FLUSH");
      disk.waits("FLUSH", [5]);
      disk.ok("STATUS_INFO");
      stage.advance(SECOND_NS);
      stage.release();
      expectReplies(disk, 1);
    },
  },
  {
    name: "slow-open",
    words: "a device opens slowly, and is read slowly",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      stage.hold("OPEN", "READ");
      const disk = scene.mirror("LVM-disk");
      disk.ask("CTR", asciiBytes(diskLog(file, REGIONS_PER_BLOCK)));
      scene.coreLog("LVM-core").ok("STATUS_INFO");
      stage.release();
      disk.takeReplies();
      stage.hold("READ");
      disk.ask("RESUME");
      scene.coreLog("LVM-other").ok("STATUS_INFO");
      stage.release();
      disk.ok("STATUS_INFO");
    },
  },
  {
    name: "several-writes",
    words: "one FLUSH needs several writes, and many requests wait for them",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const disk = scene.diskLog("LVM-disk", file);
      stage.hold("WRITE", "FLUSH");
      disk.waits("FLUSH", FAR_APART);
      for (let region = 10; region < 15; region++) disk.ask("FLUSH", [region]);
      stage.answerOne("WRITE");
      disk.ok("IS_CLEAN", [1]);
      stage.release(true);
      expectReplies(disk, 6);
    },
  },
  {
    name: "two-logs",
    words: "two logs write at once, and their devices answer in another order",
    run: (scene) => {
      const { stage, file, block } = scene;
      stage.start();
      const one = scene.diskLog("LVM-one", file);
      const other = scene.diskLog("LVM-other", block);
      stage.hold("WRITE");
      one.waits("FLUSH", [1]);
      other.waits("FLUSH", [2]);
      stage.release(true);
      expectReplies(one, 1);
      expectReplies(other, 1);
    },
  },
  { name: "write-fails", words: "a WRITE fails with EIO", run: withTrouble("WRITE", { errno: EIO }) },
  { name: "disk-full", words: "a WRITE fails with ENOSPC", run: withTrouble("WRITE", { errno: ENOSPC }) },
  { name: "short-write", words: "a device takes a part of a WRITE", run: withTrouble("WRITE", { bytes: 512 }) },
  { name: "flush-fails", words: "a FLUSH fails with EIO", run: withTrouble("FLUSH", { errno: EIO }) },
  { name: "read-fails", words: "a READ fails with EIO", run: troubledBeginning("READ", { errno: EIO }) },
  { name: "short-read", words: "a device answers a part of a READ", run: troubledBeginning("READ", { bytes: 512 }) },
  { name: "open-fails", words: "an OPEN fails with EBUSY", run: troubledBeginning("OPEN", { errno: EBUSY }) },
  {
    name: "no-device",
    words: "a table names a device that does not exist",
    run: (scene) => {
      scene.stage.start();
      const disk = scene.mirror("LVM-disk");
      disk.ask("CTR", asciiBytes(`1024 clustered-disk /nowhere/at-all ${8}`));
      scene.coreLog("LVM-core").ok("STATUS_INFO");
    },
  },
  {
    name: "one-file",
    words: "two mirrors are given the same file for their logs",
    run: (scene) => {
      scene.stage.start();
      scene.diskLog("LVM-one", scene.file).ok("MARK_REGION", [1]);
      const other = scene.mirror("LVM-other");
      play(other, diskLife(diskLog(scene.file, 4 * REGIONS_PER_BLOCK)).slice(0, 6));
    },
  },
  {
    name: "reload",
    words: "another table is loaded: two logs of one mirror have the device open, and then one",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const old = scene.diskLog("LVM-disk", file);
      old.ok("FLUSH", [3]);
      const next = scene.mirror("LVM-disk");
      next.ask("CTR", asciiBytes(diskLog(file, 4 * REGIONS_PER_BLOCK)));
      play(old, [["PRESUSPEND"], ["POSTSUSPEND"]]);
      play(next, [["RESUME"]]);
      play(old, [["DTR"]]);
      play(next, [["FLUSH", [4]], ["STATUS_INFO"], ["PRESUSPEND"], ["POSTSUSPEND"], ["DTR"]]);
    },
  },
  {
    name: "quiet-time",
    words: "regions are cleared; after a quiet time the core flushes the legs and writes",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const disk = scene.diskLog("LVM-disk", file);
      disk.ok("FLUSH", [5]);
      disk.ok("CLEAR_REGION", [5]);
      stage.advance(QUIET_NS);
      disk.ok("FLUSH", [6]);
      disk.ok("CLEAR_REGION", [6]);
      stage.advance(SECOND_NS);
      disk.ok("FLUSH", [6]);
      disk.ok("CLEAR_REGION", [6]);
      stage.advance(2 * QUIET_NS);
      disk.ok("STATUS_INFO");
    },
  },
  {
    name: "two-quiet-times",
    words: "two logs want to be woken at different times",
    run: (scene) => {
      const { stage, file, block } = scene;
      stage.start();
      const one = scene.diskLog("LVM-one", file);
      const other = scene.diskLog("LVM-other", block);
      one.ok("FLUSH", [5]);
      one.ok("CLEAR_REGION", [5]);
      stage.advance(SECOND_NS);
      other.ok("FLUSH", [5]);
      other.ok("CLEAR_REGION", [5]);
      stage.advance(500 * MILLISECOND_NS);
      // The first one is needed again: what remains is the other's time.
      one.ok("FLUSH", [5]);
      stage.advance(2 * QUIET_NS);
    },
  },
  {
    name: "legs-fail",
    words: "the legs' caches cannot be flushed",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const disk = scene.diskLog("LVM-disk", file);
      disk.ok("FLUSH", [5]);
      stage.trouble("FLUSH_LEGS", { errno: EIO });
      disk.ok("CLEAR_REGION", [5]);
      stage.advance(3 * QUIET_NS);
      disk.ok("STATUS_INFO");
    },
  },
  {
    name: "legs-hang",
    words: "a flush of the legs does not end for a long time, and the core asks again",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const disk = scene.diskLog("LVM-disk", file);
      disk.ok("FLUSH", [5]);
      disk.ok("CLEAR_REGION", [5]);
      stage.hold("FLUSH_LEGS");
      stage.advance(QUIET_NS);
      disk.ok("FLUSH", [6]);
      disk.ok("CLEAR_REGION", [6]);
      stage.advance(LEGS_HANG_NS);
      disk.ok("FLUSH", [7]);
      disk.ok("CLEAR_REGION", [7]);
      stage.advance(QUIET_NS);
      stage.release();
      stage.advance(2 * QUIET_NS);
      disk.ok("STATUS_INFO");
    },
  },
  {
    name: "growth",
    words: "linear memory grows while writes are under way",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const disk = scene.diskLog("LVM-disk", file);
      stage.hold("WRITE");
      disk.waits("FLUSH", FAR_APART);
      const large = scene.coreLog("LVM-large", MANY_REGIONS);
      large.ok("MARK_REGION", [1]);
      stage.release();
      expectReplies(disk, 1);
      disk.ok("FLUSH", [20]);
    },
  },
  {
    name: "growth-in-restore",
    words: "a process is killed, and linear memory grows while the next one restores a large log",
    run: (scene) => {
      scene.stage.start();
      const large = scene.coreLog("LVM-large", MANY_REGIONS);
      const small = scene.coreLog("LVM-small");
      scene.restart();
      large.ok("STATUS_INFO");
      small.ok("STATUS_INFO");
      small.ok("FLUSH");
    },
  },
  {
    name: "damaged-datagrams",
    words: "datagrams come that are too short, contradict themselves or are of another protocol",
    run: (scene) => {
      const { stage } = scene;
      const { abi } = stage.core;
      stage.start();
      const core = scene.coreLog("LVM-core");
      const whole = scene.request("IN_SYNC", [1]);
      for (const size of [0, 1, 15, 16, 36, 100, whole.length - 8, whole.length - 1]) {
        stage.deliver(whole.slice(0, size));
      }
      for (const place of [
        abi.NLMSG_LEN,
        abi.CN_IDX,
        abi.CN_LEN,
        abi.ULOG_VERSION,
        abi.ULOG_TYPE,
        abi.ULOG_DATA_SIZE,
      ]) {
        const changed = whole.slice();
        changed.fill(0xff, place, place + 2);
        stage.deliver(changed);
      }
      for (let i = 0; i < 8; i++) {
        stage.deliver(Uint8Array.from({ length: stage.random.below(400) }, () => stage.random.below(256)));
      }
      core.ok("STATUS_INFO");
    },
  },
  {
    name: "unknown-requests",
    words: "requests come of types that do not exist, and for regions that do not exist",
    run: (scene) => {
      const { stage } = scene;
      stage.start();
      const core = scene.coreLog("LVM-core");
      const last = requestType(stage.core.abi, "IS_REMOTE_RECOVERING");
      for (const type of [0, last, last + 1, 255]) stage.deliver(scene.request(type));
      for (const type of ["MARK_REGION", "CLEAR_REGION", "IN_SYNC", "SET_REGION_SYNC"] as const) {
        core.ask(type, [1_000_000_000, 1]);
        core.ask(type);
      }
      core.ok("STATUS_INFO");
    },
  },
  {
    name: "large-datagram",
    words: "a datagram comes that is larger than the input area",
    run: (scene) => {
      const { stage } = scene;
      stage.start();
      const core = scene.coreLog("LVM-core");
      const bytes = new Uint8Array(stage.core.abi.INPUT_PAYLOAD_BYTES_MAX + 100);
      bytes.set(scene.request("IN_SYNC", [1]));
      stage.deliver(bytes);
      stage.deliver(
        scene.request(
          "MARK_REGION",
          Array.from({ length: 1000 }, (_, region) => region),
        ),
      );
      core.ok("STATUS_INFO");
    },
  },
  {
    name: "other-sender",
    words: "a process that is not the kernel sends a request",
    run: (scene) => {
      const { stage } = scene;
      stage.start();
      const core = scene.coreLog("LVM-core");
      stage.deliver(scene.request("IN_SYNC", [1]), OTHER_PORT);
      stage.deliver(scene.request("DTR"), 0xffff_ffff);
      core.ok("STATUS_INFO");
    },
  },
  {
    name: "killed",
    words: "a process is killed between two requests, and the next one goes on",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const core = scene.coreLog("LVM-core");
      const disk = scene.diskLog("LVM-disk", file);
      disk.ok("FLUSH", [5]);
      scene.restart();
      core.ok("IS_CLEAN", [0]);
      disk.ask("IS_CLEAN", [5]);
      disk.repeat();
      scene.restart();
      scene.restart();
      core.ok("STATUS_INFO");
      disk.ask("STATUS_INFO");
      disk.ask("FLUSH", [6]);
    },
  },
  {
    name: "killed-at-answers",
    words: "processes are killed when an answer has left them, before they can do anything more",
    run: (scene) => {
      const { stage } = scene;
      stage.start();
      const core = scene.mirror("LVM-core");
      const disk = scene.mirror("LVM-disk");
      const scripts = [CORE_LIFE, diskLife(diskLog(scene.file, 4 * REGIONS_PER_BLOCK))];
      for (let i = 0; i < CORE_LIFE.length; i++) {
        for (const [which, mirror] of [core, disk].entries()) {
          const [type, data] = scripts[which]?.[i] ?? [];
          if (type === undefined) continue;
          if (stage.random.oneIn(3)) stage.killAfterSends(1);
          mirror.ask(type, data);
          stage.killAfterSends(Infinity);
          if (!stage.isRunning) stage.start();
        }
      }
    },
  },
  {
    name: "killed-while-writing",
    words: "a process is killed while a write is under way; the kernel asks again",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const disk = scene.diskLog("LVM-disk", file);
      stage.hold("WRITE");
      disk.waits("FLUSH", FAR_APART);
      stage.kill();
      stage.release();
      stage.start();
      disk.repeat();
      stage.hold("FLUSH");
      disk.ask("FLUSH", [9]);
      stage.kill();
      stage.release();
      stage.start();
      disk.repeat();
      disk.ask("STATUS_INFO");
    },
  },
  {
    name: "removed",
    words: "logs are removed, and the next process knows nothing of them",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const core = scene.coreLog("LVM-core");
      const disk = scene.diskLog("LVM-disk", file);
      const other = scene.coreLog("LVM-other");
      for (const mirror of [core, disk]) play(mirror, [["PRESUSPEND"], ["POSTSUSPEND"], ["DTR"]]);
      scene.restart();
      other.ok("STATUS_INFO");
      core.ask("STATUS_INFO");
      scene.coreLog("LVM-again");
      scene.restart();
      other.ok("STATUS_INFO");
    },
  },
  {
    name: "power-cut",
    words: "power is cut: devices have what was flushed, and state files are of another boot",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      scene.coreLog("LVM-core");
      const disk = scene.diskLog("LVM-disk", file);
      disk.ok("FLUSH", FAR_APART);
      stage.hold("FLUSH");
      disk.waits("FLUSH", [9]);
      stage.cutPower();
      stage.release();
      stage.start();
      const again = scene.mirror("LVM-disk");
      again.ask("CTR", asciiBytes(diskLog(file, 4 * REGIONS_PER_BLOCK).replace(" nosync", "")));
      again.ask("RESUME");
      again.ok("GET_SYNC_COUNT");
      again.ok("IN_SYNC", [1]);
      stage.cutPower();
      stage.start();
      stage.deliver(scene.request("IN_SYNC", [0]));
    },
  },
  {
    name: "stop",
    words: "the program is told to stop while a write is under way; the next one goes on",
    run: (scene) => {
      const { stage, file } = scene;
      stage.start();
      const core = scene.coreLog("LVM-core");
      const disk = scene.diskLog("LVM-disk", file);
      stage.hold("WRITE", "FLUSH");
      disk.waits("FLUSH", [5]);
      stage.stop();
      expectReplies(disk, 1);
      stage.start();
      core.ok("STATUS_INFO");
      disk.ask("STATUS_INFO");
      stage.stop();
    },
  },
  {
    name: "second-program",
    words: "a second program is started on the directory of one that runs",
    run: (scene) => {
      const { stage } = scene;
      stage.start();
      const core = scene.coreLog("LVM-core");
      stage.startSecond();
      core.ok("STATUS_INFO");
      scene.restart();
      core.ok("STATUS_INFO");
    },
  },
  {
    name: "random-life",
    words: "anything of the above in any order, drawn from the seed",
    run: randomLife,
  },
];

/** What was withheld is answered: so must the requests be that waited for it. */
function expectReplies(mirror: Mirror, count: number): void {
  const errors = mirror.takeReplies();
  if (errors.length === count && errors.every((error) => error === 0)) return;
  throw new Error(
    `The kit's own core has answered ${errors.length} requests of ${mirror.uuid} with ${errors}, not ${count} with 0.`,
  );
}
