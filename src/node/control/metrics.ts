// What the server tells Prometheus. Every figure is read when it is asked for: the core's counters and logs through the
// console, latencies from the request thread's own memory.

import type { Counters, LogDescription } from "../../common/console.ts";
import { BUCKET_BOUNDS_SECONDS, type LatencyHistogram } from "../requests/latencies.ts";
import type { SpinCounters } from "../requests/spin.ts";
import type { ListenerReport } from "./listener-watch.ts";
import type { BusyDevice } from "./native-host.ts";
import { type Labels, PrometheusText, type Sample } from "./prometheus.ts";

export interface MetricsSource {
  version: string;
  uptimeSeconds: number;
  residentBytes: number;
  counters: Counters;
  logs: readonly LogDescription[];
  latencies: readonly LatencyHistogram[];
  overruns: number;
  others: ListenerReport;
  spin: SpinCounters;
  busyDevices?: readonly BusyDevice[];
}

/** All metrics as Prometheus reads them. */
export function metricsText(source: MetricsSource): string {
  const text = new PrometheusText();
  const one = (value: number): Sample[] => [{ value }];
  text.gauge("dm_ulog_build_info", "Always 1; the label says which version runs.", [
    { labels: { version: source.version }, value: 1 },
  ]);
  text.gauge("dm_ulog_uptime_seconds", "Seconds since the server process began.", one(source.uptimeSeconds));
  text.gauge("dm_ulog_resident_memory_bytes", "Memory of the server process.", one(source.residentBytes));
  writeRequests(text, source);
  writeDevices(text, source.counters);
  text.gauge("dm_ulog_logs", "Dirty logs that the server keeps.", one(source.logs.length));
  const logs = newestOfEach(source.logs);
  writeLogs(text, logs);
  writeOthers(text, source.others, logs);
  writeSpin(text, source.spin);
  if (source.busyDevices !== undefined) writeBusyDevices(text, source.busyDevices);
  return text.toString();
}

function writeSpin(text: PrometheusText, { windowNs, tries, hits, spentSeconds }: SpinCounters): void {
  text.gauge("dm_ulog_spin_window_seconds", "How long the server looks for a request before it sleeps.", [
    { value: windowNs / 1e9 },
  ]);
  text.counter("dm_ulog_spins_total", "Times the server looked for a request before it slept.", [{ value: tries }]);
  text.counter("dm_ulog_spin_hits_total", "Times a request came meanwhile.", [{ value: hits }]);
  text.counter("dm_ulog_spin_seconds_total", "Processor time spent on that.", [{ value: spentSeconds }]);
}

function writeBusyDevices(text: PrometheusText, busy: readonly BusyDevice[]): void {
  text.gauge(
    "dm_ulog_log_device_busy_seconds",
    "Log devices with an operation that takes longer than 5 s, and how long it has taken.",
    busy.map(({ uuid, operation, seconds }) => ({ labels: { uuid, operation }, value: seconds })),
  );
}

function writeRequests(text: PrometheusText, { counters, latencies, overruns }: MetricsSource): void {
  const types = Object.entries(counters.requests).map(([name, value]) => ({ labels: { type: name }, value }));
  text.counter("dm_ulog_requests_total", "Requests of the kernel, by type.", types);
  text.histogram(
    "dm_ulog_request_duration_seconds",
    "From receiving a request to sending its answer.",
    BUCKET_BOUNDS_SECONDS,
    latencies.map(({ counts, sumSeconds }, type) => ({ labels: types[type]?.labels ?? {}, counts, sum: sumSeconds })),
  );
  text.counter("dm_ulog_refused_requests_total", "Requests answered with an error.", [{ value: counters.refused }]);
  text.counter("dm_ulog_dropped_datagrams_total", "Datagrams that were no request of the kernel, by reason.", [
    { labels: { reason: "foreign" }, value: counters.droppedForeign },
    { labels: { reason: "truncated" }, value: counters.droppedTruncated },
    { labels: { reason: "malformed" }, value: counters.droppedMalformed },
  ]);
  const lost = "Times the receive buffer was full: requests were lost, and the kernel was asked to send them again.";
  text.counter("dm_ulog_receive_overruns_total", lost, [{ value: overruns }]);
}

