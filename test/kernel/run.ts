import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildAppliance } from "../embedding/c/build.ts";
import { buildLabPrograms, buildNative } from "../native/build.ts";
import { runOnOneMachine } from "./boot.ts";
import { SERVER_KINDS } from "./guest/contract.ts";
import type { Scenario } from "./guest/scenario.ts";
import { findWhatIsMissing } from "./preflight.ts";
import { findScenario, scenarios } from "./scenarios/index.ts";

const labFolder = fileURLToPath(new URL(".", import.meta.url));
/** Each machine takes 512 MiB. */
const JOBS_MAX = 8;
const repositoryPath = fileURLToPath(new URL("../..", import.meta.url));

async function main(): Promise<number> {
  const { values, positionals: names } = parseArgs({
    allowPositionals: true,
    options: {
      list: { type: "boolean", default: false },
      server: { type: "string", default: "node" },
      verbose: { type: "boolean", default: false },
      record: { type: "string" },
      long: { type: "boolean", default: false },
      jobs: { type: "string", default: "1" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
    },
  });
  const nameWidth = Math.max(...scenarios.map(({ name }) => name.length));
  if (values.list) {
    for (const { name, sentence, isLong } of scenarios) {
      console.log(`${name.padEnd(nameWidth)}  ${sentence}${isLong ? " (by name, or with --long)" : ""}`);
    }
    return 0;
  }
  const seed = Number(values.seed);
  if (!/^\d+$/.test(values.seed) || !Number.isSafeInteger(seed)) {
    throw new Error(`--seed takes a whole number, not "${values.seed}".`);
  }
  const server = SERVER_KINDS.find((kind) => kind === values.server);
  if (server === undefined) throw new Error(`--server takes ${SERVER_KINDS.join(" or ")}, not "${values.server}".`);
  if (values.record !== undefined && server !== "node") throw new Error("--record takes the server of Node.js.");
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > JOBS_MAX) {
    throw new Error(`--jobs takes a number from 1 to ${JOBS_MAX}, not "${values.jobs}".`);
  }
  const usual = values.long ? scenarios : scenarios.filter(({ isLong }) => isLong !== true);
  const chosen = names.length > 0 ? names.map(findScenario) : usual;
  const missing = findWhatIsMissing(join(repositoryPath, "dist/cli/main.js"));
  if (missing) throw new Error(missing);

  const appliancePath = buildAppliance();
  const nativePath = buildNative();
  buildLabPrograms();

  console.log(`seed ${seed}, server ${server}`);
  const lacks = ({ nodeOnly, hostsOnly, nativeOnly, notForNode }: Scenario) => {
    if (server === "node") return nativeOnly ?? notForNode;
    return nodeOnly ?? (server === "c" ? (hostsOnly ?? nativeOnly) : undefined);
  };
  for (const scenario of chosen.filter((scenario) => lacks(scenario) !== undefined)) {
    console.log(`--    ${scenario.name.padEnd(nameWidth)}  not for the ${server} server: ${lacks(scenario)}`);
  }
  const queue = chosen.filter((scenario) => lacks(scenario) === undefined);
  const recordFolder = values.record === undefined ? undefined : resolve(values.record);
  if (recordFolder !== undefined) mkdirSync(recordFolder, { recursive: true });
  const { verbose } = values;
  const options = {
    labFolder,
    repositoryPath,
    appliancePath,
    nativePath,
    server,
    seed,
    verbose,
    nameWidth,
    recordFolder,
  };
  const run = async (hand: Scenario[]): Promise<boolean[]> => {
    const verdicts: boolean[] = [];
    while (verdicts.length < hand.length)
      verdicts.push(...(await runOnOneMachine(hand.slice(verdicts.length), options)));
    return verdicts;
  };
  const together = queue.filter(({ isAlone }) => !isAlone);
  const hands = Array.from({ length: jobs }, (_, hand) => together.filter((_scenario, i) => i % jobs === hand));
  const verdicts = (await Promise.all(hands.map(run))).flat();
  verdicts.push(...(await run(queue.filter(({ isAlone, memoryMiB }) => isAlone && memoryMiB === undefined))));
  for (const scenario of queue) if (scenario.memoryMiB !== undefined) verdicts.push(...(await run([scenario])));
  const passed = verdicts.filter((verdict) => verdict).length;
  console.log(`${passed} passed, ${verdicts.length - passed} failed`);
  return passed === verdicts.length && passed > 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
