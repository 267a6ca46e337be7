import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import type { Lab } from "./lab.ts";
import { BLOCK_SIZE_BYTES, type LoadTally } from "./load.ts";
import type { Mirror } from "./mirror.ts";
import type { LogStatus } from "./status.ts";

const POLL_INTERVAL_MS = 50;
/** The kernel splits writes at regions. */
const BLOCKS_PER_WRITE_MAX = 4;
/**
 * This part of the mirror, its beginning, is in sync before the load starts. Behind it the kernel lets four writes a
 * second through, all mirrors taken together, until the resync is over: stalls there say nothing about the server.
 */
const SETTLED_PART = 4;
/** The kernel asks again after 15 s, then every 2 s: a mirror that has written nothing for so long never will. */
const PROGRESS_TIME_LIMIT_MS = 60_000;

/**
 * A mirror under load whose server is replaced again and again, and what each server said about its log.
 *
 * Invariant, checked with every look: regions in sync are those that the server began with and those it had copied
 * since. Therefore no region is copied that was in sync, and no server begins with fewer than the one before it had.
 */
export class Subject {
  readonly mirror: Mirror;
  readonly #lab: Lab;
  readonly #loads: Promise<LoadTally>[];
  #writes = 0;
  #isLoaded = true;
  #inSyncRegions = 0;
  /** Regions in sync when the present server began; undefined until it was looked at. */
  #inSyncAtStart: number | undefined;
  #needlesslyResynced = 0;

  static async start(lab: Lab, mirror: Mirror): Promise<Subject> {
    const isSettled = ({ inSyncRegions }: { inSyncRegions: number }) =>
      inSyncRegions > mirror.regionCount / SETTLED_PART;
    await mirror.waitFor("the settled part in sync", isSettled);
    return new Subject(lab, mirror);
  }

  private constructor(lab: Lab, mirror: Mirror) {
    this.#lab = lab;
    this.mirror = mirror;
    const blockCount = mirror.contents.length / BLOCK_SIZE_BYTES;
    const settled = blockCount / SETTLED_PART;
    const goOn = () => this.#isLoaded;
    this.#loads = [
      lab.load(
        mirror,
        ({ writes }) => {
          this.#writes = writes;
          return this.#isLoaded;
        },
        { blockCount: settled, blocksPerWriteMax: BLOCKS_PER_WRITE_MAX },
      ),
      lab.load(mirror, goOn, { firstBlock: settled, blocksPerWriteMax: 1 }),
    ];
  }

  get needlesslyResynced(): number {
    return this.#needlesslyResynced;
  }

  get isInSync(): boolean {
    return this.#inSyncRegions === this.mirror.regionCount;
  }

  async look(): Promise<LogStatus> {
    const { name } = this.mirror.options;
    const logs = await this.#lab.server.logs();
    const log = logs.find(({ uuid }) => uuid === name);
    if (!log) throw new Error(`The server does not know the log of ${name}: ${inspect(logs)}`);
    const copied = log.resynced;
    this.#inSyncAtStart ??= log.inSyncRegions - copied;
    const forgotten = this.#inSyncRegions - log.inSyncRegions;
    if (forgotten > 0) this.#needlesslyResynced += forgotten;
    const inSyncBefore = log.inSyncRegions - copied;
    if (inSyncBefore !== this.#inSyncAtStart) {
      this.#needlesslyResynced += this.#inSyncAtStart - inSyncBefore;
      this.#inSyncAtStart = inSyncBefore;
    }
    this.#inSyncRegions = log.inSyncRegions;
    return log;
  }

  /** The server is another one from now on. */
  serverChanged(): void {
    this.#inSyncAtStart = undefined;
  }

  /** Waits until a write to the settled part was completed, and another one. */
  async goesOn(): Promise<void> {
    const enough = this.#writes + 2;
    const deadline = Date.now() + PROGRESS_TIME_LIMIT_MS;
    while (this.#writes < enough) {
      if (Date.now() > deadline) {
        throw new Error(`${this.mirror.options.name} has written nothing for ${PROGRESS_TIME_LIMIT_MS} ms`);
      }
      await sleep(POLL_INTERVAL_MS);
      await this.look();
    }
  }

  /** Ends the load. The stall is that of the settled part. */
  async stopLoad(): Promise<LoadTally> {
    this.#isLoaded = false;
    const [settled, rest] = (await Promise.all(this.#loads)) as [LoadTally, LoadTally];
    return { ...settled, writes: settled.writes + rest.writes, reads: settled.reads + rest.reads };
  }
}
