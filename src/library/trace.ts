/**
 * The package's entry for traces: record an engine, replay the recording, go to any event of it.
 * @module dm-ulog/trace
 */

export type { Difference, EffectDifference } from "../common/trace/difference.ts";
export { cut, merge } from "../common/trace/edit.ts";
export { readEvent, type TraceEffect, type TraceEvent, type TraceInput } from "../common/trace/event.ts";
export { TraceError } from "../common/trace/format.ts";
export type { LogName } from "../common/trace/log-names.ts";
export { Recording, type RecordingFacts } from "../common/trace/recording.ts";
export { Replayer, type ReplayOptions, type ReplaySummary, replay } from "../common/trace/replay.ts";
export { type Run, runsOf } from "../common/trace/run.ts";
export type { SectionFacts, Start } from "../common/trace/section.ts";
export { TimeTravel, type TimeTravelOptions } from "../common/trace/time-travel.ts";
export { type Section, Trace } from "../common/trace/trace.ts";
export { EventWords } from "../common/trace/words.ts";
