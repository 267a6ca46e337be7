// Why a region is dirty and resynced: each cause from a recorded life that has it, what every life must tell, and what the
// command says.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes } from "../src/common/kernel-frames.ts";
import { LifeRecorder } from "../src/common/sim/life-recorder.ts";
import { runScenario } from "../src/common/sim/scenario.ts";
import { cut } from "../src/common/trace/edit.ts";
import { readEvent } from "../src/common/trace/event.ts";
import { resyncWork } from "../src/common/trace/event-regions.ts";
import { CAUSES, type Cause } from "../src/common/trace/region-story.ts";
import { Replayer } from "../src/common/trace/replay.ts";
import { runsOf } from "../src/common/trace/run.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { type Told, Why } from "../src/common/trace/why.ts";
import { CORPUS_FOLDER, corpusNames, readCorpusTrace } from "./corpus.ts";
import { DeviceHost, fillClean } from "./device-host.ts";
import { seedFor, words } from "./harness.ts";
import { facts, joined, outputsOf, releaseModule } from "./recorded-lives.ts";

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dm-ulog-why-"));
test.after(() => rmSync(folder, { recursive: true }));

const { abi } = new Engine(releaseModule);
const REGIONS = 64;
const UUID = "LVM-disk";
const EIO = -5;

function ask(trace: Trace, region: number, uuid = UUID, luid: bigint | null = null): { told: Told[]; why: Why } {
  const why = new Why(trace, releaseModule, words, { uuid, luid, region });
  return { told: [...why.tell()], why };
}

/** Causes in the order they are told, each once where it is told again and again. */
function causesOf(told: readonly Told[]): Cause[] {
  const causes = told.flatMap(({ cause }) => (cause === null ? [] : [cause]));
  return causes.filter((cause, i) => cause !== causes[i - 1]);
}

/** Servers one after the other on one machine with one log device, recorded. */
class Machine {
  host: DeviceHost;
  private readonly recorder = new LifeRecorder("machine", facts);

  constructor() {
    this.host = new DeviceHost(this.engine());
    this.host.devices.set("/dev/log", new Uint8Array(1 << 16));
    this.host.devices.set("/dev/large", new Uint8Array(1 << 20));
  }

  /** Makes the mirror, and resumes it. */
  start(table: string, luid = 5n): void {
    for (const [type, data] of [
      ["CTR", asciiBytes(table)],
      ["RESUME", []],
    ] as const)
      assert.is(this.host.ask(type, data, UUID, luid).error, 0);
  }

  /** Suspends and removes the mirror. */
  remove(luid = 5n): void {
    for (const type of ["PRESUSPEND", "POSTSUSPEND", "DTR"] as const) this.host.ask(type, [], UUID, luid);
  }

  resync(region: number, luid = 5n): void {
    for (;;) {
      const { data } = this.host.ask("GET_RESYNC_WORK", [], UUID, luid);
      assert.is(data[0], 1, "there is work");
      this.host.ask("SET_REGION_SYNC", [data[8] as number, 1], UUID, luid);
      if (data[8] === region) return;
    }
  }

  /** The machine loses its power: state files go with it, the device stays. */
  cutPower(): void {
    const { devices } = this.host;
    this.host = new DeviceHost(this.engine());
    for (const [path, bytes] of devices) this.host.devices.set(path, bytes);
  }

  /** The server dies, and the next one takes up its state files, or finds none. */
  restart(isStateKept = true): void {
    if (!isStateKept) this.host.stateFiles.clear();
    this.host.restart(this.engine());
    this.host.completeAll();
  }

  trace(): Trace {
    return Trace.open(this.recorder.finish(), abi);
  }

  private engine(): Engine {
    const engine = new Engine(releaseModule);
    this.recorder.onEngine(engine);
    return engine;
  }
}

const DISK = `${REGIONS * 1024} disk /dev/log 1024`;
const CORE = `${REGIONS * 1024} core 1024`;
const reconnecting = (table: string) => asciiBytes(`${table}\0`);

