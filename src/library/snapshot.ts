// The whole state of an engine, with a check. An engine with wrong memory may do anything, so a snapshot that is damaged, or of
// another core, is refused before anything of it is used.

import { toJson } from "../common/json.ts";
import { Digest } from "../common/sim/digest.ts";
import type { OpenDevice, Operation } from "./operations.ts";

/** What a snapshot holds beside its check. */
export interface EngineState {
  /** The core's linear memory. */
  memory: Uint8Array;
  /** The number of inputs that it has taken. */
  inputCount: number;
  /** The last time that the core was given, in ns. */
  nowNs: number;
  /** The wake-up time that it asked for, in ns; 0 for never. */
  wakeAtNs: number;
  /** The log devices that it had open. */
  devices: readonly OpenDevice[];
  /** The operations that were under way. */
  operations: readonly Operation[];
}

/** The whole state of an engine, in a form for `structuredClone` and `postMessage`. */
export interface EngineSnapshot extends EngineState {
  /** By which the core is known that laid its memory out: 16 hexadecimal digits. */
  core: string;
  /** Of all the rest: 16 hexadecimal digits. */
  check: string;
}

/** By which a core is known again. `core` has its bytes. */
export function coreDigest(core: Uint8Array): string {
  const digest = new Digest();
  digest.add(core);
  return digest.toString();
}

export function snapshotOf(state: EngineState, core: string): EngineSnapshot {
  return { ...state, core, check: checkOf(state, core) };
}

/** Throws a sentence where an engine with this core must not go on from the snapshot. */
export function checkSnapshot(snapshot: EngineSnapshot, core: string): void {
  const { memory, check } = snapshot;
  if (!(memory instanceof Uint8Array) || typeof check !== "string")
    throw new Error("This is no snapshot: DirtyLogEngine.snapshot makes them.");
  if (check !== checkOf(snapshot, snapshot.core)) throw new Error("The snapshot is damaged: its check does not hold.");
  if (snapshot.core !== core)
    throw new Error(
      "The snapshot is of another core, whose memory this one cannot read. To change the core, use `states`.",
    );
}

function checkOf({ memory, inputCount, nowNs, wakeAtNs, devices, operations }: EngineState, core: string): string {
  const digest = new Digest();
  digest.add(memory);
  digest.add(new TextEncoder().encode(toJson({ core, inputCount, nowNs, wakeAtNs, devices, operations })));
  return digest.toString();
}
