// Conversations that keep every rule, and for each rule a way to break it: what the core said is altered in one place, as a
// core with one mistake would have said it.

import type { Abi } from "../src/common/abi.ts";
import { abiOf } from "../src/common/core-module.ts";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, type RequestName } from "../src/common/kernel-frames.ts";
import type { RuleNumber } from "../src/common/model/rules.ts";
import { REQUEST_NAMES, viewOf } from "../src/common/model/wire.ts";
import type { TraceEffect, TraceEvent } from "../src/common/trace/event.ts";
import { DeviceHost, fillClean } from "./device-host.ts";
import { releaseModule, Witness } from "./recorded-lives.ts";

const DEVICE = "/dev/log";
const DEVICE_BYTES = 8192;
const REGIONS = 128;
const DISK = `${REGIONS * 8} disk ${DEVICE} 8`;
const UUID = "LVM-disk";
const NEXT_LUID = 6n;
const QUIET_NS = 4_000_000_000;
const abi: Abi = abiOf(releaseModule);

/** A conversation in the making. */
class Talk extends DeviceHost {
  readonly witness: Witness;

  constructor() {
    super(new Engine(releaseModule));
    this.witness = new Witness(this.engine, null);
    const device = new Uint8Array(DEVICE_BYTES);
    fillClean(device, REGIONS);
    this.devices.set(DEVICE, device);
  }

  wakeUp(): void {
    this.nowNs += QUIET_NS;
    this.engine.ticked(this.nowNs, this.handler);
  }
}

/** A recorded conversation. */
type Events = TraceEvent[];

function record(talk: (host: Talk) => void): () => Events {
  let events: Events | null = null;
  return () => {
    if (events === null) {
      const host = new Talk();
      talk(host);
      events = host.witness.events;
    }
    return structuredClone(events);
  };
}

/** A log in memory, with everything that may be asked of one, and much that may not. */
export const core = record((host) => {
  const ask = (type: RequestName | number, data: (number | bigint)[] = []) => host.ask(type, data);
  host.engine.deliver(new Uint8Array(200), 0, host.nowNs, host.handler);
  ask("GET_SYNC_COUNT");
  host.construct("64 core 7");
  host.construct("64 core 8");
  ask("MARK_REGION", [1]);
  host.construct("64 core 8");
  ask("RESUME");
  ask("GET_REGION_SIZE");
  ask("GET_RESYNC_WORK");
  ask("GET_RESYNC_WORK");
  ask("SET_REGION_SYNC", [0, 1]);
  ask("GET_RESYNC_WORK");
  ask("SET_REGION_SYNC", [1, 0]);
  ask("GET_RESYNC_WORK");
  ask("IN_SYNC", [0]);
  ask("IS_CLEAN", [0]);
  ask("IS_REMOTE_RECOVERING", [0]);
  ask("GET_SYNC_COUNT");
  ask("STATUS_INFO");
  ask("STATUS_TABLE");
  ask("MARK_REGION", [0]);
  ask("IS_CLEAN", [0]);
  ask("FLUSH");
  ask("CLEAR_REGION", [0]);
  ask(99);
  ask("IN_SYNC", [8]);
  ask("PRESUSPEND");
  ask("POSTSUSPEND");
  ask("DTR");
});

/** A log on a device that is in sync: marks, a flush, clears that reach the device, a suspend, a resume, its end. */
export const disk = record((host) => {
  host.construct(DISK);
  host.ask("RESUME");
  host.ask("MARK_REGION", [5]);
  host.ask("FLUSH");
  host.ask("CLEAR_REGION", [5]);
  host.ask("MARK_REGION", [9]);
  host.ask("FLUSH");
  host.ask("SET_REGION_SYNC", [20, 0]);
  host.ask("SET_REGION_SYNC", [20, 1]);
  host.ask("STATUS_INFO");
  host.wakeUp();
  host.completeAll();
  host.wakeUp();
  host.completeAll();
  host.ask("CLEAR_REGION", [9]);
  host.ask("PRESUSPEND");
  host.ask("POSTSUSPEND");
  host.ask("GET_SYNC_COUNT");
  host.ask("RESUME");
  host.ask("DTR");
});

/** A log so large that it is made in slices, and a constructor that repeats itself meanwhile. */
export const large = record((host) => {
  const text = asciiBytes("600000 core 2");
  host.request("CTR", text);
  host.request("CTR", text);
  host.goOn();
  host.ask("RESUME");
});

