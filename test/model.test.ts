// The model of the protocol: it agrees with the core on every recorded conversation and on lives, each of its rules is found
// broken where it is, and its page says what it says.

import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { Conversation } from "../src/common/model/conversation.ts";
import { EngineFollower } from "../src/common/model/engine-follower.ts";
import { REGIONS_FOLLOWED_MAX } from "../src/common/model/log-model.ts";
import { RULES } from "../src/common/model/rules.ts";
import { protocolRulesPage } from "../src/common/model/rules-page.ts";
import { checkTrace } from "../src/common/model/trace-check.ts";
import { RuleViolation } from "../src/common/model/violation.ts";
import { ModelWatch } from "../src/common/sim/model-watch.ts";
import { Random } from "../src/common/sim/random.ts";
import { runScenario } from "../src/common/sim/scenario.ts";
import type { TraceEvent } from "../src/common/trace/event.ts";
import { TraceError } from "../src/common/trace/format.ts";
import { Recording } from "../src/common/trace/recording.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { BREACHES, CONVERSATIONS, Said } from "./broken-rules.ts";
import { corpusNames, readCorpusTrace } from "./corpus.ts";
import { Peer, seedFor, words } from "./harness.ts";
import { facts, releaseModule } from "./recorded-lives.ts";

const { abi } = new Engine(releaseModule);
const seed = seedFor("model");
const FLIPS = 200;
const FLIPPED_BYTES_MAX = 100_000;

/** What the model finds wrong with a conversation, or null. */
function violationIn(events: readonly TraceEvent[]): RuleViolation | null {
  const conversation = new Conversation(abi);
  try {
    for (const event of events) conversation.take(event);
    return null;
  } catch (error) {
    if (error instanceof RuleViolation) return error;
    throw error;
  }
}

test("rules are numbered in order, each once", () => {
  assert.equal(
    RULES.map(({ number }) => number),
    RULES.map((_, i) => `R${i + 1}`),
  );
});

test("docs/protocol-rules.md is what the rules say", () => {
  const page = readFileSync(new URL("../docs/protocol-rules.md", import.meta.url), "utf8");
  assert.is(page, protocolRulesPage(), "run: npm run rules");
});

for (const [name, events] of Object.entries(CONVERSATIONS)) {
  test(`the conversation "${name}" keeps every rule`, () => {
    assert.is(violationIn(events())?.message, undefined);
  });
}

for (const { rule, how, events, alter } of BREACHES) {
  test(`${rule} is found broken: ${how}`, () => {
    const altered = events();
    alter(new Said(altered));
    const violation = violationIn(altered);
    assert.is(violation?.rule, rule, violation?.message ?? "nothing was found");
    assert.match(violation?.message ?? "", new RegExp(`^${rule}: .+: expected .+; came .+`));
  });
}

test("every rule has a breach that is found", () => {
  const broken = new Set(BREACHES.map(({ rule }): string => rule));
  assert.equal(
    RULES.map(({ number }) => number).filter((number) => !broken.has(number)),
    [],
  );
});

test("the model agrees with what is recorded in the corpus", () => {
  let events = 0;
  for (const name of corpusNames()) {
    const verdict = checkTrace(Trace.open(readCorpusTrace(name), abi));
    assert.is(verdict.violation?.message, undefined, `${name}, place ${verdict.index}`);
    assert.is(verdict.skippedEvents > 0, name === "begins-with-snapshot.pcapng", name);
    events += verdict.events;
  }
  assert.ok(events > 5000, `${events} events`);
});

test("a damaged trace is judged or refused, and a log that is too large is refused with a sentence", () => {
  const random = new Random(seed);
  const small = corpusNames()
    .map(readCorpusTrace)
    .filter(({ length }) => length < FLIPPED_BYTES_MAX);
  let found = 0;
  let refused = 0;
  for (let i = 0; i < FLIPS; i++) {
    const bytes = random.pick(small).slice();
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    try {
      if (checkTrace(Trace.open(bytes, abi)).violation !== null) found++;
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
      refused++;
    }
  }
  assert.ok(found > 0 && refused > 0, `${found} violations, ${refused} refused`);

  const peer = new Peer(new Engine(releaseModule));
  const recording = new Recording(peer.engine, facts);
  const follower = new EngineFollower(peer.engine);
  peer.construct(`${2 * (REGIONS_FOLLOWED_MAX + 1)} core 2`);
  assert.is(follower.limit?.name, "ModelLimit");
  assert.is(follower.violation, null);
  const trace = Trace.open(recording.finish(), abi);
  assert.throws(
    () => checkTrace(trace),
    /^The log LVM-test has 4,194,305 regions; the model follows logs of up to 4,194,304\.$/,
  );
});

test("a running engine is followed from its beginning, and the first violation stays", () => {
  const engine = new Engine(releaseModule);
  const watch = new ModelWatch();
  watch.follow(engine);
  const peer = new Peer(engine);
  const follower = peer.engine.tap as EngineFollower;
  peer.construct("64 core 8");
  peer.ask("RESUME");
  assert.is(follower.conversation.requestCount, 2);
  watch.check();
  // What the model does not see the core do: the next answer contradicts what it knows.
  peer.engine.tap = null;
  peer.ask("SET_REGION_SYNC", [0, 1]);
  peer.engine.tap = follower;
  peer.ask("GET_SYNC_COUNT");
  const sentence = /^R24: GET_SYNC_COUNT #4 of LVM-test: expected 0; came 1$/;
  assert.throws(() => watch.check(), sentence);
  peer.ask("IN_SYNC", [0]);
  assert.match(follower.violation?.message ?? "", sentence);
  assert.throws(() => new EngineFollower(peer.engine), /from its first input on/);
  assert.throws(() => watch.follow(new Engine(releaseModule)), sentence, "what a dead server did is not forgotten");
});

test("a life is held against the model unless it is told not to, beside whoever else looks on", () => {
  const life = { seed: 1, eventCount: 300, module: releaseModule, console: words };
  for (const withModel of [undefined, false]) {
    const engines: Engine[] = [];
    let seen = 0;
    const onEngine = (engine: Engine) => {
      engines.push(engine);
      engine.tap = { handled: () => seen++, trapped: () => {} };
    };
    runScenario({ ...life, onEngine, withModel });
    assert.ok(seen > 0 && engines.length > 0);
    for (const { tap } of engines) assert.is(tap instanceof EngineFollower, withModel !== false);
  }
});

test.run();
