// The mutants of `npm run mutate`: each is another program that the compiler can read, and each has a name of its own.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { coreMutants, mutantsOf } from "./mutate/mutants.ts";

const ASSEMBLY = fileURLToPath(new URL("../assembly/", import.meta.url));
const HARMLESS = fileURLToPath(new URL("mutate/harmless.json", import.meta.url));
const mutants = coreMutants(ASSEMBLY);
/** One in so many is tried. */
const STEP = 17;

test("the mistakes that are made in a function", () => {
  const source = `
    const LIMIT: u32 = 8;
    function f(log: Log, n: u32): bool {
      ensure(n != 3);
      if (n + 1 < LIMIT && !log.isOpen) save(log.pendingSet());
      n += 1;
      return true;
    }`;
  const made = mutantsOf("f.ts", source).map(({ id }) => id.replace("f.ts ", ""));
  assert.equal(made.sort(), [
    "f: !log.isOpen → log.isOpen",
    "f: log.pendingSet() → log.failedSet()",
    "f: n + 1 < LIMIT && !log.isOpen → false",
    "f: n + 1 < LIMIT && !log.isOpen → n + 1 < LIMIT || !log.isOpen",
    "f: n + 1 < LIMIT && !log.isOpen → true",
    "f: n + 1 < LIMIT → n + 1 <= LIMIT",
    "f: n + 1 → n + 2",
    "f: n + 1 → n - 1",
    "f: n += 1 → n -= 1",
    "f: n += 1; → {}",
    "f: return true; → return false;",
    "f: save(log.pendingSet()); → {}",
    "module: LIMIT: u32 = 8 → LIMIT: u32 = 9",
  ]);
});

test("each mutant of the core has a name of its own, and is a program", () => {
  assert.ok(mutants.length > 3000, `${mutants.length}`);
  assert.is(new Set(mutants.map(({ id }) => id)).size, mutants.length);
  for (let i = 0; i < mutants.length; i += STEP) {
    const { id, file, start, end, text } = mutants[i] as (typeof mutants)[number];
    const source = readFileSync(`${ASSEMBLY}${file}`, "utf8");
    const changed = source.slice(0, start) + text + source.slice(end);
    assert.is.not(changed, source, id);
    const tree = ts.createSourceFile(file, changed, ts.ScriptTarget.Latest) as ts.SourceFile & {
      parseDiagnostics: unknown[];
    };
    assert.equal(tree.parseDiagnostics.length, 0, id);
  }
});

test("what is said to be harmless is a mutant that there is, and has a reason", () => {
  const ids = new Set(mutants.map(({ id }) => id));
  const harmless = Object.entries(JSON.parse(readFileSync(HARMLESS, "utf8")) as Record<string, string>);
  assert.equal(
    harmless.filter(([id]) => !ids.has(id)).map(([id]) => id),
    [],
  );
  for (const [id, reason] of harmless) assert.match(reason, /^[A-Z].{10,}\.$/, id);
});

test.run();
