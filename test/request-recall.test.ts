// Requests that an earlier server left unanswered: the next one has the kernel send them again, whichever host each of them is, and
// however long ago they came. Servers are killed in a network namespace of their own, where the privilege is there.

import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes } from "../src/common/kernel-frames.ts";
import { CN_SEQ } from "../src/node/requests/netlink-datagrams.ts";
import { RequestRecall, WAITING_MAX } from "../src/node/requests/request-recall.ts";
import { LAST_REQUEST } from "../src/node/state/state-files.ts";
import { tryLock } from "../src/node/system-calls.ts";
import { missingForAppliance } from "./embedding/c/build.ts";
import { releaseWasm } from "./harness.ts";
import { enterNetworkNamespace } from "./netlink-namespace.ts";
import { PlayedKernel } from "./played-kernel.ts";
import { StartedHosts } from "./started-hosts.ts";

const LIMIT_MS = 10_000;
const S = 1e9;
/** Numbers that are asked for anew on either side of the last one, whether they wait or not. */
const AROUND = 256;

const { abi } = new Engine(new WebAssembly.Module(releaseWasm));
const isPrivileged = enterNetworkNamespace();
const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "dm-ulog-recall-"));
let directories = 0;

function runtimeDirectory(): string {
  const directory = join(folder, String(++directories));
  mkdirSync(join(directory, "state"), { recursive: true });
  return directory;
}

async function until(isSo: () => boolean, what: string): Promise<void> {
  for (const limit = Date.now() + LIMIT_MS; !isSo(); await sleep(5)) if (Date.now() > limit) throw new Error(what);
}

// ---- What a server in Node.js keeps

/** A server's part: what it has seen, and what it asks for anew. */
class Life {
  readonly told: number[] = [];
  readonly recall: RequestRecall;
  nowNs = 1;

  constructor(directory: string) {
    const send = (datagram: Uint8Array): void => {
      this.told.push(new DataView(datagram.buffer).getUint32(CN_SEQ, true));
    };
    this.recall = RequestRecall.open(send, directory);
  }

  /** Sees requests; those of `waiting` are left unanswered. */
  serve(from: number, count: number, waiting: readonly number[] = []): void {
    for (let i = 0; i < count; i++) {
      const seq = (from + i) >>> 0;
      this.recall.saw(seq);
      if (!waiting.includes(seq)) this.recall.answered(seq);
      this.recall.handled(this.nowNs);
    }
  }

  /** What it asks for at its start, except for those around the last one. */
  toldBeyond(last: number): number[] {
    this.recall.askForUnanswered();
    return this.told.filter((seq) => Math.abs((seq - last) | 0) > AROUND).sort((a, b) => a - b);
  }
}

test("a request that waits is asked for anew, however many came after it, until it is answered or asked for", () => {
  const directory = join(runtimeDirectory(), "state");
  const first = new Life(directory);
  first.serve(1000, 5000, [1001, 1002, 1003, 2500]);
  first.recall.answered(1002);
  // One that starts and is killed at once asks for nothing, and forgets nothing.
  new Life(directory).recall.close();
  const second = new Life(directory);
  assert.equal(second.toldBeyond(5999), [1001, 1003, 2500]);
  second.serve(6000, 1000, [6001]);
  const third = new Life(directory);
  assert.equal(third.toldBeyond(6999), [6001], "what was asked for comes with another number");
  assert.equal(new Life(directory).toldBeyond(6999), []);
});

test("what an older server left, which kept the last number alone, is asked for around that", () => {
  const directory = join(runtimeDirectory(), "state");
  writeFileSync(join(directory, LAST_REQUEST), new Uint8Array(new Uint32Array([70_000, 0]).buffer));
  const { recall, told } = new Life(directory);
  recall.askForUnanswered();
  assert.equal(
    told,
    Array.from({ length: 2 * AROUND + 1 }, (_, i) => 70_000 - AROUND + i),
  );
});

test("numbers begin anew after the highest, and 0 is one of them", () => {
  const directory = join(runtimeDirectory(), "state");
  new Life(directory).serve(0, 1, [0]);
  const next = new Life(directory);
  next.recall.askForUnanswered();
  assert.equal(next.told, [0]);
  const first = new Life(directory);
  first.serve(-500, 1000, [2 ** 32 - 500, 2 ** 32 - 1, 0]);
  assert.equal(new Life(directory).toldBeyond(499), [0, 2 ** 32 - 500, 2 ** 32 - 1]);
});

test("what the kernel has given up takes no room: it came again with another number", () => {
  const directory = join(runtimeDirectory(), "state");
  const first = new Life(directory);
  for (let round = 0; round < 100; round++) {
    first.nowNs += 15 * S;
    const from = 10_000 + 1000 * round;
    const waiting = Array.from({ length: 300 }, (_, i) => from + i);
    first.serve(from, 1000, waiting);
  }
  const told = new Life(directory).toldBeyond(10_000 + 1000 * 100 - 1);
  // All of the last 15 s, and not much of what was before.
  assert.equal(
    told.filter((seq) => seq >= 10_000 + 98_000),
    Array.from({ length: 600 }, (_, i) => 10_000 + 98_000 + (i < 300 ? i : 700 + i)),
  );
  assert.ok(told.length <= 1200, String(told.length));
});

test("where more wait than there is room for, those that came first are asked for", () => {
  const directory = join(runtimeDirectory(), "state");
  const first = new Life(directory);
  for (let seq = 1; seq <= WAITING_MAX + 1000; seq++) {
    first.recall.saw(seq);
    first.recall.handled(1);
  }
  assert.equal(
    new Life(directory).toldBeyond(WAITING_MAX + 1000),
    Array.from({ length: WAITING_MAX }, (_, i) => 1 + i),
  );
});

