// Why a region was dirty, why it was resynced, and what was written when: one replay of a trace, and a sentence for each event
// that changed something of the region.
//
// Causes are what the trace holds: the request that names the region, the log device that was read, the notices of the core, the
// end of the log's earlier life. Where it does not hold them, the sentence says so. Memory does not grow with the events.

import type { Abi } from "../abi.ts";
import type { Console } from "../console.ts";
import type { Engine } from "../engine.ts";
import { addressOf } from "./address.ts";
import { readEvent, type TraceEvent } from "./event.ts";
import { type Request, requestOf } from "./event-regions.ts";
import { EVENT_NOTICED, NO_LOG } from "./event-table.ts";
import { TraceError } from "./format.ts";
import { type Notice, noticesOf } from "./notice.ts";
import type { DeviceReading } from "./region-on-device.ts";
import { type RegionState, regionState } from "./region-state.ts";
import { type Before, type LogNow, RegionStories } from "./region-stories.ts";
import type { Cause, RegionStory } from "./region-story.ts";
import { Replayer } from "./replay.ts";
import { type Run, runsOf, startRun } from "./run.ts";
import type { Trace } from "./trace.ts";
import { deviceRead, made, recorded, restored, stateInWords } from "./why-beginnings.ts";
import { type Change, changesOf, writeInWords } from "./why-changes.ts";

/** A sentence about an event. */
export interface Told extends Change {
  /** Place of the event in the trace, and its address. */
  index: number;
  address: string;
  /** The core's time of the event, ns. */
  timeNs: number;
  /** Of the log, null if the sentence is about none. */
  luid: bigint | null;
}

/** Which region to ask about. */
export interface Question {
  /** Of the mirror's log. */
  uuid: string;
  /** One log of the mirror alone; null for all. */
  luid: bigint | null;
  region: number;
}

/** What was told in all. */
export interface WhySummary {
  /** Times that the region was handed out to be resynced, by cause, and the address of the last time. */
  resyncs: Map<Cause, { count: number; last: string }>;
  /** The most regions that a log of the question has had; 0 if none was seen. */
  regionCount: number;
}

/** An event as one log of the mirror sees it. */
interface Moment {
  event: TraceEvent;
  address: string;
  engine: Engine;
  /** The notices about the log, and the request to it. */
  notices: readonly Notice[];
  request: Request | null;
}

export class Why {
  readonly summary: WhySummary = { resyncs: new Map(), regionCount: 0 };
  private readonly abi: Abi;
  private readonly stories: RegionStories;
  /** Address of the latest failure of the mirror's log device. */
  private failed: string | null = null;

  constructor(
    private readonly trace: Trace,
    private readonly module: WebAssembly.Module,
    private readonly console: Console,
    private readonly question: Question,
  ) {
    this.abi = trace.abi;
    this.stories = new RegionStories(trace.abi, console, question.uuid, question.region);
  }

  /** Tells everything, event by event. Throws a TraceError if the file is damaged, or nothing of it can be replayed. */
  *tell(): Generator<Told> {
    const runs = runsOf(this.trace).filter(({ firstIndex, endIndex }) => endIndex > firstIndex);
    if (runs.every(({ section }) => section.start === "unknown")) {
      throw new TraceError(
        "The trace does not say what the engine knew at its beginning: it can be looked at, not replayed.",
      );
    }
    for (const run of runs) {
      if (run.section.start === "unknown") {
        yield this.untold(run);
        this.stories.forget();
        this.failed = null;
      } else {
        yield* this.tellRun(run);
        this.stories.endEngine(addressOf(this.trace, run.endIndex - 1));
      }
    }
  }

  /** The events of a run whose beginning is unknown. */
  private untold({ firstIndex, endIndex }: Run): Told {
    const to = addressOf(this.trace, endIndex - 1);
    const sentence =
      `What the engine knew before this event was not recorded, so the events up to ${to} are not told. ` +
      "dm-ulog inspect --region shows those that name the region.";
    return this.told(firstIndex, null, { subject: "trace", cause: null, sentence });
  }

  private *tellRun(run: Run): Generator<Told> {
    const { trace, module } = this;
    if (run.section.start === "snapshot") yield* this.begin(run.firstIndex, startRun(trace, run, module));
    const replayer = new Replayer(trace, module, [run]);
    for (let index = run.firstIndex; index < run.endIndex; index++) {
      replayer.step(1);
      if (replayer.hasDifference) {
        const sentence =
          "Here this core answers otherwise than was recorded (dm-ulog replay shows how), so the rest of this server's life is " +
          "not told.";
        yield this.told(index, null, { subject: "trace", cause: null, sentence });
        return;
      }
      if (this.mayConcern(index)) yield* this.observe(index, replayer.engine as Engine);
    }
  }

