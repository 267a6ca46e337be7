// The page's position in time: plays, steps, jumps and seeks through the events of a source.

import { type EventAddress, indexAt } from "../common/trace/address.ts";
import { Timeline } from "./model/timeline.ts";
import type { Source } from "./sources/source.ts";

/** The time in each frame for processing events and making new ones. */
const PASS_BUDGET_MS = 12;
/** The same while the page is not playing, when a picture now and then is enough. */
const IDLE_BUDGET_MS = 30;
const EXTEND_BUDGET_MS = 6;
/** A jump in a source that makes its events looks this far ahead. */
const LOOK_AHEAD_EVENTS = 50_000;
/** Playing makes up for at most this time between two frames, so that a background tab does not race afterwards. */
const FRAME_MS_MAX = 100;

/** Events a second. */
export const SPEEDS = [1, 5, 25, 100, 500, 2_500, 10_000, 100_000] as const;

export class Player {
  isPlaying = false;
  eventsPerSecond = 25;
  /** Hears of a new source. */
  onSource: () => void = () => {};
  /** Hears a sentence for the person. */
  onSay: (words: string) => void = () => {};
  private current: { source: Source; timeline: Timeline } | null = null;
  private lastFrameMs = 0;
  /** Events that are due, with a fraction. */
  private due = 0;
  /** A position to show as soon as its events are processed. */
  private goal: number | null = null;
  /** The address of an event that is not there yet. */
  private sought: EventAddress | null = null;
  /** A flag that a jump looks for, from an event on, up to another. */
  private search: { flag: number; from: number; until: number; words: string } | null = null;

  constructor(private readonly module: WebAssembly.Module) {}

  get hasSource(): boolean {
    return this.current !== null;
  }

  get source(): Source {
    return this.loaded.source;
  }

  get timeline(): Timeline {
    return this.loaded.timeline;
  }

  /** Whether it plays at the end of what is live: every event that comes is shown as it comes. */
  get isFollowing(): boolean {
    const { source, timeline } = this.loaded;
    return this.isPlaying && source.isLive === true && timeline.position === timeline.length;
  }

  get position(): number {
    return this.timeline.position;
  }

  /** Progress towards the requested position, or null if there is none. */
  get progress(): number | null {
    const { length, isComplete } = this.timeline;
    const { progress, eventCount } = this.source;
    if (progress !== null) return (progress * length) / Math.max(1, eventCount);
    if (this.goal === null && isComplete) return null;
    return length / Math.max(1, this.goal !== null && this.source.extend !== undefined ? this.goal : eventCount);
  }

  /** Shows another source, at `position` or after an event as soon as that is there. */
  load(source: Source, position: number | EventAddress): void {
    this.current?.source.close?.();
    this.current = { source, timeline: new Timeline(this.module, source) };
    this.isPlaying = source.isLive === true;
    this.search = null;
    this.goal = null;
    this.onSource();
    if (typeof position === "number") this.seek(position);
    else this.seekEvent(position);
  }

  /** Shows the state after the first `position` events; waits for those that are not there yet. */
  seek(position: number): void {
    const { timeline } = this;
    this.due = 0;
    this.search = null;
    this.sought = null;
    if (position <= timeline.length) {
      this.goal = null;
      timeline.seek(position);
    } else {
      this.goal = position;
    }
  }

  /** Shows the state after the event with an address; waits for it while the source is being read. */
  seekEvent(address: EventAddress): void {
    this.seek(this.position);
    this.sought = address;
    this.findSought();
  }

  step(events: number): void {
    this.isPlaying = false;
    this.seek(Math.max(0, this.position + events));
  }

  toggle(): void {
    this.isPlaying = !this.isPlaying;
    this.due = 0;
  }