const LIVES: { name: string; live: (machine: Machine) => void; region?: number; causes: Cause[]; says: RegExp[] }[] = [
  {
    name: "a new mirror with a log in memory",
    live: (machine) => {
      machine.start(CORE);
      machine.resync(7);
    },
    causes: ["new mirror"],
    says: [/in memory, with 64 regions.*out of sync, because nothing is known of a new mirror/, /is told to resync it/],
  },
  {
    name: "a new mirror with a log on a device without a log",
    live: (machine) => machine.start(DISK),
    causes: ["new mirror"],
    says: [/on the device \/dev\/log, with 64 regions\. What the device says/, /because no log was on the log device/],
  },
  {
    name: "the option sync",
    live: (machine) => {
      fillClean(machine.host.devices.get("/dev/log") as Uint8Array, REGIONS);
      machine.start(`${DISK} sync`);
    },
    causes: ["option sync"],
    says: [/because the table says `sync`: everything is resynced/],
  },
  {
    name: "nosync, and no resync",
    live: (machine) => machine.start(`${DISK} nosync`),
    causes: [],
    says: [/in sync, because the table says `nosync`: nobody has compared the legs/],
  },
  {
    name: "a power cut while a region is marked",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      machine.host.ask("MARK_REGION", [7]);
      machine.host.ask("FLUSH");
      machine.cutPower();
      machine.start(DISK, 6n);
      machine.resync(7, 6n);
    },
    causes: ["power cut"],
    says: [
      /The kernel marks it with MARK_REGION: a write to it begins\. It is dirty/,
      /The log device says not clean from now on \(written at 1:\d+\): it is marked/,
      /2:.*says that it is not clean: it was marked since 1:\d+, so a write may have been under way; the log before it, luid 5, was in use at 1:\d+,/,
    ],
  },
  {
    name: "a power cut after a clear that has not reached the device",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      machine.host.ask("FLUSH", [7]);
      machine.host.ask("CLEAR_REGION", [7]);
      machine.cutPower();
      machine.start(DISK, 6n);
    },
    causes: ["power cut"],
    says: [/it was not clean there \(written at 1:\d+\), and that it is clean was not written since/],
  },
  {
    name: "a power cut while the write of a mark is under way",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      machine.host.request("FLUSH", [7]);
      const [write] = machine.host.pending;
      (machine.host.devices.get("/dev/log") as Uint8Array).set(write?.bytes as Uint8Array, write?.head.offsetBytes);
      machine.host.request("CLEAR_REGION", [7]);
      machine.cutPower();
      machine.start(DISK, 6n);
    },
    causes: ["power cut"],
    says: [/a write of 1:\d+ that said so was under way/],
  },
  {
    name: "a power cut behind a sequential writer",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      for (let region = 0; region < 20; region++) machine.host.ask("FLUSH", [region]);
      machine.cutPower();
      machine.start(DISK, 6n);
    },
    region: 21,
    causes: ["power cut"],
    says: [
      /it is marked ahead of a sequential writer/,
      /it was marked ahead of a sequential writer \(written at 1:\d+\)/,
    ],
  },
  {
    name: "a power cut ends a log in memory",
    live: (machine) => {
      machine.start(`${CORE} nosync`);
      machine.cutPower();
      machine.start(CORE, 6n);
    },
    causes: ["power cut"],
    says: [/because a log in memory ends with the machine: the log before it, luid 5, was in use at 1:1,/],
  },
  {
    name: "a second power cut before the resync keeps the first cause",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      machine.host.ask("SET_REGION_SYNC", [7, 0]);
      machine.cutPower();
      machine.start(DISK, 6n);
    },
    causes: ["failed leg"],
    says: [/it was out of sync already since 1:\d+ \(failed leg\)/],
  },
  {
    name: "a leg that fails",
    live: (machine) => {
      machine.start(`${CORE} nosync`);
      machine.host.ask("MARK_REGION", [7]);
      machine.host.ask("SET_REGION_SYNC", [7, 0]);
      machine.host.ask("CLEAR_REGION", [7]);
      machine.resync(7);
    },
    causes: ["failed leg"],
    says: [
      /the kernel reports that a write missed a leg/,
      /Its writes|writes have ended on every leg\. It stays out of sync/,
    ],
  },
  {
    name: "a resync that fails keeps its cause",
    live: (machine) => {
      machine.start(CORE);
      for (const region of [0, 1, 2, 3, 4, 5, 6]) machine.resync(region);
      machine.host.ask("GET_RESYNC_WORK");
      machine.host.ask("SET_REGION_SYNC", [7, 0]);
      machine.remove();
    },
    causes: ["new mirror"],
    says: [/The kernel reports that its resync failed/, /The region was out of sync, and its last resync has failed/],
  },
  {
    name: "a resume in the midst of its resync",
    live: (machine) => {
      machine.start(CORE);
      machine.host.ask("GET_RESYNC_WORK");
      machine.host.ask("PRESUSPEND");
      machine.host.ask("POSTSUSPEND");
      machine.host.ask("RESUME");
    },
    region: 0,
    causes: ["new mirror"],
    says: [/Its resync is given up, because the mirror resumes/],
  },
  {
    name: "a server without the state of a log in memory",
    live: (machine) => {
      machine.start(`${CORE} nosync`);
      machine.restart(false);
      machine.host.ask("CTR", reconnecting(`${CORE} nosync`));
      machine.host.ask("RESUME");
    },
    causes: ["state lost"],
    says: [
      /2:0 The kernel reconnects a log that this server does not know, in memory/,
      /what an earlier server knew is lost/,
    ],
  },
  {
    name: "a server without the state of a disk log, until the kernel has suspended",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      machine.host.ask("FLUSH", [7]);
      machine.restart(false);
      machine.host.ask("CTR", reconnecting(`${DISK}`));
      for (const type of ["RESUME", "PRESUSPEND", "POSTSUSPEND", "RESUME"] as const) machine.host.ask(type);
    },
    causes: ["state lost"],
    says: [/It is marked too, as every region is/, /Its mark is dropped: nobody knew whether it was marked/],
  },
  {
    name: "a damaged state file",
    live: (machine) => {
      machine.start(`${CORE} nosync`);
      const file = [...machine.host.stateFiles.values()][0] as Uint8Array;
      const WORDS_OF_THREE_SETS = 3;
      // The first copy of the sets begins where both of them begin, of which the second ends the file.
      const sets = file.length - 2 * WORDS_OF_THREE_SETS * 8;
      file[sets] = (file[sets] as number) | 0x80;
      machine.restart();
    },
    causes: ["state damaged"],
    says: [/from its state file: the region is out of sync; the two copies in the file differed/],
  },
  {
    name: "a server that dies and comes back resyncs nothing",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      machine.host.ask("FLUSH", [7]);
      machine.restart();
      machine.host.ask("CLEAR_REGION", [7]);
      machine.host.tick(4);
    },
    causes: [],
    says: [
      /2:0 A new server takes up the log from its state file: the region is in sync and dirty, as the server before it left it/,
      /The log device says clean from now on \(written at 2:\d+\): its writes had ended, and the legs' caches were flushed/,
    ],
  },
  {
    name: "a reload of a log in memory",
    live: (machine) => {
      machine.start(`${CORE} nosync`);
      machine.host.ask("CTR", asciiBytes(CORE), UUID, 6n);
      machine.remove();
      machine.host.ask("RESUME", [], UUID, 6n);
      machine.resync(7, 6n);
    },
    causes: ["reload"],
    says: [
      /while that of luid 5 is there: its table is replaced/,
      /a log in memory takes nothing over from another table/,
    ],
  },
  {
    name: "a reload of a disk log, whose region stays out of sync",
    live: (machine) => {
      machine.start(DISK);
      machine.host.ask("CTR", asciiBytes(DISK), UUID, 6n);
      machine.host.ask("PRESUSPEND");
      machine.host.ask("POSTSUSPEND");
      machine.host.ask("RESUME", [], UUID, 6n);
    },
    causes: ["new mirror"],
    says: [/it was out of sync already since 1:\d+ \(new mirror\)/],
  },
  {
    name: "a reload whose suspend never came leaves a mark",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      machine.host.ask("FLUSH", [7]);
      machine.host.ask("CTR", asciiBytes(DISK), UUID, 6n);
      machine.host.ask("IS_CLEAN", [7], UUID, 6n);
      machine.host.ask("RESUME", [], UUID, 6n);
    },
    causes: ["reload"],
    says: [/it was marked since 1:\d+, so a write may have been under way; the table of luid 5 is replaced/],
  },
  {
    name: "legs that cannot be flushed leave a clear unwritten",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      machine.host.ask("FLUSH", [7]);
      machine.host.ask("CLEAR_REGION", [7]);
      machine.host.ask("PRESUSPEND");
      machine.host.request("POSTSUSPEND");
      machine.host.complete(0, EIO);
      machine.host.completeAll();
      machine.host.ask("DTR");
      machine.start(DISK, 6n);
    },
    causes: ["clear not written"],
    says: [
      /that it is clean was not written since; the log before it, luid 5, was removed by the kernel \(DTR\) at 1:\d+/,
    ],
  },
  {
    name: "a mirror that has grown",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      machine.remove();
      machine.start(`${2 * REGIONS * 1024} disk /dev/log 1024`, 6n);
    },
    region: REGIONS + 7,
    causes: ["grown"],
    says: [/the mirror has grown: the log on the device has 64 regions, and this one is not among them/],
  },
  {
    name: "a device that has missed a write",
    live: (machine) => {
      machine.start(`${DISK} nosync`);
      machine.host.request("FLUSH", [9]);
      machine.host.completeFailing(EIO);
      machine.host.ask("CTR", asciiBytes(DISK), UUID, 6n);
      machine.host.ask("PRESUSPEND");
      machine.host.request("POSTSUSPEND");
      machine.host.completeFailing(EIO);
      machine.host.ask("RESUME", [], UUID, 6n);
    },
    causes: ["device behind"],
    says: [
      /The log device has failed \(EIO/,
      /the log device is not believed, because it may be behind: it failed at 1:\d+/,
    ],
  },
  {
    name: "a device that cannot be read",
    live: (machine) => {
      machine.host.ask("CTR", asciiBytes(DISK));
      machine.host.request("RESUME");
      machine.host.completeFailing(EIO);
    },
    causes: ["device not read"],
    says: [/The log device fails \(EIO.*because the log device cannot be read/],
  },
  {
    name: "a device with another mirror's log",
    live: (machine) => {
      const table = asciiBytes(`${DISK} nosync`);
      machine.host.ask("CTR", table, "LVM-other", 4n);
      for (const type of ["RESUME", "PRESUSPEND", "POSTSUSPEND", "DTR"] as const)
        machine.host.ask(type, [], "LVM-other", 4n);
      machine.start(DISK);
    },
    causes: ["another mirror's log"],
    says: [/because the log device holds the log of another mirror/],
  },
  {
    name: "a log of an unknown version",
    live: (machine) => {
      const device = machine.host.devices.get("/dev/log") as Uint8Array;
      fillClean(device, REGIONS);
      device[4] = 9;
      machine.start(DISK);
    },
    causes: ["unknown version"],
    says: [/because the log on the device has an unknown version/],
  },
  {
    name: "a device that was written before the trace begins",
    live: (machine) => {
      const device = machine.host.devices.get("/dev/log") as Uint8Array;
      fillClean(device, REGIONS);
      device[1024] = 0x7f;
      machine.start(DISK);
    },
    causes: ["not recorded"],
    says: [/says that it is not clean; the trace does not hold what came before/],
  },
];

for (const { name, live, region = 7, causes, says } of LIVES) {
  test(`cause: ${name}`, () => {
    const machine = new Machine();
    live(machine);
    const { told, why } = ask(machine.trace(), region);
    const text = told.map(({ address, sentence }) => `${address} ${sentence}`).join("\n");
    assert.equal(causesOf(told), causes, text);
    for (const sentence of says) assert.match(text, sentence);
    const counted = [...why.summary.resyncs.values()].reduce((sum, { count }) => sum + count, 0);
    assert.is(counted, told.filter(({ sentence }) => /is told to resync/.test(sentence)).length);
    if (name !== "legs that cannot be flushed") assert.not.match(text, /does not tell why/);
  });
}

test("every cause has a life here that has it", () => {
  const tested = new Set(LIVES.flatMap(({ causes }) => causes));
  assert.equal(
    CAUSES.filter((cause) => !tested.has(cause)),
    [],
  );
});

/** What must hold for every region of every log of a trace whose beginning is recorded. */
function check(trace: Trace, name: string, regionsOf: (count: number) => number[]): number {
  let asked = 0;
  for (const uuid of new Set(trace.logs.map((log) => log.uuid))) {
    const count = ask(trace, 0, uuid).why.summary.regionCount;
    for (const region of regionsOf(count)) {
      const { told, why } = ask(trace, region, uuid);
      const where = `${name}, region ${region} of ${uuid}:\n${told.map((one) => `${one.address} ${one.sentence}`).join("\n")}`;
      assert.not.ok(
        told.some(({ cause, sentence }) => cause === "not recorded" || /does not (tell why|hold)/.test(sentence)),
        where,
      );
      const counted = [...why.summary.resyncs.values()].reduce((sum, one) => sum + one.count, 0);
      assert.is(counted, handedOut(trace, uuid, region), where);
      const standing = lastStates(trace, uuid, region);
      for (const [luid, state] of standing) assert.equal(stateTold(told, luid), state, `${where}\nluid ${luid}`);
      asked++;
    }
  }
  return asked;
}

/** How often a region was handed out and then reported, given up, or forgotten: counted from the answers alone. */
function handedOut(trace: Trace, uuid: string, region: number): number {
  const out = new Set<bigint>();
  let count = 0;
  for (let index = 0; index < trace.eventCount; index++) {
    const section = trace.sectionOf(index);
    if (index === section.firstIndex) out.clear();
    const log = trace.logs[trace.events.logs[index] as number];
    if (log?.uuid !== uuid) continue;
    const { input, effects } = readEvent(trace, index);
    if (input.kind !== abi.INPUT_KIND_DATAGRAM && !effects.some(({ kind }) => kind === abi.EFFECT_KIND_NOTICE))
      continue;
    const type = trace.events.types[index];
    const isRequest = input.kind === abi.INPUT_KIND_DATAGRAM;
    const isEnd = type === abi.REQUEST_RESUME || type === abi.REQUEST_SET_REGION_SYNC || type === abi.REQUEST_CTR;
    if (isRequest && type === abi.REQUEST_GET_RESYNC_WORK) {
      if (effects.some((effect) => resyncWork(abi, effect) === region) && !out.has(log.luid)) {
        out.add(log.luid);
        count++;
      }
    } else if (!isRequest || isEnd) out.delete(log.luid);
  }
  return count;
}

/** The state of a region in each log at the end of the trace, as the console of the replaying engine says. */
function lastStates(trace: Trace, uuid: string, region: number): Map<bigint, { isInSync: boolean; isDirty: boolean }> {
  const last = runsOf(trace).at(-1);
  const replayer = new Replayer(trace, releaseModule, last === undefined ? [] : [last]);
  replayer.step(Infinity);
  const states = new Map<bigint, { isInSync: boolean; isDirty: boolean }>();
  for (const log of words.logs(replayer.engine as Engine)) {
    if (log.uuid !== uuid || log.state === "created") continue;
    const [state] = words.regionStates(replayer.engine as Engine, uuid, log.luid, region, 1);
    if (state !== undefined) states.set(log.luid, { isInSync: state <= 1, isDirty: state === 1 });
  }
  return states;
}

/** The same, from the sentences. */
function stateTold(told: readonly Told[], luid: bigint): { isInSync: boolean; isDirty: boolean } {
  let isInSync = false;
  let isMarked = false;
  for (const one of told) {
    if (one.luid !== luid) continue;
    const { sentence } = one;
    if (/(is|stays) out of sync/.test(sentence) && !/It is out of sync since/.test(sentence)) isInSync = false;
    if (/is in sync|It is (dirty|clean)\./.test(sentence)) isInSync = true;
    if (/The kernel marks it|It is marked too|in sync and dirty|out of sync, and marked/.test(sentence))
      isMarked = true;
    if (/The kernel clears it|Its mark is dropped|in sync and clean/.test(sentence)) isMarked = false;
    if (/The kernel (makes|reconnects)/.test(sentence)) isMarked = false;
  }
  return { isInSync, isDirty: isInSync && isMarked };
}

test("every region of the corpus: a cause for each resync, and sentences that add up to the state at the end", () => {
  let asked = 0;
  for (const name of corpusNames()) {
    if (name === "begins-with-snapshot.pcapng") continue;
    const trace = Trace.open(readCorpusTrace(name), abi);
    asked += check(trace, name, (count) => [...new Set([0, count - 1])]);
  }
  assert.ok(asked > 25, `${asked}`);
});

test("random lives: a cause for each resync, and sentences that add up to the state at the end", () => {
  const first = seedFor("why");
  let asked = 0;
  for (let seed = first; seed < first + Number(process.env.LIVES ?? 4); seed++) {
    const recorder = new LifeRecorder(`seed ${seed}`, facts);
    runScenario({ seed, eventCount: 600, module: releaseModule, console: words, onEngine: recorder.onEngine });
    const trace = Trace.open(recorder.finish(), abi);
    asked += check(trace, `seed ${seed}`, (count) => [0, count >> 1].slice(0, count));
  }
  assert.ok(asked > 6, `${asked}`);
});

test("a trace that begins in the midst says what it does not hold", () => {
  const trace = Trace.open(readCorpusTrace("power-cuts.pcapng"), abi);
  const at = trace.sections[1]?.firstIndex as number;
  const piece = Trace.open(joined(cut(trace, at + 9, trace.eventCount, releaseModule)), abi);
  const { told } = ask(piece, 2, "LVM-simulated-0");
  assert.match(
    told[0]?.sentence as string,
    /The recording begins here .* out of sync, and being resynced\. The trace does not hold/,
  );
  assert.is(told[0]?.address, "1:9");
  const tail = told.filter(({ address }) => !address.startsWith("1:")).map(({ sentence }) => sentence);
  const whole = ask(trace, 2, "LVM-simulated-0").told.filter(({ address }) => /^[34]:/.test(address));
  assert.is(tail.length, whole.length);
});

test("events whose beginning is unknown are not told, and what was known before does not count after them", () => {
  const bytes = readCorpusTrace("power-cuts.pcapng");
  const trace = Trace.open(bytes, abi);
  const second = trace.sections[1]?.firstIndex as number;
  // An event is missing: a recorder that could not keep up.
  const [from, to] = [trace.events.offsets[second + 8], trace.events.offsets[second + 9]] as [number, number];
  const holed = Trace.open(joined([bytes.subarray(0, from), bytes.subarray(to)]), abi);
  const { told } = ask(holed, 2, "LVM-simulated-0");
  const note = told.find(({ subject }) => subject === "trace");
  assert.match(note?.sentence as string, /before this event was not recorded, so the events up to 3:31 are not told/);
  assert.is(note?.address, "3:9");
  const after = told.find(({ address, cause }) => address.startsWith("4:") && cause !== null);
  assert.is(after?.cause, "not recorded");
  assert.match(after?.sentence as string, /the trace does not hold what came before/);
});

test("a core that answers otherwise is not believed", () => {
  const bytes = readCorpusTrace("power-cuts.pcapng");
  const trace = Trace.open(bytes, abi);
  const index = trace.events.types.indexOf(abi.REQUEST_GET_SYNC_COUNT);
  const [answer] = outputsOf(trace).find(([at]) => at > (trace.events.offsets[index] as number)) as [number, number];
  const at = answer + 16 + abi.ULOG_DATA;
  const other = bytes.slice();
  other[at] = (other[at] as number) + 1;
  const { told } = ask(Trace.open(other, abi), 2, "LVM-simulated-0");
  const note = told.find(({ subject }) => subject === "trace");
  assert.is(note?.index, index);
  assert.match(note?.sentence as string, /this core answers otherwise than was recorded/);
  assert.not.ok(told.some(({ index: one, address }) => one > index && address.startsWith("1:")));
  assert.ok(told.some(({ address }) => address.startsWith("2:")));
});

test("one luid alone", () => {
  const trace = Trace.open(readCorpusTrace("power-cuts.pcapng"), abi);
  const luid = trace.logs[1]?.luid as bigint;
  const all = ask(trace, 2, "LVM-simulated-0").told;
  const some = ask(trace, 2, "LVM-simulated-0", luid).told;
  assert.equal(
    some,
    all.filter((one) => one.luid === luid),
  );
  assert.ok(some.length > 3 && some.length < all.length);
});

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [command, "why", ...args], { encoding: "utf8" });
}

