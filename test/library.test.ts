// The package's own class, over a storage, a store and a clock of the test's: what a program that embeds the engine sees.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { asciiBytes, u64At } from "../src/common/kernel-frames.ts";
import * as browser from "../src/library/browser.ts";
import * as library from "../src/library/node.ts";
import { DirtyLogEngine, type DirtyLogEngineOptions, decodeReply, encodeRequest } from "../src/library/node.ts";
import {
  Actions,
  Connector,
  engineClock,
  Legs,
  Random,
  SECOND_NS,
  SimulatedKernel,
  spawn,
  VirtualClock,
  Workload,
} from "../src/library/simulation.ts";
import { Recording, replay, Trace } from "../src/library/trace.ts";
import { debugWasm, smallWasm } from "./harness.ts";

const ENODEV = -19;
const EIO = -5;
const REGIONS = 128;

/** A program's own parts, which keep all that they are told. */
class Parts {
  readonly disk = new Uint8Array(1 << 20);
  readonly files = new Map<number, Uint8Array>();
  readonly replies: library.Reply[] = [];
  readonly notices: string[] = [];
  readonly failures: unknown[] = [];
  readonly changes: library.LogChange[] = [];
  readonly opened: string[] = [];
  readonly timers = new Set<{ atNs: number; callback: () => void }>();
  closedCount = 0;
  writeError: unknown = null;
  /** What every device says of its file. */
  file: library.LogStorage["file"];
  nowNs = 7;
  seq = 0;

  get options(): DirtyLogEngineOptions {
    return {
      core: debugWasm,
      transport: { send: (datagram) => this.sent(datagram) },
      storage: {
        open: async (name) => {
          this.opened.push(name);
          return {
            sizeBytes: this.disk.length,
            file: this.file,
            read: (offsetBytes, sizeBytes) => this.disk.slice(offsetBytes, offsetBytes + sizeBytes),
            write: async (offsetBytes, bytes) => this.write(offsetBytes, bytes),
            close: () => {
              this.closedCount++;
            },
          };
        },
        flushLegs: async () => {},
      },
      states: {
        list: () => [...this.files].map(([handle, bytes]) => ({ handle, bytes })),
        create: (handle, sizeBytes) => this.files.set(handle, new Uint8Array(sizeBytes)),
        write: (handle, offsetBytes, bytes) => this.files.get(handle)?.set(bytes, offsetBytes),
        delete: (handle) => this.files.delete(handle),
      },
      clock: {
        nowNs: () => this.nowNs,
        after: (delayNs, callback) => {
          const timer = { atNs: this.nowNs + delayNs, callback };
          this.timers.add(timer);
          return () => this.timers.delete(timer);
        },
      },
      onNotice: (sentence) => this.notices.push(sentence),
      onFailure: (error) => this.failures.push(error),
      onChange: (changes) => this.changes.push(...changes),
    };
  }

  /** Sends a request and waits for what it causes on the disk. Returns the answer. */
  async ask(engine: DirtyLogEngine, type: library.RequestName, data: library.Request["data"] = []) {
    const request = { type, uuid: "LVM-own", luid: 5n, seq: ++this.seq, data };
    engine.receive(encodeRequest(engine.core.abi, request));
    await engine.settled();
    const reply = this.replies.find(({ seq }) => seq === this.seq);
    if (reply === undefined) throw new Error(`no answer to ${type}`);
    return reply;
  }

  construct(engine: DirtyLogEngine, type: "core" | "disk", options = "") {
    const device = type === "disk" ? " /dev/own" : "";
    return this.ask(engine, "CTR", asciiBytes(`${REGIONS * 1024} clustered-${type}${device} 1024${options}`));
  }

  /** Lets time pass, and whatever is due then happen. */
  pass(durationNs: number): void {
    this.nowNs += durationNs;
    for (const timer of [...this.timers].filter(({ atNs }) => atNs <= this.nowNs)) {
      this.timers.delete(timer);
      timer.callback();
    }
  }

  isCleanOnDisk(region: number): boolean {
    return (((this.disk[1024 + (region >>> 3)] as number) >> (region & 7)) & 1) === 1;
  }

  protected sent(datagram: Uint8Array): void {
    this.replies.push(decodeReply(abi, datagram));
  }

  private write(offsetBytes: number, bytes: Uint8Array): void {
    if (this.writeError !== null) throw this.writeError;
    this.disk.set(bytes, offsetBytes);
  }
}

const { abi } = (await DirtyLogEngine.create(new Parts().options)).core;
/** Lets promises that are due be carried out. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

/** An engine with one log that is resumed, all its regions in sync. */
async function resumed(type: "core" | "disk"): Promise<{ parts: Parts; engine: DirtyLogEngine }> {
  const parts = new Parts();
  const engine = await DirtyLogEngine.create(parts.options);
  assert.is((await parts.construct(engine, type, " nosync")).error, 0);
  assert.is((await parts.ask(engine, "RESUME")).error, 0);
  return { parts, engine };
}

