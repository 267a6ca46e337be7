import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "./contract.ts";
import { legTable } from "./dm.ts";
import type { Lab } from "./lab.ts";
import type { LoadTally } from "./load.ts";
import { waitForCleanLog } from "./log-device.ts";
import { DISK_MIRROR, type Mirror } from "./mirror.ts";

const LOG_DISK = DISKS[3];
const POLL_INTERVAL_MS = 100;
const WRITES_AFTERWARDS = 100;

/** Room for a log on its disk; another log may follow it. */
export const LOG_SIZE_SECTORS = 64;

/** A mirror under load whose log device refuses writes, and is repaired. */
export class LogFailure {
  /** The kernel's words for the log while it was alive, and since it failed. */
  alive = "";
  failed = "";
  /** Writes that the mirror has completed. */
  writesDone = 0;
  #isLoaded = true;
  readonly #lab: Lab;
  readonly #mirror: Mirror;
  #load: Promise<LoadTally> | undefined;

  private constructor(lab: Lab, mirror: Mirror) {
    this.#lab = lab;
    this.#mirror = mirror;
  }

  /** A mirror in sync whose log `begin` can make fail. */
  static async makeMirror(lab: Lab): Promise<Mirror> {
    const logDevice = await lab.dm.create("log", legTable.plain(LOG_DISK, LOG_SIZE_SECTORS));
    const mirror = await lab.makeMirror({ ...DISK_MIRROR, logDevice });
    await mirror.waitInSync();
    // A region that is already dirty there would need no write.
    await waitForCleanLog(logDevice);
    return mirror;
  }

  static async begin(lab: Lab, mirror: Mirror): Promise<LogFailure> {
    const failure = new LogFailure(lab, mirror);
    failure.alive = (await mirror.status()).log;
    await lab.dm.replace("log", legTable.failingWrites(LOG_DISK, LOG_SIZE_SECTORS));
    failure.#load = lab.load(mirror, ({ writes }) => {
      failure.writesDone = writes;
      return failure.#isLoaded;
    });
    failure.failed = (await mirror.waitFor("the log device has failed", ({ log }) => log.endsWith(" D"))).log;
    return failure;
  }

  /** Repairs the device and reloads the table; the load continues for a while. Returns the load's whole result. */
  async repair(): Promise<LoadTally> {
    const mirror = this.#mirror;
    const held = this.writesDone;
    await this.#lab.dm.replace("log", legTable.plain(LOG_DISK, LOG_SIZE_SECTORS));
    // dm-raid1 holds writes for as long as this table is live, whatever the log says; and a suspend that flushes fails them.
    await mirror.load(mirror.options);
    await mirror.suspendWithoutFlush();
    await mirror.resume();
    await mirror.waitInSync();
    while (this.writesDone < held + WRITES_AFTERWARDS) await sleep(POLL_INTERVAL_MS);
    this.#isLoaded = false;
    return this.#load as Promise<LoadTally>;
  }
}