function writeDevices(text: PrometheusText, counters: Counters): void {
  const write = (name: string, help: string, value: number) => text.counter(`dm_ulog_${name}_total`, help, [{ value }]);
  write("flushes", "Flush requests taken.", counters.flushes);
  write(
    "flushes_without_write",
    "Flush requests of logs on a device that were answered without waiting for a write.",
    counters.flushesWithoutWrite,
  );
  write("device_extents_written", "Extents written to log devices.", counters.deviceWrites);
  write("device_written_bytes", "Bytes written to log devices.", counters.deviceBytes);
}

type OfLog = (log: LogDescription) => number;

const LOG_GAUGES: readonly [name: string, help: string, value: OfLog][] = [
  ["regions", "Regions of the mirror.", (log) => log.regionCount],
  ["region_size_bytes", "Size of a region.", (log) => log.regionSizeSectors * 512],
  [
    "in_sync_regions",
    "Regions whose legs are known to be the same: the progress of a resync.",
    (log) => log.inSyncRegions,
  ],
  ["out_of_sync_regions", "Regions that are still to be copied.", (log) => log.outOfSyncRegions],
  ["dirty_regions", "Regions in sync that are marked: being written to.", (log) => log.dirtyRegions],
  ["failed_regions", "Regions out of sync that could not be copied.", (log) => log.failedRegions],
  ["resyncing", "1 while a region is being copied.", (log) => Number(log.recoveringRegion !== null)],
  ["resumed", "1 while the mirror does I/O.", (log) => Number(log.state === "resumed")],
  ["memory_bytes", "Memory of the log in the engine.", (log) => log.memoryBytes],
];

const LOG_COUNTERS: readonly [name: string, help: string, value: OfLog][] = [
  ["marks", "Regions that the kernel marked.", (log) => log.marks],
  ["clears", "Regions that the kernel cleared.", (log) => log.clears],
  ["flushes", "Flush requests of the log.", (log) => log.flushes],
  ["resynced_regions", "Regions that were copied.", (log) => log.resynced],
  ["resync_failures", "Regions whose copy failed.", (log) => log.resyncFailures],
];

const DEVICE_GAUGES: readonly [name: string, help: string, value: (device: Device) => number][] = [
  ["device_failed", "1 from a failure of the log device to the next resume.", ({ error }) => Number(error !== null)],
  ["device_waiting_requests", "Requests whose answer waits for the log device.", (device) => device.waitingRequests],
  [
    "device_unsettled_regions",
    "Clean regions that the device does not know of yet.",
    (device) => device.unsettledRegions,
  ],
];

type Device = NonNullable<LogDescription["device"]>;

function writeLogs(text: PrometheusText, logs: readonly LogDescription[]): void {
  const samples = (value: OfLog) => logs.map((log) => ({ labels: labelsOf(log), value: value(log) }));
  for (const [name, help, value] of LOG_GAUGES) text.gauge(`dm_ulog_log_${name}`, help, samples(value));
  for (const [name, help, value] of LOG_COUNTERS) text.counter(`dm_ulog_log_${name}_total`, help, samples(value));
  for (const [name, help, value] of DEVICE_GAUGES) {
    const onDevice = logs.flatMap((log) =>
      log.device === null ? [] : { labels: labelsOf(log), value: value(log.device) },
    );
    text.gauge(`dm_ulog_log_${name}`, help, onDevice);
  }
}

function writeOthers(
  text: PrometheusText,
  { listeners, dropped, toCheck }: ListenerReport,
  logs: readonly LogDescription[],
): void {
  const count = [{ value: listeners.length }];
  text.gauge("dm_ulog_other_listeners", "Sockets besides the server's that receive the kernel's requests.", count);
  text.counter(
    "dm_ulog_other_listeners_dropped_total",
    "Requests that such sockets had no room for: each may have failed for the kernel, and left legs that differ.",
    [{ value: dropped }],
  );
  text.gauge(
    "dm_ulog_log_needs_check",
    "1 where the mirror was in use when such a socket dropped requests, until all of it is copied.",
    logs.map((log) => ({ labels: labelsOf(log), value: Number(toCheck.includes(log.uuid)) })),
  );
}

function labelsOf({ uuid, type }: LogDescription): Labels {
  return { log: uuid, type };
}

/** While a table is reloaded two logs have one UUID; the later is the one that stays. */
function newestOfEach(logs: readonly LogDescription[]): LogDescription[] {
  return [...new Map(logs.map((log) => [log.uuid, log])).values()];
}