test("Node.js and browsers have the same entry", () => {
  assert.equal(Object.keys(browser).sort(), Object.keys(library).sort());
  const sameShape: typeof library = browser;
  assert.ok(sameShape);
});

test("a MARK is answered, and a disk log's is on the storage before its FLUSH is", async () => {
  const { parts, engine } = await resumed("disk");
  assert.equal(parts.opened, ["/dev/own"]);
  assert.is(parts.isCleanOnDisk(5), true);
  assert.equal((await parts.ask(engine, "MARK_REGION", [5])).error, 0);
  assert.is((await parts.ask(engine, "FLUSH")).error, 0);
  assert.is(parts.isCleanOnDisk(5), false);
  assert.equal([...engine.regionStates({ uuid: "LVM-own", luid: 5n }, 4, 3)], [0, 1, 0]);
  assert.is(library.REGION_STATES[1], "dirty");
  assert.is(engine.counters().requests.MARK_REGION, 1);
  assert.equal(parts.failures, []);
});

test("a clear reaches the storage when the clock says so", async () => {
  const { parts, engine } = await resumed("disk");
  await parts.ask(engine, "MARK_REGION", [5]);
  await parts.ask(engine, "FLUSH");
  await parts.ask(engine, "CLEAR_REGION", [5]);
  await parts.ask(engine, "FLUSH");
  assert.is(parts.isCleanOnDisk(5), false);
  for (let second = 0; second < 10; second++) {
    parts.pass(1e9);
    await engine.settled();
  }
  assert.is(parts.isCleanOnDisk(5), true);
});

test("changes are told once for what was handed in together", async () => {
  const { parts, engine } = await resumed("core");
  await turn();
  parts.changes.length = 0;
  for (const region of [1, 2, 3]) parts.ask(engine, "MARK_REGION", [region]);
  await turn();
  assert.equal(
    parts.changes.map(({ kind, log, before }) => [kind, log.dirtyRegions, before?.dirtyRegions]),
    [["changed", 3, 0]],
  );
  await parts.ask(engine, "DTR");
  await turn();
  assert.equal(parts.changes.at(-1)?.kind, "removed");
  assert.equal(engine.logs(), []);
});

test("another engine goes on from the state files", async () => {
  const { parts, engine } = await resumed("core");
  await parts.ask(engine, "MARK_REGION", [5]);
  await engine.close();
  assert.throws(() => engine.receive(new Uint8Array(200)), /closed/);
  const next = await DirtyLogEngine.create(parts.options);
  assert.equal(next.logs()[0]?.dirtyRegions, 1);
  assert.is(u64At((await parts.ask(next, "IS_CLEAN", [5])).data, 0), 0);
});

test("a second mirror on a file that one has is refused, by whatever name", async () => {
  const parts = new Parts();
  for (const file of [{ fileSystem: 1n, inode: 2n }, undefined]) {
    parts.file = file;
    const engine = await DirtyLogEngine.create({ ...parts.options, states: undefined });
    const make = async (uuid: string, luid: bigint) => {
      const data = asciiBytes(`${REGIONS * 1024} clustered-disk /dev/${uuid} 1024 nosync`);
      engine.receive(encodeRequest(abi, { type: "CTR", uuid, luid, seq: ++parts.seq, data }));
      await engine.settled();
      return parts.replies.at(-1)?.error;
    };
    assert.is(await make("LVM-one", 1n), 0);
    assert.is((await make("LVM-other", 2n)) === 0, file === undefined);
    await engine.close();
  }
});

test("onCore sees the core before its first input", async () => {
  const parts = new Parts();
  const first = await DirtyLogEngine.create(parts.options);
  await parts.construct(first, "core");
  let kinds: number[] = [];
  const next = await DirtyLogEngine.create({
    ...parts.options,
    onCore: (core) => {
      assert.ok(core.isFresh);
      core.tap = {
        handled: () => kinds.push(new DataView(core.bytes().buffer).getUint32(abi.INPUT_KIND, true)),
        trapped: () => {},
      };
    },
  });
  assert.equal(kinds, [abi.INPUT_KIND_RESTORE]);
  kinds = [];
  await parts.ask(next, "RESUME");
  assert.equal(kinds, [abi.INPUT_KIND_DATAGRAM]);
});