test("a file that makes no sense costs no more than a full one", () => {
  const directory = join(runtimeDirectory(), "state");
  writeFileSync(join(directory, LAST_REQUEST), new Uint8Array(8 + 4 * WAITING_MAX).fill(0xff));
  const { recall, told } = new Life(directory);
  recall.askForUnanswered();
  assert.ok(told.length <= WAITING_MAX + 2 * AROUND + 1, String(told.length));
});

// ---- Servers that are killed

if (isPrivileged) {
  const kernel = new PlayedKernel(abi, "LVM-r");
  const hosts = new StartedHosts(folder, kernel.port);
  const lacking = missingForAppliance();
  if (lacking !== undefined) console.log(`Not with the native host: ${lacking}.`);
  const begin = {
    "Node.js": (directory: string) => hosts.inNode(directory),
    ...(lacking === undefined && { native: (directory: string) => hosts.natively(directory) }),
  };
  const pairs = Object.entries(begin).flatMap((first) => Object.entries(begin).map((next) => [first, next] as const));

  for (const [[firstName, startFirst], [nextName, startNext]] of pairs) {
    test(`what waits for its device is asked for anew after thousands of others: ${firstName}, then ${nextName}`, async () => {
      const directory = runtimeDirectory();
      const log = join(directory, "..", `log-${directories}`);
      writeFileSync(log, new Uint8Array(65_536));
      // A server waits for the lock of a log device, as it waits for a device that hangs.
      const holder = openSync(log, "r+");
      assert.ok(tryLock(holder));
      const first = await startFirst(directory);
      const other = "LVM-other";
      assert.is((await kernel.ask(first.port, "CTR", asciiBytes("2000 core 2"), other)).error, 0);
      assert.is((await kernel.ask(first.port, "RESUME", [], other)).error, 0);
      const table = asciiBytes(`2000 disk ${log} 2`);
      const waiting = kernel.tell(first.port, "CTR", table);
      for (let i = 0; i < 4 * AROUND; i++) await kernel.ask(first.port, "MARK_REGION", [i % 1000], other);
      kernel.askedAgain.length = 0;
      await hosts.end(first, "SIGKILL");
      const second = await startNext(directory);
      assert.is(second.port, first.port);
      await until(() => kernel.askedAgain.includes(waiting), "Nobody asks for the one that waits");
      closeSync(holder);
      // The kernel sends it again, with another number.
      assert.is((await kernel.ask(second.port, "CTR", table)).error, 0);
      assert.is((await kernel.ask(second.port, "RESUME")).error, 0);
      // What was answered is not asked for by a third.
      for (let i = 0; i < 2 * AROUND; i++) await kernel.ask(second.port, "FLUSH", [i % 1000]);
      await kernel.ask(second.port, "GET_SYNC_COUNT");
      kernel.askedAgain.length = 0;
      await hosts.end(second, "SIGKILL");
      const third = await startNext(directory);
      assert.is((await kernel.ask(third.port, "GET_SYNC_COUNT")).error, 0);
      const numbers = new Uint32Array(readFileSync(join(directory, "state", LAST_REQUEST)).buffer.slice(0, 8));
      await until(() => kernel.askedAgain.length >= AROUND, "It asks for nothing");
      assert.equal([numbers[1], kernel.askedAgain.filter((seq) => seq < (numbers[0] ?? 0) - 2 * AROUND)], [0, []]);
      assert.is((await kernel.ask(third.port, "DTR", [], other)).error, 0);
      assert.is((await kernel.ask(third.port, "DTR")).error, 0);
      await hosts.end(third, "SIGTERM");
    });
  }

  for (const [name, start] of Object.entries(begin)) {
    test(`a full file is asked for whole, and what waits meanwhile is kept: ${name}`, async () => {
      const directory = runtimeDirectory();
      const before = await start(directory);
      await kernel.ask(before.port, "GET_SYNC_COUNT");
      await hosts.end(before, "SIGKILL");
      const path = join(directory, "state", LAST_REQUEST);
      const numbers = new Uint32Array(2 + WAITING_MAX).map((_, i) => 1_000_000 + i);
      numbers.set([2_000_000, WAITING_MAX]);
      writeFileSync(path, new Uint8Array(numbers.buffer));
      const log = join(directory, "..", `log-${directories}`);
      writeFileSync(log, new Uint8Array(65_536));
      const holder = openSync(log, "r+");
      assert.ok(tryLock(holder));
      kernel.askedAgain.length = 0;
      const waiting = kernel.tell(before.port, "CTR", asciiBytes(`2000 disk ${log} 2`));
      const server = await start(directory);
      await until(() => kernel.askedAgain.length >= WAITING_MAX + AROUND, "Not all are asked for");
      const asked = new Set(kernel.askedAgain);
      assert.equal(
        [...numbers.subarray(2)].filter((seq) => !asked.has(seq)),
        [],
      );
      await until(() => readFileSync(path).readUInt32LE(4) === 1, "The one that waits is not kept");
      assert.is(readFileSync(path).readUInt32LE(8), waiting);
      await hosts.end(server, "SIGKILL");
      closeSync(holder);
      const last = await start(directory);
      await until(() => kernel.askedAgain.includes(waiting), "Nobody asks for the one that waits");
      await kernel.ask(last.port, "DTR");
      await hosts.end(last, "SIGTERM");
    });
  }

  test.after(() => {
    hosts.killAll();
    kernel.close();
  });
}

test.after(() => rmSync(folder, { recursive: true }));
test.run();
