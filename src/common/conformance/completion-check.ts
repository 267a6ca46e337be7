// Whether a completion that a program gives to its core is true: what it says, the devices or the legs have answered.

import type { Abi } from "../abi.ts";
import type { Asked, DeviceWork } from "./device-work.ts";
import { headOf, operationWords } from "./effects.ts";
import { FLUSH, frameName, READ, WRITE } from "./frames.ts";
import { firstDifference, hex, Mistake } from "./mistake.ts";

const EIO = 5;
const ETIMEDOUT = 110;

export class CompletionCheck {
  constructor(
    private readonly abi: Abi,
    private readonly work: DeviceWork,
  ) {}

  /** The payload of a COMPLETION. */
  completed(payload: Uint8Array): void {
    const { abi, work } = this;
    if (payload.length < abi.COMPLETION_DATA) {
      throw new Mistake(
        `a COMPLETION of at least ${abi.COMPLETION_DATA} bytes`,
        `one of ${payload.length}`,
        "completionSize",
      );
    }
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const effect = view.getUint32(abi.COMPLETION_EFFECT, true);
    const error = view.getInt32(abi.COMPLETION_ERROR, true);
    const head = headOf(abi, payload);
    const isAgain = work.wasCompleted(head);
    const asked = work.take(effect, head);
    if (asked === undefined) {
      const what = `a COMPLETION of effect ${effect} on log ${head.handle}, ${head.sizeBytes} bytes at ${head.offsetBytes}, ticket ${head.ticket}`;
      throw new Mistake(
        work.asked.length === 0
          ? "no COMPLETION: nothing is under way"
          : `a COMPLETION of ${work.asked.map(operationWords).join(" or ")}`,
        isAgain ? `a second time ${what}` : what,
        isAgain ? "once" : "completion",
      );
    }
    if (error > 0) {
      const came = `error ${error} in the COMPLETION of ${operationWords(asked)}`;
      throw new Mistake("0 or a negative errno", came, "completion");
    }
    if (error < 0) this.checkFailure(asked, error);
    else if (asked.kind === "OPEN") this.checkOpened(asked, payload);
    else if (asked.kind === "READ") this.checkRead(asked, payload);
    else if (asked.kind === "WRITE") this.checkWritten(asked);
    else this.checkLegsFlushed(asked);
  }

  private checkFailure(asked: Asked, error: number): void {
    const calls = this.work.callsFor(asked);
    const results = calls.flatMap(({ result }) => (result === undefined ? [] : [result]));
    if (results.includes(error)) return;
    const isShort = calls.some(
      ({ kind, result, sizeBytes }) =>
        (kind === READ || kind === WRITE) && result !== undefined && result >= 0 && result < sizeBytes,
    );
    if (error === -EIO && isShort) return;
    // A host need not wait for a leg for ever.
    if (asked.kind === "FLUSH_LEGS" && error === -ETIMEDOUT && this.work.isUnderWay(asked)) return;
    const failures = results.filter((result) => result < 0);
    throw new Mistake(
      failures.length > 0
        ? `error ${failures.join(" or ")}, as the device has answered`
        : "success, or nothing yet: nothing has failed",
      `error ${error} in the COMPLETION of ${operationWords(asked)}`,
      "completion",
    );
  }

  private checkOpened(asked: Asked, payload: Uint8Array): void {
    const { abi } = this;
    const { device, name } = asked;
    const isOpen = device !== undefined && this.work.isOpen(device);
    if (!isOpen || this.hasFailed(asked)) throw this.tooEarly(asked, "the device is not open");
    if (payload.length < abi.COMPLETION_OPEN_BYTES) {
      throw new Mistake(
        `a COMPLETION of ${abi.COMPLETION_OPEN_BYTES} bytes for ${operationWords(asked)}`,
        `one of ${payload.length}`,
        "completionSize",
      );
    }
    const facts = device.description();
    const given = payload.subarray(abi.COMPLETION_DATA, abi.COMPLETION_OPEN_BYTES);
    if (firstDifference(facts, given) >= 0) {
      throw new Mistake(`of ${name}: ${factWords(facts)}`, factWords(given), "openFacts");
    }
    this.work.opened(asked.head.handle, device);
  }

