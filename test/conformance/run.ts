// npm run test:conformance: the library's host and the C appliance pass the kit, and the kit finds each mistake of a host.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Checks } from "../checks.ts";
import { buildConformance, missingForAppliance } from "../embedding/c/build.ts";
import { buildHost, CASES, caseOf, run, sentenceOf } from "./build.ts";
import { FOUND } from "./found.ts";
import { MISTAKES } from "./mistakes.ts";

const LIVES = 20;
/** Silence that is a mistake: it has to be longer than any pause of a busy machine. */
const SILENCE_MS = 3000;

const missing = missingForAppliance();
if (missing !== undefined) {
  console.error(missing);
  process.exit(1);
}
const seed = Number(process.env.SEED ?? 1);
console.log(`random lives: from seed ${seed} on (SEED=${seed})`);
const checks = new Checks();
const folder = mkdtempSync(join(tmpdir(), "dm-ulog-host-"));
try {
  const host = buildHost(folder);
  const hosts: Record<string, string[]> = { "the library's host": host, "the C appliance": [buildConformance()] };
  for (const [name, command] of Object.entries(hosts)) {
    for (const one of CASES) {
      await checks.check(`${name}, ${one.name}`, () => assert.equal(sentenceOf(run(one, command, seed)), ""));
    }
    await checks.check(`${name}, ${LIVES} random lives`, () => {
      for (let life = seed + 1; life <= seed + LIVES; life++) {
        assert.equal(sentenceOf(run(caseOf("random-life"), command, life)), "");
      }
    });
  }
  await checks.check("each mistake has a case that finds it", () =>
    assert.deepEqual(Object.keys(FOUND).sort(), Object.keys(MISTAKES).sort()),
  );
  for (const [mistake, [name, words]] of Object.entries(FOUND)) {
    await checks.check(`${mistake} is found by ${name}`, () => {
      const limitMs = mistake === "waits-for-device" ? SILENCE_MS : undefined;
      assert.match(sentenceOf(run(caseOf(name), [...host, "--mistake", mistake], 1, limitMs)), words);
    });
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(checks.end());
