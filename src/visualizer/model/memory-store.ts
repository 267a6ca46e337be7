// Events kept in memory as an engine that runs in this tab makes them.

import type { Abi } from "../../common/abi.ts";
import type { Engine } from "../../common/engine.ts";
import { type Column, doubles, floats, words } from "./columns.ts";
import { readEffects } from "./effects.ts";
import type { Effect, EventStore, Input, Life, WorldNote } from "./event-store.ts";

/** Holds any event: an input and its effects are at most 1.2 MiB. */
const CHUNK_BYTES = 4 * 1024 * 1024;

export class MemoryStore implements EventStore {
  readonly lives: Life[] = [];
  readonly notes: WorldNote[] = [];
  private readonly chunks: Uint8Array[] = [];
  private used = CHUNK_BYTES;
  /** Chunk and place of the input's payload; the effects follow it. */
  private readonly places: Column<Float64Array> = doubles();
  private readonly kinds: Column<Uint32Array> = words();
  private readonly sizes: Column<Uint32Array> = words();
  private readonly ports: Column<Uint32Array> = words();
  private readonly times: Column<Float64Array> = doubles();
  private readonly effectsSizes: Column<Uint32Array> = words();
  private readonly roundTrips: Column<Float32Array> = floats();

  constructor(private readonly abi: Abi) {}

  get eventCount(): number {
    return this.places.length;
  }

  /** Bytes that the events take. */
  get sizeBytes(): number {
    return this.chunks.length * CHUNK_BYTES;
  }

  /** Keeps every event of `engine`, which has taken no input yet, from now on. `onRequest` hears which request is which event. */
  follow(engine: Engine, onRequest: (seq: number, event: number) => void): void {
    this.lives.push({ firstEvent: this.eventCount, snapshot: null });
    engine.tap = {
      handled: (effectsBytes) => {
        if (this.append(engine.bytes(), effectsBytes) === this.abi.INPUT_KIND_DATAGRAM) {
          onRequest(engine.requestSeq(), this.eventCount - 1);
        }
      },
      trapped: () => {},
    };
  }

  note(timeNs: number, words: string, isTrouble: boolean): void {
    this.notes.push({ event: this.eventCount, timeNs, words, isTrouble });
  }

  setRoundTrip(event: number, durationNs: number): void {
    this.roundTrips.values[event] = durationNs;
  }

  roundTripNs(event: number): number {
    return this.roundTrips.at(event);
  }

  input(event: number): Input {
    const sizeBytes = this.sizes.at(event);
    const { chunk, at } = this.place(event);
    return {
      kind: this.kinds.at(event),
      payload: chunk.subarray(at, at + this.held(sizeBytes)),
      sizeBytes,
      senderPort: this.ports.at(event),
      nowNs: this.times.at(event),
    };
  }

  effects(event: number): Effect[] {
    const { chunk, at } = this.place(event);
    const first = at + this.held(this.sizes.at(event));
    return readEffects(this.abi, chunk.subarray(first, first + this.effectsSizes.at(event)));
  }

  /** Returns the kind of the input. */
  private append(memory: Uint8Array, effectsBytes: number): number {
    const { abi } = this;
    const view = new DataView(memory.buffer);
    const sizeBytes = view.getUint32(abi.INPUT_PAYLOAD_SIZE, true);
    const held = this.held(sizeBytes);
    if (this.used + held + effectsBytes > CHUNK_BYTES) {
      this.chunks.push(new Uint8Array(CHUNK_BYTES));
      this.used = 0;
    }
    const chunk = this.chunks.at(-1) as Uint8Array;
    const kind = view.getUint32(abi.INPUT_KIND, true);
    this.places.push((this.chunks.length - 1) * CHUNK_BYTES + this.used);
    this.kinds.push(kind);
    this.sizes.push(sizeBytes);
    this.ports.push(view.getUint32(abi.INPUT_PORT, true));
    this.times.push(Number(view.getBigUint64(abi.INPUT_NOW, true)));
    this.effectsSizes.push(effectsBytes);
    this.roundTrips.push(Number.NaN);
    chunk.set(memory.subarray(abi.INPUT_PAYLOAD, abi.INPUT_PAYLOAD + held), this.used);
    chunk.set(memory.subarray(abi.EFFECTS, abi.EFFECTS + effectsBytes), this.used + held);
    this.used += held + effectsBytes;
    return kind;
  }

  private held(sizeBytes: number): number {
    return Math.min(sizeBytes, this.abi.INPUT_PAYLOAD_BYTES_MAX);
  }

  private place(event: number): { chunk: Uint8Array; at: number } {
    const place = this.places.at(event);
    return { chunk: this.chunks[Math.floor(place / CHUNK_BYTES)] as Uint8Array, at: place % CHUNK_BYTES };
  }
}
