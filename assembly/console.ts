// The control plane: strings and typed arrays by as-bind. Every function is a pure function of bytes that the caller
// copied from the engine's memory, so it runs on an instance of its own and may use the language's heap. The
// instance that takes inputs never calls one: its memory stays the whole of its state.

import { OPTION_BLOCK_ON_ERROR, OPTION_NOSYNC, OPTION_SYNC } from "./constructor";
import { CORE_REQUESTS, Core } from "./core";
import { classifyFrame, FRAME_FOREIGN, FRAME_MALFORMED, FRAME_TRUNCATED } from "./datagram";
import { Disk } from "./disk";
import { PHASE_READY } from "./disk-life";
import { LOG_BYTES, LOG_UUID, Log } from "./log";
import { NOTICE_BYTES, NOTICE_CODE, NOTICE_DETAIL, NOTICE_ERROR, NOTICE_LUID, NOTICE_UUID } from "./notices";
import {
  REQUEST_CLEAR_REGION,
  REQUEST_CTR,
  REQUEST_FLUSH,
  REQUEST_GET_REGION_SIZE,
  REQUEST_GET_RESYNC_WORK,
  REQUEST_GET_SYNC_COUNT,
  REQUEST_IN_SYNC,
  REQUEST_IS_CLEAN,
  REQUEST_IS_REMOTE_RECOVERING,
  REQUEST_MARK_REGION,
  REQUEST_SET_REGION_SYNC,
  REQUEST_STATUS_INFO,
  REQUEST_STATUS_TABLE,
  REQUEST_TYPE_MASK,
  REQUEST_TYPE_MAX,
  ULOG_DATA,
  ULOG_DATA_SIZE,
  ULOG_ERROR,
  ULOG_LUID,
  ULOG_SEQ,
  ULOG_TYPE,
  ULOG_UUID,
  ULOG_VERSION,
  UUID_BYTES,
} from "./protocol";
import { NO_REGION, RegionSet } from "./region-set";
import { decimal, errnoWords, isRefusal, noticePriority, noticeWords, requestName, stateName } from "./words";

export const REGION_CLEAN: u8 = 0;
export const REGION_DIRTY: u8 = 1;
export const REGION_OUT_OF_SYNC: u8 = 2;
/** Out of sync, and its recovery failed since the last resume. */
export const REGION_FAILED: u8 = 3;

/**
 * A log as one JSON object. `record` holds as many bytes as the record says at LOG_DESCRIBED_BYTES, copied from `address`.
 * Counts are of regions. The luid is a decimal string: it is a kernel address, and most of those exceed 2^53.
 */
export function describeLog(record: Uint8Array, address: u32): string {
  if (record.length < <i32>LOG_BYTES) return "null";
  const log = changetype<Log>(record.dataStart);
  if (record.length < <i32>log.describedBytes) return "null";
  const base = changetype<usize>(log) - address;
  const outOfSync =
    changetype<RegionSet>(base + log.pending).population + changetype<RegionSet>(base + log.failed).population;
  const text = base + log.constructorText;
  return (
    '{"uuid":' +
    quoted(changetype<usize>(log) + LOG_UUID, log.uuidBytes) +
    ',"luid":"' +
    decimal(log.luid) +
    '","type":' +
    quoted(text + log.typeOffset, log.typeBytes) +
    ',"state":"' +
    stateName(log.state) +
    '","lengthSectors":' +
    decimal(log.lengthSectors) +
    ',"regionSizeSectors":' +
    decimal(log.regionSizeSectors) +
    ',"regionCount":' +
    decimal(log.regionCount) +
    ',"inSyncRegions":' +
    decimal(log.regionCount - outOfSync) +
    ',"outOfSyncRegions":' +
    decimal(outOfSync) +
    ',"dirtyRegions":' +
    decimal(log.dirtyCount) +
    ',"failedRegions":' +
    decimal(changetype<RegionSet>(base + log.failed).population) +
    ',"recoveringRegion":' +
    (log.recovering == NO_REGION ? "null" : decimal(log.recovering)) +
    ',"options":[' +
    optionNames(log.options) +
    '],"constructor":' +
    quoted(text, log.constructorBytes) +
    ',"device":' +
    (log.disk == 0 ? "null" : describeDisk(changetype<Disk>(base + log.disk), base)) +
    ',"memoryBytes":' +
    decimal(log.blockBytes) +
    ',"marks":' +
    decimal(log.marks) +
    ',"clears":' +
    decimal(log.clears) +
    ',"flushes":' +
    decimal(log.flushes) +
    ',"resynced":' +
    decimal(log.resynced) +
    ',"resyncFailures":' +
    decimal(log.resyncFailures) +
    "}"
  );
}

