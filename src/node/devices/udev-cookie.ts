// A udev cookie: how a program that changes device-mapper's devices learns that udev has done with the change, so that /dev/mapper/NAME
// is there when the program ends. udev's rules of device-mapper (10-dm.rules or 55-dm.rules, which come with dmsetup) take an event
// without one for an accident, and call the device not ready: systemd would never mount it.
//
// A cookie is a semaphore of System V with the key 0x0d4d0000 + number. It is raised for each change that makes an event; the event
// carries the number, and udev's last rule lowers the semaphore by it (`dmsetup udevcomplete`). Sources: libdevmapper.h (UDEV flags),
// dmsetup(8) (udevcookie).

import { existsSync, readdirSync } from "node:fs";
import koffi from "koffi";
import { errno, systemError } from "../system-calls.ts";

const libc = koffi.load(null);
const semget: (key: number, count: number, flags: number) => number = libc.func("int semget(int, int, int)");
const semctl: (id: number, index: number, command: number, type: "int", value: number) => number = libc.func(
  "int semctl(int, int, int, ...)",
);
const semtimedop: (id: number, operations: Uint8Array, count: number, timeout: Uint8Array) => number = libc.func(
  "int semtimedop(int, const void *, size_t, const void *)",
);

const KEY = 0x0d4d_0000;
const IPC_CREAT_EXCL = 0o3000;
const IPC_RMID = 0;
const SETVAL = 16;
const EEXIST = 17;
const NUMBERS = 0xffff;
/** "This event comes from whoever changed the device", in the upper half of what the event carries. */
const PRIMARY_SOURCE = 0x40 * 0x1_0000;
const WAIT_SECONDS_MAX = 30n;
const RULES_FOLDERS = ["/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"];

/** Whether udev runs here, with the rules that answer a cookie. */
export function udevAnswers(): boolean {
  return existsSync("/run/udev/control") && RULES_FOLDERS.some(hasRules);
}

function hasRules(folder: string): boolean {
  try {
    return readdirSync(folder).some((name) => /^\d+-dm\.rules$/.test(name));
  } catch {
    return false;
  }
}

export class UdevCookie {
  readonly #id: number;
  readonly #number: number;

  /** Throws with `errno`. */
  constructor() {
    // Numbers of programs that run at the same time differ; whose number is taken takes the next one.
    for (let number = process.pid & NUMBERS || 1; ; number = (number % NUMBERS) + 1) {
      const id = semget(KEY + number, 1, IPC_CREAT_EXCL | 0o600);
      if (id < 0 && errno() !== EEXIST) throw systemError("semget", errno());
      if (id < 0) continue;
      this.#id = id;
      this.#number = number;
      if (semctl(id, 0, SETVAL, "int", 1) < 0) throw systemError("semctl", errno());
      return;
    }
  }

  /** What the next change is to carry. It counts as under way. */
  begin(): number {
    this.#add(1);
    return PRIMARY_SOURCE + this.#number;
  }

  /** The change made no event. */
  takeBack(): void {
    this.#add(-1);
  }

  /** Waits until udev has done with all changes, 30 s at most, and gives the number back. */
  finish(): void {
    this.#add(-1);
    this.#add(0);
    semctl(this.#id, 0, IPC_RMID, "int", 0);
  }

  /** 0 waits for zero. */
  #add(change: number): void {
    const operation = new Uint8Array(new Int16Array([0, change, 0]).buffer);
    const timeout = new Uint8Array(new BigInt64Array([WAIT_SECONDS_MAX, 0n]).buffer);
    semtimedop(this.#id, operation, 1, timeout);
  }
}
