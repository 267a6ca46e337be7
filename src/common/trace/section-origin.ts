// Why a section of a trace begins, as far as the trace tells: a server was started anew, took up the logs of the one before it, or
// found that the kernel had been started anew; or the recording alone begins here.

import { readEvent } from "./event.ts";
import { requestOf } from "./event-regions.ts";
import { goesOn } from "./run.ts";
import type { Section, Trace } from "./trace.ts";

/** Events at the beginning of a section that tell why it begins: a server restores its logs before it takes the first request. */
const FIRST_EVENTS = 4096;

const HEAD = ": a server was started anew";

/** Why a section begins, as a clause. */
export function originInWords(trace: Trace, section: Section): string {
  const before = trace.sections[section.number - 2];
  const last = before === undefined ? "" : `${before.number}:${before.firstEvent + before.eventCount - 1}`;
  if (section.isBegunByGap) {
    const missing = before === undefined ? 0 : section.firstEvent - before.firstEvent - before.eventCount;
    const many = missing > 0 ? `${missing.toLocaleString("en-US")} events` : "events";
    return `the same server, ${many} are missing, so the engine's state is not recorded`;
  }
  if (before !== undefined && goesOn(before, section)) return `the same server goes on after ${last}`;
  if (section.start === "unknown") return "the engine's earlier state is not recorded";
  const isSameLife = before !== undefined && section.life !== "" && section.life === before.life;
  if (section.start === "snapshot") {
    const how = "an engine restored from a snapshot";
    return isSameLife
      ? `${how}, the same server, last recorded at ${last}`
      : `${how}: the recording begins while a server runs`;
  }
  return `a new engine${newServerInWords(trace, section)}`;
}

/** What the first events of a fresh engine say of the server and the kernel. */
function newServerInWords(trace: Trace, section: Section): string {
  const { abi, events } = trace;
  const { firstIndex, eventCount } = section;
  const end = firstIndex + Math.min(eventCount, FIRST_EVENTS);
  let restored = 0;
  let made: number | undefined;
  for (let index = firstIndex; index < end && made === undefined; index++) {
    if (events.kinds[index] === abi.INPUT_KIND_RESTORE) restored += beginsFile(trace, index) ? 1 : 0;
    const isMade = events.kinds[index] === abi.INPUT_KIND_DATAGRAM && events.types[index] === abi.REQUEST_CTR;
    if (isMade && restored === 0) made = index;
  }
  const logs = restored === 1 ? "1 log" : `${restored.toLocaleString("en-US")} logs`;
  if (section.after !== undefined) {
    const said = lifeInWords(trace, section.after);
    const what = restored === 0 ? "takes up no log" : `goes on with its ${logs}`;
    return `: a server took over from ${said} while that one served, and ${what}`;
  }
  if (made !== undefined) return madeInWords(trace, section, made);
  if (restored > 0) {
    const files = `the state file${restored === 1 ? "" : "s"} of ${logs}`;
    return `${HEAD}, and takes up ${files} from the one before it, whose end is not recorded`;
  }
  return `${HEAD}, and found no state files`;
}

/** A server by its last section in the trace, if it is there. */
function lifeInWords(trace: Trace, life: string): string {
  const last = trace.sections.filter((section) => section.life === life).at(-1);
  return last === undefined ? "another" : `the one of section ${last.number}`;
}

/** A server without state files: the kernel reconnects a log that it has, or makes one. */
function madeInWords(trace: Trace, section: Section, index: number): string {
  const { abi } = trace;
  const request = requestOf(abi, readEvent(trace, index).input);
  if (request === null) return "";
  if (request.data.at(-1) === 0) {
    return `${HEAD} without state files, and the kernel reconnects its logs: what an earlier server knew is lost`;
  }
  if (!wasLeft(trace, section.firstIndex, request.uuid)) return `${HEAD}, and found no state files`;
  return (
    `${HEAD} without state files, and the kernel makes its logs anew instead of reconnecting them, as it does after a power ` +
    "cut, a crash or a reboot"
  );
}

/** Whether a mirror's log was there before an event, and not removed. */
function wasLeft(trace: Trace, before: number, uuid: string): boolean {
  const { abi, events } = trace;
  for (let index = before - 1; index >= 0; index--) {
    const log = trace.logs[events.logs[index] as number];
    if (log?.uuid !== uuid || events.kinds[index] !== abi.INPUT_KIND_DATAGRAM) continue;
    if (events.types[index] === abi.REQUEST_DTR) return false;
    if (events.types[index] === abi.REQUEST_CTR || events.types[index] === abi.REQUEST_RESUME) return true;
  }
  return false;
}

/** Whether a RESTORE is the first part of its file. */
function beginsFile(trace: Trace, index: number): boolean {
  const { abi } = trace;
  const { payload } = readEvent(trace, index).input;
  if (payload.length < abi.HEAD_BYTES) return false;
  return new DataView(payload.buffer, payload.byteOffset).getBigUint64(abi.HEAD_OFFSET, true) === 0n;
}
