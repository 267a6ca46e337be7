// Same inputs, same bytes: in a second engine, in the debug build, and in an engine restored from a snapshot at any moment.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest, type RequestName } from "../src/common/kernel-frames.ts";
import { debugWasm, releaseWasm, seeded, seedFor } from "./harness.ts";

const release = new WebAssembly.Module(releaseWasm);
const seed = seedFor("determinism");

function randomRequests(count: number): Uint8Array[] {
  const random = seeded(seed);
  const { abi } = new Engine(release);
  const requests: Uint8Array[] = [];
  const kinds: [RequestName, () => number[]][] = [
    ["MARK_REGION", () => [random.below(300), random.below(280)]],
    ["FLUSH", () => [random.below(280)]],
    ["CLEAR_REGION", () => [random.below(280)]],
    ["GET_RESYNC_WORK", () => []],
    ["SET_REGION_SYNC", () => [random.below(280), random.below(2)]],
    ["GET_SYNC_COUNT", () => []],
    ["RESUME", () => []],
    ["STATUS_INFO", () => []],
  ];
  const log = () => ({ uuid: "LVM-det", luid: BigInt(random.below(4)), seq: requests.length });
  for (let i = 0; i < count; i++) {
    const [type, data] = kinds[random.below(kinds.length)] as (typeof kinds)[number];
    const pick = random.below(40);
    if (pick === 0) requests.push(encodeRequest(abi, { ...log(), type: "DTR" }));
    else if (pick === 1) requests.push(encodeRequest(abi, { ...log(), type: "POSTSUSPEND" }));
    else if (pick < 5) requests.push(encodeRequest(abi, { ...log(), type: "CTR", data: asciiBytes("548 core 2") }));
    else requests.push(encodeRequest(abi, { ...log(), type, data: data() }));
  }
  return requests;
}

/** All effects of one input, as one array of bytes. */
function effectsOf(engine: Engine, request: Uint8Array, nowNs: number): number[] {
  const bytes: number[] = [];
  const collect = (address: number, size: number) => bytes.push(...engine.read(address, size));
  engine.deliver(request, 0, nowNs, { send: collect, notice: collect });
  return bytes;
}

test("two engines, release and debug, leave the same effects", () => {
  const engines = [new Engine(release), new Engine(release), new Engine(new WebAssembly.Module(debugWasm))] as const;
  for (const [i, request] of randomRequests(3000).entries()) {
    const [first, second, debug] = engines.map((engine) => effectsOf(engine, request, i)) as [
      number[],
      number[],
      number[],
    ];
    assert.equal(second, first);
    assert.equal(debug, first);
  }
  assert.equal(engines[1].snapshot(), engines[0].snapshot());
});

test("an engine restored before every input goes on as if nothing had happened", () => {
  let restored = new Engine(release);
  const steady = new Engine(release);
  for (const [i, request] of randomRequests(400).entries()) {
    restored = Engine.restore(release, restored.snapshot());
    assert.equal(effectsOf(restored, request, i), effectsOf(steady, request, i));
  }
  assert.equal(restored.snapshot(), steady.snapshot());
  assert.is(restored.violatedInvariant(), 0);
});

test("what is not a snapshot of this core is refused", () => {
  assert.throws(() => Engine.restore(release, new Uint8Array(100)), /not one of this core/);
  assert.throws(() => Engine.restore(release, new Uint8Array(65536)), /not one of this core/);
});

test("logs that come and go need the memory of one round", () => {
  const engine = new Engine(release);
  const { abi } = engine;
  const round = () => {
    for (const [luid, sectors] of [20_000n, 2_000_000n, 300n, 70_000n, 5_000_000n].entries()) {
      const log = { uuid: "LVM-round", luid: BigInt(luid), seq: luid };
      effectsOf(engine, encodeRequest(abi, { ...log, type: "CTR", data: asciiBytes(`${sectors} core 2`) }), 0);
    }
    for (const luid of [3, 0, 4, 1, 2]) {
      effectsOf(engine, encodeRequest(abi, { uuid: "LVM-round", luid: BigInt(luid), seq: luid, type: "DTR" }), 0);
    }
  };
  round();
  const bytes = engine.bytes().length;
  for (let i = 0; i < 50; i++) round();
  assert.is(engine.bytes().length, bytes);
  assert.is(engine.violatedInvariant(), 0);
});

test("memory that was given back is used again, though a larger log was made behind it meanwhile", () => {
  const engine = new Engine(release);
  const handler = { send: () => {}, notice: () => {}, wake: () => {} };
  const ask = (type: RequestName, luid: bigint, text = "") => {
    const request = { uuid: "LVM-a", luid, seq: 1, type, data: asciiBytes(text) };
    engine.deliver(encodeRequest(engine.abi, request), 0, 1, handler);
    engine.goOn(1, handler);
  };
  const [small, large] = ["20000000 core 2", "40000000 core 2"];
  for (const [luid, text] of [small, "8 core 2", large, "8 core 2"].entries()) ask("CTR", BigInt(luid), text);
  const bytes = engine.bytes().length;
  for (const luid of [0n, 2n]) ask("DTR", luid);
  ask("CTR", 9n, large);
  ask("CTR", 10n, small);
  assert.is(engine.bytes().length, bytes);
});

test.run();