  /** The next speed of SPEEDS, or the one before. */
  changeSpeed(direction: 1 | -1): void {
    const now = SPEEDS.findIndex((speed) => speed >= this.eventsPerSecond);
    this.eventsPerSecond = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, now + direction))] ?? this.eventsPerSecond;
  }

  /** Goes to the next event (`direction` 1) or the one before (-1) that has `flag`; `words` name what is looked for. */
  jump(flag: number, direction: 1 | -1, words: string): void {
    this.isPlaying = false;
    const { index, length } = this.timeline;
    const { flags } = index;
    if (direction === -1) {
      for (let event = this.position - 2; event >= 0; event--) {
        if (flags.at(event) & flag) {
          this.seek(event + 1);
          return;
        }
      }
      this.onSay(`No ${words} before this event.`);
      return;
    }
    this.search = { flag, from: this.position, until: length + LOOK_AHEAD_EVENTS, words };
    this.lookAhead();
    if (this.search !== null) this.onSay(`Looking for the next ${words}…`);
  }

  /** Called for each frame. Returns whether the position has changed, and whether there are more events. */
  tick(nowMs: number): { isMoved: boolean; isGrown: boolean } {
    const elapsedMs = Math.min(FRAME_MS_MAX, nowMs - this.lastFrameMs);
    this.lastFrameMs = nowMs;
    if (this.current === null) return { isMoved: false, isGrown: false };
    const { timeline } = this;
    const lengthBefore = timeline.length;
    const positionBefore = timeline.position;
    const { isFollowing } = this;
    if (this.isPlaying && !isFollowing) this.due += (elapsedMs / 1000) * this.eventsPerSecond;
    const whole = Math.floor(this.due);
    this.fetch(this.goal ?? (this.search !== null ? this.search.until : timeline.position + whole));
    if (this.search !== null) this.lookAhead();
    this.findSought();
    if (this.goal !== null && this.goal <= timeline.length) {
      const { goal } = this;
      this.goal = null;
      timeline.seek(goal);
    } else if (isFollowing) {
      if (timeline.length !== lengthBefore) timeline.seek(timeline.length);
    } else if (this.isPlaying && whole > 0) {
      this.due -= whole;
      timeline.seek(timeline.position + whole);
      const isOver = timeline.position === timeline.length && timeline.isComplete && !this.mayGrow;
      if (isOver) this.isPlaying = false;
    }
    return { isMoved: timeline.position !== positionBefore, isGrown: timeline.length !== lengthBefore };
  }

  /** Makes the source produce events until there are `wanted`, if it can. */
  private fetch(wanted: number): void {
    const { source, timeline } = this;
    if (wanted > source.eventCount && source.progress === null) {
      const mayGoOn = source.extend?.(wanted, EXTEND_BUDGET_MS) ?? false;
      source.update(PASS_BUDGET_MS);
      if (!mayGoOn && this.goal !== null) this.goal = Math.min(this.goal, source.eventCount);
      if (!mayGoOn && this.search !== null) this.search.until = source.eventCount;
    }
    const budgetMs = this.isPlaying ? PASS_BUDGET_MS : IDLE_BUDGET_MS;
    source.update(budgetMs / 2);
    if (!timeline.isComplete) timeline.pass(budgetMs);
  }

  private findSought(): void {
    const { sought, source } = this;
    if (sought === null) return;
    const index = indexAt(source.trace, sought);
    if (index >= 0) {
      this.seek(index + 1);
    } else if (source.progress === null) {
      this.sought = null;
      this.onSay(`There is no event ${sought.section}:${sought.event} here.`);
    }
  }

  private get mayGrow(): boolean {
    const { extend, progress, isLive } = this.source;
    return extend !== undefined || progress !== null || isLive === true;
  }

  private lookAhead(): void {
    const { search, timeline } = this;
    if (search === null) return;
    const { flags } = timeline.index;
    while (search.from < timeline.length) {
      if (flags.at(search.from++) & search.flag) {
        this.seek(search.from);
        return;
      }
    }
    const mayCome = !timeline.isComplete || this.mayGrow;
    if (mayCome && search.from < search.until) return;
    this.search = null;
    this.onSay(`No further ${search.words}${this.source.extend === undefined ? "" : " in the next 50,000 events"}.`);
  }

  private get loaded(): { source: Source; timeline: Timeline } {
    if (this.current === null) throw new Error("nothing is loaded");
    return this.current;
  }
}
