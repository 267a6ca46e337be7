// Holds an engine against the model while it runs, beside whatever else looks at it.

import type { Engine, EngineTap } from "../engine.ts";
import type { TraceEffect } from "../trace/event.ts";
import { Conversation, type ModelEvent } from "./conversation.ts";
import { ModelLimit } from "./log-model.ts";
import type { RuleViolation } from "./violation.ts";

export class EngineFollower implements EngineTap {
  /** The first rule that was broken; nothing is judged after it. */
  violation: RuleViolation | null = null;
  /** Why nothing is judged any more without one: there is a log that is too large. */
  limit: ModelLimit | null = null;
  readonly conversation: Conversation;
  private readonly other: EngineTap | null;

  /** Follows an engine from its first input on, until a log has more than `regionsMax` regions. A tap that it has already goes on. */
  constructor(
    private readonly engine: Engine,
    regionsMax?: number,
  ) {
    if (!engine.isFresh)
      throw new Error("The model follows an engine from its first input on, and this one has had some.");
    this.conversation = new Conversation(engine.abi, regionsMax);
    this.other = engine.tap;
    engine.tap = this;
  }

  handled(effectsBytes: number): void {
    this.other?.handled(effectsBytes);
    if (this.violation !== null || this.limit !== null) return;
    try {
      this.conversation.take(eventIn(this.engine, effectsBytes));
    } catch (error) {
      // A tap must not throw what its engine has no part in; whoever runs the engine asks for it.
      if (error instanceof ModelLimit) this.limit = error;
      else this.violation = error as RuleViolation;
    }
  }

  carriedOut(): void {
    this.other?.carriedOut?.();
  }

  trapped(error: unknown): void {
    this.other?.trapped(error);
  }
}

/** The event whose input and effects stand in an engine's memory. It is a view of that; only what is kept longer is a copy. */
function eventIn(engine: Engine, effectsBytes: number): ModelEvent {
  const { abi } = engine;
  const memory = engine.bytes();
  const view = new DataView(memory.buffer);
  const word = (at: number) => view.getUint32(at, true);
  const sizeBytes = word(abi.INPUT_PAYLOAD_SIZE);
  const heldBytes = Math.min(sizeBytes, abi.INPUT_PAYLOAD_BYTES_MAX);
  const input = {
    kind: word(abi.INPUT_KIND),
    payload: memory.subarray(abi.INPUT_PAYLOAD, abi.INPUT_PAYLOAD + heldBytes),
    sizeBytes,
    senderPort: word(abi.INPUT_PORT),
    timeLow: word(abi.INPUT_NOW),
    timeHigh: word(abi.INPUT_NOW + 4),
  };
  const effects: TraceEffect[] = [];
  for (let at = abi.EFFECTS; at < abi.EFFECTS + effectsBytes; ) {
    const kind = word(at + abi.EFFECT_KIND);
    const size = word(at + abi.EFFECT_PAYLOAD_SIZE);
    const from = at + abi.EFFECT_PAYLOAD;
    let written: Uint8Array | null = null;
    if (kind === abi.EFFECT_KIND_WRITE || kind === abi.EFFECT_KIND_STATE_WRITE) {
      const address = word(from + abi.HEAD_BYTES);
      written = memory.subarray(address, address + word(from + abi.HEAD_SIZE));
      // A write to a device is remembered until it is done.
      if (kind === abi.EFFECT_KIND_WRITE) written = written.slice();
    }
    effects.push({ kind, payload: memory.subarray(from, from + size), written });
    at = from + ((size + 7) & ~7);
  }
  return { input, effects };
}
