// docs/trace-json.md says what the JSON of traces holds, no more and no less.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes } from "../src/common/kernel-frames.ts";
import { Recording } from "../src/common/trace/recording.ts";
import { CAUSES } from "../src/common/trace/region-story.ts";
import { CORPUS_FOLDER, corpusNames } from "./corpus.ts";
import { DeviceHost } from "./device-host.ts";
import { facts, releaseModule } from "./recorded-lives.ts";

type Fields = Record<string, unknown>;

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dm-ulog-json-"));
test.after(() => rmSync(folder, { recursive: true }));

/** The rows of the table under a heading, as cells without the backquotes around names. */
function rowsUnder(heading: string): string[][] {
  const text = readFileSync(new URL("../docs/trace-json.md", import.meta.url), "utf8");
  const part = text.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const lines = part.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}

const namesIn = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string);

/** Fields of each kind, with their types; every kind has `kind` and `words`. */
function kindsUnder(heading: string): Map<string, Map<string, string>> {
  const kinds = new Map<string, Map<string, string>>();
  let names: string[] = [];
  for (const [kind = "", field = "", type = ""] of rowsUnder(heading)) {
    if (kind !== "") names = namesIn(kind);
    for (const name of names) {
      const fields =
        kinds.get(name) ??
        new Map([
          ["kind", "string"],
          ["words", "string"],
        ]);
      for (const one of namesIn(field)) fields.set(one, type);
      kinds.set(name, fields);
    }
  }
  return kinds;
}

function fieldsUnder(heading: string): Map<string, string> {
  return new Map(rowsUnder(heading).map(([name = "", type = ""]) => [namesIn(name)[0] as string, type]));
}

const typeOf = (value: unknown) => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value);

function check(object: Fields, fields: ReadonlyMap<string, string> | undefined, what: string): void {
  assert.ok(fields !== undefined, `${what} is not described`);
  assert.equal(Object.keys(object).sort(), [...(fields as Map<string, string>).keys()].sort(), what);
  for (const [name, types] of fields as Map<string, string>)
    assert.ok(types.split(", ").includes(typeOf(object[name])), `${what}: ${name} is ${typeOf(object[name])}`);
}

function objects(...args: string[]): Fields[] {
  const { stdout, status } = spawnSync(process.execPath, [command, ...args, "--json"], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  assert.is(status, 0, args.join(" "));
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Fields);
}

/** What the corpus lacks: a datagram that is no request, a forgotten log, an unknown input, a trap. */
function oddTrace(): string {
  const host = new DeviceHost(new Engine(releaseModule));
  const recording = new Recording(host.engine, facts);
  host.ask("CTR", asciiBytes("128 core 2"));
  host.engine.deliver(new Uint8Array(200), 0, host.nowNs, host.handler);
  host.engine.forget(0, 5n, "LVM-disk", host.nowNs, host.handler);
  host.engine.handleRaw(77, 0, 0, 0, 1);
  recording.handled(0);
  recording.trapped(new Error("unreachable"));
  const file = join(folder, "odd.pcapng");
  writeFileSync(file, recording.finish());
  return file;
}

test("each event, input and effect has the fields that are described, and all that is described occurs", () => {
  const [event, inputs, effects] = [fieldsUnder("Event"), kindsUnder("Input"), kindsUnder("Effect")];
  assert.ok(event.size > 10 && inputs.size > 7 && effects.size > 10);
  const seen = new Set<string>();
  const files = ["device-failure.pcapng", "state-loss-disk.pcapng", "two-logs.pcapng", "kernel-reload-disk.pcapng"].map(
    (name) => CORPUS_FOLDER + name,
  );
  assert.ok(corpusNames().length >= files.length);
  for (const file of [...files, oddTrace()]) {
    for (const one of objects("inspect", file)) {
      check(one, event, "an event");
      const input = one.input as Fields;
      check(input, inputs.get(input.kind as string), `an input of kind ${input.kind}`);
      seen.add(`input ${input.kind}`);
      for (const effect of one.effects as Fields[]) {
        check(effect, effects.get(effect.kind as string), `an effect of kind ${effect.kind}`);
        seen.add(`effect ${effect.kind}`);
      }
    }
  }
  const described = [
    ...[...inputs.keys()].map((kind) => `input ${kind}`),
    ...[...effects.keys()].map((kind) => `effect ${kind}`),
  ];
  assert.equal(
    described.filter((kind) => !seen.has(kind)),
    ["effect other"],
    "an effect that no core of ours has",
  );
});

test("structured fields say what the words say", () => {
  const all = objects("inspect", `${CORPUS_FOLDER}device-failure.pcapng`);
  const input = (words: RegExp) =>
    all.map((one) => one.input as Fields).find((one) => words.test(one.words as string)) as Fields;
  assert.equal(input(/FLUSH #\d+ .*: region 25$/).regions, [25]);
  assert.is(input(/SET_REGION_SYNC .*region 25 in sync/).inSync, true);
  assert.match(input(/CTR #1 /).table as string, /^252641 disk \/var\/lib\/mirror\/log-0 8192 nosync$/);
  assert.is(input(/CTR #1 /).reconnects, false);
  assert.is(input(/\(reconnecting\)/).reconnects, true);
  assert.is(input(/write of log 0: .*EIO/).error, -5);
  const effects = all.flatMap((one) => one.effects as Fields[]);
  const effect = (words: RegExp) => effects.find((one) => words.test(one.words as string)) as Fields;
  assert.equal(effect(/resync region 25/).values, [1, 25]);
  assert.is(effect(/"3 disk 0:0 A"/).text, "3 disk 0:0 A");
  assert.is(effect(/^write of log 0: 1536 bytes at 0/).sizeBytes, 1536);
  assert.is(effect(/^open \/var/).kind, "open");
});

test("the difference of two traces has the fields that are described", () => {
  const [a, b] = [`${CORPUS_FOLDER}core-log.pcapng`, `${CORPUS_FOLDER}two-logs.pcapng`];
  const [same] = objects("trace", "diff", a, a) as [Fields];
  check(same, fieldsUnder("Difference"), "no difference");
  const { stdout, status } = spawnSync(process.execPath, [command, "trace", "diff", a, b, "--json"], {
    encoding: "utf8",
  });
  assert.is(status, 1);
  check(JSON.parse(stdout) as Fields, fieldsUnder("Difference"), "a difference");
});

test("each sentence has the fields that are described, and each cause is described", () => {
  const fields = fieldsUnder("Sentence");
  for (const [name, region] of [
    ["power-cuts", "2"],
    ["device-failure", "25"],
  ] as const)
    for (const one of objects("why", `${CORPUS_FOLDER}${name}.pcapng`, "--region", region))
      check(one, fields, "a sentence");
  assert.equal(
    rowsUnder("Causes").map(([cause = ""]) => namesIn(cause)[0]),
    [...CAUSES],
  );
});

test.run();
