// The live view: who is answered, what those who look on are given, and that the slow and the many are kept within bounds.
// No privilege needed: an engine is driven here, and its flight recorder is followed by the server's own thread.

import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type IncomingMessage, type RequestOptions, request } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { replay } from "../src/common/trace/replay.ts";
import { TimeTravel } from "../src/common/trace/time-travel.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { createFlight, mapFlight } from "../src/node/recording/flight-recorder.ts";
import { Recorder } from "../src/node/recording/recorder.ts";
import { FlightFollower } from "../src/node/web/flight-follower.ts";
import { CLIENTS_MAX } from "../src/node/web/live-feed.ts";
import { refusalOf } from "../src/node/web/web-rules.ts";
import { Peer, releaseWasm, seeded, seedFor, words } from "./harness.ts";

// Worker threads have no TypeScript loader: what starts one runs as it is built.
const { LiveView } = (await import(
  new URL("../dist/node/web/view.js", import.meta.url).href
)) as typeof import("../src/node/web/view.ts");

const PAGE = fileURLToPath(new URL("../dist/visualizer/", import.meta.url));
const MIB = 1024 * 1024;
const STUCK_MS = 400;
const module = new WebAssembly.Module(releaseWasm);
const { abi } = new Engine(module);

/** Those that have not ended. A test that fails leaves one, whose thread would keep this process. */
const running = new Set<Watched>();
test.after.each(async () => {
  for (const watched of running) await watched.end();
});

/** An engine with a flight recorder, as a server has it, and a view of that. */
class Watched {
  readonly peer = new Peer(new Engine(module));
  readonly said: string[] = [];
  readonly folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "dm-ulog-view-"));
  readonly flight: string;
  private readonly recorder: Recorder;
  private readonly random = seeded(1);
  view!: Awaited<ReturnType<typeof LiveView.start>>;

  private constructor(flightBytes: number, regions: number) {
    this.flight = createFlight(this.folder, flightBytes);
    const facts = { application: "dm-ulog test", coreSha256: "00", life: "a life" };
    this.recorder = new Recorder(this.peer.engine, facts, 0n, mapFlight(this.flight), () => {});
    this.peer.construct(`${regions * 2} clustered-core 2`);
    this.peer.ask("RESUME");
  }

  static async start(flightBytes = MIB, regions = 1000): Promise<Watched> {
    const watched = new Watched(flightBytes, regions);
    running.add(watched);
    const options = { port: 0, address: "127.0.0.1", page: PAGE, stuckMs: STUCK_MS };
    watched.view = await LiveView.start(options, watched.flight, (sentence) => watched.said.push(sentence));
    return watched;
  }

  get port(): number {
    return Number(new URL(this.view.url).port);
  }

  /** Lives on for so many requests. */
  go(requests: number): void {
    for (let i = 0; i < requests; i++) {
      const region = this.random.below(990);
      if (this.random.below(3) === 0) this.peer.ask("CLEAR_REGION", [region]);
      else this.peer.ask("MARK_REGION", [region, region + 1]);
      this.recorder.settle();
    }
  }

  async ask(path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
    const asking = request({ host: "127.0.0.1", port: this.port, path, agent: false, ...options });
    asking.end();
    const [response] = (await once(asking, "response")) as [IncomingMessage];
    return response;
  }

  /** A connection that asks for the feed and takes nothing of it. */
  async stuck(): Promise<Socket> {
    const socket = connect(this.port, "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    socket.write("GET /live.pcapng HTTP/1.1\r\nHost: localhost\r\n\r\n");
    socket.pause();
    return socket;
  }

  async end(): Promise<void> {
    running.delete(this);
    await this.view.stop();
    rmSync(this.folder, { recursive: true });
  }
}

