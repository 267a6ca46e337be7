// Changes whose log a device is. A server believes a log of its own mirror, and one that names nobody.

import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import {
  LOG_BITS_OFFSET,
  LOG_OWNER_FORM,
  LOG_OWNER_FORM_OFFSET,
  LOG_OWNER_MAGIC,
  LOG_OWNER_OFFSET,
  LOG_OWNER_UUID_BYTES,
  LOG_OWNER_UUID_OFFSET,
} from "../common/log-format.ts";
import { TraceError } from "../common/trace/format.ts";
import { isLog, ownerOf } from "../node/devices/log-header.ts";
import { withTraceErrors } from "./trace-files.ts";

/** The kernel takes 128 bytes and a NUL. */
const UUID_BYTES_MAX = 128;

/** Says in the header of a log whose it is. Its bits stay. Returns the exit status: 2 where that cannot be. */
export function adopt(path: string, uuid: string): Promise<number> {
  return withTraceErrors(async () => {
    if (!/^[!-~]+$/.test(uuid) || uuid.length > UUID_BYTES_MAX)
      throw new TraceError(`The UUID of a log has 1 to ${UUID_BYTES_MAX} printable characters: not "${uuid}".`);
    const file = await openForWriting(path);
    try {
      const head = Buffer.alloc(LOG_BITS_OFFSET);
      if (readSync(file, head, 0, head.length, 0) < head.length || !isLog(head))
        throw new TraceError(`${path} holds no dirty log. Nothing was written.`);
      const before = ownerOf(head);
      head.writeUInt32LE(LOG_OWNER_MAGIC, LOG_OWNER_OFFSET);
      head.writeUInt32LE(LOG_OWNER_FORM, LOG_OWNER_FORM_OFFSET);
      head.fill(0, LOG_OWNER_UUID_OFFSET, LOG_OWNER_UUID_OFFSET + LOG_OWNER_UUID_BYTES);
      head.write(uuid, LOG_OWNER_UUID_OFFSET, "latin1");
      writeSync(file, head, LOG_OWNER_OFFSET, LOG_BITS_OFFSET - LOG_OWNER_OFFSET, LOG_OWNER_OFFSET);
      fsyncSync(file);
      const was = before === null ? "nobody in particular" : before;
      console.log(`${path} is the log of ${uuid} from now on. It was the log of ${was}.`);
    } finally {
      closeSync(file);
    }
    return 0;
  });
}

/** A device that a mirror uses is refused by the kernel, a file by the lock that its server holds. */
async function openForWriting(path: string): Promise<number> {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDWR | constants.O_EXCL);
    if (!fstatSync(file).isBlockDevice() && !fstatSync(file).isFile()) throw new Error("it is no device and no file");
    const { tryLock } = await import("../node/system-calls.ts");
    if (!tryLock(file)) throw new Error("a server uses it. Remove the mirror first");
    return file;
  } catch (error) {
    if (file !== undefined) closeSync(file);
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === "EBUSY" ? "it is in use. Remove the mirror first" : message;
    throw new TraceError(`${path} cannot be changed: ${reason}.`);
  }
}