  /** The logs that an engine has when its recording begins. */
  private *begin(index: number, engine: Engine): Generator<Told> {
    const { stories, question } = this;
    const address = addressOf(this.trace, index);
    for (const { log, story } of stories.logsIn(engine)) {
      const state = regionState(engine.bytes().buffer as ArrayBuffer, log, question.region);
      this.learnCount(story);
      if (state === null) continue;
      const description = stories.describe(engine, story.luid);
      const change = recorded(story, state, address, description, stories.leftOf(story.luid));
      if (change !== null && this.isAsked(story.luid)) yield this.told(index, story, change);
    }
  }

  /** Whether an event can change something of the mirror: it names its log, or no log, or says something of one. */
  private mayConcern(index: number): boolean {
    const { logs, flags } = this.trace.events;
    const log = logs[index] as number;
    if (log === NO_LOG || ((flags[index] as number) & EVENT_NOTICED) !== 0) return true;
    return this.trace.logs[log]?.uuid === this.question.uuid;
  }

  private *observe(index: number, engine: Engine): Generator<Told> {
    const { trace, abi, question, stories } = this;
    const event = readEvent(trace, index);
    const address = addressOf(trace, index);
    const notices = noticesOf(abi, event).filter(({ uuid }) => uuid === question.uuid);
    if (notices.some(({ code }) => code === abi.NOTICE_DEVICE_FAILED)) this.failed = address;
    const before = stories.before();
    const asked = requestOf(abi, event.input);
    yield* this.removals(index, notices);
    for (const now of stories.logsIn(engine)) {
      const { luid } = now.story;
      this.learnCount(now.story);
      const request = asked?.uuid === question.uuid && asked.luid === luid ? asked : null;
      const own = notices.filter((notice) => notice.luid === luid);
      for (const change of this.changes(now, { event, address, engine, notices: own, request }, before)) {
        if (!this.isAsked(luid)) continue;
        if (change.subject === "resync" && change.cause !== null) this.count(change.cause, address);
        yield this.told(index, now.story, change);
      }
    }
  }

  private *changes({ log, story, isNew }: LogNow, moment: Moment, before: Before | null): Generator<Change> {
    const { abi, question, stories } = this;
    const { event, address, engine, request } = moment;
    const state = regionState(engine.bytes().buffer as ArrayBuffer, log, question.region);
    if (story.removed !== null || state === null) return;
    if (story.state === null) {
      if (has(moment, abi.NOTICE_RESTORED)) {
        const isRepaired = has(moment, abi.NOTICE_RESTORE_REPAIRED);
        const description = stories.describe(engine, story.luid);
        yield restored(story, state, address, isRepaired, description, stories.leftOf(story.luid));
      } else if (isNew && event.input.kind === abi.INPUT_KIND_DATAGRAM) {
        yield made(story, state, address, has(moment, abi.NOTICE_STATE_LOST), before);
      } else return;
    }
    const reading = this.reading(story, moment);
    if (reading !== null && !story.isRead) yield this.deviceRead(story, state, reading, moment, before);
    if (story.isRead) yield* changesOf(abi, story, state, request, reading !== null, address);
    yield* this.life(story, moment);
    yield* this.writes(story, state, moment);
  }

  private deviceRead(
    story: RegionStory,
    state: RegionState,
    reading: DeviceReading,
    moment: Moment,
    before: Before | null,
  ): Change {
    const { abi } = this;
    const grown = moment.notices.find(({ code }) => code === abi.NOTICE_DEVICE_GROWN);
    const found = {
      reading,
      isNew: has(moment, abi.NOTICE_DEVICE_NEW),
      isOther: has(moment, abi.NOTICE_DEVICE_OTHER),
      isUnknownVersion: has(moment, abi.NOTICE_DEVICE_VERSION),
      heldRegions: grown?.detail ?? null,
      failed: this.failed,
    };
    return deviceRead(story, state, moment.address, this.question.region, found, before, this.errorWords);
  }

