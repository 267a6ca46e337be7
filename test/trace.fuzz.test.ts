// Trace files that were cut, damaged or made up: every whole event is read, every flipped bit of an output is found, and
// nothing is ever thrown but a TraceError. `TRACES=100000` for more.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { Random } from "../src/common/sim/random.ts";
import { addressOf } from "../src/common/trace/address.ts";
import { cut, merge } from "../src/common/trace/edit.ts";
import { readEvent } from "../src/common/trace/event.ts";
import { TraceError } from "../src/common/trace/format.ts";
import { replay } from "../src/common/trace/replay.ts";
import { TimeTravel } from "../src/common/trace/time-travel.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { EventWords } from "../src/common/trace/words.ts";
import { seedFor, words } from "./harness.ts";
import { joined, outputsOf, type RecordedLife, recordLives, releaseModule } from "./recorded-lives.ts";

const { abi } = new Engine(releaseModule);
const seed = seedFor("trace.fuzz");
const TRACES = Number(process.env.TRACES ?? 1500);
const FLIPS = 3000;
const CUT_FILE_BYTES = 65_536;
const inWords = new EventWords(abi, words);

const open = (bytes: Uint8Array) => Trace.open(bytes, abi);

test("a flipped bit in any recorded output is found and named", () => {
  const random = new Random(seed);
  const lives = Array.from({ length: 6 }, (_, i) =>
    recordLives(seed + i, 1200, releaseModule, i % 2 === 0 ? 0 : 20),
  ).flat();
  const traces = lives.map((life) => ({
    bytes: life.trace,
    trace: open(life.trace),
    outputs: outputsOf(open(life.trace)),
  }));
  for (let i = 0; i < FLIPS; i++) {
    const { bytes, trace, outputs } = random.pick(traces.filter((one) => one.outputs.length > 0));
    const [offset, length] = random.pick(outputs);
    const at = offset + random.below(length);
    const flipped = bytes.slice();
    flipped[at] = (flipped[at] as number) ^ (1 << random.below(8));
    const damaged = open(flipped);
    const { difference } = replay(damaged, releaseModule);
    if (difference === null) throw new Error(`a flip at byte ${at} was not found`);
    let index = 0;
    while (trace.endOf(index) <= at) index++;
    assert.is(difference.index, index, `byte ${at}`);
    const report = inWords.difference(damaged, difference);
    assert.ok(report.startsWith(`Event ${addressOf(trace, index)} at `), report);
    assert.match(report, /\n {2}expected: .+\n {7}got: .+/);
  }
});

test("a file cut at any byte is read up to its last whole block", () => {
  const [life] = recordLives(seed, 4000).filter(({ trace }) => trace.length >= CUT_FILE_BYTES) as [RecordedLife];
  const bytes = life.trace.slice(0, CUT_FILE_BYTES);
  const whole = open(bytes);
  assert.ok(whole.eventCount > 60);
  const expected = Array.from({ length: whole.eventCount }, (_, i) => JSON.stringify(readEvent(whole, i)));
  const firstBlocks = [...whole.events.offsets.subarray(0, whole.eventCount)].map(
    (offset) => offset + (whole.view.words[offset / 4 + 1] as number),
  );
  let refused = 0;
  for (let size = 0; size <= bytes.length; size++) {
    let trace: Trace;
    try {
      trace = open(bytes.subarray(0, size));
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
      refused++;
      continue;
    }
    // An event is there with its first block, and known to be whole with the next one's.
    assert.is(trace.eventCount, firstBlocks.filter((end) => end <= size).length, `${size} bytes`);
    const last = trace.eventCount - 1;
    if (last < 0) continue;
    assert.not.ok(trace.isWhole(last));
    assert.is(trace.problem === null, trace.endOf(last) === size, `${size} bytes`);
    if (size % 16 !== 0) continue;
    if (last > 0) assert.is(JSON.stringify(readEvent(trace, last - 1)), expected[last - 1]);
    readEvent(trace, last);
    const result = replay(trace, releaseModule);
    assert.ok(result.isEqual, `${size} bytes`);
    assert.ok(result.events === last + 1 || (result.events === last && result.cutEvent === last));
  }
  assert.is(refused, whole.view.words[1], "sizes within the first header");
});

