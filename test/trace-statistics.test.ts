// Figures of a trace, against a conversation that is known to the last request.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes } from "../src/common/kernel-frames.ts";
import { Recording } from "../src/common/trace/recording.ts";
import { distribution, type TraceStatistics, traceStatistics } from "../src/common/trace/statistics.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { DeviceHost } from "./device-host.ts";
import { facts, releaseModule } from "./recorded-lives.ts";

const MILLISECOND_NS = 1_000_000;
const DISK = "LVM-disk";
const CORE = "LVM-core";

/** A disk log and a core log side by side. */
function conversation(): Trace {
  const engine = new Engine(releaseModule);
  const recording = new Recording(engine, facts);
  const host = new DeviceHost(engine);
  host.devices.set("/dev/log", new Uint8Array(1 << 20));
  host.ask("CTR", asciiBytes("1024 clustered-disk /dev/log 2 nosync"), DISK, 1n);
  host.ask("RESUME", [], DISK, 1n);
  host.ask("CTR", asciiBytes("1024 clustered-core 2 nosync"), CORE, 2n);
  host.ask("RESUME", [], CORE, 2n);

  host.ask("MARK_REGION", [1, 2], DISK, 1n);
  host.request("FLUSH", [3], DISK, 1n);
  host.nowNs += 5 * MILLISECOND_NS;
  host.completeAll();
  host.ask("FLUSH", [], DISK, 1n);
  host.ask("MARK_REGION", [7], CORE, 2n);
  host.ask("FLUSH", [], CORE, 2n);
  host.ask("GET_SYNC_COUNT", [], "LVM-unknown", 3n);
  host.request("FLUSH", [9], DISK, 1n);
  return Trace.open(recording.finish(), engine.abi);
}

const requestsOf = ({ requests }: TraceStatistics, type: number) => requests.find((one) => one.type === type);

test("round trips, marks, flushes and writes are counted", () => {
  const trace = conversation();
  const { abi } = trace;
  const statistics = traceStatistics(trace);
  assert.is(statistics.events, trace.eventCount);
  const flush = requestsOf(statistics, abi.REQUEST_FLUSH);
  assert.is(flush?.count, 4);
  assert.is(flush?.unanswered, 1);
  assert.is(flush?.answeredAtOnce, 2);
  const waitedNs = 5 * MILLISECOND_NS;
  assert.equal(flush?.roundTripNs, { count: 3, mean: waitedNs / 3, median: 0, p99: waitedNs, max: waitedNs });
  assert.is(requestsOf(statistics, abi.REQUEST_GET_SYNC_COUNT)?.refused, 1);
  assert.equal(statistics.marksPerFlush, { count: 4, mean: 5 / 4, median: 1, p99: 3, max: 3 });
  assert.is(statistics.flushes.ofDiskLogs, 3);
  assert.is(statistics.flushes.withoutWrite, 1);
  assert.equal(statistics.flushes.perWrite, { count: 1, mean: 1, median: 1, p99: 1, max: 1 });
  assert.ok(statistics.deviceWrites >= 3);
  assert.is(statistics.deviceBytes % 512, 0);
  assert.ok(statistics.stateWrites > 5 && statistics.notices >= 3);
  assert.is(statistics.failedCompletions + statistics.traps, 0);
});

test("of some events alone", () => {
  const trace = conversation();
  const some = traceStatistics(trace, [trace.eventCount - 1]);
  assert.is(some.events, 1);
  assert.equal(
    some.requests.map(({ type, unanswered }) => [type, unanswered]),
    [[trace.abi.REQUEST_FLUSH, 1]],
  );
  assert.is(traceStatistics(trace, []).events, 0);
});

test("a distribution's values are values", () => {
  const values = Array.from({ length: 200 }, (_, i) => 200 - i);
  assert.equal(distribution(values), { count: 200, mean: 100.5, median: 100, p99: 198, max: 200 });
  assert.equal(distribution([4]), { count: 1, mean: 4, median: 4, p99: 4, max: 4 });
  assert.equal(distribution([]), { count: 0, mean: 0, median: 0, p99: 0, max: 0 });
});

test.run();
