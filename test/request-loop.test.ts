// The request loop with a socket, a clock and devices of the test: every order in which things can come, in no time.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { type EffectHandler, Engine } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest, type Request } from "../src/common/kernel-frames.ts";
import { DRAINED, TIMED_OUT } from "../src/node/requests/connector-socket.ts";
import { RequestLoop } from "../src/node/requests/request-loop.ts";
import { Spin, spinMemory } from "../src/node/requests/spin.ts";
import { WakeUp } from "../src/node/requests/wake-up.ts";
import { releaseWasm } from "./harness.ts";

const KERNEL = 0;
const OWN_PORT = 77;
const US = 1000;
const MS = 1e6;

/** What comes next, and when: a datagram of a port, or an overrun that has been drained. */
interface Coming {
  atNs: number;
  port: number;
  bytes: Uint8Array;
  isDrained?: boolean;
}

/** A machine of one server: the kernel's datagrams come at their times, and time passes only while the loop waits or looks. */
class Rig {
  readonly engine = new Engine(new WebAssembly.Module(releaseWasm));
  nowNs = 1 * MS;
  senderPort = 0;
  overruns = 0;
  readonly port = OWN_PORT;
  readonly coming: Coming[] = [];
  readonly answers: { seq: number; atNs: number }[] = [];
  readonly events: string[] = [];
  readonly seen: number[] = [];
  looks = 0;
  sleeps = 0;
  timeoutUs = 0;
  isStopAsked = false;
  isIdle = true;
  isDraining = false;
  leavesSocket = false;
  /** When devices have done what they do, in a pause. */
  idleAtNs = Number.POSITIVE_INFINITY;
  settled = 0;
  readonly spin: Spin;
  /** State files of so many parts. */
  readonly restore = {
    parts: 0,
    givenAtNs: [] as number[],
    get isUnderWay() {
      return this.parts > 0;
    },
    next(nowNs: number) {
      this.parts--;
      this.givenAtNs.push(nowNs);
    },
  };
  readonly wakeUp = new WakeUp((timeoutUs) => this.setTimeout(timeoutUs));
  readonly loop: RequestLoop;
  private seq = 0;
  /** What a look at the socket takes. */
  lookNs = 500;
  wakeNs = 30 * US;

  constructor({ spinUs = 50, processors = 2 } = {}) {
    this.spin = new Spin(spinUs, spinMemory(), () => this.switches, processors);
    const { wakeUp } = this;
    const handler: EffectHandler = {
      send: (address) => this.answers.push({ seq: this.engine.replySeq(address), atNs: this.nowNs }),
      notice: () => {},
      wake: (atNs) => wakeUp.wish(atNs, this.nowNs),
    };
    this.loop = new RequestLoop({
      ...{ engine: this.engine, handler, socket: this, kernelPort: KERNEL, spin: this.spin, wakeUp },
      nowNs: () => this.nowNs,
      recall: {
        saw: (seq) => this.seen.push(seq),
        handled: () => {},
        askForLost: () => this.events.push("asked for lost"),
      },
      latencies: { received: () => {} },
      devices: { isIdle: () => this.isIdle, hasLost: false },
      rung: () => {
        this.events.push("rung");
        return this.isStopAsked;
      },
      restore: this.restore,
      leavesSocket: () => this.leavesSocket,
      pause: () => {
        this.nowNs += MS;
        if (this.nowNs >= this.idleAtNs) this.isIdle = true;
      },
      deliverDone: () => this.events.push("done"),
      settle: () => this.settled++,
      warn: (sentence) => this.events.push(sentence),
    });
  }

  switches = 0;

