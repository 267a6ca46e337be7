// Whether a process has given its core every state file that the one before it left, as that one had to leave it.

import type { Abi } from "../abi.ts";
import type { StateFiles } from "../sim/state-files.ts";
import { headOf } from "./effects.ts";
import { firstDifference, hex, Mistake } from "./mistake.ts";

interface LeftBehind {
  readonly bytes: Uint8Array;
  nextOffset: number;
}

export class RestoreCheck {
  private readonly leftBehind = new Map<number, LeftBehind>();
  private isServing = false;

  /** `stateFiles` are as the effects so far have made them; what the restored core changes in them comes later. */
  constructor(
    private readonly abi: Abi,
    stateFiles: StateFiles,
  ) {
    for (const [handle, bytes] of stateFiles.files)
      this.leftBehind.set(handle, { bytes: bytes.slice(), nextOffset: 0 });
  }

  /** The payload of a RESTORE. */
  restored(payload: Uint8Array): void {
    const { abi } = this;
    if (payload.length < abi.HEAD_BYTES)
      throw new Mistake("a RESTORE with its head", `one of ${payload.length} bytes`, "restore");
    const head = headOf(abi, payload);
    const bytes = payload.subarray(abi.HEAD_BYTES);
    if (this.isServing && head.offsetBytes === 0)
      throw new Mistake("the first part of every state file before the first datagram", "one after it", "restoreParts");
    const file = this.leftBehind.get(head.handle);
    if (file === undefined) {
      const isOther = this.leftBehind.size === 0;
      throw new Mistake(
        isOther
          ? "no RESTORE: no state file of this boot is left"
          : `a RESTORE of the logs ${[...this.leftBehind.keys()].join(", ")}`,
        `a RESTORE of log ${head.handle}`,
        isOther ? "boot" : "restore",
      );
    }
    const part = file.bytes.subarray(file.nextOffset, file.nextOffset + abi.RESTORE_BYTES);
    const words = (offset: number, size: number, whole: number) => `${size} bytes at ${offset} of a file of ${whole}`;
    if (
      head.offsetBytes !== file.nextOffset ||
      head.sizeBytes !== part.length ||
      bytes.length !== part.length ||
      head.ticket !== file.bytes.length
    ) {
      throw new Mistake(
        `a RESTORE of ${words(file.nextOffset, part.length, file.bytes.length)}`,
        `one of ${words(head.offsetBytes, bytes.length, head.ticket)}`,
        "restoreParts",
      );
    }
    const at = firstDifference(part, bytes);
    if (at >= 0) throw this.wrongState(head.handle, file, at, bytes);
    file.nextOffset += part.length;
  }

  /** A datagram is given to the core: it must know all logs. */
  datagramGiven(): void {
    if (this.isServing) return;
    this.isServing = true;
    for (const [handle, { bytes, nextOffset }] of this.leftBehind) {
      if (nextOffset > 0) continue;
      throw new Mistake(`a RESTORE of ${bytes.length} bytes of log ${handle}'s state file`, "none of it", "restore");
    }
  }

  /** The program waits: it has nothing left to give. */
  idle(): void {
    this.datagramGiven();
    for (const [handle, { bytes, nextOffset }] of this.leftBehind) {
      if (nextOffset === bytes.length) continue;
      throw new Mistake(
        `a RESTORE of all ${bytes.length} bytes of log ${handle}'s state file`,
        `${nextOffset} bytes of it`,
        "restoreParts",
      );
    }
  }

  private wrongState(handle: number, file: LeftBehind, at: number, bytes: Uint8Array): Mistake {
    const offset = file.nextOffset + at;
    const other = [...this.leftBehind].find(
      ([otherHandle, { bytes: otherBytes }]) =>
        otherHandle !== handle && firstDifference(otherBytes.subarray(0, bytes.length), bytes) < 0,
    );
    return new Mistake(
      `the state file of log ${handle} as the effects before the last answer have left it, byte ${offset}: ${hex(file.bytes.subarray(offset), 8)}`,
      other === undefined ? hex(bytes.subarray(at), 8) : `the file of log ${other[0]}`,
      "state",
    );
  }
}
