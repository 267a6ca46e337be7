// The cost of recording: requests per second through the server's loop, and through the engine alone, with a recording, with only
// the flight recorder, and with neither. Each request is a mark or a clear and therefore has a state write: of all frequent
// requests, these have the longest events.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { EventLogReader } from "../src/node/recording/event-log.ts";
import { createFlight, mapFlight } from "../src/node/recording/flight-recorder.ts";
import { FLIGHT_BYTES_DEFAULT } from "../src/node/recording/flight-sizes.ts";
import { Recorder } from "../src/node/recording/recorder.ts";
import { RecordingChannel } from "../src/node/recording/recording-channel.ts";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { Client, loadCore } from "./client.ts";
import { type Conversation, conversation, type Exchange } from "./conversation.ts";
import { RandomRegions } from "./random.ts";
import { median } from "./statistics.ts";
import { type Cell, formatTable, verdictWord } from "./table.ts";
import { inWorkshop, makeMemoryFolder, type UlogServer, type Workshop } from "./workshop.ts";

/** The share that remains of the requests per second of a server that records nothing. */
const RATE_TARGET = 0.95;
const REGION_COUNT = 1e6;
const PAIRS = 256;
const NS_PER_SECOND = 1e9;
const NS_PER_MS = 1e6;
/** Two processors write a few hundred MB in one run; files of this size keep the disk from filling. */
const FILE_BYTES = 128 * 1024 * 1024;
const FACTS = { application: "dm-ulog bench", coreSha256: "0", life: "bench" };

interface Scale {
  turns: number;
  warmUp: number;
  count: number;
  /** Of the engine alone. */
  blocks: number;
  requestsPerBlock: number;
}

const FULL: Scale = { turns: 60, warmUp: 2000, count: 20_000, blocks: 200, requestsPerBlock: 8192 };
const QUICK: Scale = { turns: 2, warmUp: 100, count: 500, blocks: 3, requestsPerBlock: 512 };

const WAYS = ["nothing", "flight recorder", "flight recorder and file"] as const;
type Way = (typeof WAYS)[number];

export async function benchmarkRecording(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const scale = options.quick ? QUICK : FULL;
  const engine = engineAlone(options, scale);
  console.log("Through the server's loop:\n");
  const server = await inWorkshop(async (workshop) => report(await takeTurns(workshop, options, scale), options.quick));
  return { missed: server.missed, figures: { engine, ...server.figures } };
}

/** Marks and clears in turns, so that each changes the log and its state file. */
export function marksAndClears({ corePath, seed }: BenchmarkOptions, regionCount = REGION_COUNT): Conversation {
  return conversation(corePath, regionCount, (exchange) => {
    const regions = new RandomRegions(seed, regionCount);
    return Array.from({ length: PAIRS }, () => {
      const region = regions.next();
      return [exchange("MARK_REGION", region), exchange("CLEAR_REGION", region)];
    }).flat();
  });
}

/** An engine, and what is done between blocks so that its recorder goes on. */
interface Subject {
  client: Client;
  questions: readonly Exchange[];
  settle: () => void;
  nsPerRequest: number[];
}