  receive(buffer: Uint8Array): number {
    this.sleeps++;
    const next = this.coming[0];
    const untilNs = this.timeoutUs === 0 ? Number.POSITIVE_INFINITY : this.nowNs + this.timeoutUs * US;
    if (next === undefined && this.timeoutUs === 0) throw new Error("The loop waits for ever.");
    if (next === undefined || next.atNs > untilNs) {
      this.nowNs = untilNs;
      return TIMED_OUT;
    }
    if (next.atNs > this.nowNs) this.nowNs = next.atNs + this.wakeNs;
    return this.take(buffer);
  }

  look(buffer: Uint8Array): number {
    this.looks++;
    this.nowNs += this.lookNs;
    const next = this.coming[0];
    return next === undefined || next.atNs > this.nowNs ? TIMED_OUT : this.take(buffer);
  }

  private take(buffer: Uint8Array): number {
    const { port, bytes, isDrained } = this.coming.shift() as Coming;
    if (isDrained) {
      this.overruns++;
      return DRAINED;
    }
    this.senderPort = port;
    buffer.set(bytes);
    return bytes.length;
  }

  setTimeout(timeoutUs: number): void {
    this.timeoutUs = timeoutUs;
  }

  leave(): void {
    this.events.push("left");
  }

  ask(type: Request["type"], { atNs = this.nowNs, data = [] as Request["data"], port = KERNEL } = {}): number {
    const bytes = encodeRequest(this.engine.abi, {
      type,
      uuid: "LVM-loop",
      luid: 5n,
      seq: ++this.seq,
      ...(data && { data }),
    });
    this.coming.push({ atNs, port, bytes });
    return this.seq;
  }

  ring(atNs = this.nowNs): void {
    this.coming.push({ atNs, port: OWN_PORT, bytes: new Uint8Array(1) });
  }

  /** Steps until nothing is to come any more. */
  serve(): void {
    while (this.coming.length > 0) assert.ok(this.loop.step());
  }

  construct(): void {
    this.ask("CTR", { data: asciiBytes("131072 core 1024 nosync") });
    this.ask("RESUME");
    this.serve();
    this.answers.length = 0;
    this.looks = this.sleeps = 0;
  }
}

test("a burst is answered in its order, each before the next is received", () => {
  const rig = new Rig({ spinUs: 0 });
  rig.construct();
  const asked = Array.from({ length: 100 }, (_, i) => rig.ask(i % 2 === 0 ? "IN_SYNC" : "IS_CLEAN", { data: [i] }));
  for (let i = 0; i < 100; i++) {
    assert.ok(rig.loop.step());
    assert.is(rig.answers.length, i + 1);
  }
  assert.equal(
    rig.answers.map(({ seq }) => seq),
    asked,
  );
  assert.is(rig.settled, 102);
});

test("a request that is sent again is answered again; what is not the kernel's is not answered, and not remembered", () => {
  const rig = new Rig();
  rig.construct();
  const seq = rig.ask("MARK_REGION", { data: [7] });
  rig.coming.push({ ...(rig.coming[0] as Coming) });
  rig.ask("MARK_REGION", { data: [8], port: 4242 });
  rig.seen.length = 0;
  rig.serve();
  assert.equal(
    rig.answers.map((answer) => answer.seq),
    [seq, seq],
  );
  assert.equal(rig.seen, [seq, seq]);
});

test("after an overrun the kernel is asked for what was lost, once what had come is answered", () => {
  const rig = new Rig();
  rig.construct();
  rig.ask("IN_SYNC", { data: [1] });
  rig.coming.push({ atNs: rig.nowNs, port: 0, bytes: new Uint8Array(0), isDrained: true });
  rig.ask("IN_SYNC", { data: [2] });
  rig.serve();
  assert.is(rig.answers.length, 2);
  assert.is(rig.events[0], "asked for lost");
  assert.match(rig.events[1] as string, /\(1 times so far\). The kernel was asked to send them again/);
});