/** A table is reloaded, and the suspend of the one before was not heard. */
export const reload = record((host) => {
  host.construct(DISK);
  host.ask("RESUME");
  host.ask("MARK_REGION", [5]);
  host.ask("FLUSH");
  host.ask("CTR", asciiBytes(DISK), UUID, NEXT_LUID);
  host.ask("MARK_REGION", [7], UUID, NEXT_LUID);
  host.ask("RESUME", [], UUID, NEXT_LUID);
  host.ask("GET_SYNC_COUNT", [], UUID, NEXT_LUID);
});

/** A server takes up a log that was resumed and has a mark. */
export const restored = record((host) => {
  const before = new Talk();
  before.construct(DISK);
  before.ask("RESUME");
  before.ask("MARK_REGION", [5]);
  before.ask("FLUSH");
  host.devices.set(DEVICE, (before.devices.get(DEVICE) as Uint8Array).slice());
  for (const [handle, file] of before.stateFiles) {
    host.engine.restoreLog(handle, file, host.nowNs, host.handler);
  }
  host.completeAll();
  host.ask("GET_SYNC_COUNT");
});

/** A device that is too small. */
export const small = record((host) => {
  host.devices.set(DEVICE, new Uint8Array(512));
  host.construct(DISK);
});

export const CONVERSATIONS = { core, disk, reload, restored, small };

/** A rule, and how to break it. */
export interface Breach {
  readonly rule: RuleNumber;
  readonly how: string;
  readonly events: () => Events;
  /** Alters the conversation in one place. */
  readonly alter: (said: Said) => void;
}

/** What the core said, to be altered. */
export class Said {
  constructor(readonly events: Events) {}

  /** The event of the request of this name that comes as number `which`. */
  request(name: RequestName | number, which = 0): TraceEvent {
    const type = typeof name === "number" ? name : REQUEST_NAMES.indexOf(name) + 1;
    const found = this.events.filter(({ input }) => {
      return input.kind === abi.INPUT_KIND_DATAGRAM && viewOf(input.payload).getUint32(abi.ULOG_TYPE, true) === type;
    });
    return one(found[which], `request ${name}`);
  }

  /** The event that answers such a request. */
  answerOf(name: RequestName | number, which = 0): { event: TraceEvent; effect: TraceEffect } {
    const seq = viewOf(this.request(name, which).input.payload).getUint32(abi.ULOG_SEQ, true);
    for (const event of this.events) {
      const effect = event.effects.find(({ kind, payload }) => {
        return kind === abi.EFFECT_KIND_SEND && viewOf(payload).getUint32(abi.ULOG_SEQ, true) === seq;
      });
      if (effect !== undefined) return { event, effect };
    }
    throw new Error(`no answer to ${name}`);
  }

  /** The effect of this kind that comes as number `which`, and its event. */
  effect(kind: number, which = 0): { event: TraceEvent; effect: TraceEffect } {
    const all = this.events.flatMap((event) => {
      return event.effects.filter((effect) => effect.kind === kind).map((effect) => ({ event, effect }));
    });
    return one(all[which], `effect ${kind}`);
  }

  /** The event in which the first effect of this kind is done. */
  completion(kind: number): TraceEvent {
    const found = this.events.find(({ input }) => {
      const isCompletion = input.kind === abi.INPUT_KIND_COMPLETION;
      return isCompletion && viewOf(input.payload).getUint32(abi.COMPLETION_EFFECT, true) === kind;
    });
    return one(found, `completion of ${kind}`);
  }

  setError(name: RequestName | number, error: number, which = 0): void {
    viewOf(this.answerOf(name, which).effect.payload).setInt32(abi.ULOG_ERROR, error, true);
  }

  /** Changes a number of the answer's data. */
  setData(name: RequestName, value: number, which = 0, word = 0): void {
    viewOf(this.answerOf(name, which).effect.payload).setBigUint64(abi.ULOG_DATA + word * 8, BigInt(value), true);
  }

  setText(name: RequestName, text: string): void {
    this.answerOf(name).effect.payload.set(asciiBytes(text), abi.ULOG_DATA);
  }

  drop({ event, effect }: { event: TraceEvent; effect: TraceEffect }): void {
    event.effects = event.effects.filter((other) => other !== effect);
  }

  /** The answer comes with the request, not when what it waits for is done. */
  answerEarly(name: RequestName, which = 0): void {
    const answer = this.answerOf(name, which);
    this.drop(answer);
    this.request(name, which).effects.push(answer.effect);
  }
}

