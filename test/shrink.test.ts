// Lives that fail: their traces replay to the last event, and shrinking leaves a life that fails in the same way, small
// enough to look at, which a file of choices brings back.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LifeFiles, readChoices } from "../src/cli/life-files.ts";
import { abiOf } from "../src/common/core-module.ts";
import { FAULTS, findFault } from "../src/common/sim/faults.ts";
import { runScenario, type ScenarioOptions, type ScenarioViolation, violationOf } from "../src/common/sim/scenario.ts";
import { actionCount, shrink } from "../src/common/sim/shrink.ts";
import { replay } from "../src/common/trace/replay.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { releaseWasm, seedFor, words } from "./harness.ts";

const seed = seedFor("shrink");
const module = new WebAssembly.Module(releaseWasm);
const abi = abiOf(module);
const directory = mkdtempSync(join(tmpdir(), "dm-ulog-lives-"));
const files = new LifeFiles(releaseWasm, directory);
const SEEDS_MAX = 100;
const EVENTS = 8000;

/** The first life that fails with a fault. */
function failingLife(fault: string): { life: ScenarioOptions; violation: ScenarioViolation } {
  for (let i = 0; i < SEEDS_MAX; i++) {
    const life = {
      seed: seed + i,
      eventCount: EVENTS,
      module,
      console: words,
      fault: findFault(fault),
      withModel: false,
    };
    const violation = violationOf(life);
    if (violation !== null) return { life, violation };
  }
  throw new Error(`${fault} is not found in ${SEEDS_MAX} seeds from ${seed} on`);
}

function shrunk(life: ScenarioOptions, violation: ScenarioViolation) {
  return shrink(violation, { mayGoOn: (lives) => lives < 150, live: (script) => violationOf({ ...life, script }) });
}

test("what took place is all there is: a life of its own script is the same life", () => {
  for (const fault of ["marks-dropped", "write-torn", "resync-work-hidden", "state-write-lost"]) {
    const { life, violation } = failingLife(fault);
    const again = violationOf({ ...life, script: violation.script });
    assert.is(again?.message, violation.message);
    assert.equal(again?.script, violation.script);
  }
});

for (const { name } of FAULTS) {
  test(`a life that fails by ${name} becomes smaller and fails in the same way`, () => {
    const { life, violation } = failingLife(name);
    const small = shrunk(life, violation).violation;
    assert.is(small.kind, violation.kind);
    const counts = [actionCount(small.script), actionCount(violation.script)] as const;
    console.log(
      `${name}: ${violation.eventNumber} events to ${small.eventNumber}, ${counts[1]} actions to ${counts[0]}`,
    );
    assert.ok(counts[0] < counts[1]);
    assert.is(violationOf({ ...life, script: small.script })?.message, small.message);
  });
}

test("the trace of a life that fails has every server's engine, and replays to its end", () => {
  const { life } = failingLife("state-write-lost");
  let servers = 0;
  violationOf({ ...life, onEngine: () => servers++ });
  const trace = Trace.open(readFileSync(files.writeTrace(life)), abi);
  assert.is(trace.problem, null);
  assert.ok(servers > 1, "a server has died");
  assert.equal(
    trace.sections.map(({ start, life }) => `${start} ${life}`),
    Array.from({ length: servers }, (_, i) => `fresh seed ${life.seed} server ${i + 1}`),
  );
  const summary = replay(trace, module);
  assert.ok(summary.isEqual);
  assert.is(summary.events, trace.eventCount);
  assert.is(summary.skippedEvents, 0);
});

test("recording does not change a life", () => {
  const life = { seed, eventCount: EVENTS, module, console: words };
  const file = join(directory, "life.pcapng");
  assert.equal(files.record(life, file), runScenario(life));
  assert.ok(replay(Trace.open(readFileSync(file), abi), module).isEqual);
});

test("the command leaves a small life and its trace, and lives it again", () => {
  const run = (...options: string[]) => {
    const command = ["dist/cli/main.js", "simulate", "--trace-directory", directory, ...options];
    return spawnSync(process.execPath, command, { encoding: "utf8" });
  };
  const life = ["--seed", String(seed), "--seeds", "20", "--events", String(EVENTS)];
  const first = run(...life, "--fault", "marks-dropped", "--shrink");
  assert.is(first.status, 0, first.stderr);
  const file = /--replay-choices (\S+)/.exec(first.stdout)?.[1] as string;
  const said = /^The violation now: (.*)$/m.exec(first.stdout)?.[1] as string;
  assert.is(readChoices(file).violation, said);
  const again = run("--replay-choices", file);
  assert.is(again.status, 0, again.stderr);
  assert.ok(again.stdout.includes(`Found: ${said}`));
  const trace = /^Trace .*: (.*)$/m.exec(again.stdout)?.[1] as string;
  assert.ok(replay(Trace.open(readFileSync(trace), abi), module).isEqual);
});

test("a file that holds no life is refused with a sentence", () => {
  assert.throws(() => readChoices(join(directory, "none.json")), /cannot be read/);
  assert.throws(() => readChoices(new URL("../package.json", import.meta.url).pathname), /does not hold the choices/);
});

test.run();
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