test("the bell is heard between two requests, and memory that grew meanwhile is used", () => {
  const rig = new Rig();
  rig.construct();
  rig.ask("IN_SYNC", { data: [1] });
  rig.ring();
  const grown = encodeRequest(rig.engine.abi, {
    ...({ type: "CTR", uuid: "LVM-large", luid: 6n, seq: 900 } as const),
    data: asciiBytes("1073741824 core 8"),
  });
  rig.coming.push({ atNs: rig.nowNs, port: KERNEL, bytes: grown });
  rig.ring();
  rig.ask("IN_SYNC", { data: [2] });
  rig.serve();
  // The large log is not whole yet, and its constructor is answered when it is.
  assert.is(rig.answers.length, 2);
  assert.equal(rig.events, ["rung", "rung"]);
});

test("parts of state files are given between requests, without sleeping, and a large log is made so too", () => {
  const rig = new Rig();
  rig.construct();
  rig.restore.parts = 3;
  rig.ask("IN_SYNC", { data: [1] });
  const { sleeps } = rig;
  rig.serve();
  rig.loop.step();
  rig.loop.step();
  assert.is(rig.restore.parts, 0);
  assert.is(rig.answers.length, 1, "the request came between them");
  assert.is(rig.sleeps, sleeps, "nobody slept");

  const large = encodeRequest(rig.engine.abi, {
    ...({ type: "CTR", uuid: "LVM-large", luid: 6n, seq: 900 } as const),
    data: asciiBytes("2000000 core 2"),
  });
  rig.coming.push({ atNs: rig.nowNs, port: KERNEL, bytes: large });
  rig.loop.step();
  const before = rig.sleeps;
  for (let steps = 0; rig.answers.length === 1; steps++) {
    assert.ok(steps < 100, "its constructor is never answered");
    rig.loop.step();
  }
  assert.is(rig.sleeps, before, "nobody slept");
});

test("a stop leaves the group, answers what has come, and waits for devices at most 1.5 s", () => {
  const rig = new Rig();
  rig.construct();
  rig.isStopAsked = true;
  rig.ring();
  rig.ask("MARK_REGION", { data: [7] });
  rig.ask("FLUSH");
  const startNs = rig.nowNs;
  rig.loop.run();
  assert.is(rig.answers.length, 2);
  assert.equal(rig.events, ["rung", "left"]);
  assert.ok(rig.nowNs - startNs < 6 * MS, "5 ms of silence end it");

  const hanging = new Rig();
  hanging.construct();
  hanging.isStopAsked = true;
  hanging.isIdle = false;
  hanging.ring();
  const beginNs = hanging.nowNs;
  hanging.loop.run();
  const tookMs = (hanging.nowNs - beginNs) / MS;
  assert.ok(tookMs >= 1500 && tookMs < 1510, `${tookMs} ms`);
});

test("a stop that leaves the socket receives nothing more but what is drained, and waits for devices at most 0.5 s", () => {
  for (const [idleAfterMs, leastMs, mostMs] of [
    [0, 0, 1],
    [40, 40, 42],
    [Number.POSITIVE_INFINITY, 500, 502],
  ] as const) {
    const rig = new Rig();
    rig.construct();
    rig.isStopAsked = rig.leavesSocket = true;
    rig.isIdle = idleAfterMs === 0;
    rig.isDraining = true;
    rig.ring();
    rig.ask("MARK_REGION", { data: [7] });
    rig.coming.push({ atNs: rig.nowNs, port: KERNEL, bytes: new Uint8Array(0), isDrained: true });
    rig.ask("FLUSH");
    assert.ok(rig.loop.step(), "the bell");
    assert.ok(rig.loop.step(), "what had come before requests were lost");
    rig.isDraining = false;
    const beginNs = rig.nowNs;
    rig.idleAtNs = beginNs + idleAfterMs * MS;
    assert.not(rig.loop.step(), "what was lost is asked for");
    const tookMs = (rig.nowNs - beginNs) / MS;
    assert.ok(tookMs >= leastMs && tookMs <= mostMs, `${tookMs} ms`);
    assert.is(rig.answers.length, 1);
    assert.is(rig.coming.length, 1, "the next server's");
    assert.not(rig.events.includes("left"), "the socket stays in the group");
    assert.ok(rig.events.includes("asked for lost"));
    assert.is(rig.events.includes("done"), idleAfterMs !== 0, "completions are delivered");
  }
});