function one<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new Error(`The conversation has no such ${what}.`);
  return found;
}

const SEND = abi.EFFECT_KIND_SEND;
const WRITE = abi.EFFECT_KIND_WRITE;
const STATE_WRITE = abi.EFFECT_KIND_STATE_WRITE;
const BITS = 1024;

function setBit(effect: TraceEffect, region: number, isSet: boolean): void {
  const bytes = effect.written as Uint8Array;
  const at = BITS + (region >>> 3);
  const bit = 1 << (region & 7);
  bytes[at] = isSet ? (bytes[at] as number) | bit : (bytes[at] as number) & ~bit;
}

/** The number of the first write of a kind in an event. */
function firstOf(event: TraceEvent, kind: number): TraceEffect {
  return one(
    event.effects.find((effect) => effect.kind === kind),
    `effect ${kind} in the event`,
  );
}

export const BREACHES: readonly Breach[] = [
  {
    rule: "R1",
    how: "a datagram that is none is answered",
    events: core,
    alter: (said) => (said.events[0] as TraceEvent).effects.push(said.effect(SEND).effect),
  },
  {
    rule: "R2",
    how: "an answer has another UUID",
    events: core,
    alter: (said) => said.answerOf("IN_SYNC").effect.payload.set([1], abi.ULOG_UUID),
  },
  {
    rule: "R2",
    how: "an answer says less data than it has",
    events: core,
    alter: (said) => viewOf(said.answerOf("IN_SYNC").effect.payload).setUint32(abi.ULOG_DATA_SIZE, 4, true),
  },
  {
    rule: "R3",
    how: "an answer is sent twice",
    events: core,
    alter: (said) => said.request("IN_SYNC").effects.push(said.answerOf("IN_SYNC").effect),
  },
  { rule: "R4", how: "no answer", events: core, alter: (said) => said.drop(said.answerOf("IN_SYNC")) },
  {
    rule: "R5",
    how: "a flush waits, and nothing is written",
    events: disk,
    alter: (said) => {
      const event = said.request("FLUSH");
      said.drop({ event, effect: firstOf(event, WRITE) });
    },
  },
  {
    rule: "R6",
    how: "a refusal has data that is not zero",
    events: core,
    alter: (said) => said.setData("IN_SYNC", 1, 1),
  },
  { rule: "R7", how: "an unknown request is done", events: core, alter: (said) => said.setError(99, 0) },
  {
    rule: "R8",
    how: "of a log that is not known there is said that the request is wrong",
    events: core,
    alter: (said) => said.setError("GET_SYNC_COUNT", -22),
  },
  {
    rule: "R9",
    how: "a region that the log does not have is answered",
    events: core,
    alter: (said) => said.setError("IN_SYNC", 0, 1),
  },
  {
    rule: "R10",
    how: "a log that is not resumed is marked",
    events: core,
    alter: (said) => said.setError("MARK_REGION", 0),
  },
  {
    rule: "R11",
    how: "a region of the log is refused",
    events: core,
    alter: (said) => said.setError("IN_SYNC", -22),
  },
  {
    rule: "R12",
    how: "a question changes the state file",
    events: core,
    alter: (said) => said.request("GET_SYNC_COUNT", 1).effects.push(said.effect(STATE_WRITE).effect),
  },
  {
    rule: "R13",
    how: "a region size that is no power of two is taken",
    events: core,
    alter: (said) => said.setError("CTR", 0),
  },
  {
    rule: "R14",
    how: "the constructor names another device",
    events: disk,
    alter: (said) => said.setText("CTR", "98:17"),
  },
  {
    rule: "R15",
    how: "a device that is too small stays open",
    events: small,
    alter: (said) => said.drop(said.effect(abi.EFFECT_KIND_CLOSE)),
  },
  {
    rule: "R15",
    how: "the constructor is answered before the device is open",
    events: disk,
    alter: (said) => said.answerEarly("CTR"),
  },
  {
    rule: "R16",
    how: "a constructor that repeats itself is refused",
    events: core,
    alter: (said) => said.setError("CTR", -22, 2),
  },
  {
    rule: "R17",
    how: "the log is not resumed",
    events: core,
    alter: (said) => {
      const { event } = said.answerOf("RESUME");
      event.effects = event.effects.filter(({ kind }) => kind !== STATE_WRITE);
    },
  },
  {
    rule: "R18",
    how: "the log goes from suspending back to resumed",
    events: core,
    alter: (said) => {
      const before = firstOf(said.answerOf("RESUME").event, STATE_WRITE);
      said.request("POSTSUSPEND").effects.unshift(before);
    },
  },
  {
    rule: "R19",
    how: "the device of a log that is gone stays open",
    events: disk,
    alter: (said) => said.drop(said.effect(abi.EFFECT_KIND_CLOSE)),
  },
  {
    rule: "R20",
    how: "the luid before takes work when the next one does",
    events: reload,
    alter: (said) => {
      const event = said.request("RESUME", 1);
      said.drop({ event, effect: firstOf(event, STATE_WRITE) });
    },
  },
  { rule: "R21", how: "another region size", events: core, alter: (said) => said.setData("GET_REGION_SIZE", 16) },
  { rule: "R22", how: "out of sync", events: core, alter: (said) => said.setData("IN_SYNC", 0) },
  { rule: "R23", how: "clean though marked", events: core, alter: (said) => said.setData("IS_CLEAN", 1, 1) },
  { rule: "R24", how: "one region more", events: core, alter: (said) => said.setData("GET_SYNC_COUNT", 2, 1) },
  {
    rule: "R25",
    how: "a region that is in sync is to be resynced",
    events: core,
    alter: (said) => said.setData("GET_RESYNC_WORK", 0, 2, 1),
  },
  {
    rule: "R26",
    how: "a second region before the first is reported",
    events: core,
    alter: (said) => said.setData("GET_RESYNC_WORK", 3, 1, 1),
  },
  {
    rule: "R27",
    how: "a region that has failed before the others had their turn",
    events: core,
    alter: (said) => said.setData("GET_RESYNC_WORK", 1, 3, 1),
  },
  {
    rule: "R27",
    how: "no work although regions are out of sync",
    events: core,
    alter: (said) => {
      said.setData("GET_RESYNC_WORK", 0, 3, 0);
      said.setData("GET_RESYNC_WORK", 0, 3, 1);
    },
  },
  {
    rule: "R28",
    how: "a hint that ends the resync",
    events: core,
    alter: (said) => said.setData("IS_REMOTE_RECOVERING", 8, 0, 1),
  },
  { rule: "R29", how: "a dead device", events: disk, alter: (said) => said.setText("STATUS_INFO", "3 disk 98:16 D") },
  { rule: "R30", how: "another table", events: core, alter: (said) => said.setText("STATUS_TABLE", "disk") },
  {
    rule: "R31",
    how: "a flush is answered before the mark is on the device",
    events: disk,
    alter: (said) => said.answerEarly("FLUSH"),
  },
  {
    rule: "R32",
    how: "out of sync is answered before the device knows it",
    events: disk,
    alter: (said) => said.answerEarly("SET_REGION_SYNC"),
  },
  {
    rule: "R33",
    how: "a flush fails though the device does not",
    events: disk,
    alter: (said) => said.setError("FLUSH", -5),
  },
  {
    rule: "R34",
    how: "the write of a mark leaves it out",
    events: disk,
    alter: (said) => setBit(firstOf(said.request("FLUSH"), WRITE), 5, true),
  },
  {
    rule: "R35",
    how: "a clear gets to the device before the legs are flushed",
    events: disk,
    alter: (said) => setBit(firstOf(said.request("FLUSH", 1), WRITE), 5, true),
  },
  {
    rule: "R36",
    how: "the luid before writes when the next one has the mirror",
    events: reload,
    alter: (said) => said.request("GET_SYNC_COUNT").effects.push(firstOf(said.request("FLUSH"), WRITE)),
  },
  {
    rule: "R37",
    how: "a header goes out when the bits that it vouches for are on their way",
    events: disk,
    alter: (said) => {
      const { event, effect } = said.effect(WRITE);
      const second = structuredClone(effect);
      (second.written as Uint8Array)[520] = 1;
      event.effects.push(second);
    },
  },
  {
    rule: "R38",
    how: "the log on the device names another mirror",
    events: disk,
    alter: (said) => (said.effect(WRITE, 1).effect.written as Uint8Array).set([1], 520),
  },
  {
    rule: "R39",
    how: "a suspend leaves a clear behind",
    events: disk,
    alter: (said) => {
      const { event } = said.answerOf("POSTSUSPEND");
      const before = said.events[said.events.indexOf(event) - 1] as TraceEvent;
      setBit(firstOf(before, WRITE), 9, false);
    },
  },
  {
    rule: "R40",
    how: "nobody is to be woken for a clear",
    events: disk,
    alter: (said) => said.drop(said.effect(abi.EFFECT_KIND_WAKE)),
  },
  {
    rule: "R41",
    how: "a clear is written at once",
    events: disk,
    alter: (said) => said.request("CLEAR_REGION").effects.push(firstOf(said.request("FLUSH"), WRITE)),
  },
  {
    rule: "R42",
    how: "what the device calls clean is taken for out of sync",
    events: disk,
    alter: (said) => {
      (firstOf(said.completion(abi.EFFECT_KIND_READ), STATE_WRITE).written as Uint8Array)[0] = 1;
    },
  },
  {
    rule: "R43",
    how: "a server that comes back drops a mark",
    events: restored,
    alter: (said) => {
      const load = said.completion(abi.EFFECT_KIND_READ);
      const effect = structuredClone(firstOf(said.effect(STATE_WRITE).event, STATE_WRITE));
      const text = Math.ceil(asciiBytes(DISK).length / 8) * 8;
      const marks = 400 + 2 * text + 2 * (REGIONS / 8);
      viewOf(effect.payload).setBigUint64(abi.HEAD_OFFSET, BigInt(marks), true);
      viewOf(effect.payload).setBigUint64(abi.HEAD_TICKET, BigInt(marks + 3 * (REGIONS / 8)), true);
      load.effects.unshift({ ...effect, written: new Uint8Array(REGIONS / 8) });
    },
  },
  {
    rule: "R44",
    how: "another device is opened",
    events: disk,
    alter: (said) => said.effect(abi.EFFECT_KIND_OPEN).effect.payload.set(asciiBytes("x"), abi.HEAD_BYTES),
  },
  {
    rule: "R45",
    how: "a write begins in the middle of a page",
    events: disk,
    alter: (said) => viewOf(said.effect(WRITE).effect.payload).setBigUint64(abi.HEAD_OFFSET, 512n, true),
  },
  {
    rule: "R46",
    how: "a mark is answered and not in the state file",
    events: disk,
    alter: (said) =>
      said.drop({ event: said.request("MARK_REGION"), effect: firstOf(said.request("MARK_REGION"), STATE_WRITE) }),
  },
  {
    rule: "R46",
    how: "the second copy of a mark is written over the first",
    events: disk,
    alter: (said) => {
      const view = viewOf(firstOf(said.request("MARK_REGION"), STATE_WRITE).payload);
      view.setBigUint64(abi.HEAD_TICKET, view.getBigUint64(abi.HEAD_OFFSET, true), true);
    },
  },
  {
    rule: "R47",
    how: "a state file that is too short",
    events: disk,
    alter: (said) => {
      const view = viewOf(said.effect(abi.EFFECT_KIND_STATE_CREATE).effect.payload);
      view.setBigUint64(abi.HEAD_OFFSET, view.getBigUint64(abi.HEAD_OFFSET, true) - 8n, true);
    },
  },
  {
    rule: "R48",
    how: "a state file is not believed though it is whole",
    events: restored,
    alter: (said) => {
      const { input, effects } = said.events[0] as TraceEvent;
      const head = input.payload.slice(0, abi.HEAD_BYTES);
      effects.splice(0, effects.length, { kind: abi.EFFECT_KIND_STATE_DELETE, payload: head, written: null });
    },
  },
  {
    rule: "R49",
    how: "a request is answered while its log is made",
    events: large,
    alter: (said) => {
      const [first, second] = said.events as [TraceEvent, TraceEvent];
      const answered = said.events.find(({ effects }) => effects.some(({ kind }) => kind === abi.EFFECT_KIND_SEND));
      const sent = answered?.effects.find(({ kind }) => kind === abi.EFFECT_KIND_SEND) as TraceEffect;
      const payload = sent.payload.slice();
      payload.set(second.input.payload.subarray(abi.ULOG_SEQ, abi.ULOG_SEQ + 4), abi.ULOG_SEQ);
      second.effects.push({ ...sent, payload });
      if (first.effects.includes(sent)) throw new Error("The log was made at once.");
    },
  },
  {
    rule: "R49",
    how: "nobody is asked for the tick with which a large log would go on",
    events: large,
    alter: (said) => {
      const [first] = said.events as [TraceEvent];
      first.effects.splice(
        0,
        first.effects.length,
        ...first.effects.filter(({ kind }) => kind !== abi.EFFECT_KIND_WAKE),
      );
    },
  },
];