  /** What an event has read of the log's device, if it was the last part, or the device cannot be read at all. */
  private reading(story: RegionStory, moment: Moment): DeviceReading | null {
    const { abi, stories } = this;
    const { event, engine, address, notices } = moment;
    if (!this.isCompletion(story, moment, abi.EFFECT_KIND_READ)) {
      const failure = notices.find(({ code }) => code === abi.NOTICE_DEVICE_FAILED);
      const isOpen = this.isCompletion(story, moment, abi.EFFECT_KIND_OPEN);
      return isOpen && failure !== undefined && !story.isRead ? { isClean: null, error: failure.error } : null;
    }
    const isLast = !event.effects.some(
      ({ kind, payload }) => kind === abi.EFFECT_KIND_READ && stories.ofHead(payload, engine) === story,
    );
    const isForeign =
      has(moment, abi.NOTICE_DEVICE_NEW) ||
      has(moment, abi.NOTICE_DEVICE_OTHER) ||
      has(moment, abi.NOTICE_DEVICE_VERSION);
    return story.device.read(event.input, address, { isLast, isForeign });
  }

  /** Resumes, suspends, and failures of the device. */
  private *life(story: RegionStory, { notices }: Moment): Generator<Change> {
    const { abi } = this;
    for (const { code, error } of notices) {
      let sentence: string;
      if (code === abi.NOTICE_RESUMED) {
        story.isInUse = true;
        sentence = "The mirror resumes.";
      } else if (code === abi.NOTICE_SUSPENDED) {
        story.isInUse = false;
        sentence = "The mirror is suspended: the kernel has ended its writes.";
      } else if (code === abi.NOTICE_DEVICE_FAILED) {
        const until = "until it holds again what the server knows, its bits are not believed";
        sentence = `The log device has failed (${this.errorWords(error)}): ${until}.`;
      } else continue;
      yield { subject: "life", cause: null, sentence };
    }
  }

  /** Writes of the region's bit, and their ends. */
  private *writes(story: RegionStory, state: RegionState, moment: Moment): Generator<Change> {
    const { abi, stories } = this;
    const { event, engine, address } = moment;
    if (this.isCompletion(story, moment, abi.EFFECT_KIND_WRITE)) {
      const write = story.device.completed(event.input, address);
      if (write !== null) {
        const sentence = writeInWords(write, state, this.errorWords);
        yield { subject: write.error === 0 ? "marks" : "life", cause: null, sentence };
      }
    }
    for (const effect of event.effects) {
      if (effect.kind !== abi.EFFECT_KIND_WRITE || stories.ofHead(effect.payload, engine) !== story) continue;
      story.device.written(effect, address, state.isInSync && !state.isMarked);
    }
  }

  /** Logs that the core has taken out of sight in this event. */
  private *removals(index: number, notices: readonly Notice[]): Generator<Told> {
    const { abi } = this;
    const clauses = new Map([
      [abi.NOTICE_DESTROYED, "removed by the kernel (DTR)"],
      [abi.NOTICE_FORGOTTEN, "given up, because no table of the kernel names it"],
      [abi.NOTICE_CROWDED_OUT, "given up, because the mirror has too many logs"],
      [abi.NOTICE_REPLACED, "given up, because the kernel makes another log with its luid"],
    ]);
    for (const { code, luid } of notices) {
      const clause = clauses.get(code);
      if (clause === undefined) continue;
      const story = this.stories.remove(luid, `${clause} at ${addressOf(this.trace, index)}`);
      if (!story?.state || !this.isAsked(luid)) continue;
      const rest = story.isRead ? ` The region was ${stateInWords(story.state)}.` : "";
      yield this.told(index, story, { subject: "life", cause: null, sentence: `The log is ${clause}.${rest}` });
    }
  }

  private isCompletion(story: RegionStory, { event, engine }: Moment, effect: number): boolean {
    const { abi, stories } = this;
    const { kind, payload } = event.input;
    if (kind !== abi.INPUT_KIND_COMPLETION || payload.length < abi.COMPLETION_DATA) return false;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    return view.getUint32(abi.COMPLETION_EFFECT, true) === effect && stories.ofHead(payload, engine) === story;
  }

  private isAsked(luid: bigint): boolean {
    return this.question.luid === null || this.question.luid === luid;
  }

  private learnCount({ luid, regionCount }: RegionStory): void {
    if (this.isAsked(luid)) this.summary.regionCount = Math.max(this.summary.regionCount, regionCount);
  }

  private count(cause: Cause, address: string): void {
    const counted = this.summary.resyncs.get(cause);
    this.summary.resyncs.set(cause, { count: (counted?.count ?? 0) + 1, last: address });
  }

  private readonly errorWords = (error: number): string => this.console.explainErrno(error);

  private told(index: number, story: RegionStory | null, change: Change): Told {
    const timeNs = this.trace.events.timesNs[index] as number;
    return { index, address: addressOf(this.trace, index), timeNs, luid: story?.luid ?? null, ...change };
  }
}

function has({ notices }: Moment, code: number): boolean {
  return notices.some((notice) => notice.code === code);
}
