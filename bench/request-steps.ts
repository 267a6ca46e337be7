// The measured steps: for each request type the datagrams of one block, and how their regions are drawn again.
//
// Datagrams are encoded once and only their regions are written in place before each block, outside the measured time.
// So regions are drawn from the whole mirror, however large: a ring of datagrams with fixed regions would, at a few
// thousand, touch no more bitmap than a core's cache holds, and 10^8 regions would look as cheap as 10^3.

import { type Reply, type RequestName, u64At } from "../src/common/kernel-frames.ts";
import { type LogName, REGION_SIZE_SECTORS } from "./client.ts";
import { GROUP_REGIONS, isFailed, type Mirror } from "./mirror.ts";

/**
 * Most regions that a block may change before the next one takes it back: enough that the clock's own cost stays
 * small, few enough that a mirror of 1000 regions keeps the shares of states that one of 10^8 has.
 */
const REGIONS_PER_BLOCK = 64;

/** A block of requests of one type. */
export interface Step {
  /** Row of the table; without one the step is not measured, it only restores what another changed. */
  name?: string;
  ring: Uint8Array[];
  /** Draws the regions of the next block. */
  prepare?: () => void;
  /** Sends the block, if that is not simply the ring from beginning to end. Returns the number of requests sent. */
  run?: (nowNs: number) => number;
  /** Whether a reply to `ring[index]` makes sense. */
  isPlausible: (reply: Reply, index: number) => boolean;
}

/** Steps that take turns, each block undoing what the one before it did. */
export interface Scenario {
  steps: Step[];
  /** Before each run, after each block and after each run; never measured. */
  before?: () => void;
  afterBlock?: () => void;
  after?: () => void;
}

export function scenariosFor(mirror: Mirror): Scenario[] {
  const { regionCount, toAsk, toMark, toClear } = mirror;
  const isEmpty = (reply: Reply) => reply.data.length === 0;
  const repeated = (name: string, type: RequestName, log: LogName = "first", data?: Uint8Array): Step => ({
    name,
    ring: ringOf(mirror, REGIONS_PER_BLOCK, type, log, data),
    isPlausible: isEmpty,
  });
  const asking = (type: RequestName, isPlausible: (reply: Reply, region: number) => boolean): Scenario => {
    const step = withRegions(mirror, type, 1, () => toAsk.next());
    return {
      steps: [{ ...step, name: type, isPlausible: (reply, i) => isPlausible(reply, regionOf(mirror, step.ring[i])) }],
    };
  };
  const constant = (type: RequestName, isPlausible: (reply: Reply) => boolean): Scenario => ({
    steps: [{ ...repeated(type, type), isPlausible }],
  });
  const marking = (name: string, type: RequestName, regions: number): Step => ({
    ...withRegions(mirror, type, regions, () => toMark.next()),
    name,
    isPlausible: isEmpty,
  });
  const clearing = (regions: number): Step => ({
    ...withRegions(mirror, "CLEAR_REGION", regions, () => toClear.next()),
    isPlausible: isEmpty,
  });
  const clearingMeasured = (name: string, regions: number): Step => ({ ...clearing(regions), name });
  const synchronizing = (name: string, inSync: 0 | 1): Step => ({
    ...withRegions(mirror, "SET_REGION_SYNC", 1, () => (inSync ? mirror.drawHeal() : mirror.drawFault()), {
      tail: [inSync],
    }),
    name,
    isPlausible: isEmpty,
  });
  const text = (reply: Reply) => new TextDecoder().decode(reply.data);
  const bit = (reply: Reply) => reply.data.length === 8 && u64At(reply.data, 0) <= 1;

  return [
    { steps: [repeated("CTR, repeated", "CTR", "first", mirror.constructorText({ reconnects: true }))] },
    { steps: [repeated("DTR, unknown log", "DTR", "third")] },
    {
      before: () => mirror.ask("PRESUSPEND", { log: "second" }),
      steps: [repeated("PRESUSPEND, repeated", "PRESUSPEND", "second")],
    },
    {
      before: () => mirror.ask("POSTSUSPEND", { log: "second" }),
      steps: [repeated("POSTSUSPEND, repeated", "POSTSUSPEND", "second")],
      after: () => mirror.ask("RESUME", { log: "second" }),
    },
    { steps: [repeated("RESUME, repeated", "RESUME")] },
    constant("GET_REGION_SIZE", (reply) => u64At(reply.data, 0) === REGION_SIZE_SECTORS),
    asking("IS_CLEAN", (reply, region) => bit(reply) && !(isFailed(region) && u64At(reply.data, 0) === 1)),
    asking("IN_SYNC", (reply, region) => bit(reply) && !(isFailed(region) && u64At(reply.data, 0) === 1)),
    { steps: [repeated("FLUSH, empty", "FLUSH")] },
    { steps: [marking("FLUSH, 1 mark", "FLUSH", 1), clearing(1)] },
    { steps: [marking("FLUSH, 32 marks", "FLUSH", GROUP_REGIONS), clearing(GROUP_REGIONS)] },
    { steps: [marking("MARK_REGION", "MARK_REGION", 1), clearingMeasured("CLEAR_REGION", 1)] },
    {
      steps: [
        marking("MARK_REGION, 32", "MARK_REGION", GROUP_REGIONS),
        clearingMeasured("CLEAR_REGION, 32", GROUP_REGIONS),
      ],
    },
    { steps: [resyncing(mirror)], afterBlock: () => mirror.refillSecond() },
    {
      steps: [
        {
          ...repeated("GET_RESYNC_WORK, repeated", "GET_RESYNC_WORK"),
          isPlausible: (reply) => u64At(reply.data, 0) === 1,
        },
      ],
    },
    { steps: [synchronizing("SET_REGION_SYNC, 0", 0), synchronizing("SET_REGION_SYNC, 1", 1)] },
    constant("GET_SYNC_COUNT", (reply) => {
      const outOfSync = regionCount - u64At(reply.data, 0);
      return outOfSync >= mirror.failedCount() && outOfSync <= mirror.failedCount() + mirror.pendingCount();
    }),
    constant("STATUS_INFO", (reply) => text(reply) === "1 clustered-core"),
    constant("STATUS_TABLE", (reply) => text(reply) === `clustered-core ${REGION_SIZE_SECTORS} nosync`),
    asking("IS_REMOTE_RECOVERING", (reply) => u64At(reply.data, 0) === 0 && u64At(reply.data, 1) < regionCount),
  ];
}

