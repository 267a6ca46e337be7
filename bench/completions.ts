// What a completion costs while many logs exist: it must not look at the others.

import { type EffectHandler, Engine, type Head } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest, type RequestName } from "../src/common/kernel-frames.ts";
import { median } from "./statistics.ts";

const LOGS = 4000;
const DEVICE_BYTES = 1 << 20;
/** The log that is measured has a region for each mark, since one that the device has as marked already writes nothing. */
const REGIONS = 1 << 20;
const SECTORS_PER_REGION = 1024;
const NS_PER_MS = 1e6;
const COMPLETIONS_PER_RUN = 2000;
const RUNS = 15;
/** A completion with many logs, as a multiple of one with a single log. */
export const COMPLETION_TARGET = 1.5;

/** Disk logs, resumed and at rest. */
class Logs {
  private readonly engine: Engine;
  private readonly pending: { head: Head; effect: number }[] = [];
  private readonly handler: EffectHandler;
  private seq = 0;

  constructor(module: WebAssembly.Module, count: number) {
    this.engine = new Engine(module);
    const { abi } = this.engine;
    const begin = (effect: number) => (head: Head) => {
      this.pending.push({ head, effect });
    };
    this.handler = {
      send: () => {},
      notice: () => {},
      open: begin(abi.EFFECT_KIND_OPEN),
      read: begin(abi.EFFECT_KIND_READ),
      write: begin(abi.EFFECT_KIND_WRITE),
      flushLegs: begin(abi.EFFECT_KIND_FLUSH_LEGS),
      close: () => {},
      wake: () => {},
    };
    this.engine.configure({ aheadRegions: 0 }, 1, this.handler);
    for (let log = 0; log < count; log++) {
      const sectors = (log === 0 ? REGIONS : 128) * SECTORS_PER_REGION;
      this.ask(log, "CTR", asciiBytes(`${sectors} clustered-disk /dev/log ${SECTORS_PER_REGION} nosync`));
      this.ask(log, "RESUME");
    }
  }

  /** Marks a region that the device has as clean, and waits until it is told. Returns what the completion cost, in ns. */
  mark(region: number): number {
    this.send(0, "FLUSH", [region]);
    if (this.pending.length !== 1) throw new Error(`${this.pending.length} writes for a mark`);
    return this.completeAll();
  }

  private ask(log: number, type: RequestName, data?: Uint8Array): void {
    this.send(log, type, data);
    do {
      this.completeAll();
      this.engine.goOn(1, this.handler);
    } while (this.pending.length > 0);
  }

  private send(log: number, type: RequestName, data?: Uint8Array | readonly number[]): void {
    const { engine } = this;
    const frame = { type, uuid: `LVM-${log}`, luid: BigInt(log + 1), seq: ++this.seq, ...(data && { data }) };
    engine.deliver(encodeRequest(engine.abi, frame), engine.abi.KERNEL_PORT, 1, this.handler);
  }

  /** Returns the time that the core took for it. */
  private completeAll(): number {
    const { abi } = this.engine;
    let ns = 0;
    for (let next = this.pending.shift(); next !== undefined; next = this.pending.shift()) {
      const { head, effect } = next;
      const device = { sizeBytes: DEVICE_BYTES, major: 7, minor: head.handle };
      const data = new Uint8Array(effect === abi.EFFECT_KIND_READ ? head.sizeBytes : 0);
      const completion = {
        effect,
        error: 0,
        ...(effect === abi.EFFECT_KIND_OPEN ? { device } : {}),
        ...(effect === abi.EFFECT_KIND_READ ? { data } : {}),
      };
      const startMs = performance.now();
      this.engine.completed(head, completion, 1, this.handler);
      ns += (performance.now() - startMs) * NS_PER_MS;
    }
    return ns;
  }
}

/** Nanoseconds for the completion of a write with one log and with many, medians of runs taken in turns. */
export function completionCosts(
  module: WebAssembly.Module,
  quick: boolean,
): { one: number; many: number; logs: number } {
  const one = new Logs(module, 1);
  const many = new Logs(module, quick ? 100 : LOGS);
  const runs = { one: [] as number[], many: [] as number[] };
  for (let run = 0; run < (quick ? 2 : RUNS); run++) {
    for (const [name, logs] of [
      ["one", one],
      ["many", many],
    ] as const) {
      const ns: number[] = [];
      for (let i = 0; i < (quick ? 20 : COMPLETIONS_PER_RUN); i++) ns.push(logs.mark(run * COMPLETIONS_PER_RUN + i));
      runs[name].push(median(ns));
    }
  }
  return { one: median(runs.one), many: median(runs.many), logs: quick ? 100 : LOGS };
}
