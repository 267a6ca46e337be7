// Random programs of a bad kernel and a bad host against the debug and the small core: fuzz/judge.ts has what must hold. Inputs that once
// made the core do wrong stand in crashers/ as traces and are given to it again. `npm run fuzz` goes on for longer.

import { readdirSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine, type EngineTap } from "../src/common/engine.ts";
import { asciiBytes } from "../src/common/kernel-frames.ts";
import { InputFeeder, TRAPPED } from "../src/common/trace/input-feeder.ts";
import { runsOf, startRun } from "../src/common/trace/run.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { DeviceHost } from "./device-host.ts";
import { Fuzzer } from "./fuzz/corpus.ts";
import { Judge, Misdeed } from "./fuzz/judge.ts";
import { LIMITS } from "./fuzz/limits.ts";
import { World } from "./fuzz/world.ts";
import { debugWasm, seedFor, smallWasm } from "./harness.ts";

const seed = seedFor("core.fuzz");
const PROGRAMS = 150;
const module = new WebAssembly.Module(debugWasm);
const small = new WebAssembly.Module(smallWasm);
const crashers = new URL("./crashers/", import.meta.url);

test("what breaks a rule of the protocol alone is found by the model", () => {
  const world = new World({ module, isHonest: true });
  const { engine } = world;
  const follower = engine.tap as EngineTap;
  const { abi } = engine;
  engine.tap = {
    handled: (effectsBytes) => {
      const view = new DataView(engine.bytes().buffer);
      const reply = abi.EFFECTS + abi.EFFECT_PAYLOAD;
      // A size in bytes, where the kernel asks for sectors.
      if (view.getUint32(reply + abi.ULOG_TYPE, true) === abi.REQUEST_GET_REGION_SIZE)
        view.setUint32(reply + abi.ULOG_DATA, 1024, true);
      follower.handled(effectsBytes);
    },
    trapped: () => {},
  };
  // A core log of 64 regions without padding, which does not reconnect; and what it is asked.
  const construct = [0, 0, 256 * 4, 4096 + 512] as const;
  const askRegionSize = [1, 0, 4, 0] as const;
  assert.throws(() => world.run([construct, askRegionSize]), /^R21: GET_REGION_SIZE .* expected 2; came 1024$/);
});

for (const [core, tried] of [
  ["debug", module],
  ["small", small],
] as const) {
  test(`${PROGRAMS} programs make the ${core} core do nothing that it must not`, () => {
    const fuzzer = new Fuzzer(seed, tried);
    for (let i = 0; i < PROGRAMS; i++) {
      const crasher = fuzzer.step();
      if (crasher !== null) throw new Error(`${crasher.message} (npm run fuzz -- --seed ${seed} makes it small)`);
    }
    const { inputs, outcomes, corpus, limits } = fuzzer;
    console.log(
      `${inputs} inputs, ${outcomes.size} outcomes, ${corpus.length} programs in the corpus, ${limits.size} of ${LIMITS.length} limits`,
    );
    assert.ok(outcomes.size > PROGRAMS, "programs come to new things");
    // All of them need more programs; npm run fuzz demands that.
    if (core === "small") assert.ok(limits.size >= 7, `${[...limits.keys()]}`);
  });
}

for (const name of readdirSync(crashers).filter((file) => file.endsWith(".pcapng"))) {
  test(`what once went wrong does no more: ${name}`, () => {
    const { abi } = new Engine(module);
    const trace = Trace.open(readFileSync(new URL(name, crashers)), abi);
    const feeder = new InputFeeder(trace);
    let inputs = 0;
    for (const run of runsOf(trace)) {
      const engine = startRun(trace, run, module);
      const judge = new Judge(engine, { module, isHonest: false, refusedOneIn: 1 });
      for (let index = run.firstIndex; index < run.endIndex; index++, inputs++) {
        judge.begin();
        if (feeder.feed(engine, index) === TRAPPED) throw feeder.trap;
      }
      assert.is(engine.violatedInvariant(), 0);
    }
    assert.ok(inputs > 0);
  });
}

/** An engine with a disk log, whose events are changed by `change` before they are judged. */
function judged(change: (memory: DataView, engine: Engine, effectsBytes: number) => number | undefined): () => void {
  const engine = new Engine(module);
  const host = new DeviceHost(engine);
  host.devices.set("/dev/log", new Uint8Array(8192));
  const judge = new Judge(engine, { module, isHonest: true, refusedOneIn: 1 });
  host.construct("256 disk /dev/log 2 nosync");
  return () => {
    engine.tap = {
      handled: (effectsBytes) =>
        judge.handled(change(new DataView(engine.bytes().buffer), engine, effectsBytes) ?? effectsBytes),
      trapped: (error) => judge.trapped(error),
    };
    judge.begin();
    host.request("GET_REGION_SIZE");
    judge.begin();
    host.ask("RESUME");
    judge.begin();
    host.request("MARK_REGION", [999]);
  };
}

test("the judge finds what is wrong", () => {
  judged(() => undefined)();
  const wrongs: [RegExp, Parameters<typeof judged>[0]][] = [
    [/cut/, (_memory, _engine, bytes) => (bytes > 0 ? bytes - 8 : bytes)],
    [/unknown kind/, (memory, { abi }) => void memory.setUint32(abi.EFFECTS, 77, true)],
    [/was not given/, (memory, { abi }) => void memory.setUint32(abi.EFFECTS + 8 + abi.ULOG_SEQ, 99, true)],
    [/than it says/, (memory, { abi }) => void memory.setUint32(abi.EFFECTS + 8 + abi.ULOG_DATA_SIZE, 1, true)],
    [/closed device/, (memory, { abi }) => void changeRead(memory, abi.EFFECTS, abi.EFFECT_KIND_READ, 8, 17)],
    [/bytes at/, (memory, { abi }) => void changeRead(memory, abi.EFFECTS, abi.EFFECT_KIND_READ, 16, 1 << 20)],
    [
      /has changed something/,
      (memory) => void memory.setUint8(memory.byteLength - 1, memory.getUint8(memory.byteLength - 1) ^ 1),
    ],
    [/made memory grow/, (_memory, engine) => void engine.growTo(engine.bytes().length + 65_536)],
  ];
  for (const [words, change] of wrongs) {
    try {
      judged(change)();
    } catch (error) {
      assert.instance(error, Misdeed);
      assert.match((error as Misdeed).message, words);
      continue;
    }
    assert.unreachable(`${words} was not found`);
  }
});

/** Changes a field of the first record where it is one of this kind; the log's device is open to the judge then. */
function changeRead(memory: DataView, record: number, kind: number, field: number, value: number): void {
  if (memory.getUint32(record, true) === kind) memory.setUint32(record + field, value, true);
}

test("an error that is none reaches no answer", () => {
  const engine = new Engine(module);
  const { abi } = engine;
  const host = new DeviceHost(engine);
  host.request("CTR", asciiBytes("256 disk /dev/log 2"));
  const open = host.pending.shift();
  if (open === undefined) throw new Error("no device is opened");
  engine.completed(open.head, { effect: abi.EFFECT_KIND_OPEN, error: 0x7fff_ffff }, 1, host.handler);
  assert.equal(
    host.replies.map(({ error }) => error),
    [-5],
  );
});

test.run();
