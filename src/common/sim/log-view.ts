// What an engine's logs say, read straight from its memory: the checker asks after every write that lands, which is too
// often for the console. The console still says which logs there are.

import type { Console } from "../console.ts";
import type { Engine } from "../engine.ts";

export type LogState = "clean" | "dirty" | "out of sync";

export class LogView {
  private engine: Engine | null = null;
  private generation = -1;
  /** UUIDs and addresses of the logs' records, by luid: one kernel has no luid twice. */
  private readonly records = new Map<bigint, { uuid: string; address: number }>();

  constructor(private readonly console: Console) {}

  /** Address of a log, or 0 where the engine has none of that name. */
  find(engine: Engine, uuid: string, luid: bigint): number {
    const generation = word(engine, engine.abi.CORE + engine.abi.CORE_GENERATION);
    if (engine !== this.engine || generation !== this.generation) {
      this.engine = engine;
      this.generation = generation;
      this.list(engine);
    }
    const record = this.records.get(luid);
    return record?.uuid === uuid ? record.address : 0;
  }

  state(engine: Engine, log: number, region: number): LogState {
    const { LOG_PENDING, LOG_FAILED, LOG_MARKED } = engine.abi;
    if (has(engine, log + LOG_PENDING, region) || has(engine, log + LOG_FAILED, region)) return "out of sync";
    return has(engine, log + LOG_MARKED, region) ? "dirty" : "clean";
  }

  private list(engine: Engine): void {
    const { abi } = engine;
    this.records.clear();
    let address = word(engine, abi.CORE + abi.CORE_FIRST_LOG);
    for (const { luid, uuid } of this.console.logs(engine)) {
      this.records.set(BigInt(luid), { uuid, address });
      address = word(engine, address + abi.LOG_NEXT);
    }
  }
}

/** `set` is where a log's record keeps the address of one of its sets. */
function has(engine: Engine, set: number, region: number): boolean {
  const bits = word(engine, word(engine, set) + engine.abi.REGION_SET_BITS);
  return (((engine.bytes()[bits + (region >>> 3)] as number) >>> (region & 7)) & 1) === 1;
}

function word(engine: Engine, address: number): number {
  const bytes = engine.bytes();
  let value = 0;
  for (let i = 3; i >= 0; i--) value = (value << 8) | (bytes[address + i] as number);
  return value >>> 0;
}
