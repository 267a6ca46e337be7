// The effects of one input, read out of the kit's own core: what the host has to do, in order.

import type { Abi } from "../abi.ts";
import type { EffectHandler, Engine, Head } from "../engine.ts";

/** What a host completes. */
export type OperationKind = "OPEN" | "READ" | "WRITE" | "FLUSH_LEGS";

/** An effect on a log's device or legs, which ends with a completion. */
export interface Operation {
  readonly kind: OperationKind;
  /** EFFECT_KIND_…. */
  readonly effect: number;
  readonly head: Head;
  /** OPEN: the device's name; FLUSH_LEGS: the UUID. */
  readonly name: string;
  readonly luid: bigint;
  /** WRITE: what to write. */
  readonly bytes: Uint8Array;
}

export type Effect =
  | { readonly kind: "SEND"; readonly bytes: Uint8Array }
  | {
      readonly kind: "STATE";
      readonly what: "create" | "write" | "delete";
      readonly head: Head;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "CLOSE"; readonly head: Head }
  | { readonly kind: "WAKE"; readonly atNs: number }
  | { readonly kind: "OPERATION"; readonly operation: Operation };

const NOTHING = new Uint8Array(0);

/** Copies of the effects of the engine's last input. A notice is none: a host may show it whenever it likes. */
export function effectsOf(engine: Engine, effectsBytes: number): Effect[] {
  const effects: Effect[] = [];
  const { abi } = engine;
  const begin = (kind: OperationKind, effect: number, head: Head, more: Partial<Operation> = {}) => {
    const operation = { kind, effect, head: { ...head }, name: "", luid: 0n, bytes: NOTHING, ...more };
    effects.push({ kind: "OPERATION", operation });
  };
  const state = (what: "create" | "write" | "delete", head: Head, bytes: Uint8Array = NOTHING) => {
    effects.push({ kind: "STATE", what, head: { ...head }, bytes });
  };
  const handler: EffectHandler = {
    send: (address, size) => effects.push({ kind: "SEND", bytes: engine.read(address, size) }),
    notice: () => {},
    open: (head, name) => begin("OPEN", abi.EFFECT_KIND_OPEN, head, { name }),
    read: (head) => begin("READ", abi.EFFECT_KIND_READ, head),
    write: (head, address) =>
      begin("WRITE", abi.EFFECT_KIND_WRITE, head, { bytes: engine.read(address, head.sizeBytes) }),
    close: (head) => effects.push({ kind: "CLOSE", head: { ...head } }),
    flushLegs: (head, luid, name) => begin("FLUSH_LEGS", abi.EFFECT_KIND_FLUSH_LEGS, head, { luid, name }),
    wake: (atNs) => effects.push({ kind: "WAKE", atNs }),
    stateCreate: (head) => state("create", head),
    stateWrite: (head, address) => state("write", head, engine.read(address, head.sizeBytes)),
    stateDelete: (head) => state("delete", head),
  };
  engine.drain(effectsBytes, handler);
  return effects;
}

/** The head with which a completion or a part of a state file begins. */
export function headOf(abi: Abi, payload: Uint8Array): Head {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  return {
    handle: view.getUint32(abi.HEAD_HANDLE, true),
    sizeBytes: view.getUint32(abi.HEAD_SIZE, true),
    offsetBytes: Number(view.getBigUint64(abi.HEAD_OFFSET, true)),
    ticket: Number(view.getBigUint64(abi.HEAD_TICKET, true)),
  };
}

export function operationWords({ kind, head, name }: Operation): string {
  if (kind === "OPEN") return `the OPEN of ${name}`;
  if (kind === "FLUSH_LEGS") return `the FLUSH_LEGS of ${name}`;
  return `the ${kind} of ${head.sizeBytes} bytes at ${head.offsetBytes} of log ${head.handle}`;
}