const corpusFile = (name: string) => `${CORPUS_FOLDER}${name}.pcapng`;

test("the command: sentences with addresses, and a sum", () => {
  const { status, stdout, stderr } = run(corpusFile("power-cuts"), "--region", "2");
  assert.is(stderr, "");
  assert.is(status, 0);
  assert.match(
    stdout,
    /^Region 2 of the log LVM-simulated-0\n {5}1:1 {5}0\.000023717 s {2}\[luid \d+\] The kernel makes the log/,
  );
  assert.match(stdout, /^ {5}2:7 {5}0\.003729127 s .*not clean there \(written at 1:16\).*the machine stopped/m);
  assert.match(stdout, /\nHanded out to be resynced, by cause: power cut: 3 times \(last 4:29\)\.\n$/);
  const json = run(corpusFile("power-cuts"), "--region", "2", "--json").stdout.trimEnd().split("\n");
  const found = json.map((line) => JSON.parse(line)).find(({ address }) => address === "2:7");
  assert.is(found.cause, "power cut");
  assert.is(found.region, 2);
  assert.is(found.timeNs, 3_729_127);
});

test("the command leaves out the midst of a long row of marks", () => {
  const few = run(corpusFile("state-loss-disk"), "--region", "0").stdout;
  const all = run(corpusFile("state-loss-disk"), "--region", "0", "--all").stdout;
  const [, left] = /\((\d+) more marks, clears and writes: --all shows them\)/.exec(few) ?? [];
  assert.is(all.split("\n").length, few.split("\n").length + Number(left) - 1);
  assert.not.match(all, /--all/);
});

