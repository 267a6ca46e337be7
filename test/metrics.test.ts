// What Prometheus is told: latencies against a naive count, the text format, and the port.

import { once } from "node:events";
import { get } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type MetricsSource, metricsText } from "../src/node/control/metrics.ts";
import { metricsUrl, serveMetrics } from "../src/node/control/metrics-port.ts";
import { PrometheusText } from "../src/node/control/prometheus.ts";
import { BUCKET_BOUNDS_SECONDS, Latencies } from "../src/node/requests/latencies.ts";
import { Peer, seeded, seedFor, words } from "./harness.ts";

const { abi } = Peer.debug().engine;

test("latencies are counted as a naive way counts them", () => {
  const random = seeded(seedFor("latencies"));
  const writer = new Latencies(abi);
  const reader = new Latencies(abi, writer.shared);
  const types = abi.REQUEST_TYPE_MAX + 1;
  const counts = Array.from({ length: types }, () => BUCKET_BOUNDS_SECONDS.map(() => 0).concat(0));
  const sums = new Array<number>(types).fill(0);
  for (let seq = 1; seq <= 5000; seq++) {
    const type = random.below(types);
    // Bounds themselves and their neighbours among all else.
    const ns = random.below(2) ? 1000 * 4 ** random.below(15) + random.below(3) - 1 : random.below(2 ** 31) * 20;
    writer.received(seq, 7);
    writer.answered(seq, type, 7 + ns);
    const bucket = BUCKET_BOUNDS_SECONDS.findIndex((bound) => ns <= Math.round(bound * 1e9));
    const row = counts[type] as number[];
    row[bucket < 0 ? row.length - 1 : bucket] = (row[bucket < 0 ? row.length - 1 : bucket] as number) + 1;
    sums[type] = (sums[type] as number) + ns / 1e9;
  }
  const read = reader.read();
  assert.equal(
    read.map((one) => one.counts),
    counts,
  );
  for (const [type, { sumSeconds }] of read.entries()) assert.ok(Math.abs(sumSeconds - (sums[type] as number)) < 1e-3);
});

test("answers that belong to no request that was received are not counted", () => {
  const latencies = new Latencies(abi);
  latencies.answered(1, 1, 100);
  latencies.received(2, 100);
  latencies.received(2 + 1024, 150);
  latencies.answered(2, 1, 200);
  latencies.answered(2 + 1024, 1, 250);
  latencies.answered(2 + 1024, 1, 999);
  const [counts, sum] = [latencies.read()[1]?.counts, latencies.read()[1]?.sumSeconds];
  assert.is(counts?.[0], 1);
  assert.is(sum, 1e-7);
});

function source(): MetricsSource {
  const peer = Peer.resumed(128, " nosync");
  peer.ask("MARK_REGION", [3, 4]);
  peer.ask("SET_REGION_SYNC", [5, 0]);
  peer.ask("MARK_REGION", [999_999]);
  const latencies = new Latencies(abi);
  latencies.received(1, 1);
  latencies.answered(1, abi.REQUEST_MARK_REGION, 2001);
  return {
    ...{ version: "1.2", uptimeSeconds: 4.5, residentBytes: 1000, overruns: 2, latencies: latencies.read() },
    counters: words.counters(peer.engine),
    logs: words.logs(peer.engine),
    others: { listeners: [], dropped: 7, toCheck: ["LVM-test"] },
    spin: { windowNs: 20_000, tries: 5, hits: 3, spentSeconds: 0.25 },
  };
}

/** Samples by name and labels; fails where the text is not as Prometheus wants it. */
function parse(metrics: string): Map<string, number> {
  assert.match(metrics, /\n$/);
  const samples = new Map<string, number>();
  let current = "";
  let type = "";
  for (const line of metrics.trimEnd().split("\n")) {
    const help = /^# HELP (\S+) .+[.]$/.exec(line);
    const typed = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (help !== null) current = help[1] as string;
    else if (typed !== null) {
      assert.is(typed[1], current);
      type = typed[2] as string;
      assert.is(current.endsWith("_total"), type === "counter", current);
    } else {
      const sample = /^([a-z_]+)((?:\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})?) (\S+)$/.exec(line);
      assert.ok(sample, line);
      const [, name, labels, value] = sample as unknown as [string, string, string, string];
      assert.is(type === "histogram" ? name.replace(/_(bucket|sum|count)$/, "") : name, current);
      assert.ok(Number.isFinite(Number(value)), line);
      assert.not.ok(samples.has(name + labels), line);
      samples.set(name + labels, Number(value));
    }
  }
  return samples;
}