test("a store that fails loses the log's file, and says so", async () => {
  const parts = new Parts();
  const { states, ...options } = parts.options;
  const failing = {
    ...(states as library.StateStore),
    write: () => {
      throw new Error("no room");
    },
  };
  const engine = await DirtyLogEngine.create({ ...options, states: failing });
  await parts.construct(engine, "core");
  assert.is((await parts.ask(engine, "RESUME")).error, 0);
  assert.is((await parts.ask(engine, "MARK_REGION", [5])).error, 0);
  assert.match(String(parts.failures[0]), /no room/);
  assert.is(parts.failures.length, 1);
  assert.is(parts.files.size, 0);
});

test("a snapshot goes on elsewhere, with its device and what was under way", async () => {
  const { parts, engine } = await resumed("disk");
  await parts.ask(engine, "MARK_REGION", [5]);
  const request = { type: "FLUSH", uuid: "LVM-own", luid: 5n, seq: ++parts.seq } as const;
  engine.receive(encodeRequest(abi, request));
  const snapshot = structuredClone(engine.snapshot());
  const logs = engine.logs();
  assert.equal(
    snapshot.operations.map(({ kind }) => kind),
    ["write"],
  );
  const heir = new Parts();
  heir.disk.set(parts.disk);
  const next = await DirtyLogEngine.create({ ...heir.options, snapshot });
  assert.equal(next.logs(), logs);
  await next.settled();
  assert.equal(
    heir.replies.map(({ seq, error }) => [seq, error]),
    [[parts.seq, 0]],
  );
  assert.equal(heir.opened, ["/dev/own"]);
  assert.is(heir.isCleanOnDisk(5), false);
  heir.seq = parts.seq;
  assert.is((await heir.ask(next, "MARK_REGION", [6])).error, 0);
  await next.close();
  assert.is(heir.closedCount, 1);
});

test("a snapshot that is damaged, of another core, or none at all is refused with a sentence", async () => {
  const { parts, engine } = await resumed("disk");
  await parts.ask(engine, "MARK_REGION", [5]);
  const snapshot = engine.snapshot();
  const tryWith = (wrong: object, core = parts.options.core) => {
    const { options } = new Parts();
    return DirtyLogEngine.create({ ...options, core, snapshot: { ...snapshot, ...wrong } }).then(
      () => "taken",
      (error: Error) => error.message,
    );
  };
  const bit = snapshot.memory.slice();
  bit[70_000] = (bit[70_000] as number) ^ 1;
  for (const wrong of [
    { memory: bit },
    { memory: snapshot.memory.subarray(4) },
    { inputCount: 1 },
    { wakeAtNs: 5 },
    { devices: [] },
    { operations: [{ kind: "read", head: { handle: 0, sizeBytes: 1, offsetBytes: 0, ticket: 1 } }] },
    { core: "0" },
  ]) {
    assert.match(await tryWith(wrong), /^The snapshot is damaged/, Object.keys(wrong).join());
  }
  assert.match(await tryWith({}, new Uint8Array(smallWasm)), /^The snapshot is of another core/);
  assert.match(await tryWith({ check: undefined }), /^This is no snapshot/);
  assert.is(await tryWith({}), "taken");
});