/** The core's counters as one JSON object; `area` is a copy of the CORE area. */
export function describeCounters(area: Uint8Array): string {
  if (area.length < <i32>(CORE_REQUESTS + (REQUEST_TYPE_MAX + 1) * 8)) return "null";
  const core = changetype<Core>(area.dataStart);
  let requests = '"unknown":' + decimal(load<u64>(area.dataStart, CORE_REQUESTS));
  for (let type: u32 = 1; type <= REQUEST_TYPE_MAX; type++) {
    const count = load<u64>(area.dataStart + ((<usize>type) << 3), CORE_REQUESTS);
    requests += ',"' + requestName(type) + '":' + decimal(count);
  }
  return (
    '{"inputs":' +
    decimal(core.inputs) +
    ',"refused":' +
    decimal(core.refused) +
    ',"flushes":' +
    decimal(core.flushes) +
    ',"flushesWithoutWrite":' +
    decimal(core.flushesWithoutWrite) +
    ',"deviceWrites":' +
    decimal(core.deviceWrites) +
    ',"deviceBytes":' +
    decimal(core.deviceBytes) +
    ',"droppedForeign":' +
    decimal(core.droppedForeign) +
    ',"droppedTruncated":' +
    decimal(core.droppedTruncated) +
    ',"droppedMalformed":' +
    decimal(core.droppedMalformed) +
    ',"requests":{' +
    requests +
    "}}"
  );
}

/**
 * States of `count` regions, one byte each (REGION_…). The three arrays are copies of the same words of the sets'
 * bits; `first` is the region's place within them.
 */
export function regionStates(
  pending: Uint8Array,
  failed: Uint8Array,
  marked: Uint8Array,
  first: u32,
  count: u32,
): Uint8Array {
  const bitsHeld = <u64>min(min(pending.length, failed.length), marked.length) * 8;
  const available = first < bitsHeld ? <u32>min(bitsHeld - first, <u64>count) : 0;
  const states = new Uint8Array(available);
  for (let i: u32 = 0; i < available; i++) {
    const region = first + i;
    const byte = region >>> 3;
    const bit = <u8>(region & 7);
    let state = REGION_CLEAN;
    if ((load<u8>(pending.dataStart + byte) >> bit) & 1) state = REGION_OUT_OF_SYNC;
    else if ((load<u8>(failed.dataStart + byte) >> bit) & 1) state = REGION_FAILED;
    else if ((load<u8>(marked.dataStart + byte) >> bit) & 1) state = REGION_DIRTY;
    store<u8>(states.dataStart + i, state);
  }
  return states;
}

/** One datagram in words: a request of the kernel, or a reply to it. */
export function decodeDatagram(datagram: Uint8Array, fromKernel: bool): string {
  const frame = datagram.dataStart;
  switch (classifyFrame(frame, datagram.length)) {
    case FRAME_FOREIGN:
      return "not a dm-log-userspace message (" + decimal(datagram.length) + " bytes)";
    case FRAME_TRUNCATED:
      return "truncated message (" + decimal(datagram.length) + " bytes)";
    case FRAME_MALFORMED:
      return "malformed message: its length fields contradict each other (" + decimal(datagram.length) + " bytes)";
    default:
  }
  const type = load<u32>(frame, ULOG_TYPE) & REQUEST_TYPE_MASK;
  const bytes = load<u32>(frame, ULOG_DATA_SIZE);
  const error = load<i32>(frame, ULOG_ERROR);
  let words = requestName(type) + (fromKernel ? " #" : " reply #") + decimal(load<u32>(frame, ULOG_SEQ));
  words += " log " + printable(frame + ULOG_UUID, UUID_BYTES - 1) + " luid " + decimal(load<u64>(frame, ULOG_LUID));
  words += " v" + decimal(load<u32>(frame, ULOG_VERSION));
  if (!fromKernel && error != 0) return words + ": " + errnoWords(error);
  const payload = fromKernel
    ? requestPayload(type, frame + ULOG_DATA, bytes)
    : replyPayload(type, frame + ULOG_DATA, bytes);
  return payload.length > 0 ? words + ": " + payload : words;
}

/** An errno, positive or negative, as its name and a sentence. */
export function explainErrno(error: i32): string {
  return errnoWords(error);
}

/** A notice in words; `payload` is that of its effect record. */
export function describeNotice(payload: Uint8Array): string {
  if (payload.length < <i32>NOTICE_BYTES) return "";
  const at = payload.dataStart;
  const code = load<u32>(at, NOTICE_CODE);
  const error = load<i32>(at, NOTICE_ERROR);
  const words = noticeWords(code, load<u64>(at, NOTICE_DETAIL));
  const luid = load<u64>(at, NOTICE_LUID);
  const log =
    "log " + printable(at + NOTICE_UUID, UUID_BYTES - 1) + (luid == 0 ? ": " : " (luid " + decimal(luid) + "): ");
  if (isRefusal(code)) return log + "refused, " + words;
  return error == 0 ? log + words : log + words + " (" + errnoWords(error) + ")";
}

/** How urgent a notice is, as syslog numbers it: 3 error, 4 warning, 6 information. */
export function priorityOfNotice(payload: Uint8Array): i32 {
  if (payload.length < <i32>NOTICE_BYTES) return 6;
  const at = payload.dataStart;
  return noticePriority(load<u32>(at, NOTICE_CODE), load<i32>(at, NOTICE_ERROR));
}

