// One open log device on a thread of its own: it waits for operations, carries them out, and rings. A device that is slow
// or hangs delays only this thread.

import type { Bell } from "../requests/bell.ts";
import { EIO, negativeErrno, systemError } from "../system-calls.ts";
import { CLOSE, type DeviceChannel, OPEN, READ, type Slot, WRITE } from "./device-channel.ts";
import { LogDevice } from "./log-device.ts";

/** Blocks this thread until the device is closed, could not be opened, or the request thread has ended. */
export function serveDevice(channel: DeviceChannel, bell: Bell, runtimeDirectory: string | undefined): void {
  let device: LogDevice | undefined;
  let taken = 0;
  let isClosed = false;
  while (!isClosed) {
    let submitted = channel.waitForMore(taken);
    if (submitted === taken) {
      device?.close();
      return;
    }
    const unsynced: Slot[] = [];
    for (let n = taken; n !== submitted; n = (n + 1) >>> 0) {
      const slot = channel.slot(n);
      attempt([slot], () => {
        if (slot.kind === OPEN) {
          isClosed = true;
          const name = Buffer.from(slot.buffer.subarray(0, slot.sizeBytes)).toString("latin1");
          device = LogDevice.open(name, runtimeDirectory);
          slot.device = device.description;
          isClosed = false;
        } else if (slot.kind === CLOSE) {
          isClosed = true;
          device?.close();
        } else if (device === undefined) throw systemError("The device was not opened", EIO);
        else if (slot.kind === READ) slot.dataStart = device.read(slot.buffer, slot.sizeBytes, slot.offsetBytes);
        else if (slot.kind === WRITE) {
          device.write(slot.buffer, slot.sizeBytes, slot.offsetBytes);
          unsynced.push(slot);
        }
      });
      // Operations that came in the meantime share the flush.
      submitted = channel.submitted();
      taken = (n + 1) >>> 0;
    }
    if (unsynced.length > 0) attempt(unsynced, () => device?.sync());
    channel.complete(taken);
    bell.ring();
  }
}

/** Carries out an action. If it fails, the slots fail. */
function attempt(slots: readonly Slot[], what: () => void): void {
  try {
    what();
  } catch (error) {
    for (const slot of slots) slot.error = negativeErrno(error);
  }
}
