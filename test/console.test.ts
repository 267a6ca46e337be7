// The control plane: what a person or a program reads of an engine.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { asciiBytes, encodeRequest, type Request, type RequestName, u64At } from "../src/common/kernel-frames.ts";
import { Peer, words } from "./harness.ts";

test("logs are listed in order of creation and described in full", () => {
  const first = Peer.resumed(130, " nosync");
  const second = new Peer(first.engine, 'odd "name\\\x1f ~\x7f', 7n);
  second.construct("16 core 2 sync block_on_error");
  first.ask("MARK_REGION", [1, 2, 129]);
  first.ask("CLEAR_REGION", [2]);
  first.ask("SET_REGION_SYNC", [5, 0]);
  first.ask("GET_RESYNC_WORK");
  first.ask("FLUSH");
  const logs = words.logs(first.engine);
  assert.equal(
    logs.map((log) => log.uuid),
    ["LVM-test", 'odd "name\\\x1f ~\x7f'],
  );
  const { memoryBytes, ...described } = logs[0] as (typeof logs)[number];
  assert.ok(memoryBytes > 0);
  assert.equal(described, {
    uuid: "LVM-test",
    luid: 0xffff_8880_0123_4000n,
    type: "clustered-core",
    state: "resumed",
    lengthSectors: 260,
    regionSizeSectors: 2,
    regionCount: 130,
    inSyncRegions: 129,
    outOfSyncRegions: 1,
    dirtyRegions: 2,
    failedRegions: 0,
    recoveringRegion: 5,
    options: ["nosync"],
    constructor: "260 clustered-core 2 nosync",
    device: null,
    marks: 3,
    clears: 1,
    flushes: 1,
    resynced: 0,
    resyncFailures: 0,
  });
  assert.equal(logs[1]?.options, ["sync", "block_on_error"]);
});

test("regions that were resynced, and that failed to, are counted", () => {
  const peer = Peer.resumed(8);
  for (const inSync of [0, 1, 1]) {
    const region = Number(u64At(peer.ask("GET_RESYNC_WORK").data, 1));
    peer.ask("SET_REGION_SYNC", [region, inSync]);
  }
  const { resynced, resyncFailures } = peer.describe();
  assert.equal([resynced, resyncFailures], [2, 1]);
});

test("the list of logs has another generation when a log has come or gone, and not for anything else", () => {
  const peer = Peer.resumed(8);
  const { abi } = peer.engine;
  const generation = () => new DataView(peer.engine.bytes().buffer).getUint32(abi.CORE + abi.CORE_GENERATION, true);
  const seen = [generation()];
  peer.ask("FLUSH", [1]);
  assert.is(generation(), seen[0]);
  const other = new Peer(peer.engine, "LVM-other", 7n);
  other.construct("16 core 2");
  seen.push(generation());
  other.ask("DTR");
  seen.push(generation());
  assert.is(new Set(seen).size, 3);
});

test("states of any range of regions, and none beyond the mirror", () => {
  const peer = Peer.resumed(200, " nosync");
  peer.ask("MARK_REGION", [0, 63, 64, 130, 199]);
  peer.ask("SET_REGION_SYNC", [65, 0]);
  peer.ask("SET_REGION_SYNC", [66, 0]);
  peer.ask("GET_RESYNC_WORK");
  peer.ask("SET_REGION_SYNC", [65, 0]);
  const all = peer.states();
  assert.is(all.length, 200);
  assert.equal([all[0], all[1], all[63], all[64], all[65], all[66], all[199]], [1, 0, 1, 1, 3, 2, 1]);
  for (const [first, count] of [
    [0, 1],
    [1, 7],
    [63, 3],
    [62, 70],
    [199, 1],
    [199, 50],
    [7, 193],
  ] as const) {
    assert.equal(peer.states(first, count), all.slice(first, first + count), `${first} + ${count}`);
  }
  assert.equal(peer.states(200, 1), []);
  assert.equal([...words.regionStates(peer.engine, "no such log", 1n, 0, 10)], []);
});