test("metrics are as Prometheus reads them, and hold what the core counts", () => {
  const samples = parse(metricsText(source()));
  const log = '{log="LVM-test",type="clustered-core"}';
  for (const [name, value] of [
    ['dm_ulog_build_info{version="1.2"}', 1],
    ['dm_ulog_requests_total{type="MARK_REGION"}', 2],
    ["dm_ulog_refused_requests_total", 1],
    ['dm_ulog_dropped_datagrams_total{reason="foreign"}', 0],
    ["dm_ulog_receive_overruns_total", 2],
    ["dm_ulog_other_listeners", 0],
    ["dm_ulog_other_listeners_dropped_total", 7],
    [`dm_ulog_log_needs_check${log}`, 1],
    ["dm_ulog_device_written_bytes_total", 0],
    ["dm_ulog_flushes_without_write_total", 0],
    ["dm_ulog_logs", 1],
    [`dm_ulog_log_regions${log}`, 128],
    [`dm_ulog_log_dirty_regions${log}`, 2],
    [`dm_ulog_log_out_of_sync_regions${log}`, 1],
    [`dm_ulog_log_in_sync_regions${log}`, 127],
    [`dm_ulog_log_marks_total${log}`, 2],
    ["dm_ulog_spin_window_seconds", 0.00002],
    ["dm_ulog_spins_total", 5],
    ["dm_ulog_spin_hits_total", 3],
    ["dm_ulog_spin_seconds_total", 0.25],
    ['dm_ulog_request_duration_seconds_bucket{type="MARK_REGION",le="0.000001"}', 0],
    ['dm_ulog_request_duration_seconds_bucket{type="MARK_REGION",le="0.000004"}', 1],
    ['dm_ulog_request_duration_seconds_bucket{type="MARK_REGION",le="+Inf"}', 1],
    ['dm_ulog_request_duration_seconds_count{type="MARK_REGION"}', 1],
    ['dm_ulog_request_duration_seconds_sum{type="MARK_REGION"}', 0.000002],
  ] as const) {
    assert.is(samples.get(name), value, name);
  }
});

test("while a table is reloaded, the later log of a UUID is told", () => {
  const { logs, ...rest } = source();
  const [log] = logs;
  if (log === undefined) throw new Error("There is to be a log.");
  const samples = parse(metricsText({ ...rest, logs: [log, { ...log, luid: 9n, dirtyRegions: 77 }] }));
  assert.is(samples.get('dm_ulog_log_dirty_regions{log="LVM-test",type="clustered-core"}'), 77);
});

test("what a label may not hold is escaped", () => {
  const written = new PrometheusText();
  written.gauge("x", "X.", [{ labels: { a: 'b"\\\n' }, value: 1 }]);
  assert.is(written.toString(), '# HELP x X.\n# TYPE x gauge\nx{a="b\\"\\\\\\n"} 1\n');
});

async function ask(
  port: number,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number | undefined; type: string; body: string }> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, headers }, async (response) => {
      const type = response.headers["content-type"] ?? "";
      resolve({ status: response.statusCode, type, body: await text(response) });
    }).on("error", reject);
  });
}

test("however many connect, few are kept and the server is looked at twice in a second", async () => {
  let looks = 0;
  const http = await serveMetrics(async () => `x ${++looks}\n`, 0);
  const sockets: Socket[] = [];
  try {
    const { port } = http.address() as AddressInfo;
    for (let i = 0; i < 10; i++) assert.is((await ask(port, "/metrics")).body, "x 1\n");
    // They connect and say nothing.
    let closed = 0;
    for (let i = 0; i < 300; i++) {
      const socket = connect(port, "127.0.0.1");
      sockets.push(socket);
      socket.on("error", () => {});
      once(socket, "close").then(() => closed++);
    }
    for (const end = Date.now() + 4000; closed < 260 && Date.now() < end; ) await sleep(20);
    assert.ok(closed >= 260, `${closed} of 300 are refused at once`);
    const count = await new Promise<number>((resolve) =>
      http.getConnections((_error, connections) => resolve(connections)),
    );
    assert.ok(count <= 32, `${count} connections`);
  } finally {
    for (const socket of sockets) socket.destroy();
    http.close();
    http.closeAllConnections();
  }
});

test("the port answers on the loopback address, and says what is wrong", async () => {
  let fails = false;
  const figures = (): string => {
    if (fails) throw new Error("The request thread is gone.");
    return "x 1\n";
  };
  const http = await serveMetrics(figures, 0, 0);
  try {
    const { address, port } = http.address() as AddressInfo;
    assert.is(address, "127.0.0.1");
    const { status, type, body } = await ask(port, "/metrics");
    assert.equal([status, type, body], [200, "text/plain; version=0.0.4; charset=utf-8", "x 1\n"]);
    assert.is(metricsUrl(http), `http://127.0.0.1:${port}/metrics`);
    assert.is((await ask(port, "/")).status, 404);
    assert.is((await ask(port, "/metrics", { host: "evil.example" })).status, 421, "a rebound name");
    assert.is((await ask(port, "/metrics", { origin: "http://evil.example" })).status, 403, "another site's page");
    fails = true;
    const failed = await ask(port, "/metrics");
    assert.is(failed.status, 503);
    assert.match(failed.body, /gone/);
    await serveMetrics(() => "", port).then(
      () => assert.unreachable(),
      (error: Error) => assert.match(error.message, /cannot be served on port \d+ \(EADDRINUSE\)/),
    );
  } finally {
    http.close();
    http.closeAllConnections();
  }
});

test.run();