  private hasFailed(asked: Asked): boolean {
    const results = this.work.callsFor(asked).flatMap(({ result }) => (result === undefined ? [] : [result]));
    return results.length > 0 && results.every((result) => result < 0);
  }

  private checkRead(asked: Asked, payload: Uint8Array): void {
    const { abi } = this;
    const wanted = abi.COMPLETION_DATA + asked.head.sizeBytes;
    if (payload.length !== wanted) {
      throw new Mistake(
        `a COMPLETION of ${wanted} bytes for ${operationWords(asked)}`,
        `one of ${payload.length}`,
        "completionSize",
      );
    }
    const missing = asked.isFound.indexOf(0);
    if (missing >= 0) throw this.tooEarly(asked, `the device has answered ${missing} bytes`);
    const data = payload.subarray(abi.COMPLETION_DATA);
    const at = firstDifference(asked.found, data);
    if (at >= 0)
      throw new Mistake(
        `the bytes that the device has answered, byte ${at}: ${hex(asked.found.subarray(at))}`,
        hex(data.subarray(at)),
        "all",
      );
  }

  private checkWritten(asked: Asked): void {
    const { device, head, bytes } = asked;
    if (device === undefined) throw this.tooEarly(asked, "its device is not open");
    const { content, durable } = device;
    const here = (medium: Uint8Array) =>
      firstDifference(medium.subarray(head.offsetBytes, head.offsetBytes + bytes.length), bytes) < 0;
    if (here(durable)) return;
    const calls = this.work.callsFor(asked);
    const failed = calls.find(({ result }) => result !== undefined && result < 0);
    const short = calls.find(
      ({ kind, result, sizeBytes }) => kind === WRITE && result !== undefined && result >= 0 && result < sizeBytes,
    );
    const isFlushUnderWay = calls.some(({ kind, result }) => kind === FLUSH && result === undefined);
    const wasFlushed = calls.some(({ kind, result }) => kind === FLUSH && result === 0);
    throw this.tooEarly(
      asked,
      failed
        ? `${frameName(failed.kind)} has failed with ${failed.result}`
        : short
          ? `the device has taken ${short.result} of ${short.sizeBytes} bytes`
          : !here(content)
            ? "the device has not taken all of it yet"
            : isFlushUnderWay
              ? "the FLUSH is not answered yet"
              : wasFlushed
                ? "the FLUSH began before the WRITE was answered, and does not cover it"
                : "no FLUSH came after it: a power cut loses it",
    );
  }

  private checkLegsFlushed(asked: Asked): void {
    const calls = this.work.callsFor(asked);
    if (calls.some(({ result }) => result !== undefined && result >= 0)) return;
    const failed = calls.find(({ result }) => result !== undefined && result < 0);
    const why = failed
      ? `it has failed with ${failed.result}`
      : calls.length > 0
        ? "it is not answered yet"
        : "no FLUSH_LEGS was begun after the core asked";
    throw new Mistake(`no success of ${operationWords(asked)}: ${why}`, "a COMPLETION with success", "legs");
  }

  private tooEarly(asked: Asked, why: string): Mistake {
    return new Mistake(
      `no success of ${operationWords(asked)}: ${why}`,
      "a COMPLETION with success",
      asked.kind === "WRITE" ? "durable" : "all",
    );
  }
}

function factWords(facts: Uint8Array): string {
  const view = new DataView(facts.buffer, facts.byteOffset, facts.length);
  const [size, fileSystem, inode] = [0, 16, 24].map((at) => view.getBigUint64(at, true));
  return `size ${size}, numbers ${view.getUint32(8, true)}:${view.getUint32(12, true)}, file system ${fileSystem}, inode ${inode}`;
}