test("of sets that were read in part, the states are those of the regions that all of them have", () => {
  const peer = Peer.resumed(200, " nosync");
  peer.ask("MARK_REGION", [9]);
  for (const cutSet of [0, 1, 2]) {
    for (const [first, bytes, expected] of [
      [5, 0, []],
      [7, 1, [0]],
      [5, 1, [0, 0, 0]],
      [5, 2, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]],
    ] as const) {
      // A log of 200 regions has 25 bytes in each set.
      let sets = 0;
      const read = (address: number, size: number) => {
        const isSet = size === 25;
        return peer.engine.read(address, isSet && sets++ === cutSet ? bytes : size);
      };
      const states = words.regionStates({ read }, peer.uuid, peer.luid, first, 200 - first);
      assert.equal([...states], expected, `set ${cutSet}, ${bytes} bytes from region ${first} on`);
      assert.is(sets, 3);
    }
  }
});

test("counters tell requests by type, refusals and what was dropped", () => {
  const peer = Peer.resumed(8);
  peer.ask("FLUSH");
  peer.ask("FLUSH");
  peer.ask(99);
  peer.ask("IN_SYNC", [8]);
  peer.deliver(new Uint8Array(4));
  peer.deliver(new Uint8Array(400), 5);
  const counters = peer.counters();
  assert.is(counters.requests.FLUSH, 2);
  assert.is(counters.requests.CTR, 1);
  assert.is(counters.requests.unknown, 1);
  assert.is(counters.flushes, 2);
  assert.is(counters.refused, 2);
  assert.is(counters.droppedTruncated, 1);
  assert.is(counters.droppedForeign, 1);
  assert.is(counters.inputs, 8);
});

test("an area that is cut short has no counters, or the right ones", () => {
  const peer = Peer.resumed(8);
  const { engine } = peer;
  // The last of the types.
  peer.ask("IS_REMOTE_RECOVERING", [0]);
  const expected = peer.counters();
  let none = 0;
  for (let bytes = 0; bytes <= engine.abi.CORE_BYTES; bytes++) {
    // What the console's memory holds behind the area is no number of this engine.
    words.counters({ read: (_, size) => new Uint8Array(size).fill(0xff) });
    const counters = words.counters({ read: (address) => engine.read(address, bytes) });
    if (counters === null) none++;
    else assert.equal(counters, expected, `${bytes} bytes`);
  }
  assert.ok(none > 0 && none < engine.abi.CORE_BYTES);
});

test("a message that ends within the connector's header is truncated, whatever stood there before", () => {
  const peer = Peer.debug();
  const { engine } = peer;
  for (let bytes = 16; bytes < 36; bytes++) {
    const datagram = new Uint8Array(bytes);
    new DataView(datagram.buffer).setUint32(engine.abi.NLMSG_LEN, bytes, true);
    new DataView(datagram.buffer).setUint16(engine.abi.NLMSG_TYPE, engine.abi.NLMSG_TYPE_DONE, true);
    peer.deliver(datagram);
  }
  const { droppedTruncated, droppedForeign } = peer.counters();
  assert.equal([droppedTruncated, droppedForeign], [20, 0]);
});

test("each type of request is counted as what it is", () => {
  const peer = Peer.resumed(8);
  const types = Object.keys(peer.counters().requests).filter((name) => name !== "unknown");
  assert.is(types.length, 17);
  for (const type of types) {
    const before = peer.counters().requests;
    peer.ask(type as RequestName);
    const after = peer.counters().requests;
    const changed = Object.keys(after).filter((name) => after[name] !== before[name]);
    assert.equal(changed, [type]);
  }
});