/** Takes a feed until its trace has the engine's latest event, and that for sure. */
async function caughtUp(feed: IncomingMessage, watched: Watched, parts: Buffer[] = []): Promise<Trace> {
  for await (const part of feed.iterator({ destroyOnReturn: false })) {
    parts.push(part as Buffer);
    const trace = Trace.open(new Uint8Array(Buffer.concat(parts)), abi);
    const last = trace.eventCount - 1;
    if (last < 0 || !trace.isWhole(last) || trace.numberOf(last) !== watched.peer.engine.inputCount - 1) continue;
    assert.is(trace.problem, null);
    return trace;
  }
  throw new Error("The feed has ended.");
}

test("the page and its files are served, with a policy, and nothing else is", async () => {
  const watched = await Watched.start();
  const index = await watched.ask("/");
  assert.is(index.statusCode, 200);
  assert.match(index.headers["content-security-policy"] as string, /default-src 'none'.*frame-ancestors 'none'/);
  assert.is(index.headers["x-content-type-options"], "nosniff");
  assert.is(index.headers["access-control-allow-origin"], undefined);
  assert.match(await text(index), '<html data-live="live.pcapng" lang="en">');
  const core = await watched.ask("/dm-ulog.wasm?x");
  assert.is(core.headers["content-type"], "application/wasm");
  assert.equal(await buffer(core), readFileSync(join(PAGE, "dm-ulog.wasm")));
  for (const path of ["/../package.json", "/..%2fpackage.json", "/etc/passwd", "//etc/passwd", "/live", "/%00", "*"]) {
    const answer = await watched.ask(path);
    assert.is(answer.statusCode, 404, path);
    await text(answer);
  }
  const head = await watched.ask("/live.pcapng", { method: "HEAD" });
  assert.is(head.statusCode, 200);
  assert.is(await text(head), "");
  await watched.end();
});

test("who does not ask from the page itself is refused", async () => {
  const watched = await Watched.start();
  const own = `127.0.0.1:${watched.port}`;
  const status = async (headers: Record<string, string>, path = "/dm-ulog.wasm", method = "GET") => {
    const answer = await watched.ask(path, { headers, method });
    answer.destroy();
    return answer.statusCode;
  };
  for (const host of ["localhost", `localhost:${watched.port}`, own, "[::1]:9", "LOCALHOST", "127.0.0.1:9999"]) {
    assert.is(await status({ host }), 200, host);
  }
  for (const host of [
    "evil.example",
    `evil.example:${watched.port}`,
    "localhost.evil.example",
    "10.0.0.1",
    "x@localhost",
  ]) {
    assert.is(await status({ host }), 421, host);
    assert.is(await status({ host }, "/live.pcapng"), 421, host);
  }
  for (const host of ["localhost evil", "localhost/x", "localhost, evil.example"]) {
    assert.is(await status({ host }), 421, host);
  }
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
    const answer = await watched.ask("/live.pcapng", { method });
    assert.is(answer.statusCode, 405, method);
    assert.is(answer.headers.allow, "GET, HEAD");
    assert.match(await text(answer), /read-only/);
  }
  assert.is(await status({ origin: `http://${own}` }), 200);
  for (const origin of ["http://evil.example", "null", "http://127.0.0.1:1", `https://${own}`, "http://localhost"]) {
    assert.is(await status({ origin }), 403, origin);
  }
  assert.is(await status({ "sec-fetch-site": "same-origin" }, "/live.pcapng"), 200);
  for (const site of ["cross-site", "same-site", "other"]) {
    assert.is(await status({ "sec-fetch-site": site }, "/live.pcapng"), 403, site);
    const visit = { "sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    assert.is(await status(visit, "/"), 200, "a link may lead to the page");
    assert.is(await status(visit, "/live.pcapng"), 403);
    assert.is(await status({ ...visit, "sec-fetch-dest": "iframe" }, "/"), 403);
  }
  await watched.end();
});

