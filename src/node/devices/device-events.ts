// Waits for device-mapper's events, such as a failed leg: of all devices at once, through the control device, which is readable after an
// event (DM_DEV_ARM_POLL of include/uapi/linux/dm-ioctl.h, Linux 4.13). DM_DEV_WAIT would take a thread for each mirror.

import { closeSync } from "node:fs";
import koffi from "koffi";
import { call, DM, openControl } from "./device-mapper-calls.ts";

const POLLIN = 1;

const poll = koffi.load(null).func("int poll(void *, unsigned long, int)") as {
  async(fds: Uint8Array, count: number, timeoutMs: number, done: (error: Error | null, ready: number) => void): void;
};

export class DeviceEvents {
  readonly #control = openControl();

  /** Events from now on count. Throws with `errno`. */
  arm(): void {
    call(this.#control, { command: DM.DEV_ARM_POLL });
  }

  /** Waits for an event since `arm`, `timeoutMs` at most. */
  wait(timeoutMs: number): Promise<void> {
    const request = new Uint8Array(8);
    const view = new DataView(request.buffer);
    view.setInt32(0, this.#control, true);
    view.setInt16(4, POLLIN, true);
    return new Promise((resolve) => poll.async(request, 1, timeoutMs, () => resolve()));
  }

  close(): void {
    closeSync(this.#control);
  }
}
