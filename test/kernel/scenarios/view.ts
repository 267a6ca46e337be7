/** Viewers of a server while it serves the kernel: of its page and of its metrics. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab } from "../guest/lab.ts";
import { raiseLoopback } from "../guest/loopback.ts";
import { MIRROR } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const VIEW_PORT = 7001;
const METRICS_PORT = 7002;
const STUCK = 5;
const FOLLOW_LIMIT_MS = 10_000;
const POLL_MS = 100;

function ask(port: number, path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, headers }, resolve).on("error", reject);
  });
}

async function bodyOf(response: Promise<IncomingMessage>): Promise<string> {
  const answered = await response;
  assert.equal(answered.statusCode, 200);
  return text(answered);
}

/** The page's own code for reading the feed. */
async function traceReader(lab: Lab) {
  const from = <T>(path: string) => import(join(lab.mainPath, "../../common", path)) as Promise<T>;
  const { Trace } = await from<typeof import("../../../src/common/trace/trace.ts")>("trace/trace.js");
  const { TimeTravel } = await from<typeof import("../../../src/common/trace/time-travel.ts")>("trace/time-travel.js");
  const { replay } = await from<typeof import("../../../src/common/trace/replay.ts")>("trace/replay.js");
  const { Console } = await from<typeof import("../../../src/common/console.ts")>("console.js");
  const wasm = readFileSync(join(lab.mainPath, "../../dm-ulog.wasm"));
  const core = new WebAssembly.Module(wasm);
  const console = await Console.create(wasm);
  return {
    /** The engine's state at the last event; undefined if there is none yet. */
    last(file: Uint8Array) {
      if (file.length === 0) return undefined;
      const trace = Trace.open(file, console.abi);
      if (trace.eventCount === 0) return undefined;
      const engine = new TimeTravel(trace, core).seek(trace.eventCount - 1);
      return { logs: console.logs(engine), counters: console.counters(engine) };
    },
    replay: (file: Uint8Array) => replay(Trace.open(file, console.abi), core),
  };
}

const view: Scenario = {
  name: "view",
  sentence:
    "A server with a page and metrics shows on loopback what it does, byte for byte, and those who are stuck delay nobody.",
  nodeOnly: "the page and the metrics",
  async run(lab) {
    raiseLoopback(lab.mainPath);
    await lab.server.start({ words: ["--view", String(VIEW_PORT), "--metrics", String(METRICS_PORT)] });
    const page = await bodyOf(ask(VIEW_PORT, "/"));
    assert.match(page, /<script src="page\.js"/);
    assert.match(page, /data-live="live\.pcapng"/);

    const feed = await ask(VIEW_PORT, "/live.pcapng");
    const parts: Buffer[] = [];
    feed.on("data", (part: Buffer) => parts.push(part));
    const stuck = await Promise.all(Array.from({ length: STUCK }, () => ask(VIEW_PORT, "/live.pcapng")));
    const mirror = await lab.makeMirror({ ...MIRROR, integratedFlush: true });
    await mirror.waitInSync();
    const tally = await lab.load(mirror, ({ writes }) => writes < 200);
    await lab.server.waitForLog("all is clean", ({ dirtyRegions }) => dirtyRegions === 0);
    lab.note(`${tally.writes} writes while ${STUCK} were stuck, longest stall ${tally.longestStallMs.toFixed(0)} ms`);

    // What was seen last is what the server knows, and what was seen on the way there replays to the very bytes. Of the
    // beginning there may be nothing: this guest has one processor, and who looks on comes last.
    const reader = await traceReader(lab);
    const { logs, counters } = await lab.server.status();
    const deadline = Date.now() + FOLLOW_LIMIT_MS;
    let seen = reader.last(Buffer.concat(parts));
    while (seen?.counters.inputs !== counters.inputs) {
      assert.ok(Date.now() < deadline, `input ${seen?.counters.inputs} was seen last, of ${counters.inputs}`);
      await sleep(POLL_MS);
      seen = reader.last(Buffer.concat(parts));
    }
    assert.deepEqual(seen, { logs, counters });
    const { isEqual, difference, events } = reader.replay(Buffer.concat(parts));
    assert.ok(isEqual, JSON.stringify(difference));
    assert.ok(events > 0);
    lab.note(`${events} of ${counters.inputs} events were seen`);

    const metrics = await bodyOf(ask(METRICS_PORT, "/metrics"));
    assert.match(metrics, /^dm_ulog_log_in_sync_regions\{log="mirror",type="clustered-core"\} 128$/m);
    assert.ok(metrics.includes(`\ndm_ulog_requests_total{type="FLUSH"} ${counters.requests.FLUSH}\n`), metrics);
    for (const port of [VIEW_PORT, METRICS_PORT]) {
      const refused = await ask(port, "/metrics", { host: "evil.example" });
      assert.equal(refused.statusCode, 421, "a name of another site's making");
      refused.resume();
    }
    for (const response of stuck) response.destroy();
    feed.destroy();
    await mirror.checkContents();
  },
};

export const viewScenarios = [view];
