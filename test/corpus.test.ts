// The corpus of recorded conversations: the core answers each as it was recorded, what would have changed is found and told,
// and a new recording keeps what is not the core's.

import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { Random } from "../src/common/sim/random.ts";
import { addressOf } from "../src/common/trace/address.ts";
import { readEvent } from "../src/common/trace/event.ts";
import { replay } from "../src/common/trace/replay.ts";
import { traceStatistics } from "../src/common/trace/statistics.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { EventWords } from "../src/common/trace/words.ts";
import { CORPUS_FOLDER, changesInWords, corpusNames, readCorpusTrace, recordAnew } from "./corpus.ts";
import { debugWasm, releaseWasm, seedFor, words } from "./harness.ts";
import { outputsOf } from "./recorded-lives.ts";

const releaseModule = new WebAssembly.Module(releaseWasm);
const debugModule = new WebAssembly.Module(debugWasm);
const { abi } = new Engine(releaseModule);
const inWords = new EventWords(abi, words);
const seed = seedFor("corpus");
const names = corpusNames();
const FLIPS = 1000;
const CORPUS_BYTES_MAX = 3_300_000;

const open = (bytes: Uint8Array) => Trace.open(bytes, abi);

for (const name of names) {
  test(`${name} is answered as it was recorded`, () => {
    const trace = open(readCorpusTrace(name));
    assert.is(trace.problem, null);
    const summary = replay(trace, releaseModule);
    const { difference } = summary;
    if (difference !== null) throw new Error(`${inWords.difference(trace, difference)}\nSee: npm run corpus`);
    assert.is(summary.events, trace.eventCount);
    assert.is(summary.skippedEvents, 0);
    assert.is(replay(trace, debugModule).digest, summary.digest, "the debug build");
  });
}

test("the corpus is small, each trace has a note how it was made, and each note a trace", () => {
  const bytes = names.reduce((sum, name) => sum + readCorpusTrace(name).length, 0);
  assert.ok(bytes < CORPUS_BYTES_MAX, `${bytes} bytes`);
  const notes = readFileSync(`${CORPUS_FOLDER}README.md`, "utf8");
  const noted = [...notes.matchAll(/^\| `([^`]+\.pcapng)` \|/gm)].map(([, name]) => name);
  assert.equal(noted.sort(), names);
});

test("the corpus has every kind of effect, and what makes a mirror's life hard", () => {
  const effects = new Set<string | undefined>();
  const total = { failedCompletions: 0, deviceWrites: 0, unanswered: 0, restored: 0, waited: 0 };
  const types = new Set<string | undefined>();
  for (const name of names) {
    const trace = open(readCorpusTrace(name));
    const statistics = traceStatistics(trace);
    total.failedCompletions += statistics.failedCompletions;
    total.deviceWrites += statistics.deviceWrites;
    for (const { type, count, unanswered, answeredAtOnce } of statistics.requests) {
      types.add(inWords.requestNames[type]);
      total.unanswered += unanswered;
      total.waited += count - unanswered - answeredAtOnce;
    }
    for (let i = 0; i < trace.eventCount; i++) {
      if (trace.events.kinds[i] === abi.INPUT_KIND_RESTORE) total.restored++;
      for (const { kind } of readEvent(trace, i).effects) effects.add(inWords.effectNames[kind]);
    }
  }
  const absent = inWords.effectNames.filter((name) => name !== undefined && !effects.has(name));
  assert.equal(absent, [], "effects that are not in the corpus");
  for (const [what, count] of Object.entries(total)) assert.ok(count > 0, `no ${what} in the corpus`);
  const rare = ["IS_CLEAN", "STATUS_TABLE"];
  const missing = inWords.requestNames.filter((name) => name !== undefined && !types.has(name));
  assert.equal(missing, rare, "requests that the simulated kernel never sends");
});

test("one bit of any recorded output of the corpus is found and named", () => {
  const random = new Random(seed);
  const traces = names.map((name) => {
    const bytes = readCorpusTrace(name);
    return { name, bytes, outputs: outputsOf(open(bytes)) };
  });
  for (let i = 0; i < FLIPS; i++) {
    const { name, bytes, outputs } = random.pick(traces);
    const [offset, length] = random.pick(outputs);
    const at = offset + random.below(length);
    const flipped = bytes.slice();
    flipped[at] = (flipped[at] as number) ^ (1 << random.below(8));
    const damaged = open(flipped);
    const { difference } = replay(damaged, releaseModule);
    if (difference === null) throw new Error(`${name}: a flip at byte ${at} was not found`);
    let index = 0;
    while (damaged.endOf(index) <= at) index++;
    assert.is(difference.index, index, `${name}, byte ${at}`);
    assert.match(inWords.difference(damaged, difference), `Event ${addressOf(damaged, index)} at `);
  }
});

test("a recording made anew has the same inputs and outputs, whatever state it begins with", () => {
  for (const name of names) {
    const before = readCorpusTrace(name);
    const after = recordAnew(open(before), debugWasm);
    assert.equal(changesInWords(before, after, abi, words), [], name);
    const [was, is] = [open(before), open(after)];
    assert.is(is.eventCount, was.eventCount);
    assert.equal(
      is.sections.map(({ start, firstEvent, eventCount, life }) => ({ start, firstEvent, eventCount, life })),
      was.sections.map(({ start, firstEvent, eventCount, life }) => ({ start, firstEvent, eventCount, life })),
    );
    for (let i = 0; i < was.eventCount; i++) assert.equal(readEvent(is, i), readEvent(was, i), `${name}, event ${i}`);
  }
});

test("another answer is told in words with the one before, and recorded", () => {
  const name = "core-log.pcapng";
  const now = readCorpusTrace(name);
  const trace = open(now);
  const { events } = trace;
  let index = 0;
  while (events.types[index] !== abi.REQUEST_GET_SYNC_COUNT) index++;
  const [offset] = outputsOf(trace).find(([at]) => at > (events.offsets[index] as number)) as [number, number];
  const old = now.slice();
  const at = offset + 16 + abi.ULOG_DATA;
  old[at] = (old[at] as number) ^ 1;
  const after = recordAnew(open(old), releaseWasm);
  const lines = changesInWords(old, after, abi, words);
  assert.is(lines.length, 4);
  const [head, event, was, is] = lines as [string, string, string, string];
  assert.match(head, `1 of ${trace.eventCount} events are answered otherwise (GET_SYNC_COUNT 1):`);
  assert.match(event, `event ${addressOf(trace, index)}: GET_SYNC_COUNT #`);
  assert.match(was, /was: .* (\d+) regions in sync$/);
  assert.match(is, /now: .* (\d+) regions in sync$/);
  assert.ok(replay(open(after), releaseModule).isEqual);
  assert.not.ok(replay(open(old), releaseModule).isEqual);
});

test.run();
