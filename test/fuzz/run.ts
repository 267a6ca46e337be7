// `npm run fuzz -- --seconds 600 --seed 7`: random programs against the debug core until the time is over. What makes the
// core do wrong is made small and kept in test/crashers/, where `npm test` finds it.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { debugWasm } from "../harness.ts";
import { Fuzzer, shrunkCrasher } from "./corpus.ts";
import { Misdeed } from "./judge.ts";
import { World } from "./world.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "60" }, seed: { type: "string", default: "1" } },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed);
if (!(seconds > 0) || !Number.isSafeInteger(seed) || seed < 0) {
  console.error("Usage: npm run fuzz -- --seconds <number> --seed <whole number>");
  process.exit(2);
}

const module = new WebAssembly.Module(debugWasm);
const fuzzer = new Fuzzer(seed, module);
const kinds = new Set<string>();
const endMs = performance.now() + seconds * 1000;
let saidMs = performance.now();
while (performance.now() < endMs) {
  const crasher = fuzzer.step();
  if (crasher !== null) {
    const small = shrunkCrasher(crasher, module);
    const kind = small.message.replace(/\d+/g, "#");
    if (!kinds.has(kind)) {
      kinds.add(kind);
      const name = `${kind.replace(/[^a-z]+/gi, "-").slice(0, 60)}-${seed}-${kinds.size}.pcapng`;
      const world = new World({ module, isHonest: small.isHonest, record: true });
      try {
        world.run(small.program);
      } catch (error) {
        if (!(error instanceof Misdeed)) throw error;
      }
      const file = fileURLToPath(new URL(`../crashers/${name}`, import.meta.url));
      writeFileSync(file, world.recorded());
      console.log(`${small.message}: ${small.program.length} deeds\n${JSON.stringify(small)}\nkept in ${file}`);
    }
  }
  if (performance.now() - saidMs > 5000) {
    saidMs = performance.now();
    console.log(summary());
  }
}
console.log(summary());
process.exitCode = fuzzer.crashers.length === 0 ? 0 : 1;

function summary(): string {
  const { programs, deeds, outcomes, corpus, crashers } = fuzzer;
  return (
    `${programs} programs of ${deeds} deeds, ${outcomes.size} outcomes, ` +
    `${corpus.length} programs in the corpus, ${crashers.length} that went wrong (${kinds.size} ways)`
  );
}