function describeDisk(disk: Disk, base: usize): string {
  const unsettled =
    changetype<RegionSet>(base + disk.fresh).population + changetype<RegionSet>(base + disk.settling).population;
  return (
    '{"major":' +
    decimal(disk.major) +
    ',"minor":' +
    decimal(disk.minor) +
    ',"isReady":' +
    (disk.phase == PHASE_READY ? "true" : "false") +
    ',"error":' +
    (disk.error == 0 ? "null" : '"' + errnoWords(disk.error) + '"') +
    ',"urgentBlocks":' +
    decimal(changetype<RegionSet>(base + disk.urgent).population) +
    ',"lazyBlocks":' +
    decimal(changetype<RegionSet>(base + disk.lazy).population) +
    ',"unsettledRegions":' +
    decimal(unsettled) +
    ',"waitingRequests":' +
    decimal(disk.waiterCount) +
    "}"
  );
}

function optionNames(options: u32): string {
  let names = "";
  if (options & OPTION_SYNC) names += '"sync"';
  if (options & OPTION_NOSYNC) names += '"nosync"';
  if (options & OPTION_BLOCK_ON_ERROR) names += names.length > 0 ? ',"block_on_error"' : '"block_on_error"';
  return names;
}

function requestPayload(type: u32, data: usize, bytes: u32): string {
  switch (type) {
    case REQUEST_CTR:
      return (
        '"' + printable(data, bytes) + '"' + (bytes > 0 && load<u8>(data + bytes - 1) == 0 ? " (reconnecting)" : "")
      );
    case REQUEST_FLUSH:
    case REQUEST_MARK_REGION:
    case REQUEST_CLEAR_REGION:
      return bytes == 0 ? "" : regionList(data, bytes >>> 3);
    case REQUEST_IS_CLEAN:
    case REQUEST_IN_SYNC:
    case REQUEST_IS_REMOTE_RECOVERING:
      return bytes < 8 ? "" : regionList(data, 1);
    case REQUEST_SET_REGION_SYNC:
      return bytes < 16 ? "" : regionList(data, 1) + (load<u64>(data, 8) != 0 ? " in sync" : " out of sync");
    default:
      return "";
  }
}

function replyPayload(type: u32, data: usize, bytes: u32): string {
  switch (type) {
    case REQUEST_CTR:
      return bytes == 0 ? "done" : "log device " + printable(data, bytes);
    case REQUEST_GET_REGION_SIZE:
      return bytes < 8 ? "" : decimal(load<u64>(data)) + " sectors";
    case REQUEST_GET_SYNC_COUNT:
      return bytes < 8 ? "" : decimal(load<u64>(data)) + " regions in sync";
    case REQUEST_IS_CLEAN:
      return bytes < 8 ? "" : load<u64>(data) != 0 ? "clean" : "not clean";
    case REQUEST_IN_SYNC:
      return bytes < 8 ? "" : load<u64>(data) != 0 ? "in sync" : "out of sync";
    case REQUEST_GET_RESYNC_WORK:
      return bytes < 16 ? "" : load<u64>(data) != 0 ? "resync region " + decimal(load<u64>(data, 8)) : "no resync work";
    case REQUEST_IS_REMOTE_RECOVERING:
      return bytes < 16
        ? ""
        : (load<u64>(data) != 0 ? "yes" : "no") +
            "; the kernel need not ask for writes below region " +
            decimal(load<u64>(data, 8));
    case REQUEST_STATUS_INFO:
    case REQUEST_STATUS_TABLE:
      return '"' + printable(data, bytes) + '"';
    default:
      return "done";
  }
}

/** As many regions as today's kernels put into one request; more would not be read by a person. */
const REGIONS_SHOWN_MAX: u32 = 32;

function regionList(data: usize, count: u32): string {
  let words = count == 1 ? "region " : "regions ";
  const shown = min(count, REGIONS_SHOWN_MAX);
  for (let i: u32 = 0; i < shown; i++) {
    if (i > 0) words += ", ";
    words += decimal(load<u64>(data + ((<usize>i) << 3)));
  }
  return shown == count ? words : words + " and " + decimal(count - shown) + " more";
}

/** Bytes up to a NUL as characters; what a terminal should not see as `?`. */
function printable(at: usize, bytes: usize): string {
  let length: usize = 0;
  while (length < bytes && load<u8>(at + length) != 0) length++;
  let text = "";
  for (let i: usize = 0; i < length; i++) {
    const character = load<u8>(at + i);
    text += String.fromCharCode(character < 0x20 || character > 0x7e ? 0x3f : character);
  }
  return text;
}

/** A JSON string: what JSON does not take as it is becomes \u00XX, a byte at a time. */
function quoted(at: usize, bytes: usize): string {
  const digits = "0123456789abcdef";
  let text = '"';
  for (let i: usize = 0; i < bytes; i++) {
    const character = load<u8>(at + i);
    if (character < 0x20 || character > 0x7e || character == 0x22 || character == 0x5c) {
      text += "\\u00" + digits.charAt(character >> 4) + digits.charAt(character & 15);
    } else {
      text += String.fromCharCode(character);
    }
  }
  return text + '"';
}
