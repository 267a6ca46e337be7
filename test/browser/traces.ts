// Traces that the page is measured with: engines driven by requests as a kernel sends them, recorded as a server does.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type EffectHandler, Engine } from "../../src/common/engine.ts";
import { asciiBytes, encodeRequest, type RequestName } from "../../src/common/kernel-frames.ts";
import { Random } from "../../src/common/sim/random.ts";
import { Recording } from "../../src/common/trace/recording.ts";

export const wasm = readFileSync(new URL("../../dist/dm-ulog.wasm", import.meta.url));
const module = new WebAssembly.Module(wasm);
const UUID = "LVM-measured";
const LUID = 0xffff_8880_0123_4000n;
const QUIET: EffectHandler = { send() {}, notice() {}, wake() {} };
/** Time between two requests, ns. */
const INTERVAL_NS = 40_000;
/** Regions that are marked at the same time, at most. */
const MARKED_MAX = 64;
/** Regions that a writer of a large mirror keeps to for a while. */
const SPREAD_REGIONS = 60_000;

/** A recorded engine with one core log, and the kernel that asks it. */
class RecordedLog {
  readonly engine = new Engine(module);
  private readonly recording: Recording;
  private seq = 0;
  private nowNs = 0;

  constructor(regionCount: number, option = "") {
    const coreSha256 = createHash("sha256").update(wasm).digest("hex");
    this.recording = new Recording(this.engine, { application: "dm-ulog test", coreSha256 });
    this.ask("CTR", asciiBytes(`${regionCount * 2} clustered-core 2 ${option}`.trim()));
    this.ask("RESUME");
  }

  ask(type: RequestName, data: Uint8Array | readonly number[] = []): void {
    this.nowNs += INTERVAL_NS;
    const request = { type, uuid: UUID, luid: LUID, seq: ++this.seq, data };
    this.engine.deliver(encodeRequest(this.engine.abi, request), this.engine.abi.KERNEL_PORT, this.nowNs, QUIET);
    this.engine.goOn(this.nowNs, QUIET);
  }

  finish(): Uint8Array {
    return this.recording.finish();
  }
}

/** `eventCount` events of a mirror that resyncs while it is written to, with a refused request now and then. */
export function busyTrace(regionCount: number, eventCount: number, seed: number): Uint8Array {
  const random = new Random(seed);
  const log = new RecordedLog(regionCount);
  const marked: number[] = [];
  let resynced = 0;
  while (log.engine.inputCount < eventCount) {
    const kind = random.below(16);
    if (kind < 6) {
      const regions = Array.from({ length: random.between(1, 4) }, () => random.below(regionCount));
      log.ask("FLUSH", regions);
      marked.push(...regions);
    } else if (kind < 10 && marked.length > 0) {
      log.ask("CLEAR_REGION", marked.splice(0, marked.length > MARKED_MAX ? 32 : random.between(1, 4)));
    } else if (kind < 13) {
      log.ask("GET_RESYNC_WORK");
      log.ask("SET_REGION_SYNC", [resynced++ % regionCount, 1]);
    } else if (kind < 15) {
      log.ask("IN_SYNC", [random.below(regionCount)]);
    } else {
      log.ask("GET_SYNC_COUNT");
      if (random.oneIn(200)) log.ask("MARK_REGION", [regionCount]);
    }
  }
  return log.finish();
}

/** A mirror of very many regions in all states: writers work here and there, and a disk has missed what some of them wrote. */
export function largeTrace(regionCount: number, eventCount: number, seed: number): Uint8Array {
  const random = new Random(seed);
  const log = new RecordedLog(regionCount, "nosync");
  let place = 0;
  while (log.engine.inputCount < eventCount) {
    if (random.oneIn(200)) place = random.below(regionCount - SPREAD_REGIONS);
    const regions = Array.from({ length: 32 }, () => place + random.below(SPREAD_REGIONS));
    if (random.oneIn(3)) log.ask("SET_REGION_SYNC", [place + random.below(SPREAD_REGIONS), 0]);
    else log.ask("MARK_REGION", regions);
  }
  return log.finish();
}
