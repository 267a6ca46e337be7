// Requests that died with the server before this one. The kernel would wait 15 s for their answers; told to try again,
// it sends them at once. Every request is safe to repeat, and the kernel ignores what it hears of a number it does not
// wait for, so all numbers around the last one that was seen are told.
//
// The last number stands in a file that outlives the process, beside the logs' state files.

import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import type { Abi } from "../common/abi.ts";
import { LAST_REQUEST } from "./state-files.ts";
import { allocateFile, EAGAIN, type Mapping, mapFile, unmapFile } from "./system-calls.ts";

const FILE_BYTES = 8;
/** More than a kernel has under way at once, on either side of the last number seen. */
const NUMBERS_AROUND = 256;

export class RequestRecall {
  private readonly last: Uint32Array;

  private constructor(private readonly mapping: Mapping) {
    this.last = new Uint32Array(mapping.bytes.buffer, mapping.bytes.byteOffset, 1);
  }

  /** Opens or makes the file in `stateDirectory`, which is of this boot. Throws with `errno`. */
  static open(stateDirectory: string): RequestRecall {
    const fd = openSync(join(stateDirectory, LAST_REQUEST), constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      allocateFile(fd, FILE_BYTES);
      return new RequestRecall(mapFile(fd, FILE_BYTES));
    } finally {
      closeSync(fd);
    }
  }

  /** A request with this number was received. */
  saw(seq: number): void {
    this.last[0] = seq;
  }

  /** Datagrams that make the kernel send again what it waits for from an earlier server: bare acknowledgements. */
  *datagrams(abi: Abi): Generator<Uint8Array> {
    const last = this.last[0] as number;
    if (last === 0) return;
    const datagram = new Uint8Array(abi.ULOG_LUID);
    const view = new DataView(datagram.buffer);
    view.setUint32(abi.NLMSG_LEN, datagram.length, true);
    view.setUint16(abi.NLMSG_TYPE, abi.NLMSG_TYPE_DONE, true);
    view.setUint32(abi.CN_IDX, abi.CN_IDX_DM, true);
    view.setUint32(abi.CN_VAL, abi.CN_VAL_DM_USERSPACE_LOG, true);
    view.setUint32(abi.CN_ACK, EAGAIN, true);
    for (let seq = last - NUMBERS_AROUND; seq <= last + NUMBERS_AROUND; seq++) {
      view.setUint32(abi.CN_SEQ, seq >>> 0, true);
      yield datagram;
    }
  }

  close(): void {
    unmapFile(this.mapping);
  }
}