/**
 * The kernel's resync, one region after the other: ask for work, report it done; and, so that work never ends, a write
 * fails on some other region. Each GET_RESYNC_WORK has to search, since a region that is out is given out again.
 */
function resyncing(mirror: Mirror): Step {
  const { abi, engine, reader } = mirror;
  const work = mirror.encode("GET_RESYNC_WORK", { log: "second" });
  const done = mirror.encode("SET_REGION_SYNC", { log: "second", data: [0, 1] });
  const faults = withRegions(mirror, "SET_REGION_SYNC", 1, () => mirror.toResync.next(), { tail: [0], log: "second" });
  const doneRegion = new Uint32Array(done.buffer, abi.ULOG_DATA, 1);
  return {
    ...faults,
    name: "GET_RESYNC_WORK + 2 SET_REGION_SYNC",
    isPlausible: (reply) => reply.data.length === 0,
    run(nowNs) {
      for (const fault of faults.ring) {
        engine.deliver(work, abi.KERNEL_PORT, nowNs, reader);
        if (reader.first !== 1) throw new Error("GET_RESYNC_WORK gave no work, so nothing was searched.");
        doneRegion[0] = reader.second;
        engine.deliver(done, abi.KERNEL_PORT, nowNs, reader);
        engine.deliver(fault, abi.KERNEL_PORT, nowNs, reader);
      }
      return faults.ring.length * 3;
    },
  };
}

function ringOf(mirror: Mirror, requests: number, type: RequestName, log: LogName, data?: Uint8Array): Uint8Array[] {
  const options = data === undefined ? { log } : { log, data };
  return Array.from({ length: requests }, () => mirror.encode(type, options));
}

/** A ring whose requests carry `regions` regions each, and after them the words of `tail`. */
function withRegions(
  mirror: Mirror,
  type: RequestName,
  regions: number,
  draw: () => number,
  { tail = [], log = "first" }: { tail?: number[]; log?: LogName } = {},
) {
  const data = [...new Array<number>(regions).fill(0), ...tail];
  const ring = Array.from({ length: REGIONS_PER_BLOCK / regions }, () => mirror.encode(type, { log, data }));
  const words = ring.map((datagram) => new Uint32Array(datagram.buffer, mirror.abi.ULOG_DATA, regions * 2));
  const prepare = () => {
    for (const word of words) for (let at = 0; at < word.length; at += 2) word[at] = draw();
  };
  return { ring, prepare };
}

function regionOf(mirror: Mirror, datagram: Uint8Array | undefined): number {
  return u64At((datagram as Uint8Array).subarray(mirror.abi.ULOG_DATA), 0);
}
