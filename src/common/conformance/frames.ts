// The frames between the kit and a host's program, as docs/conformance.md describes them. All numbers are little endian.
//
//   frame   +0 kind u32   +4 payload bytes u32   +8 payload, not padded

/** Raised whenever a frame changes. */
export const PROTOCOL_VERSION = 1;

export const FRAME_HEAD_BYTES = 8;
/** A datagram or a piece of a state file with room around it. A longer frame is no frame. */
export const FRAME_PAYLOAD_BYTES_MAX = 1 << 20;

/** Kit to program. Each payload begins with the time, u64 in ns. */
export const START = 1;
export const DATAGRAM = 2;
export const TIME = 3;
export const DONE = 4;
export const STOP = 5;

/** Program to kit. */
export const READY = 16;
export const INPUT = 17;
export const SEND = 18;
export const OPEN = 19;
export const READ = 20;
export const WRITE = 21;
export const FLUSH = 22;
export const CLOSE = 23;
export const FLUSH_LEGS = 24;
export const IDLE = 25;

const NAME_BYTES_MAX = 256;

const NAMES: Readonly<Record<number, string>> = {
  [START]: "START",
  [DATAGRAM]: "DATAGRAM",
  [TIME]: "TIME",
  [DONE]: "DONE",
  [STOP]: "STOP",
  [READY]: "READY",
  [INPUT]: "INPUT",
  [SEND]: "SEND",
  [OPEN]: "OPEN",
  [READ]: "READ",
  [WRITE]: "WRITE",
  [FLUSH]: "FLUSH",
  [CLOSE]: "CLOSE",
  [FLUSH_LEGS]: "FLUSH_LEGS",
  [IDLE]: "IDLE",
};

/** The call that a SEND is: it has no number of its own, because nothing else comes before its DONE. */
export const SEND_CALL = 0;

/** How many bytes the payload of each frame of a program has at least. */
const PAYLOAD_BYTES_MIN: Readonly<Record<number, number>> = {
  [READY]: 8,
  [INPUT]: 24,
  [SEND]: 0,
  [OPEN]: 17,
  [READ]: 20,
  [WRITE]: 17,
  [FLUSH]: 16,
  [CLOSE]: 16,
  [FLUSH_LEGS]: 24,
  [IDLE]: 8,
};

export interface Frame {
  readonly kind: number;
  readonly payload: Uint8Array;
}

/** What a call of a program asks of its machine. */
export interface Call {
  readonly kind: number;
  /** The number that the program has given it, not 0. A CLOSE has no answer, and its number means nothing. */
  readonly number: number;
  /** The number that an OPEN was answered with. */
  readonly device: number;
  readonly offsetBytes: number;
  /** READ: how many bytes; WRITE: the length of `bytes`. */
  readonly sizeBytes: number;
  /** WRITE: what to write. */
  readonly bytes: Uint8Array;
  /** OPEN: the device's name; FLUSH_LEGS: the UUID. */
  readonly name: string;
  /** FLUSH_LEGS. */
  readonly luid: bigint;
}

export function frameName(kind: number): string {
  return NAMES[kind] ?? `frame ${kind}`;
}

export function encodeFrame(kind: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, kind, true);
  view.setUint32(4, payload.length, true);
  frame.set(payload, FRAME_HEAD_BYTES);
  return frame;
}

export function encodeStart(nowNs: number, boot: number): Uint8Array {
  return timed(START, nowNs, 8, (view) => view.setBigUint64(8, BigInt(boot), true));
}

/** The whole datagram, however large: what of it fits is the program's business. */
export function encodeDatagram(nowNs: number, port: number, bytes: Uint8Array): Uint8Array {
  return timed(DATAGRAM, nowNs, 4 + bytes.length, (view, payload) => {
    view.setUint32(8, port, true);
    payload.set(bytes, 12);
  });
}

export function encodeTime(nowNs: number): Uint8Array {
  return timed(TIME, nowNs, 0, () => {});
}

export function encodeStop(nowNs: number): Uint8Array {
  return timed(STOP, nowNs, 0, () => {});
}

/** `result` is a count or a number of 0 or more, or a negative errno. */
export function encodeDone(nowNs: number, call: number, result: number, data: Uint8Array): Uint8Array {
  return timed(DONE, nowNs, 8 + data.length, (view, payload) => {
    view.setUint32(8, call, true);
    view.setInt32(12, result, true);
    payload.set(data, 16);
  });
}

function timed(
  kind: number,
  nowNs: number,
  moreBytes: number,
  fill: (view: DataView, payload: Uint8Array) => void,
): Uint8Array {
  const payload = new Uint8Array(8 + moreBytes);
  const view = new DataView(payload.buffer);
  view.setBigUint64(0, BigInt(nowNs), true);
  fill(view, payload);
  return encodeFrame(kind, payload);
}

/** What is wrong with a frame's head of a program, as a sentence; null for nothing. */
export function headProblem(kind: number, payloadBytes: number): string | null {
  const least = PAYLOAD_BYTES_MIN[kind];
  if (least === undefined) return `there is no frame ${kind}`;
  if (payloadBytes < least) return `${frameName(kind)} has a payload of ${payloadBytes} bytes, and needs ${least}`;
  if (payloadBytes > FRAME_PAYLOAD_BYTES_MAX) return `${frameName(kind)} has a payload of ${payloadBytes} bytes`;
  return null;
}

export function decodeCall({ kind, payload }: Frame): Call {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const rest = payload.slice(16);
  return {
    kind,
    number: view.getUint32(0, true),
    device: view.getUint32(4, true),
    offsetBytes: Number(view.getBigUint64(8, true)),
    sizeBytes: kind === READ ? view.getUint32(16, true) : rest.length,
    bytes: kind === WRITE ? rest : new Uint8Array(0),
    name: kind === OPEN ? text(rest) : kind === FLUSH_LEGS ? text(rest.subarray(8)) : "",
    luid: kind === FLUSH_LEGS ? view.getBigUint64(16, true) : 0n,
  };
}

/** Up to a NUL. A name is shorter than `NAME_BYTES_MAX`; what is longer is none that the kit knows. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, Math.min(end < 0 ? bytes.length : end, NAME_BYTES_MAX)));
}

/** Cuts a stream into frames. */
export class FrameReader {
  private rest = new Uint8Array(0);

  add(bytes: Uint8Array): void {
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    this.rest = all;
  }

  /** Bytes that are no whole frame yet. */
  get left(): Uint8Array {
    return this.rest;
  }

  /** The next frame, null where it is not all there, or a sentence where what comes is no frame of a program. */
  next(): Frame | string | null {
    const { rest } = this;
    if (rest.length < FRAME_HEAD_BYTES) return null;
    const view = new DataView(rest.buffer, rest.byteOffset, rest.length);
    const kind = view.getUint32(0, true);
    const payloadBytes = view.getUint32(4, true);
    const problem = headProblem(kind, payloadBytes);
    if (problem !== null) return problem;
    const end = FRAME_HEAD_BYTES + payloadBytes;
    if (rest.length < end) return null;
    this.rest = rest.subarray(end);
    return { kind, payload: rest.slice(FRAME_HEAD_BYTES, end) };
  }
}
