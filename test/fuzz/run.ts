// `npm run fuzz -- --core small --events 1000000 --seed 7`: random programs against a core that checks its invariants, until
// it has had so many inputs or the time is over. What makes the core do wrong is made small and kept in test/crashers/,
// where `npm test` finds it. On the small core every limit must have been reached in the end.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { debugWasm, smallWasm } from "../harness.ts";
import { Fuzzer, shrunkCrasher } from "./corpus.ts";
import { Misdeed } from "./judge.ts";
import { LIMITS } from "./limits.ts";
import { World } from "./world.ts";

const CORES = { debug: debugWasm, small: smallWasm } as const;
type CoreName = keyof typeof CORES;
const SAY_EVERY_MS = 5000;

const { values } = parseArgs({
  options: {
    core: { type: "string", default: "both" },
    events: { type: "string" },
    seconds: { type: "string" },
    seed: { type: "string", default: "1" },
  },
});
const seed = Number(values.seed);
const events = Number(values.events ?? Number.POSITIVE_INFINITY);
const seconds = Number(values.seconds ?? (values.events === undefined ? 60 : Number.POSITIVE_INFINITY));
const cores = (values.core === "both" ? Object.keys(CORES) : [values.core]) as CoreName[];
if (
  !(seconds > 0) ||
  !(events > 0) ||
  !Number.isSafeInteger(seed) ||
  seed < 0 ||
  !cores.every((name) => name in CORES)
) {
  console.error(
    "Usage: npm run fuzz -- [--core debug|small|both] [--events <inputs for each core>] [--seconds <for each core>] " +
      "[--seed <whole number>]",
  );
  process.exit(2);
}
process.exitCode = cores.map(fuzz).every((isWell) => isWell) ? 0 : 1;

/** Whether nothing went wrong, and every limit of the small core was reached. */
function fuzz(core: CoreName): boolean {
  const module = new WebAssembly.Module(CORES[core]);
  const fuzzer = new Fuzzer(seed, module);
  const kinds = new Set<string>();
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  let saidMs = startedMs;
  const say = () => {
    const { programs, inputs, outcomes, corpus, crashers } = fuzzer;
    const rate = Math.round(inputs / ((performance.now() - startedMs) / 1000));
    console.log(
      `${core} core, seed ${seed}: ${inputs} inputs (${rate} per second) in ${programs} programs, ${outcomes.size} outcomes, ` +
        `${corpus.length} programs in the corpus, ${crashers.length} that went wrong (${kinds.size} ways)`,
    );
  };
  while (performance.now() < endMs && fuzzer.inputs < events) {
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
    if (performance.now() - saidMs > SAY_EVERY_MS) {
      saidMs = performance.now();
      say();
    }
  }
  say();
  for (const limit of LIMITS)
    console.log(`${String(fuzzer.limits.get(limit) ?? 0).padStart(12)} times no more ${limit}`);
  const unreached = core === "small" ? LIMITS.filter((limit) => !fuzzer.limits.has(limit)) : [];
  if (unreached.length > 0) console.log(`Never reached: ${unreached.join(", ")}. Give it more inputs.`);
  return fuzzer.crashers.length === 0 && unreached.length === 0;
}
