// One log of the kernel that the kit plays.

import { asciiBytes, encodeRequest, type Reply, type Request, type RequestName } from "../kernel-frames.ts";
import type { Stage } from "./stage.ts";

/** Requests of all logs have numbers of their own. */
const FIRST_SEQ = 1;

/** Counts requests. */
export class Requests {
  private seq = FIRST_SEQ;

  next(): number {
    return this.seq++;
  }
}

export class Mirror {
  /** Requests without an answer, in order: they are sent again when there is nobody any more who could answer. */
  private readonly waiting: { readonly seq: number; readonly type: RequestName; readonly data: Request["data"] }[] = [];

  constructor(
    private readonly stage: Stage,
    private readonly requests: Requests,
    readonly uuid: string,
    readonly luid: bigint,
  ) {}

  /** Makes the log and resumes it. */
  make(table: string): void {
    this.ok("CTR", asciiBytes(table));
    this.ok("RESUME");
  }

  /** Sends a request. Returns its reply, or undefined where it has to wait for what is withheld. */
  ask(type: RequestName, data: Request["data"] = []): Reply | undefined {
    const seq = this.requests.next();
    const { uuid, luid, stage } = this;
    stage.deliver(encodeRequest(stage.core.abi, { type, uuid, luid, seq, data }));
    stage.goOn();
    const reply = stage.takeReply(seq);
    if (reply === undefined) this.waiting.push({ seq, type, data });
    return reply;
  }

  /** The same for a request that a host without a mistake answers at once, and with success. */
  ok(type: RequestName, data: Request["data"] = []): Reply {
    const reply = this.ask(type, data);
    if (reply === undefined) throw new Error(`The kit's own core does not answer ${type} of ${this.uuid}.`);
    if (reply.error !== 0) throw new Error(`The kit's own core answers ${type} of ${this.uuid} with ${reply.error}.`);
    return reply;
  }

  /** The same for one that must wait. */
  waits(type: RequestName, data: Request["data"] = []): void {
    if (this.ask(type, data) !== undefined) throw new Error(`The kit's own core does not wait with ${type}.`);
  }

  /** Takes the replies that have come since. Returns their errors. */
  takeReplies(): number[] {
    const errors: number[] = [];
    for (const request of [...this.waiting]) {
      const reply = this.stage.takeReply(request.seq);
      if (reply === undefined) continue;
      this.waiting.splice(this.waiting.indexOf(request), 1);
      errors.push(reply.error);
    }
    return errors;
  }

  /** Sends again what was not answered, as the kernel does after 15 s. */
  repeat(): void {
    this.takeReplies();
    for (const { type, data } of this.waiting.splice(0)) this.ask(type, data);
  }

  /** Power is gone: nobody waits any more. */
  forget(): void {
    this.waiting.length = 0;
  }
}