function engineAlone(options: BenchmarkOptions, scale: Scale): Record<string, number> {
  const folder = makeMemoryFolder();
  const { port1, port2 } = new MessageChannel();
  try {
    const { birth, questions } = marksAndClears(options);
    const subjects = WAYS.map((way): Subject => {
      const client = new Client(loadCore(options.corePath), REGION_COUNT);
      const settle = way === "nothing" ? () => {} : attachRecorder(client, way, folder, port1);
      for (const { request } of birth) client.replyBytes(request);
      return { client, questions, settle, nsPerRequest: [] };
    });
    for (let block = -scale.blocks / 10; block < scale.blocks; block++) {
      for (const subject of subjects) {
        const ns = measureBlock(subject, scale.requestsPerBlock);
        if (block >= 0) subject.nsPerRequest.push(ns);
      }
    }
    const ns = subjects.map(({ nsPerRequest }) => median(nsPerRequest));
    const [bare] = ns as [number];
    console.log("The engine alone: a mark or a clear in ns, the median of blocks in turns.\n");
    const rows = WAYS.map((way, i): Cell[] => [
      way,
      (ns[i] as number).toFixed(0),
      i === 0 ? "" : `+${((ns[i] as number) - bare).toFixed(0)}`,
    ]);
    console.log(`${formatTable(["recorded by", "ns", "more"], rows)}\n`);
    return Object.fromEntries(WAYS.map((way, i) => [`${way}, ns`, Math.round(ns[i] as number)]));
  } finally {
    port1.close();
    port2.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Returns what the server's loop does after each request, and in place of the file's thread. */
function attachRecorder(client: Client, way: Way, folder: string, snapshots: MessageChannel["port1"]): () => void {
  const directory = join(folder, way);
  mkdirSync(directory);
  const flight = mapFlight(createFlight(directory, FLIGHT_BYTES_DEFAULT));
  const recorder = new Recorder(client.engine, FACTS, 0n, flight, ({ invariant }) => {
    throw new Error(`Invariant ${invariant} of the core does not hold.`);
  });
  if (way === "flight recorder") return () => recorder.settle();
  const channel = new RecordingChannel();
  recorder.start({ channel: channel.shared, log: undefined, snapshots });
  channel.markTaken();
  const reader = new EventLogReader(flight);
  return () => {
    recorder.settle();
    const piece = reader.next(undefined);
    if (piece === undefined) throw new Error("The reader of a benchmark has missed events.");
    reader.consumed(piece.length);
  };
}

function measureBlock({ client, questions, settle }: Subject, requests: number): number {
  const { engine, abi, reader } = client;
  reader.attach(engine);
  const startMs = performance.now();
  for (let i = 0; i < requests; i++) {
    const { request } = questions[i % questions.length] as Exchange;
    engine.deliver(request, abi.KERNEL_PORT, i, reader);
    if (i % 64 === 0) settle();
  }
  const ns = ((performance.now() - startMs) * NS_PER_MS) / requests;
  if (reader.errors > 0) throw new Error("A mark or a clear was refused.");
  return ns;
}

/** Requests per second of each way, turn by turn. */
async function takeTurns(workshop: Workshop, options: BenchmarkOptions, scale: Scale): Promise<number[][]> {
  const { birth, questions } = marksAndClears(options);
  const born = workshop.prepare("born", birth);
  const asked = workshop.prepare("asked", questions);
  const servers: UlogServer[] = [];
  for (const way of WAYS) {
    const runtimeDirectory = workshop.makeRuntimeDirectory(way);
    const server = await workshop.startUlog(options.corePath, undefined, {
      runtimeDirectory,
      flightBytes: way === "nothing" ? 0 : FLIGHT_BYTES_DEFAULT,
      ...(way === "flight recorder and file"
        ? { record: { path: workshop.path("trace.pcapng"), sizeBytes: FILE_BYTES, filesMax: 2 } }
        : {}),
    });
    await workshop.measure(server, born, { warmUp: 0, count: birth.length });
    servers.push(server);
  }
  const rates: number[][] = WAYS.map(() => []);
  for (let turn = 0; turn < scale.turns; turn++) {
    // A different one goes first each time, because late writes of the file's thread fall into the next one's turn.
    for (let place = 0; place < servers.length; place++) {
      const i = (turn + place) % servers.length;
      const { meanNs } = await workshop.measure(servers[i] as UlogServer, asked, scale);
      rates[i]?.push(NS_PER_SECOND / meanNs);
    }
  }
  return rates;
}

function report(rates: number[][], quick: boolean): BenchmarkResult {
  const [bare = []] = rates;
  const figures: Record<string, unknown> = {};
  let missed = 0;
  const rows = WAYS.map((way, i): Cell[] => {
    const own = rates[i] as number[];
    const rate = Math.round(median(own));
    figures[`${way}, requests per second`] = rate;
    if (i === 0) return [way, rate, "", "", ""];
    const ratio = median(own.map((value, turn) => value / (bare[turn] as number)));
    figures[`${way}, ratio`] = Number(ratio.toFixed(3));
    const met = ratio >= RATE_TARGET;
    if (!met && !quick) missed++;
    return [way, rate, ratio.toFixed(3), RATE_TARGET.toFixed(2), quick ? "not judged" : verdictWord(met)];
  });
  console.log(
    "Requests per second of a client that waits for each answer, the median of the turns. A ratio is the median of the",
  );
  console.log("ratios of turns that followed each other.\n");
  console.log(formatTable(["recorded by", "per second", "ratio", "at least", "verdict"], rows));
  return { missed, figures };
}
