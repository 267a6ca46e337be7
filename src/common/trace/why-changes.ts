// What an event changed of a region, in sentences: the states before and after it, and the request that did it.

import type { Abi } from "../abi.ts";
import type { Request } from "./event-regions.ts";
import type { DeviceWrite } from "./region-on-device.ts";
import type { RegionState } from "./region-state.ts";
import type { Cause, Reason, RegionStory } from "./region-story.ts";

/** What a sentence is about. Those about "marks" may come by the thousand. */
export type Subject = "life" | "marks" | "sync" | "resync" | "trace";

export interface Change {
  subject: Subject;
  /** Why the region is out of sync, where it becomes so or is handed out to be resynced; null elsewhere. */
  cause: Cause | null;
  sentence: string;
}

const NOT_TOLD = "The trace does not tell why.";

/**
 * The changes of an event against the state that `story` knows, which gets the new one. `request` is the event's, if it is one of
 * this log.
 */
export function changesOf(
  abi: Abi,
  story: RegionStory,
  after: RegionState,
  request: Request | null,
  hasReadDevice: boolean,
  address: string,
): Change[] {
  const before = story.state as RegionState;
  const changes: Change[] = [];
  const say = (subject: Subject, sentence: string, cause: Cause | null = null) =>
    changes.push({ subject, cause, sentence });
  const type = request?.type;
  if (!before.isMarked && after.isMarked) {
    story.markedSince = address;
    const isMark = type === abi.REQUEST_MARK_REGION || type === abi.REQUEST_FLUSH;
    const by = type === abi.REQUEST_FLUSH ? "with a flush" : "with MARK_REGION";
    const who = isMark ? `The kernel marks it ${by}: a write to it begins.` : `It is marked. ${NOT_TOLD}`;
    say("marks", `${who} ${after.isInSync ? "It is dirty." : "It stays out of sync."}`);
  }
  if (before.isMarked && !after.isMarked) {
    story.markedSince = "";
    const who =
      type === abi.REQUEST_CLEAR_REGION
        ? "The kernel clears it: its writes have ended on every leg."
        : hasReadDevice
          ? "Its mark is dropped: nobody knew whether it was marked, and the kernel has ended all writes since."
          : `Its mark is dropped. ${NOT_TOLD}`;
    say("marks", `${who} ${after.isInSync ? "It is clean." : "It stays out of sync."}`);
  }
  if (before.isInSync && !after.isInSync) {
    const reason = reasonOfReport(type === abi.REQUEST_SET_REGION_SYNC, address);
    story.reason = reason;
    say("sync", `It is out of sync, because ${reason.clause}.`, reason.cause);
  }
  if (!before.isRecovering && after.isRecovering) {
    say("resync", `The kernel is told to resync it (GET_RESYNC_WORK). ${reasonInWords(story.reason)}`, causeOf(story));
  }
  if (!before.isInSync && after.isInSync) {
    story.reason = null;
    const isReport = type === abi.REQUEST_SET_REGION_SYNC;
    const who = isReport ? "The kernel reports it as resynced (SET_REGION_SYNC 1)." : NOT_TOLD;
    say("sync", `${who} It is in sync${after.isMarked ? " and dirty, because it is marked" : ""}.`);
  } else if (before.isRecovering && !after.isRecovering) {
    if (after.hasFailed) {
      say(
        "resync",
        "The kernel reports that its resync failed (SET_REGION_SYNC 0). It stays out of sync, and is tried again later.",
      );
    } else {
      say("resync", "Its resync is given up, because the mirror resumes: it is handed out again.");
    }
  }
  story.state = after;
  return changes;
}

/** A write that changed what the log device says. */
export function writeInWords(write: DeviceWrite, state: RegionState, errorWords: (error: number) => string): string {
  const what = write.isClean ? "clean" : "not clean";
  if (write.error !== 0) {
    return `The write of ${write.asked}, which says ${what}, failed (${errorWords(write.error)}): the log device may hold either.`;
  }
  const why = !write.wasKnown
    ? "the server writes what it knows"
    : write.isClean
      ? "its writes had ended, and the legs' caches were flushed"
      : write.isAhead
        ? "it is marked ahead of a sequential writer, and costs no write when that comes"
        : state.isInSync
          ? "it is marked"
          : "it is out of sync";
  return `The log device says ${what} from now on (written at ${write.asked}): ${why}.`;
}

/** Since when a region is out of sync, and why, as a sentence. */
function reasonInWords(reason: Reason | null): string {
  return reason === null
    ? "It is out of sync; the trace does not tell why."
    : `It is out of sync since ${reason.address} (cause: ${reason.cause}).`;
}

function causeOf({ reason }: RegionStory): Cause {
  return reason?.cause ?? "not recorded";
}

function reasonOfReport(isReport: boolean, address: string): Reason {
  return isReport
    ? { cause: "failed leg", clause: "the kernel reports that a write missed a leg (SET_REGION_SYNC 0)", address }
    : { cause: "not recorded", clause: "of something that the trace does not tell", address };
}
