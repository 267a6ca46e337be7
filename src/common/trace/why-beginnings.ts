// What a log knows of a region when it begins, in sentences: the kernel makes it, a server takes it up, it reads its device for
// the first time, or the recording begins with it.

import type { LogDescription } from "../console.ts";
import type { RegionState } from "./region-state.ts";
import type { Before } from "./region-stories.ts";
import type { RegionStory } from "./region-story.ts";
import type { Change } from "./why-changes.ts";
import { type Found, reasonWhenMade, reasonWhenRead } from "./why-words.ts";

const NOSYNC = "the table says `nosync`: nobody has compared the legs";

/** The kernel makes a log. */
export function made(
  story: RegionStory,
  state: RegionState,
  address: string,
  isLost: boolean,
  before: Before | null,
): Change {
  story.isLost = isLost;
  take(story, state, address);
  const what = isLost ? "The kernel reconnects a log that this server does not know" : "The kernel makes the log";
  const isReload = before?.isSameEngine && before.story.removed === null;
  const reload = isReload ? `, while that of luid ${before.story.luid} is there: its table is replaced` : "";
  const head = `${what}, ${story.place}, with ${story.regionCount} regions${reload}.`;
  if (story.isDisk) {
    story.isRead = false;
    story.foregoing = before?.story ?? null;
    return ofLife(`${head} What the device says of the region is read when the mirror resumes.`);
  }
  if (state.isInSync) return ofLife(`${head} The region is in sync, because ${NOSYNC}.`);
  story.reason = { ...reasonWhenMade(story, before), address };
  const { cause, clause } = story.reason;
  return { subject: "life", cause, sentence: `${head} The region is out of sync, because ${clause}.` };
}

/** A server takes up a log; `known` is what the trace knows of it from the server before. */
export function restored(
  story: RegionStory,
  state: RegionState,
  address: string,
  isRepaired: boolean,
  description: LogDescription | undefined,
  known: RegionStory | undefined,
): Change {
  takeUp(story, state, address, description, known);
  const head = "A new server takes up the log from its state file";
  if (!story.isRead) return ofLife(`${head}; it was never resumed, and its device is not read yet.`);
  const words = `${head}: the region is ${stateInWords(state)}`;
  if (isLeft(known, state)) return ofLife(`${words}, as the server before it left it.`);
  if (isPlain(state)) return ofLife(`${words}.`);
  const why = isRepaired
    ? "the two copies in the file differed (it was damaged, or the server was killed between two stores), and what either copy says counts"
    : "the trace does not hold what made it so";
  const isNews = !state.isInSync && known?.state?.isInSync !== false;
  if (isNews) story.reason = { cause: isRepaired ? "state damaged" : "not recorded", clause: why, address };
  return { subject: "life", cause: isNews ? (story.reason?.cause ?? null) : null, sentence: `${words}; ${why}.` };
}

/** A recording begins with a log. Null if it is as the trace left it. */
export function recorded(
  story: RegionStory,
  state: RegionState,
  address: string,
  description: LogDescription | undefined,
  known: RegionStory | undefined,
): Change | null {
  takeUp(story, state, address, description, known);
  if (isLeft(known, state)) return null;
  const head = `The recording begins here with the log of luid ${story.luid}`;
  if (!story.isRead) return ofLife(`${head}, whose device is not read yet.`);
  const rest = isPlain(state) ? "" : " The trace does not hold what made it so.";
  return ofLife(`${head}: the region is ${stateInWords(state)}.${rest}`);
}

/** A disk log that was never resumed has read its device, or cannot: now its regions mean something. */
export function deviceRead(
  story: RegionStory,
  state: RegionState,
  address: string,
  region: number,
  found: Found,
  before: Before | null,
  errorWords: (error: number) => string,
): Change {
  story.isRead = true;
  story.foregoing = null;
  take(story, state, address);
  const doubt = state.isMarked
    ? " It is marked too, as every region is: the marks of the server before are lost, and the kernel makes none of them again."
    : "";
  if (state.isInSync) {
    const why = story.has("nosync") && !story.isLost ? NOSYNC : "the log device says that it is clean";
    const sentence = `The log device is read: the region is in sync, because ${why}.${doubt}`;
    return { subject: "sync", cause: null, sentence };
  }
  story.reason = { ...reasonWhenRead(story, region, found, before), address };
  const { cause, clause } = story.reason;
  const { error } = found.reading;
  const head = error === 0 ? "The log device is read" : `The log device fails (${errorWords(error)})`;
  return { subject: "sync", cause, sentence: `${head}: the region is out of sync, because ${clause}.${doubt}` };
}

/** A state in words, such as `in sync and clean`. */
export function stateInWords({ isInSync, isMarked, hasFailed, isRecovering }: RegionState): string {
  const sync = isInSync ? (isMarked ? "in sync and dirty" : "in sync and clean") : "out of sync";
  const marked = !isInSync && isMarked ? ", and marked" : "";
  const failed = hasFailed ? ", and its last resync has failed" : "";
  return `${sync}${marked}${failed}${isRecovering ? ", and being resynced" : ""}`;
}

/** Takes a state as the one to start from. */
function take(story: RegionStory, state: RegionState, address: string): void {
  story.state = state;
  story.markedSince = state.isMarked ? address : "";
}

/** A log that was not made here goes on with what was known of it. */
function takeUp(
  story: RegionStory,
  state: RegionState,
  address: string,
  description: LogDescription | undefined,
  known: RegionStory | undefined,
): void {
  take(story, state, address);
  story.isInUse = description?.state === "resumed" || description?.state === "suspending";
  story.isRead = !story.isDisk || description?.state !== "created";
  if (known === undefined) return;
  story.device = known.device;
  story.reason = state.isInSync ? null : known.reason;
  if (state.isMarked && known.markedSince !== "") story.markedSince = known.markedSince;
  if (!story.isRead) story.foregoing = known.isRead ? known : known.foregoing;
}

/** Whether a state needs no explanation. */
function isPlain({ isInSync, isMarked }: RegionState): boolean {
  return isInSync && !isMarked;
}

/** Whether a state is the one that was known. */
function isLeft(known: RegionStory | undefined, state: RegionState): boolean {
  const left = known?.state;
  return left?.isInSync === state.isInSync && left.isMarked === state.isMarked && left.hasFailed === state.hasFailed;
}

function ofLife(sentence: string): Change {
  return { subject: "life", cause: null, sentence };
}
