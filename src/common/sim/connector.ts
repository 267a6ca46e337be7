// The kernel's end of the netlink connector: one request is one datagram, its reply is found by seq, and what is not
// answered within 15 s is sent again with a new seq.

import type { Abi } from "../abi.ts";
import { decodeReply, encodeRequest, type RequestName } from "../kernel-frames.ts";
import { Alarm, SECOND_NS, type VirtualClock } from "./clock.ts";
import type { Task } from "./task.ts";

export const REQUEST_TIMEOUT_NS = 15 * SECOND_NS;
/** At most once in this time the kernel, all its mirrors together, asks whether a region is remotely recovering. */
export const REMOTE_RECOVERY_QUESTION_INTERVAL_NS = SECOND_NS / 4;

export const ESRCH = 3;
export const EAGAIN = 11;
export const ENOSPC = 28;
/** What a waiting request is told where no reply came: no errno. */
const TIMED_OUT = 1;

/** Carries the kernel's datagrams to a server. Replies come to `Connector.receive`, never before `send` returns. */
export interface RequestTransport {
  /** Returns false where nobody listens. */
  send(datagram: Uint8Array): boolean;
}

/** Which log a request is about. */
export interface LogName {
  readonly uuid: string;
  readonly luid: bigint;
}

/** Where the data of a reply goes. */
export interface Room {
  /** Bytes that the kernel can take; what a reply brought, after it. */
  bytes: number;
  data: Uint8Array;
}

/** What watches the kernel's requests. */
export interface RequestObserver {
  sent(log: LogName, type: RequestName, data: Uint8Array | readonly number[]): void;
  /** `error` is 0 or a negative errno; `reply` is the data that came. */
  answered(
    log: LogName,
    type: RequestName,
    data: Uint8Array | readonly number[],
    error: number,
    reply: Uint8Array,
  ): void;
}

const NO_DATA: readonly number[] = [];
const NOTHING = new Uint8Array(0);

export function room(bytes: number): Room {
  return { bytes, data: NOTHING };
}

interface Outstanding {
  readonly sentNs: number;
  readonly room: Room;
  readonly resume: (error: number) => void;
}

/** The end of the connector at which the kernel asks. Several requests may wait for their answers. */
export class Connector {
  /** Requests sent again because no reply came in time. */
  timeoutCount = 0;
  /** Logs on their way back to a server: from the CTR that it may answer to the answer to RESUME. */
  reconnectingCount = 0;
  /** Requests of a mirror at work that were refused with other than ESRCH. */
  refusedCount = 0;
  /** Questions about remote recovery that left the machine, and writes that were put back since none might. */
  remoteRecoveryQuestionCount = 0;
  putBackCount = 0;
  /** No question about remote recovery before this time. */
  remoteRecoveryQuestionNs = 0;
  observer: RequestObserver | undefined;
  /** Hears that requests were not answered in time. */
  onTimeout: () => void = () => {};
  /** Hears how long a request waited for its answer, ns. */
  onRoundTrip: (seq: number, durationNs: number) => void = () => {};
  private seq = 0;
  /** By seq; in order of sending, which is the order of their deadlines. */
  private readonly outstanding = new Map<number, Outstanding>();
  private readonly timeout: Alarm;

  constructor(
    readonly abi: Abi,
    readonly clock: VirtualClock,
    private readonly transport: RequestTransport,
  ) {
    this.timeout = new Alarm(clock, REQUEST_TIMEOUT_NS, () => this.expire());
  }

  /** Sends a request and waits for its answer: 0 or a negative errno, with the answer's data in `room`. */
  *consult(
    log: LogName,
    type: RequestName,
    data: Uint8Array | readonly number[] = NO_DATA,
    into: Room = room(0),
  ): Task<number> {
    for (;;) {
      const seq = ++this.seq;
      const { uuid, luid } = log;
      this.observer?.sent(log, type, data);
      if (!this.transport.send(encodeRequest(this.abi, { type, uuid, luid, seq, data }))) return -ESRCH;
      const error = (yield (resume) => {
        this.outstanding.set(seq, { sentNs: this.clock.nowNs, room: into, resume });
        if (!this.timeout.isSet) this.timeout.set();
      }) as number;
      if (error === TIMED_OUT || error === -EAGAIN) continue;
      this.observer?.answered(log, type, data, error, into.data);
      return error;
    }
  }

  /** Takes a reply. One whose request is no longer waited for is dropped. */
  receive(datagram: Uint8Array): void {
    const reply = decodeReply(this.abi, datagram);
    const waiting = this.outstanding.get(reply.seq);
    if (waiting === undefined) return;
    this.outstanding.delete(reply.seq);
    const { room: into, resume, sentNs } = waiting;
    this.onRoundTrip(reply.seq, this.clock.nowNs - sentNs);
    if (reply.data.length > into.bytes) {
      into.bytes = 0;
      into.data = NOTHING;
      resume(-ENOSPC);
    } else {
      // Even a refusal's data sets the room: a refusal without data leaves none for the repeated request.
      into.bytes = reply.data.length;
      into.data = reply.data;
      resume(reply.error);
    }
  }

  /** Requests that wait for an answer. */
  get outstandingCount(): number {
    return this.outstanding.size;
  }

  private expire(): void {
    const expired: Outstanding[] = [];
    for (const [seq, waiting] of this.outstanding) {
      if (waiting.sentNs + REQUEST_TIMEOUT_NS > this.clock.nowNs) {
        this.timeout.set(waiting.sentNs);
        break;
      }
      this.outstanding.delete(seq);
      expired.push(waiting);
    }
    this.timeoutCount += expired.length;
    if (expired.length > 0) this.onTimeout();
    for (const { resume } of expired) resume(TIMED_OUT);
  }
}
