// What a source gives: events one behind the other, each an input of a core and the effects that it had, as a trace holds
// them. Every view of the page is made from this and from nothing else.

/** An input as the core was given it. */
export interface Input {
  /** INPUT_KIND_…. */
  kind: number;
  payload: Uint8Array;
  /** Bytes that the payload claims to have; more than it has where a datagram did not fit. */
  sizeBytes: number;
  senderPort: number;
  /** The host's time, ns since an origin of its own. */
  nowNs: number;
}

/** An effect as it stood in the effects area. */
export interface Effect {
  /** EFFECT_KIND_…. */
  kind: number;
  payload: Uint8Array;
}

/** Events of one engine. A server that starts again, and a trace's next section, begin another. */
export interface Life {
  firstEvent: number;
  /** Linear memory before the first event; null for a core that has just been initialized. */
  snapshot: Uint8Array | null;
}

/** Something in the world around the core that a source knows and the core does not, such as a power cut. */
export interface WorldNote {
  /** The event that came next. */
  event: number;
  timeNs: number;
  words: string;
  isTrouble: boolean;
}

export interface EventStore {
  /** Events so far; more may come. */
  readonly eventCount: number;
  /** At least one, the first at event 0; in ascending order. */
  readonly lives: readonly Life[];
  readonly notes: readonly WorldNote[];
  /** The input of an event. Its payload is valid until the next call. */
  input(event: number): Input;
  /** The effects of an event in order. */
  effects(event: number): Effect[];
  /** How long the kernel waited for the answer to this event's request, ns; NaN where nobody knows. */
  roundTripNs(event: number): number;
}