test("the command refuses what has no answer, and says which there are", () => {
  const control = new Machine();
  control.host.ask("CTR", asciiBytes(CORE), "LVM-\u001b[31m", 1n);
  control.host.ask("CTR", asciiBytes(CORE), `LVM-${"x".repeat(64)}`, 2n);
  const names = join(folder, "names.pcapng");
  writeFileSync(names, control.trace().view.bytes);
  const none = join(folder, "none.pcapng");
  writeFileSync(none, new Machine().trace().view.bytes);
  for (const [args, sentence] of [
    [[corpusFile("power-cuts"), "--region", "64"], /LVM-simulated-0 has no region 64: its 64 regions are 0 to 63/],
    [
      [corpusFile("two-logs"), "--region", "0"],
      /several logs\. Choose one with --log\. It names LVM-simulated-0 \(luid \d+\), LVM-sim/,
    ],
    [[corpusFile("two-logs"), "--region", "0", "--log", "LVM-x"], /names the log "LVM-x"\. It names LVM-simulated-0/],
    [[corpusFile("two-logs"), "--region", "0", "--log", "17"], /names the log "17"/],
    [[names, "--region", "0"], /It names LVM-\?\[31m \(luid 1\), LVM-x{64} \(luid 2\)\./],
    [[names, "--region", "0", "--log", "\u001b[1m"], /names the log "\?\[1m"/],
    [[none, "--region", "0"], /No event of the trace names a log/],
    [[command, "--region", "0"], /main\.js: This is not a trace of dm-ulog/],
    [[join(folder, "missing"), "--region", "0"], /missing cannot be read: ENOENT/],
  ] as const) {
    const { status, stderr } = run(...args);
    assert.is(status, 2, stderr);
    assert.match(stderr, sentence);
    assert.not.match(stderr, "\u001b");
  }
  assert.match(run(corpusFile("power-cuts")).stderr, /required option '--region <number>'/);
  const luid = Trace.open(readCorpusTrace("two-logs.pcapng"), abi).logs[0]?.luid as bigint;
  for (const text of [String(luid), `0x${luid.toString(16)}`]) {
    const { status, stdout } = run(corpusFile("two-logs"), "--region", "0", "--log", text);
    assert.is(status, 0);
    assert.match(stdout, `Region 0 of the log LVM-simulated-0 (luid ${luid})\n`);
  }
  assert.is(run(names, "--region", "0", "--log", "1").status, 0);
  assert.not.match(run(names, "--region", "0", "--log", "1").stdout, "\u001b");
});

test.run();