test("damaged files throw nothing but what is documented", () => {
  const random = new Random(seed + 1);
  const originals = Array.from({ length: 8 }, (_, i) =>
    recordLives(seed + 20 + i, 400, releaseModule, i % 3 === 2 ? 10 : 0),
  )
    .flat()
    .map((life) => life.trace)
    .filter((bytes) => bytes.length < 400_000);
  const outcomes = { refused: 0, equal: 0, different: 0 };
  for (let i = 0; i < TRACES; i++) {
    const bytes = mutated(random.pick(originals), random.pick(originals), random);
    try {
      use(bytes, random, outcomes);
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
      assert.match(error.message, /^[A-Z].+\.$/s);
      outcomes.refused++;
    }
  }
  console.log(`${TRACES} damaged traces:`, outcomes);
  for (const count of Object.values(outcomes)) assert.ok(count > TRACES / 100);
});

/** Everything that can be done with a trace. */
function use(bytes: Uint8Array, random: Random, outcomes: { equal: number; different: number }): void {
  const trace = open(bytes);
  const { eventCount } = trace;
  for (let i = 0; i < eventCount; i++) {
    const { input, effects } = readEvent(trace, i);
    if (!random.oneIn(20)) continue;
    inWords.input(input);
    for (const effect of effects) inWords.effect(effect);
    assert.ok(trace.endOf(i) > (trace.events.offsets[i] as number));
    assert.is(trace.sectionOf(i).firstIndex <= i, true);
  }
  if (eventCount === 0) return;
  const from = random.below(eventCount);
  merge([trace, trace]);
  const { difference, isEqual } = replay(trace, releaseModule);
  outcomes[isEqual ? "equal" : "different"]++;
  if (difference !== null) inWords.difference(trace, difference);
  new TimeTravel(trace, releaseModule, { stepEvents: 20 }).seek(from);
  open(joined(cut(trace, from, random.between(from + 1, eventCount), releaseModule)));
}

function mutated(original: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let bytes: Uint8Array = original.slice();
  for (let times = random.pick([1, 1, 2, 5]); times > 0; times--) {
    const at = random.below(bytes.length);
    const length = random.below(random.pick([4, 40, 400]));
    switch (random.below(7)) {
      case 0:
        bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
        break;
      case 1:
        new DataView(bytes.buffer).setUint32(
          Math.min(at & ~3, bytes.length - 4),
          random.pick([0, 1, 12, 0x7fff_ffff, 0xffff_ffff, random.uint32()]),
          true,
        );
        break;
      case 2:
        bytes = bytes.slice(0, at);
        break;
      case 3:
        bytes = joined([bytes.subarray(0, at), bytes.subarray(at + length)]);
        break;
      case 4:
        bytes = joined([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - length))]);
        break;
      case 5:
        bytes = joined([bytes, other]);
        break;
      default:
        bytes = withoutBlock(bytes, random);
    }
    if (bytes.length < 4) return bytes;
  }
  return bytes;
}

/** Takes a block away, or has it twice: what is left is well formed. */
function withoutBlock(bytes: Uint8Array, random: Random): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const starts: number[] = [];
  for (let at = 0; at + 12 <= bytes.length; ) {
    const total = view.getUint32(at + 4, true);
    if (total < 12 || at + total > bytes.length) break;
    starts.push(at);
    at += total;
  }
  if (starts.length < 2) return bytes;
  const place = random.below(starts.length - 1);
  const [from, to] = [starts[place] as number, starts[place + 1] as number];
  return joined([bytes.subarray(0, random.oneIn(2) ? from : to), bytes.subarray(random.oneIn(2) ? from : to)]);
}

test.run();
