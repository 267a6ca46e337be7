// The round trip through this machine's own kernel: a client in C plays the kernel's device-mapper and asks, over the
// connector's netlink protocol, a server that only echoes, and dm-ulog. The echo is the minimum: the rest of the time is
// dm-ulog's own.

import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { type Conversation, conversation } from "./conversation.ts";
import { RandomRegions } from "./random.ts";
import { median } from "./statistics.ts";
import { type Cell, formatTable, verdictWord } from "./table.ts";
import { type EchoServer, inWorkshop, Lacking, type RoundTrips, type Workshop } from "./workshop.ts";

const UNPINNED_TARGET = 1.15;
const PINNED_TARGET = 1.15;
const APART_TARGET = 0.55;
const APPLIANCE = "dm-ulog in C";
const APPLIANCE_TARGET = 1.1;
const NATIVE = "native host";
/** Of the echo that blocks, on two processors and on one; and of one that spins as long, on two. */
const NATIVE_TARGET = 0.45;
const NATIVE_PINNED_TARGET = 1.05;
const SPINNING_TARGET = 1.3;
const SPIN_US = 50;
const IDLE_S = 5;
const BUSY_TARGET = 1.2;
const REGION_COUNT = 1e6;
const RING = 64;
const NS_PER_US = 1e3;

interface Scale {
  /** How often the servers take turns. */
  turns: number;
  warmUp: number;
  count: number;
  /** Enough for many of the control plane's busy spells to fall into one turn. */
  countWhileBusy: number;
}

const FULL: Scale = { turns: 9, warmUp: 2000, count: 20_000, countWhileBusy: 50_000 };
const QUICK: Scale = { turns: 2, warmUp: 100, count: 200, countWhileBusy: 1000 };

/** Where client and servers run, by number of the processor; undefined leaves it to the kernel. */
interface Placement {
  name: string;
  target?: number;
  applianceTarget?: number;
  nativeTarget?: number;
  spinningTarget?: number;
  client?: number;
  server?: number;
}

const PLACEMENTS: Placement[] = [
  { name: "any processor", target: UNPINNED_TARGET, applianceTarget: APPLIANCE_TARGET },
  {
    ...{ name: "all on one processor", client: 0, server: 0 },
    ...{ target: PINNED_TARGET, applianceTarget: APPLIANCE_TARGET, nativeTarget: NATIVE_PINNED_TARGET },
  },
  {
    ...{ name: "on two processors", client: 0, server: 1 },
    ...{ target: APART_TARGET, nativeTarget: NATIVE_TARGET, spinningTarget: SPINNING_TARGET },
  },
];

/** Two ways to be compared, measured in turns: ABAB… */
interface Comparison {
  name: string;
  figure: keyof RoundTrips;
  /** The target; without it the comparison only explains the others. */
  target?: number;
  base: { title: string; turns: RoundTrips[] };
  other: { title: string; turns: RoundTrips[] };
}

export function benchmarkRoundTrip(options: BenchmarkOptions): Promise<BenchmarkResult> {
  return inWorkshop(async (workshop) => report(await compare(workshop, options), options.quick));
}

async function compare(workshop: Workshop, options: BenchmarkOptions): Promise<Comparison[]> {
  const scale = options.quick ? QUICK : FULL;
  const { birth, questions } = questionsOf(options);
  const echoed = workshop.prepare(
    "echoed",
    questions.map(({ request }) => ({ request, reply: request })),
  );
  const asked = workshop.prepare("asked", questions);
  const born = workshop.prepare("born", birth);

  const startBorn = async <T extends EchoServer>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    await workshop.measure(server, born, { warmUp: 0, count: birth.length });
    return server;
  };
  const startUlog = (processor?: number) => startBorn(workshop.startUlog(options.corePath, processor));
  const startEcho = async (processor?: number, spinUs?: number): Promise<EchoServer> => {
    const echo = await workshop.startEcho(processor, spinUs);
    await workshop.measure(echo, echoed, { warmUp: 0, count: 1 });
    return echo;
  };
  const againstEcho = async (title: string, other: EchoServer, placement: Placement, target?: number, spinUs = 0) => {
    const { client, server } = placement;
    const kind = title === APPLIANCE ? ", C" : title === NATIVE ? ", native" : "";
    const name = `${placement.name}${kind}${spinUs > 0 ? ", spinning" : ""}`;
    const echo = await startEcho(server, spinUs);
    const run = (which: EchoServer, prepared: string) => workshop.measure(which, prepared, scale, client);
    return takeTurns(scale.turns, {
      ...{ name, figure: "medianNs", ...(target === undefined ? {} : { target }) },
      base: { title: spinUs > 0 ? "spinning echo" : "echo in C", run: () => run(echo, echoed) },
      other: { title, run: () => run(other, asked) },
    });
  };

  const comparisons: Comparison[] = [];
  const canPin = hasTaskset() && availableParallelism() > 1;
  if (!canPin) console.log("Not pinned: that takes taskset (util-linux) and two processors.\n");
  const appliance = applianceOf(workshop, options);
  const native = appliance === undefined ? undefined : workshop.buildNative(options.corePath);
  for (const placement of PLACEMENTS.filter(({ client }) => client === undefined || canPin)) {
    const { server, target, applianceTarget } = placement;
    const inNode = await startUlog(server);
    comparisons.push(await againstEcho("dm-ulog", inNode, placement, target));
    if (placement.spinningTarget !== undefined) {
      comparisons.push(await againstEcho("dm-ulog", inNode, placement, placement.spinningTarget, SPIN_US));
    }
    if (appliance === undefined || native === undefined) continue;
    const natively = await startBorn(workshop.startNative(native, server));
    comparisons.push(await againstEcho(NATIVE, natively, placement, placement.nativeTarget));
    if (placement.spinningTarget !== undefined) {
      comparisons.push(await againstEcho(NATIVE, natively, placement, placement.spinningTarget, SPIN_US));
    }
    const before = natively.cpuSeconds();
    await sleep(options.quick ? 100 : IDLE_S * 1000);
    const idle = ((natively.cpuSeconds() - before) / IDLE_S) * 100;
    if (!options.quick)
      console.log(`The native host, idle for ${IDLE_S} s: ${idle.toFixed(2)} % of a processor (target 0.5)`);
    const inC = await startBorn(workshop.startAppliance(appliance, server));
    comparisons.push(await againstEcho(APPLIANCE, inC, placement, applianceTarget));
  }
  const ulog = await startUlog();
  const runWith = async (busy: boolean) => {
    await ulog.setBusy(busy);
    return workshop.measure(ulog, asked, { ...scale, count: scale.countWhileBusy });
  };
  comparisons.push(
    await takeTurns(scale.turns, {
      ...{ name: "control plane busy", figure: "p99Ns", target: BUSY_TARGET },
      base: { title: "dm-ulog, idle", run: () => runWith(false) },
      other: { title: "dm-ulog, busy", run: () => runWith(true) },
    }),
  );
  return comparisons;
}