test("a server at other addresses goes by the one that was asked", () => {
  const refused = (localAddress: string, host: string) =>
    refusalOf({ method: "GET", headers: { host }, socket: { localAddress } } as unknown as IncomingMessage, false)
      ?.status;
  assert.is(refused("::ffff:10.1.2.3", "10.1.2.3:8640"), undefined);
  assert.is(refused("10.1.2.3", "10.1.2.3"), undefined);
  assert.is(refused("fd00::1", "[fd00::1]:8640"), undefined);
  assert.is(refused("::1", "localhost:8640"), undefined);
  assert.is(refused("::ffff:127.0.0.2", "localhost"), undefined);
  for (const host of ["localhost", "127.0.0.1", "10.1.2.4", "evil.example", "[::ffff:10.1.2.3]"]) {
    assert.is(refused("::ffff:10.1.2.3", host), 421, host);
  }
});

test("what is no HTTP, or too much of it, is cut off", async () => {
  const watched = await Watched.start();
  for (const bytes of [
    "\0\0\0",
    "GET / HTTP/9\r\n\r\n",
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(9000)}\r\n\r\n`,
  ]) {
    const socket = connect(watched.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(bytes);
    await once(socket.resume(), "close");
  }
  for (const host of ["", "Host: \r\n", "Host: evil.example\r\nHost: localhost\r\n"]) {
    const socket = connect(watched.port, "127.0.0.1");
    socket.write(`GET /live.pcapng HTTP/1.0\r\n${host}\r\n`);
    assert.match(await text(socket), /^HTTP\/1.1 421 /);
  }
  await watched.end();
});

test("the feed is a trace that grows, up to the latest event, and replays", async () => {
  const watched = await Watched.start(4 * MIB);
  watched.go(500);
  const feed = await watched.ask("/live.pcapng");
  const parts: Buffer[] = [];
  let trace = await caughtUp(feed, watched, parts);
  assert.is(trace.numberOf(0), 0, "what was before is there too");
  for (let round = 0; round < 5; round++) {
    watched.go(1 + 300 * round);
    trace = await caughtUp(feed, watched, parts);
  }
  const { isEqual, difference } = replay(trace, module);
  assert.ok(isEqual, JSON.stringify(difference));
  assert.is(trace.eventCount, watched.peer.engine.inputCount);
  feed.destroy();
  await watched.end();
});

test("where halves are given up, one who keeps up misses nothing", async () => {
  const watched = await Watched.start(MIB);
  const feed = await watched.ask("/live.pcapng");
  const parts: Buffer[] = [];
  let trace = await caughtUp(feed, watched, parts);
  for (let round = 0; round < 12; round++) {
    watched.go(200);
    trace = await caughtUp(feed, watched, parts);
  }
  assert.is(trace.sections.length, 1);
  assert.is(trace.eventCount, watched.peer.engine.inputCount);
  assert.ok(trace.view.bytes.length > 1.2 * MIB);
  // One who comes now finds the halves that are left.
  const late = await watched.ask("/live.pcapng");
  const lateTrace = await caughtUp(late, watched);
  assert.ok(lateTrace.numberOf(0) > 0);
  assert.is(lateTrace.sections[0]?.start, "snapshot");
  assert.ok(replay(lateTrace, module).isEqual);
  for (const [one, events] of [
    [trace, trace.eventCount],
    [lateTrace, lateTrace.eventCount],
  ] as const) {
    const engine = new TimeTravel(one, module).seek(events - 1);
    assert.equal(words.logs(engine), words.logs(watched.peer.engine));
  }
  feed.destroy();
  late.destroy();
  await watched.end();
});

test("one who is too slow goes on with a snapshot, and nothing is kept for it; one who takes nothing is let go", async () => {
  const watched = await Watched.start(MIB);
  const feed = await watched.ask("/live.pcapng");
  const parts: Buffer[] = [];
  await caughtUp(feed, watched, parts);
  // Both halves are overwritten at once: more than any feed would give meanwhile.
  watched.go(6000);
  const trace = await caughtUp(feed, watched, parts);
  assert.ok(trace.sections.length >= 2);
  const { sections } = trace;
  for (const section of sections.slice(1)) assert.is(section.start, "snapshot");
  const gap = sections[1] as (typeof sections)[number];
  assert.ok(gap.firstEvent > (sections[0]?.firstEvent ?? 0) + (sections[0]?.eventCount ?? 0));
  assert.ok(replay(trace, module).isEqual);
  feed.destroy();

  const stuck = await watched.stuck();
  let isGone = false;
  stuck.on("close", () => {
    isGone = true;
  });
  const before = process.memoryUsage().rss;
  for (let rounds = 30; rounds < 1000 && !isGone; rounds *= 2) {
    stuck.pause();
    for (let i = 0; i < rounds; i++) {
      watched.go(1000);
      await sleep(50);
    }
    // A socket that is paused does not see its end. One that goes on was not let go: on a busy machine the view has little
    // time, and fills the socket's buffers later.
    stuck.resume();
    await sleep(100);
  }
  assert.ok(isGone, "it was let go");
  assert.ok(process.memoryUsage().rss - before < 64 * MIB);
  await watched.end();
});

test("no more are fed than can be; the others hear why; a place that is left is given again", async () => {
  const watched = await Watched.start();
  const feeds = await Promise.all(Array.from({ length: CLIENTS_MAX }, () => watched.ask("/live.pcapng")));
  assert.ok(feeds.every(({ statusCode }) => statusCode === 200));
  const refused = await watched.ask("/live.pcapng");
  assert.is(refused.statusCode, 503);
  assert.match(await text(refused), /32 viewers are connected/);
  assert.is((await watched.ask("/page.js")).statusCode, 200, "the page itself is there for more");
  watched.go(100);
  for (const feed of feeds) await caughtUp(feed, watched);
  feeds[0]?.destroy();
  let status: number | undefined;
  for (let i = 0; i < 50 && status !== 200; i++) {
    await sleep(20);
    const again = await watched.ask("/live.pcapng");
    status = again.statusCode;
    again.destroy();
  }
  assert.is(status, 200);
  const ended = Promise.all(feeds.slice(1).map((feed) => buffer(feed).catch(() => {})));
  // With clients under way, and one that is stuck.
  const stuck = await watched.stuck();
  await watched.end();
  await ended;
  stuck.destroy();
  assert.equal(watched.said, []);
});

test("where there is no page, or no port, a sentence says so", async () => {
  const watched = await Watched.start();
  const start = (options: Partial<Parameters<typeof LiveView.start>[0]>, flight = watched.flight) =>
    LiveView.start({ port: 0, address: "127.0.0.1", page: PAGE, ...options }, flight, () => {}).then(
      () => "started",
      ({ message }: Error) => message,
    );
  assert.match(await start({ port: watched.port }), /Port \d+ of 127.0.0.1 is taken/);
  assert.match(await start({ address: "192.0.2.1" }), /192.0.2.1 is not an address of this machine/);
  assert.match(await start({ page: watched.folder }), /The page is not built/);
  assert.match(await start({}, join(watched.folder, "none")), /ENOENT/);
  await watched.end();
});

test("pieces of a flight recorder are whole events, however they are cut", async () => {
  const watched = await Watched.start(MIB);
  watched.go(700);
  const follower = new FlightFollower(watched.flight);
  const random = seeded(seedFor("pieces"));
  const beginning = follower.beginning(true);
  assert.ok(beginning?.isKnown);
  let { at } = beginning;
  const parts = [beginning.bytes];
  let events = 0;
  for (;;) {
    const piece = follower.read(at, 1 + random.below(4000));
    assert.ok(piece);
    if (piece.bytes.length === 0) break;
    parts.push(piece.bytes);
    at = piece.end;
    const { eventCount } = Trace.open(new Uint8Array(Buffer.concat(parts)), abi);
    assert.ok(eventCount > events);
    events = eventCount;
  }
  const trace = Trace.open(new Uint8Array(Buffer.concat(parts)), abi);
  assert.is(trace.eventCount, watched.peer.engine.inputCount);
  assert.ok(replay(trace, module).isEqual);
  follower.close();
  await watched.end();
});

test.run();
