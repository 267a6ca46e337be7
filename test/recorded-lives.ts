// Traces for tests: random lives of the simulation, recorded, with what each event was, written down independently.

import { createHash } from "node:crypto";
import type { Engine, EngineTap } from "../src/common/engine.ts";
import { runScenario } from "../src/common/sim/scenario.ts";
import type { TraceEffect, TraceEvent } from "../src/common/trace/event.ts";
import { BLOCK_PACKET, DIRECTION_MASK, FROM_CORE, PACKET_CAPTURED, PACKET_DATA } from "../src/common/trace/format.ts";
import { Recording } from "../src/common/trace/recording.ts";
import type { Trace } from "../src/common/trace/trace.ts";
import { releaseWasm, words } from "./harness.ts";

export const releaseModule = new WebAssembly.Module(releaseWasm);
export const facts = {
  application: "dm-ulog test",
  coreSha256: createHash("sha256").update(releaseWasm).digest("hex"),
};

/** Copies every event out of linear memory in the plainest way, then lets the recorder have it. */
export class Witness implements EngineTap {
  readonly events: TraceEvent[] = [];

  constructor(
    private readonly engine: Engine,
    private readonly recorder: EngineTap | null,
  ) {
    engine.tap = this;
  }

  handled(effectsBytes: number): void {
    const { abi } = this.engine;
    const view = new DataView(this.engine.bytes().buffer);
    const kind = view.getUint32(abi.INPUT_KIND, true);
    const sizeBytes = view.getUint32(abi.INPUT_PAYLOAD_SIZE, true);
    const input = {
      kind,
      payload: this.engine.read(abi.INPUT_PAYLOAD, Math.min(sizeBytes, abi.INPUT_PAYLOAD_BYTES_MAX)),
      sizeBytes,
      senderPort: kind === abi.INPUT_KIND_DATAGRAM ? view.getUint32(abi.INPUT_PORT, true) : 0,
      timeLow: view.getInt32(abi.INPUT_NOW, true),
      timeHigh: view.getInt32(abi.INPUT_NOW + 4, true),
    };
    const effects: TraceEffect[] = [];
    for (let at = abi.EFFECTS; at < abi.EFFECTS + effectsBytes; ) {
      const effectKind = view.getUint32(at, true);
      const size = view.getUint32(at + abi.EFFECT_PAYLOAD_SIZE, true);
      const payload = this.engine.read(at + abi.EFFECT_PAYLOAD, size);
      let written: Uint8Array | null = null;
      if (effectKind === abi.EFFECT_KIND_WRITE || effectKind === abi.EFFECT_KIND_STATE_WRITE) {
        const head = new DataView(payload.buffer);
        written = this.engine.read(head.getUint32(abi.HEAD_BYTES, true), head.getUint32(abi.HEAD_SIZE, true));
        head.setUint32(abi.HEAD_BYTES, 0);
      }
      effects.push({ kind: effectKind, payload, written });
      at += abi.EFFECT_PAYLOAD + Math.ceil(size / 8) * 8;
    }
    this.events.push({ input, effects, problem: null });
    this.recorder?.handled(effectsBytes);
  }

  trapped(error: unknown): void {
    this.recorder?.trapped(error);
  }
}

/** One engine's life. */
export interface RecordedLife {
  engine: Engine;
  trace: Uint8Array;
  events: TraceEvent[];
}

/**
 * The engines of a random life in the simulation, those without an event left out. With `from` each is recorded from that
 * event on, beginning with a snapshot.
 */
export function recordLives(seed: number, eventCount: number, module = releaseModule, from = 0): RecordedLife[] {
  const lives: { engine: Engine; recording: Recording; witness: Witness }[] = [];
  const begin = (engine: Engine) => {
    const recording = new Recording(engine, {
      ...facts,
      life: `${seed}.${lives.length}`,
      clockUnixNs: 1_700_000_000_123_456_789n,
    });
    lives.push({ engine, recording, witness: new Witness(engine, recording) });
  };
  const onEngine = (engine: Engine) => {
    if (from === 0) begin(engine);
    else engine.tap = { handled: () => engine.inputCount === from && begin(engine), trapped: () => {} };
  };
  runScenario({ seed, eventCount, module, console: words, onEngine, withModel: false });
  return lives
    .filter(({ witness }) => witness.events.length > 0)
    .map(({ engine, recording, witness }) => ({ engine, trace: recording.finish(), events: witness.events }));
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

/** Where the data of outputs stand: offset and length of each packet from the core. */
export function outputsOf(trace: Trace): [offset: number, length: number][] {
  const { words: file } = trace.view;
  const outputs: [number, number][] = [];
  for (let at = 0; at < file.length; at += (file[at + 1] as number) >>> 2) {
    const captured = file[at + PACKET_CAPTURED] as number;
    const flags = file[at + PACKET_DATA + ((captured + 3) >>> 2) + 1] as number;
    if (file[at] !== BLOCK_PACKET || (flags & DIRECTION_MASK) !== FROM_CORE) continue;
    outputs.push([(at + PACKET_DATA) * 4, captured]);
  }
  return outputs;
}
