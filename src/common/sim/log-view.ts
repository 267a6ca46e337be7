// What an engine's logs say, read straight from its memory: the checker asks after every write that lands, which is too
// often for the console. The console still says which logs there are.

import type { Console } from "../console.ts";
import type { Engine } from "../engine.ts";

export type LogState = "clean" | "dirty" | "out of sync";

/** All that a log knows of its regions, as bits: region i is bit i%8 of byte i/8. */
export interface LogSets {
  readonly uuid: string;
  readonly luid: bigint;
  /** Where in its life it is; null where that was not looked at. */
  readonly state: string | null;
  readonly outOfSync: Uint8Array;
  readonly marked: Uint8Array;
}

interface Record {
  readonly uuid: string;
  readonly luid: bigint;
  readonly state: string;
  readonly regionCount: number;
  readonly address: number;
}

export class LogView {
  private engine: Engine | null = null;
  private generation = -1;
  /** By luid: one kernel has no luid twice. Of two in a core, the later one is the kernel's. */
  private records = new Map<bigint, Record>();

  constructor(private readonly console: Console) {}

  /** Address of a log, or 0 where the engine has none of that name that is whole. */
  find(engine: Engine, uuid: string, luid: bigint): number {
    const record = this.known(engine).get(luid);
    return record?.uuid === uuid ? record.address : 0;
  }

  state(engine: Engine, log: number, region: number): LogState {
    const { LOG_PENDING, LOG_FAILED, LOG_MARKED } = engine.abi;
    if (has(engine, log + LOG_PENDING, region) || has(engine, log + LOG_FAILED, region)) return "out of sync";
    return has(engine, log + LOG_MARKED, region) ? "dirty" : "clean";
  }

  /** Copies of the sets of every log, by luid and UUID; `withState` tells whether to look at their states, which takes long. */
  sets(engine: Engine, withState: boolean): Map<string, LogSets> {
    const { LOG_PENDING, LOG_FAILED, LOG_MARKED } = engine.abi;
    const sets = new Map<string, LogSets>();
    const records = withState ? this.list(engine) : this.known(engine);
    for (const { uuid, luid, state: stateThen, regionCount, address } of records.values()) {
      const state = withState ? stateThen : null;
      const outOfSync = bits(engine, address + LOG_PENDING, regionCount);
      const failed = bits(engine, address + LOG_FAILED, regionCount);
      for (let i = 0; i < failed.length; i++) outOfSync[i] = (outOfSync[i] as number) | (failed[i] as number);
      const marked = bits(engine, address + LOG_MARKED, regionCount);
      sets.set(`${luid} ${uuid}`, { uuid, luid, state, outOfSync, marked });
    }
    return sets;
  }

  /** The logs there are; their states may be older. */
  private known(engine: Engine): Map<bigint, Record> {
    const generation = word(engine, engine.abi.CORE + engine.abi.CORE_GENERATION);
    if (engine !== this.engine || generation !== this.generation) {
      this.engine = engine;
      this.generation = generation;
      this.records = this.list(engine);
    }
    return this.records;
  }

  private list(engine: Engine): Map<bigint, Record> {
    const { abi } = engine;
    const records = new Map<bigint, Record>();
    let address = word(engine, abi.CORE + abi.CORE_FIRST_LOG);
    for (const { luid, uuid, state, regionCount } of this.console.logs(engine)) {
      // One that is not whole says nothing yet, and nobody is told anything of it.
      if (state !== "making") records.set(luid, { uuid, luid, state, regionCount, address });
      address = word(engine, address + abi.LOG_NEXT);
    }
    return records;
  }
}

/** The lowest region of a set as `LogSets` has it; null where there is none. */
export function firstRegion(set: Uint8Array | undefined): number | null {
  const at = set?.findIndex((byte) => byte !== 0) ?? -1;
  return at < 0 ? null : at * 8 + 31 - Math.clz32((set?.[at] ?? 0) & -(set?.[at] ?? 0));
}

/** Level 0 of a set; `set` is where a log's record keeps its address. */
function bits(engine: Engine, set: number, regionCount: number): Uint8Array {
  return engine.read(word(engine, word(engine, set) + engine.abi.REGION_SET_BITS), Math.ceil(regionCount / 64) * 8);
}

/** `set` is where a log's record keeps the address of one of its sets. */
function has(engine: Engine, set: number, region: number): boolean {
  const at = word(engine, word(engine, set) + engine.abi.REGION_SET_BITS);
  return (((engine.bytes()[at + (region >>> 3)] as number) >>> (region & 7)) & 1) === 1;
}

function word(engine: Engine, address: number): number {
  const bytes = engine.bytes();
  let value = 0;
  for (let i = 3; i >= 0; i--) value = (value << 8) | (bytes[address + i] as number);
  return value >>> 0;
}