test("requests and replies in words", () => {
  const peer = Peer.resumed(8);
  const { abi } = peer.engine;
  const base = { uuid: "LVM-a", luid: 5n, seq: 7 };
  const request = (type: Request["type"], data: Request["data"] = []) =>
    words.decodeDatagram(encodeRequest(abi, { ...base, type, data }), true);
  assert.is(request("MARK_REGION", [1, 2, 3]), "MARK_REGION #7 log LVM-a luid 5 v3: regions 1, 2, 3");
  assert.is(request("IN_SYNC", [9]), "IN_SYNC #7 log LVM-a luid 5 v3: region 9");
  assert.is(request("SET_REGION_SYNC", [9, 1]), "SET_REGION_SYNC #7 log LVM-a luid 5 v3: region 9 in sync");
  assert.is(request("SET_REGION_SYNC", [9, 0]), "SET_REGION_SYNC #7 log LVM-a luid 5 v3: region 9 out of sync");
  assert.is(request("FLUSH"), "FLUSH #7 log LVM-a luid 5 v3");
  assert.is(request("CTR", asciiBytes("16 core 2")), 'CTR #7 log LVM-a luid 5 v3: "16 core 2"');
  assert.is(request("CTR", asciiBytes("16 core 2\0")), 'CTR #7 log LVM-a luid 5 v3: "16 core 2" (reconnecting)');
  assert.is(request(99), "unknown request 99 #7 log LVM-a luid 5 v3");
  assert.is(request(0), "unknown request 0 #7 log LVM-a luid 5 v3");
  for (const type of ["IN_SYNC", "IS_CLEAN", "SET_REGION_SYNC", "IS_REMOTE_RECOVERING", "MARK_REGION"] as const)
    assert.is(request(type), `${type} #7 log LVM-a luid 5 v3`, "a payload that is too short");

  // An answer that is too short for what it should say.
  for (const type of ["GET_REGION_SIZE", "GET_SYNC_COUNT", "IS_CLEAN", "IN_SYNC", "GET_RESYNC_WORK"] as const) {
    const short = encodeRequest(abi, { ...base, type, data: new Uint8Array(4) });
    assert.is(words.decodeDatagram(short, false), `${type} reply #7 log LVM-a luid 5 v3`);
  }

  const replies: string[] = [];
  for (const [type, data] of [
    ["GET_REGION_SIZE", []],
    ["GET_SYNC_COUNT", []],
    ["GET_RESYNC_WORK", []],
    ["IN_SYNC", [0]],
    ["IS_CLEAN", [0]],
    ["IS_REMOTE_RECOVERING", [0]],
    ["STATUS_INFO", []],
    ["IN_SYNC", [8]],
    ["FLUSH", []],
  ] as const) {
    const datagram = encodeRequest(abi, { type, uuid: peer.uuid, luid: peer.luid, seq: 3, data });
    peer.engine.deliver(datagram, 0, 0, {
      send: (address, size) => replies.push(words.decodeDatagram(peer.engine.read(address, size), false)),
      notice: () => {},
    });
  }
  assert.equal(
    replies.map((reply) => reply.replace(/ reply #3 .* v3/, "")),
    [
      "GET_REGION_SIZE: 2 sectors",
      "GET_SYNC_COUNT: 0 regions in sync",
      "GET_RESYNC_WORK: resync region 0",
      "IN_SYNC: out of sync",
      "IS_CLEAN: not clean",
      "IS_REMOTE_RECOVERING: no; the kernel need not ask for writes below region 7",
      'STATUS_INFO: "1 clustered-core"',
      "IN_SYNC: EINVAL: the request is not valid for this log or protocol; nothing was changed",
      "FLUSH: done",
    ],
  );
});

test("each type of reply has its words, and none where it is too short for what it should say", () => {
  const { abi } = Peer.resumed(8).engine;
  const said = (type: RequestName, data: NonNullable<Request["data"]>) => {
    const reply = words.decodeDatagram(encodeRequest(abi, { type, uuid: "LVM-a", luid: 5n, seq: 7, data }), false);
    return reply.replace(`${type} reply #7 log LVM-a luid 5 v3`, "");
  };
  const replies: [type: RequestName, data: NonNullable<Request["data"]>, words: string, bytesMin: number][] = [
    ["CTR", [], ": done", 0],
    ["CTR", asciiBytes("98:16\0"), ": log device 98:16", 0],
    ["FLUSH", [], ": done", 0],
    ["DTR", [], ": done", 0],
    ["GET_REGION_SIZE", [1024], ": 1024 sectors", 8],
    ["GET_SYNC_COUNT", [5], ": 5 regions in sync", 8],
    ["IS_CLEAN", [1], ": clean", 8],
    ["IS_CLEAN", [0], ": not clean", 8],
    ["IN_SYNC", [1], ": in sync", 8],
    ["IN_SYNC", [0], ": out of sync", 8],
    ["GET_RESYNC_WORK", [1, 9], ": resync region 9", 16],
    ["GET_RESYNC_WORK", [0, 9], ": no resync work", 16],
    ["IS_REMOTE_RECOVERING", [1, 4], ": yes; the kernel need not ask for writes below region 4", 16],
    ["IS_REMOTE_RECOVERING", [0, 4], ": no; the kernel need not ask for writes below region 4", 16],
    ["STATUS_INFO", asciiBytes("1 core"), ': "1 core"', 0],
    ["STATUS_TABLE", asciiBytes("core 1 2"), ': "core 1 2"', 0],
  ];
  for (const [type, data, expected, bytesMin] of replies) {
    assert.is(said(type, data), expected, type);
    if (bytesMin > 0) assert.is(said(type, new Uint8Array(bytesMin - 1).fill(1)), "", `${type}, too short`);
  }
});

test("a request's regions are listed up to 32, and what a terminal should not see is ?", () => {
  const { abi } = Peer.resumed(8).engine;
  const said = (type: RequestName, data: NonNullable<Request["data"]>, uuid = "a") =>
    words.decodeDatagram(encodeRequest(abi, { type, uuid, luid: 5n, seq: 7, data }), true);
  const regions = Array.from({ length: 33 }, (_, i) => i);
  assert.match(said("FLUSH", regions.slice(0, 32)), /: regions 0, 1, .*, 30, 31$/);
  assert.match(said("CLEAR_REGION", regions), /: regions 0, 1, .*, 30, 31 and 1 more$/);
  for (const type of ["FLUSH", "MARK_REGION", "CLEAR_REGION", "IS_CLEAN", "IN_SYNC", "IS_REMOTE_RECOVERING"] as const)
    assert.match(said(type, [9]), /: region 9$/, type);
  assert.match(said("SET_REGION_SYNC", [9]), / v3$/, "a payload that is too short");
  assert.match(said("CTR", asciiBytes("\x01\x1f ~\x7f\xff")), /: "\?\? ~\?\?"$/);
  assert.match(said("CTR", []), /: ""$/);
  assert.match(said("FLUSH", [], "\x1f ~\x7f"), / log \? ~\? luid/);
  // 128 characters are the kernel's longest UUID; one that has no end shows no more.
  const longest = encodeRequest(abi, { type: "FLUSH", uuid: "u".repeat(128), luid: 5n, seq: 7 });
  longest.fill(0x78, abi.ULOG_UUID + 128, abi.ULOG_VERSION);
  assert.match(words.decodeDatagram(longest, true), / log u{128} luid/);
});

test("what is no message is said to be none", () => {
  const { abi } = Peer.resumed(8).engine;
  const good = encodeRequest(abi, { type: "IN_SYNC", uuid: "a", luid: 1n, seq: 1, data: [1] });
  assert.match(words.decodeDatagram(new Uint8Array(40), true), /not a dm-log-userspace message/);
  assert.match(words.decodeDatagram(good.slice(0, 100), true), /truncated/);
  assert.match(words.decodeDatagram(new Uint8Array(0), true), /truncated/);
  good[abi.CN_LEN] = 3;
  assert.match(words.decodeDatagram(good, true), /malformed/);
});

test("errnos are explained, either sign", () => {
  const known: Record<string, number> = { ESRCH: 3, EIO: 5, EAGAIN: 11, ENOMEM: 12, EBUSY: 16, EINVAL: 22 };
  for (const [name, number] of Object.entries(known)) {
    for (const errno of [number, -number]) assert.match(words.explainErrno(errno), new RegExp(`^${name}: `));
  }
  assert.match(words.explainErrno(-22), /^EINVAL: /);
  assert.is(words.explainErrno(22), words.explainErrno(-22));
  assert.match(words.explainErrno(-3), /^ESRCH: .*constructs/);
  assert.is(words.explainErrno(-999), "errno 999");
});

test("the console's memory does not grow with use", () => {
  const peer = Peer.resumed(8);
  const request = { type: "FLUSH", uuid: "a", luid: 1n, seq: 1, data: new Uint8Array(8000) } as const;
  const datagram = encodeRequest(peer.engine.abi, request);
  assert.match(words.decodeDatagram(datagram, true), /, 0, 0 and 968 more$/);
  const before = words.memoryBytes();
  for (let i = 0; i < 20_000; i++) words.decodeDatagram(datagram, true);
  assert.is(words.memoryBytes(), before);
});

test.run();
