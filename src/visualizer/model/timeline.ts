// The events of a store with the state of the core at any of them.
//
// Two engines: one passes over every event once, in order, and fills the index and the keyframes; the other stands at the
// position that is shown. Position p is the state after the first p events.

import { type Abi, readAbi } from "../../common/abi.ts";
import { Engine } from "../../common/engine.ts";
import { EventIndex } from "./event-index.ts";
import type { EventStore } from "./event-store.ts";
import { Keyframes } from "./keyframes.ts";

/** Events between two looks at the clock. */
const SLICE_EVENTS = 512;
const TWO_TO_32 = 0x1_0000_0000;

export class Timeline {
  readonly abi: Abi;
  readonly index: EventIndex;
  /** Events whose effects are shown stand before this. */
  position = 0;
  private readonly keyframes = new Keyframes();
  private readonly passing: Runner;
  private readonly showing: Runner;

  constructor(
    private readonly module: WebAssembly.Module,
    readonly store: EventStore,
  ) {
    this.abi = readAbi(new WebAssembly.Instance(module, {}).exports);
    this.index = new EventIndex(this.abi);
    this.passing = new Runner(module, store);
    this.showing = new Runner(module, store);
  }

  /** Events that can be shown. */
  get length(): number {
    return this.index.length;
  }

  /** Whether every event of the store can be shown. */
  get isComplete(): boolean {
    return this.length === this.store.eventCount;
  }

  /** The engine in the state at the position. */
  get engine(): Engine {
    return this.showing.engine;
  }

  /** Passes over events that are new, for about `budgetMs`. Returns whether all are passed. */
  pass(budgetMs: number): boolean {
    const endMs = performance.now() + budgetMs;
    while (!this.isComplete) {
      const end = Math.min(this.store.eventCount, this.length + SLICE_EVENTS);
      while (this.length < end) this.passOne();
      if (performance.now() >= endMs) break;
    }
    return this.isComplete;
  }

  /** Shows the state after the first `position` events. */
  seek(position: number): void {
    const { showing, keyframes } = this;
    const wanted = Math.max(0, Math.min(position, this.length));
    if (wanted < showing.next || keyframes.lastEvent(wanted) > showing.next) {
      showing.standAt(keyframes.restore(wanted, showing.engine, this.module));
    }
    while (showing.next < wanted) showing.step();
    this.position = wanted;
  }

  private passOne(): void {
    const { passing, keyframes, index } = this;
    const event = passing.next;
    if (keyframes.wants(event, passing.engine.bytes().length)) keyframes.add(event, passing.engine);
    const effectsBytes = passing.step();
    if (passing.isBirth) index.beginLife();
    index.observe(passing.engine.bytes().buffer as ArrayBuffer, effectsBytes, passing.isBirth);
  }
}

/** An engine on its way through the events. */
class Runner {
  engine: Engine;
  /** The event that it takes next. */
  next = 0;
  /** Whether the event taken last was the first of an engine. */
  isBirth = false;
  private nextLife = 0;

  constructor(
    private readonly module: WebAssembly.Module,
    private readonly store: EventStore,
  ) {
    this.engine = new Engine(module);
  }

  /** Takes the next event. Returns the bytes of its effects, which stand in the engine's effects area. */
  step(): number {
    const { store } = this;
    const life = store.lives[this.nextLife];
    this.isBirth = life?.firstEvent === this.next;
    if (life !== undefined && this.isBirth) {
      this.engine = life.snapshot === null ? new Engine(this.module) : Engine.restore(this.module, life.snapshot);
      this.nextLife++;
    }
    const { kind, payload, sizeBytes, senderPort, nowNs } = store.input(this.next++);
    this.engine.bytes().set(payload, this.engine.abi.INPUT_PAYLOAD);
    return this.engine.handleRaw(kind, sizeBytes, senderPort, nowNs, nowNs / TWO_TO_32);
  }

  /** Goes on from a state before `event`. */
  standAt({ event, engine }: { event: number; engine: Engine }): void {
    this.engine = engine;
    this.next = event;
    const following = this.store.lives.findIndex(({ firstEvent }) => firstEvent >= event);
    this.nextLife = following < 0 ? this.store.lives.length : following;
  }
}