test("after an answer the loop looks before it sleeps, where the next request is near; it is seen at once then", () => {
  const rig = new Rig();
  rig.construct();
  let worst = 0;
  for (let i = 0; i < 100; i++) {
    const atNs = rig.nowNs + 15 * US;
    rig.ask("IN_SYNC", { atNs, data: [i] });
    rig.serve();
    if (i >= 10) worst = Math.max(worst, (rig.answers.at(-1)?.atNs as number) - atNs);
  }
  assert.ok(worst <= rig.lookNs, `a request waited ${worst} ns`);
  assert.ok(rig.sleeps <= 10, `${rig.sleeps} sleeps`);
});

test("where requests are far apart, or there is one processor, or it is forbidden, it never looks", () => {
  for (const [name, options, gapNs] of [
    ["far", {}, 2 * MS],
    ["one processor", { processors: 1 }, 15 * US],
    ["forbidden", { spinUs: 0 }, 15 * US],
  ] as const) {
    const rig = new Rig(options);
    rig.construct();
    for (let i = 0; i < 200; i++) {
      rig.ask("IN_SYNC", { atNs: rig.nowNs + gapNs, data: [i] });
      rig.serve();
    }
    if (name === "far") assert.ok(rig.looks < 200, `${name}: ${rig.looks} looks`);
    else assert.is(rig.looks, 0, name);
  }
});

test("a stream that ends costs two long looks, and the loop looks again when it comes back", () => {
  const rig = new Rig();
  rig.construct();
  const stream = (count: number, gapNs: number) => {
    for (let i = 0; i < count; i++) {
      rig.ask("IN_SYNC", { atNs: rig.nowNs + gapNs, data: [i] });
      rig.serve();
    }
  };
  stream(50, 20 * US);
  const before = rig.looks;
  stream(20, 5 * MS);
  const spentNs = (rig.looks - before) * rig.lookNs;
  assert.ok(spentNs <= 4 * 52 * US, `${spentNs} ns`);
  rig.nowNs += 20e9;
  rig.sleeps = 0;
  stream(50, 20 * US);
  assert.ok(rig.sleeps < 25, `${rig.sleeps} sleeps`);
});

test("on a busy machine it gives its processor up", () => {
  const rig = new Rig();
  rig.construct();
  let looks = 0;
  for (let i = 0; i < 400; i++) {
    rig.switches += 1;
    const before = rig.looks;
    rig.ask("IN_SYNC", { atNs: rig.nowNs + 15 * US, data: [i % 128] });
    rig.serve();
    if (i >= 300) looks += rig.looks - before;
  }
  assert.is(looks, 0);
});

test("what is due is done once, between requests or after a wait in vain", () => {
  const rig = new Rig();
  rig.construct();
  const ticks: number[] = [];
  rig.engine.ticked = (nowNs) => ticks.push(nowNs);
  const startNs = rig.nowNs;
  rig.wakeUp.wish(startNs + 2 * MS, startNs);
  for (let i = 1; i <= 10; i++) rig.ask("IN_SYNC", { atNs: startNs + (i * MS) / 2, data: [i] });
  rig.serve();
  assert.is(ticks.length, 1);
  assert.ok(Math.abs((ticks[0] as number) - (startNs + 2 * MS)) < 0.6 * MS);

  rig.wakeUp.wish(rig.nowNs + 3 * MS, rig.nowNs);
  for (let i = 0; i < 3 && ticks.length === 1; i++) rig.loop.step();
  assert.is(ticks.length, 2);
});

test.run();