/** The program, or undefined after a sentence about what it lacks. */
function applianceOf(workshop: Workshop, { corePath }: BenchmarkOptions): string | undefined {
  try {
    return workshop.buildAppliance(corePath);
  } catch (error) {
    if (!(error instanceof Lacking)) throw error;
    console.log(`Without the C appliance: ${error.message}.\n`);
    return undefined;
  }
}

interface Runner {
  title: string;
  run: () => Promise<RoundTrips>;
}

async function takeTurns(
  turns: number,
  { base, other, ...rest }: Omit<Comparison, "base" | "other"> & { base: Runner; other: Runner },
): Promise<Comparison> {
  const results: [RoundTrips, RoundTrips][] = [];
  for (let turn = 0; turn < turns; turn++) results.push([await base.run(), await other.run()]);
  return {
    ...rest,
    base: { title: base.title, turns: results.map(([first]) => first) },
    other: { title: other.title, turns: results.map(([, second]) => second) },
  };
}

/** What the client sends and must receive: IN_SYNC of random regions. */
function questionsOf({ corePath, seed }: BenchmarkOptions): Conversation {
  return conversation(corePath, REGION_COUNT, (exchange) => {
    const regions = new RandomRegions(seed, REGION_COUNT);
    return Array.from({ length: RING }, () => exchange("IN_SYNC", regions.next()));
  });
}

function hasTaskset(): boolean {
  try {
    execFileSync("taskset", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function report(comparisons: Comparison[], quick: boolean): BenchmarkResult {
  const rows: Cell[][] = [];
  const figures: Record<string, unknown> = {};
  let missed = 0;
  for (const { name, figure, target, base, other } of comparisons) {
    const ratio = median(other.turns.map((turn, i) => turn[figure] / (base.turns[i] as RoundTrips)[figure]));
    const met = target === undefined || ratio <= target;
    if (!met && !quick) missed++;
    const verdict = quick || target === undefined ? "not judged" : verdictWord(met);
    const kind = figure === "p99Ns" ? "p99" : "median";
    rows.push([name, base.title, ...microseconds(base.turns), "", "", "", ""]);
    rows.push([
      "",
      other.title,
      ...microseconds(other.turns),
      kind,
      ratio.toFixed(3),
      target?.toFixed(2) ?? "",
      verdict,
    ]);
    figures[name] = {
      [base.title]: medians(base.turns),
      [other.title]: medians(other.turns),
      [`${kind} ratio`]: Number(ratio.toFixed(3)),
    };
  }
  console.log(
    "Round trips of IN_SYNC in microseconds; each figure is the median of the turns. A ratio is the median of the",
  );
  console.log("ratios of turns that followed each other.\n");
  console.log(formatTable(["", "server", "median", "mean", "p99", "of", "ratio", "target", "verdict"], rows));
  return { missed, figures };
}

function medians(turns: RoundTrips[]): RoundTrips {
  const of = (figure: keyof RoundTrips) => median(turns.map((turn) => turn[figure]));
  return { medianNs: of("medianNs"), meanNs: of("meanNs"), p99Ns: of("p99Ns"), maxNs: of("maxNs") };
}

function microseconds(turns: RoundTrips[]): string[] {
  const { medianNs, meanNs, p99Ns } = medians(turns);
  return [medianNs, meanNs, p99Ns].map((ns) => (ns / NS_PER_US).toFixed(1));
}
