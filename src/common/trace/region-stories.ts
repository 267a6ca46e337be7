// The logs of one mirror over the engines of a trace, each with its story. What is kept does not grow with the events: one story
// for each log that the engine in hand has, and those that the engine before it left.

import type { Abi } from "../abi.ts";
import type { Console, LogDescription } from "../console.ts";
import type { Engine } from "../engine.ts";
import { type LogMemory, readLog, readLogs } from "./log-memory.ts";
import { RegionStory } from "./region-story.ts";

/** A log of the mirror after an event. */
export interface LogNow {
  log: LogMemory;
  story: RegionStory;
  /** Whether this event made it. */
  isNew: boolean;
}

/** The log that had the mirror before. */
export interface Before {
  story: RegionStory;
  isSameEngine: boolean;
}

export class RegionStories {
  /** By the address of the log in the engine's memory, in the order the logs were made. */
  private stories = new Map<number, RegionStory>();
  /** The last stories of the engine before, the latest log first. */
  private left: RegionStory[] = [];
  /** The last log of this engine that was removed. */
  private removed: RegionStory | null = null;
  private addresses: number[] = [];
  private generation = -1;

  constructor(
    private readonly abi: Abi,
    private readonly console: Console,
    private readonly uuid: string,
    private readonly region: number,
  ) {}

  /** The logs of the mirror that an engine has. */
  logsIn(engine: Engine): LogNow[] {
    const { abi } = this;
    const memory = engine.bytes().buffer as ArrayBuffer;
    const generation = new DataView(memory).getUint32(abi.CORE + abi.CORE_GENERATION, true);
    const made = generation === this.generation ? new Set<number>() : this.readList(engine, memory);
    this.generation = generation;
    return this.addresses.flatMap((address) => {
      const story = this.stories.get(address);
      return story === undefined ? [] : [{ log: readLog(abi, memory, address), story, isNew: made.has(address) }];
    });
  }

  /** Logs were made or have gone. Returns the addresses of the new ones. */
  private readList(engine: Engine, memory: ArrayBuffer): Set<number> {
    const logs = readLogs(this.abi, memory).filter(({ uuid }) => uuid === this.uuid);
    this.addresses = logs.map(({ address }) => address);
    for (const address of this.stories.keys()) if (!this.addresses.includes(address)) this.stories.delete(address);
    const made = new Set<number>();
    for (const { address, luid } of logs) {
      if (this.stories.get(address)?.luid === luid) continue;
      const description = this.describe(engine, luid);
      if (description === undefined) continue;
      this.stories.set(address, new RegionStory(this.abi, luid, description, this.region));
      made.add(address);
    }
    return made;
  }

  /** The last log that has had the mirror so far: one of this engine, or of the one before. */
  before(): Before | null {
    const here = this.known();
    const last = here.find(({ isInUse }) => isInUse) ?? here.find(({ isRead }) => isRead) ?? this.removed;
    if (last) return { story: last, isSameEngine: true };
    const left = here[0] ?? this.left.find(({ isInUse }) => isInUse) ?? this.left[0];
    const story = left === undefined || left.isRead ? left : left.foregoing;
    return story ? { story, isSameEngine: false } : null;
  }

  /** The story that the engine before left of a luid. */
  leftOf(luid: bigint): RegionStory | undefined {
    return this.left.find((story) => story.luid === luid);
  }

  /** The story of the log whose handle stands in a head. */
  ofHead(head: Uint8Array, engine: Engine): RegionStory | undefined {
    const { abi } = this;
    const handle = new DataView(head.buffer, head.byteOffset, head.length).getUint32(abi.HEAD_HANDLE, true);
    if (handle >= abi.HANDLE_COUNT) return undefined;
    return this.stories.get(new DataView(engine.bytes().buffer).getUint32(abi.HANDLES + 4 * handle, true));
  }

  /** Takes a log out of sight, as the core has done. Returns its story, undefined if none is known. */
  remove(luid: bigint, how: string): RegionStory | undefined {
    const story = [...this.stories.values()].find((one) => one.luid === luid && one.removed === null);
    if (story === undefined) return undefined;
    story.removed = how;
    story.isInUse = false;
    this.removed = story;
    return story;
  }

  /** The engine has ended. Where it knew nothing of the mirror, what was known before it stands. */
  endEngine(lastAddress: string): void {
    const stories = this.known();
    for (const story of stories) if (story.removed === null) story.last = lastAddress;
    if (stories.length === 0 && this.removed !== null) stories.push(this.removed);
    if (stories.length > 0) this.left = stories;
    this.stories = new Map();
    this.removed = null;
    this.generation = -1;
  }

  /** Events are missing: nothing that was known before them holds. */
  forget(): void {
    this.endEngine("");
    this.left = [];
  }

  describe(engine: Engine, luid: bigint): LogDescription | undefined {
    const logs = this.console.logs(engine).filter((log) => log.uuid === this.uuid && log.luid === luid);
    return logs.at(-1);
  }

  /** Stories of this engine that know a state, the latest log first. */
  private known(): RegionStory[] {
    return [...this.stories.values()].filter(({ state }) => state !== null).reverse();
  }
}
