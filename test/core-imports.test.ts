// The core as a reader meets it: no two of its modules import each other, by whatever way round, and the table of a disk log's
// life fits on one screen, with one row for each thing that can happen. The linter finds no circle where there is one.

import { readdirSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";

const SCREEN_LINES = 45;
const folder = new URL("../assembly/", import.meta.url);
const sources = new Map(
  readdirSync(folder)
    .filter((name) => name.endsWith(".ts"))
    .map((name) => [name.slice(0, -3), readFileSync(new URL(name, folder), "utf8")] as const),
);

/** The modules that a source takes something from, types and names that it passes on included. */
function importsOf(source: string): string[] {
  const froms = source.matchAll(/^(?:import|export)\b[^;]*?\bfrom\s+"\.\/([\w-]+)";/gms);
  const bare = source.matchAll(/^import\s+"\.\/([\w-]+)";/gm);
  return [...froms, ...bare].map(([, name]) => name as string);
}

/** A way from a module back to itself, or null. */
function circleIn(imports: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): string[] | null => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return null;
    for (const next of imports.get(name) ?? []) {
      const circle = visit(next, [...path, name]);
      if (circle !== null) return circle;
    }
    done.add(name);
    return null;
  };
  for (const name of imports.keys()) {
    const circle = visit(name, []);
    if (circle !== null) return circle;
  }
  return null;
}

const imports = new Map([...sources].map(([name, source]) => [name, importsOf(source)]));

test("every import of the core leads to a module of the core", () => {
  let count = 0;
  for (const [name, names] of imports) {
    const lines = [...(sources.get(name) ?? "").matchAll(/\bfrom "|^import "/gm)].length;
    // make-header.ts is a program of the build.
    if (name !== "make-header") assert.is(names.length, lines, `${name}: an import that this test does not see`);
    for (const to of names) assert.ok(sources.has(to), `${name} imports ${to}`);
    count += names.length;
  }
  assert.ok(count > 100, `${count} imports`);
});

test("no module of the core imports itself by whatever way round", () => {
  assert.is(circleIn(imports)?.join(" → ") ?? null, null);
});

test("a circle is found", () => {
  const circle = new Map(imports);
  circle.set("region-set", ["abort", "requests"]);
  assert.match(circleIn(circle)?.join(" → ") ?? "", /^(.+) → .* → \1$/);
});

const life = sources.get("disk-life") as string;
const table = /const LIFE: usize = memory\.data<u8>\(\[\n(.*?)\n\]\);/s.exec(life)?.[1] as string;
const rows = [...table.matchAll(/^ {2}(PHASE_\w+),\s+(GOAL_\w+),\s+(EVENT_\w+),\s+(ACTION_\w+),\s+(PHASE_\w+),$/gm)];

test(`the table of a disk log's life has at most ${SCREEN_LINES} lines`, () => {
  const lines = table.split("\n");
  assert.ok(lines.length <= SCREEN_LINES, `${lines.length} lines`);
  const written = lines.filter((line) => line.trim() !== "" && !line.trim().startsWith("//"));
  assert.is(rows.length, written.length, "each line is a row, an empty line or a comment");
});

test("what happens in a phase, for a goal, has one row, and the search goes through all rows", () => {
  const keys = rows.map(([, phase, goal, event]) => `${phase} ${goal} ${event}`);
  assert.equal(new Set(keys).size, keys.length);
  assert.is(Number(/const LIFE_ROWS: u32 = (\d+);/.exec(life)?.[1]), rows.length);
  // Every phase, goal, event and action that there is has a row; GOAL_NONE is that nothing is wanted.
  const named = [...life.matchAll(/^export const ((?:PHASE|GOAL|EVENT|ACTION)_\w+): u8/gm)].map(
    ([, name]) => name as string,
  );
  const used = new Set(rows.flatMap((row) => row.slice(1)));
  assert.equal(
    named.filter((name) => !used.has(name)),
    ["GOAL_NONE"],
  );
});

test.run();