test("what is no core, or names nobody, is refused with a sentence", async () => {
  const { options } = new Parts();
  const made = (core: number[]) =>
    DirtyLogEngine.create({ ...options, core: Uint8Array.from(core) }).then(
      () => "taken",
      (error: Error) => error.message,
    );
  const wasm = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  assert.is(await made([1, 2]), "These 2 bytes are no dm-ulog core: they are not WebAssembly.");
  assert.match(await made(wasm), /^The module is not a dm-ulog core: it does not export ABI_VERSION/);
  // One type of function, and a function of that type that is imported.
  const importing = [...wasm, 1, 4, 1, 0x60, 0, 0, 2, 7, 1, 1, 0x61, 1, 0x62, 0, 0];
  assert.match(await made(importing), /^The module is not a dm-ulog core: it imports functions/);

  const request = { type: "FLUSH", uuid: "LVM-own", luid: 5n, seq: 1 } as const;
  for (const [wrong, sentence] of [
    [{ uuid: "x".repeat(129) }, /^The UUID has 129 characters; the kernel's have at most 128\.$/],
    [{ uuid: "LVM-\u20ac" }, /characters of more than one byte/],
    [{ luid: -1n }, /^The luid -1 is no bigint/],
    [{ luid: 2n ** 64n }, /is no bigint from 0/],
    [{ luid: 5 as unknown as bigint }, /is no bigint from 0/],
    [{ type: "MARK" as "FLUSH" }, /^There is no request MARK\./],
    [{ data: new Uint8Array(65_400) }, /^65400 bytes of data do not fit/],
  ] as const) {
    assert.throws(() => encodeRequest(abi, { ...request, ...wrong }), sentence);
  }
});

test("a snapshot with a device that is gone fails that log alone", async () => {
  const { engine } = await resumed("disk");
  const heir = new Parts();
  const { storage: _, ...options } = heir.options;
  const next = await DirtyLogEngine.create({ ...options, snapshot: engine.snapshot() });
  heir.seq = 100;
  assert.is((await heir.ask(next, "MARK_REGION", [6])).error, 0);
  assert.is((await heir.ask(next, "FLUSH")).error, EIO);
});

test("errors of the storage become errnos, and those without one are told", async () => {
  const parts = new Parts();
  const { storage: _, ...options } = parts.options;
  const bare = await DirtyLogEngine.create(options);
  assert.is((await parts.construct(bare, "disk")).error, ENODEV);
  assert.equal(parts.failures, []);

  const { parts: full, engine } = await resumed("disk");
  full.writeError = Object.assign(new Error("full"), { errno: -28 });
  await full.ask(engine, "MARK_REGION", [5]);
  assert.is((await full.ask(engine, "FLUSH")).error, EIO);
  assert.match(engine.logs()[0]?.device?.error ?? "", /errno 28/);
  assert.equal(full.failures, []);

  const { parts: broken, engine: other } = await resumed("disk");
  broken.writeError = new TypeError("a mistake");
  await broken.ask(other, "MARK_REGION", [5]);
  await broken.ask(other, "FLUSH");
  assert.is(broken.failures[0], broken.writeError);
});

test("a transport that calls back or throws does not disturb the core", async () => {
  const parts = new Parts();
  const seen: number[] = [];
  let engine: DirtyLogEngine;
  const request = (seq: number) => encodeRequest(abi, { type: "GET_REGION_SIZE", uuid: "LVM-own", luid: 5n, seq });
  const send = (datagram: Uint8Array) => {
    const { seq } = decodeReply(abi, datagram);
    seen.push(seq);
    if (seq < 100) engine.receive(request(seq + 1));
    else throw new Error("the link is down");
  };
  engine = await DirtyLogEngine.create({ ...parts.options, transport: { send } });
  engine.receive(request(1));
  assert.is(seen.length, 100);
  assert.match(String(parts.failures[0]), /link is down/);
});

test("a core that fails says so, and takes nothing more", async () => {
  const { parts, engine } = await resumed("core");
  engine.core.bytes().fill(0xff, abi.CORE, abi.CORE + abi.CORE_BYTES);
  const datagram = encodeRequest(abi, { type: "MARK_REGION", uuid: "LVM-own", luid: 5n, seq: 9, data: [1] });
  assert.throws(() => engine.receive(datagram), /failed/);
  assert.throws(() => engine.receive(datagram), /failed/);
  assert.throws(() => engine.snapshot());
  assert.is(parts.failures.length, 1);
  await engine.close();
});

test("the simulated kernel resyncs and writes to a mirror through it, and what was recorded replays", async () => {
  const clock = new VirtualClock();
  const random = new Random(1);
  const transport = {
    send: (datagram: Uint8Array) => clock.after(20_000, () => engine.receive(datagram)) === undefined,
  };
  const connector = new Connector(abi, clock, transport);
  const parts = new Parts();
  const engine = await DirtyLogEngine.create({
    ...parts.options,
    transport: { send: (datagram) => clock.after(20_000, () => connector.receive(datagram)) },
    clock: engineClock(clock),
  });
  const recording = new Recording(engine.core, { application: "test", coreSha256: "" });
  const kernel = new SimulatedKernel(clock, random.fork(), connector);
  const timing = { blockNs: [20_000, 400_000], regionNs: [100_000, 800_000] } as const;
  const legs = new Legs(clock, random.fork(), timing, 2, REGIONS, false);
  const device = kernel.device(legs);
  let error = 1;
  const table = {
    uuid: "LVM-own",
    lengthSectors: REGIONS * 1024,
    regionSizeSectors: 1024,
    type: "clustered-core",
    options: [],
    integratedFlush: true,
  };
  spawn(
    (function* () {
      error = yield* device.create(table);
    })(),
  );
  clock.run(10 * SECOND_NS);
  assert.is(error, 0);
  assert.is(legs.differing.size, 0);
  assert.is(engine.logs()[0]?.inSyncRegions, REGIONS);
  const options = { pattern: "uniform", writerCount: 4, readOneIn: 4, thinkNs: 1_000_000 } as const;
  const workload = new Workload(clock, new Actions(random.fork()), device, options);
  workload.start();
  clock.run(SECOND_NS);
  workload.stop();
  clock.run(60 * SECOND_NS);
  assert.ok(workload.writeCount > 100);
  assert.ok((engine.logs()[0]?.marks ?? 0) > 100);
  assert.is(engine.logs()[0]?.dirtyRegions, 0);
  const trace = Trace.open(recording.finish(), abi);
  assert.ok(replay(trace, new WebAssembly.Module(debugWasm)).isEqual);
});

test.run();
