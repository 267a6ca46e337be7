// Each request type of dm-log-userspace.h, word by word, with frames as a kernel sends them.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { asciiBytes, encodeRequest, u64At } from "../src/common/kernel-frames.ts";
import { Peer } from "./harness.ts";

const EINVAL = -22;
const ESRCH = -3;
const ENOMEM = -12;
const text = (data: Uint8Array) => String.fromCharCode(...data);

test("CTR: makes a log, names no device, says so once", () => {
  const peer = Peer.debug();
  const answer = peer.construct("131072 clustered-core 1024");
  assert.is(answer.error, 0);
  assert.is(answer.data.length, 0);
  assert.match(answer.notices[0] ?? "", /created with 128 regions/);
  const log = peer.describe();
  assert.is(log.state, "created");
  assert.is(log.type, "clustered-core");
  assert.is(log.regionCount, 128);
  assert.is(log.inSyncRegions, 0);
});

test("CTR: the last region may be a part of one", () => {
  const peer = Peer.debug();
  peer.construct("131073 core 1024");
  assert.is(peer.describe().regionCount, 129);
});

test("CTR: options are sync, nosync and block_on_error, each once", () => {
  for (const [options, expected, inSync] of [
    ["", [], 0],
    [" sync", ["sync"], 0],
    [" nosync", ["nosync"], 8],
    [" block_on_error", ["block_on_error"], 0],
    [" nosync block_on_error", ["nosync", "block_on_error"], 8],
    [" block_on_error sync", ["sync", "block_on_error"], 0],
  ] as const) {
    const peer = Peer.debug();
    assert.is(peer.construct(`16 core 2${options}`).error, 0, options);
    assert.equal(peer.describe().options, expected);
    assert.is(peer.describe().inSyncRegions, inSync);
  }
});

test("CTR: what does not fit is refused with EINVAL and a reason, and leaves nothing behind", () => {
  const refusals: [string, RegExp][] = [
    ["", /constructor/],
    ["131072", /constructor/],
    ["131072 core", /constructor/],
    ["0 core 1024", /length/],
    ["-5 core 1024", /length/],
    ["99999999999999999999 core 1024", /length/],
    ["x core 1024", /length/],
    ["131072 cor 1024", /log type/],
    ["131072 clustered-corex 1024", /log type/],
    ["131072 core 0", /region size/],
    ["131072 core 1", /region size 1/],
    ["131072 core 3", /region size 3/],
    ["131072 core 1024s", /region size/],
    ["131072 core 262144", /region size 262144/],
    ["99999999999 core 4294967296", /region size 4294967296/],
    ["131072 core 18446744073709551616", /region size/],
    ["131072 core 1024 resync", /option/],
    ["131072 core 1024 sync sync", /option/],
    ["131072 core 1024 sync nosync", /option/],
    ["131072 core 1024 block_on_error block_on_error", /option/],
    ["131072 core\t1024", /constructor/],
    ["131072 core 10\u000024", /constructor/],
    ["131072 clustered-disk 1024", /constructor/],
    ["131072 clustered-disk 8:0 1000", /region size 1000/],
    [`131072 core 1024 ${"x".repeat(5000)}`, /constructor/],
  ];
  for (const [table, reason] of refusals) {
    const peer = Peer.debug();
    const answer = peer.construct(table);
    assert.is(answer.error, EINVAL, table);
    assert.is(answer.data.length, 0);
    assert.match(answer.notices.join(), reason, table);
    assert.is(peer.ask("GET_REGION_SIZE").error, ESRCH);
  }
});

test("CTR: more regions than memory holds is ENOMEM and names their number", () => {
  const peer = Peer.debug();
  for (const sectors of ["18446744073709551615", "34359738368"]) {
    const answer = peer.construct(`${sectors} core 2`);
    assert.is(answer.error, ENOMEM);
    assert.match(answer.notices[0] ?? "", /regions need more memory/);
  }
  assert.is(peer.construct("131072 core 1024").error, 0);
});

test("CTR: UUID must be there and end", () => {
  const peer = Peer.debug();
  assert.is(peer.ask("CTR", asciiBytes("16 core 2"), { uuid: "" }).error, EINVAL);
  const longest = "x".repeat(128);
  const { abi } = peer.engine;
  const frame = { type: "CTR", uuid: longest, luid: peer.luid, seq: 77, data: asciiBytes("16 core 2") } as const;
  const endless = encodeRequest(abi, frame);
  endless[abi.ULOG_UUID + 128] = 0x78;
  assert.is(peer.deliver(endless)[0]?.error, EINVAL);
  assert.is(peer.ask("CTR", asciiBytes("16 core 2"), { uuid: longest }).error, 0);
  assert.is(u64At(peer.ask("GET_REGION_SIZE", [], { uuid: longest }).data, 0), 2);
});

test("CTR repeated before RESUME is answered as before", () => {
  const peer = Peer.debug();
  peer.construct("16 core 2");
  assert.is(peer.construct("16 core 2").error, 0);
  assert.is(peer.describe().regionCount, 8);
  assert.is(peer.construct("32 core 2").error, 0, "another string before RESUME is a new log");
  assert.is(peer.describe().regionCount, 16);
});

test("CTR that ends in a NUL is a kernel that reconnects: the log stays as it is", () => {
  const peer = Peer.resumed(8);
  peer.ask("SET_REGION_SYNC", [3, 1]);
  peer.ask("MARK_REGION", [3]);
  const before = peer.states();
  const answer = peer.construct("16 clustered-core 2\0");
  assert.is(answer.error, 0);
  assert.is(answer.data.length, 0);
  assert.is(peer.ask("RESUME").error, 0);
  assert.equal(peer.states(), before);
  assert.is(peer.describe().state, "resumed");
});

test("CTR of a resumed log without a NUL is a new log at an old address: nothing is inherited", () => {
  const peer = Peer.resumed(8);
  peer.ask("SET_REGION_SYNC", [3, 1]);
  const answer = peer.construct("16 clustered-core 2");
  assert.is(answer.error, 0);
  assert.match(answer.notices.join(), /created again/);
  assert.is(peer.describe().state, "created");
  assert.is(peer.describe().inSyncRegions, 0);
});

test("CTR of a resumed log that is refused leaves the old one alone", () => {
  const peer = Peer.resumed(8);
  peer.ask("SET_REGION_SYNC", [3, 1]);
  assert.is(peer.construct("16 clustered-core 3").error, EINVAL);
  assert.is(peer.describe().state, "resumed");
  assert.is(peer.describe().inSyncRegions, 1);
});

test("CTR of a kernel that reconnects to a server that knows nothing says loudly what is lost", () => {
  const peer = Peer.debug();
  const answer = peer.construct("16 clustered-core 2\0");
  assert.is(answer.error, 0);
  assert.match(answer.notices.join(), /dmsetup suspend/);
});

test("while one thread of the kernel reconnects a lost log, another that speaks of it is sent the same way", () => {
  const peer = Peer.debug();
  peer.construct("16 clustered-core 2\0");
  for (const type of ["FLUSH", "MARK_REGION"] as const) assert.is(peer.ask(type, [1]).error, ESRCH);
  const work = peer.ask("GET_RESYNC_WORK");
  assert.is(work.error, ESRCH);
  assert.is(work.data.length, 16);
  peer.ask("RESUME");
  assert.is(peer.ask("FLUSH", [1]).error, 0);
});

test("a lost log that reconnects is out of sync, whatever its table says of a new mirror", () => {
  const peer = Peer.debug();
  peer.construct("16 clustered-core 2 nosync\0");
  peer.ask("RESUME");
  assert.is(u64At(peer.ask("GET_SYNC_COUNT").data, 0), 0);
});

test("a new luid never inherits, and two luids of one UUID live side by side", () => {
  const live = Peer.resumed(8);
  live.ask("SET_REGION_SYNC", [0, 1]);
  const inactive = new Peer(live.engine, live.uuid, 2n);
  inactive.construct("16 clustered-core 2");
  assert.is(u64At(inactive.ask("GET_SYNC_COUNT").data, 0), 0);
  assert.is(u64At(live.ask("GET_SYNC_COUNT").data, 0), 1);
  inactive.ask("RESUME");
  assert.is(live.ask("DTR").error, 0);
  assert.is(live.ask("GET_SYNC_COUNT").error, ESRCH);
  assert.is(u64At(inactive.ask("GET_SYNC_COUNT").data, 0), 0);
});

test("one luid with two UUIDs is two logs", () => {
  const one = Peer.resumed(8);
  const other = new Peer(one.engine, "LVM-test2", one.luid);
  other.construct("32 core 2");
  other.ask("RESUME");
  one.ask("SET_REGION_SYNC", [0, 1]);
  assert.is(u64At(other.ask("GET_SYNC_COUNT").data, 0), 0);
  other.ask("DTR");
  assert.is(u64At(one.ask("GET_SYNC_COUNT").data, 0), 1);
});

test("DTR ends a log, may be repeated, and may carry the constructor's arguments", () => {
  const peer = Peer.resumed(8);
  const answer = peer.ask("DTR", asciiBytes("clustered-core 2"));
  assert.is(answer.error, 0);
  assert.is(answer.data.length, 0);
  assert.is(peer.ask("DTR").error, 0);
  assert.is(peer.ask("GET_SYNC_COUNT").error, ESRCH);
});

test("PRESUSPEND and POSTSUSPEND keep the state of a core log; RESUME goes on", () => {
  const peer = Peer.resumed(8);
  peer.ask("SET_REGION_SYNC", [0, 1]);
  peer.ask("SET_REGION_SYNC", [5, 1]);
  peer.ask("MARK_REGION", [5]);
  const before = peer.states();
  for (const request of ["PRESUSPEND", "PRESUSPEND", "POSTSUSPEND", "POSTSUSPEND", "PRESUSPEND"] as const) {
    const answer = peer.ask(request);
    assert.is(answer.error, 0);
    assert.is(answer.data.length, 0);
  }
  assert.is(peer.describe().state, "suspended");
  assert.equal(peer.states(), before);
  assert.is(peer.ask("RESUME").error, 0);
  assert.is(peer.ask("RESUME").error, 0);
  assert.equal(peer.states(), before);
});

test("I/O goes on between PRESUSPEND and POSTSUSPEND, and ends there", () => {
  const peer = Peer.resumed(8, " nosync");
  peer.ask("PRESUSPEND");
  assert.is(peer.ask("MARK_REGION", [1]).error, 0);
  assert.is(peer.ask("FLUSH").error, 0);
  assert.is(peer.ask("CLEAR_REGION", [1]).error, 0);
  assert.is(peer.ask("SET_REGION_SYNC", [2, 0]).error, 0);
  peer.ask("POSTSUSPEND");
  for (const [request, data] of [
    ["MARK_REGION", [1]],
    ["FLUSH", [1]],
    ["GET_RESYNC_WORK", []],
    ["SET_REGION_SYNC", [2, 1]],
  ] as const) {
    const before = peer.states();
    const answer = peer.ask(request, data);
    assert.is(answer.error, ESRCH, `${request}: the kernel's RESUME was lost, and it is to repeat it`);
    assert.match(answer.notices.join(), /suspended/);
    assert.equal(peer.states(), before);
  }
  assert.is(u64At(peer.ask("GET_SYNC_COUNT").data, 0), 7, "questions are still answered");
  assert.is(peer.ask("CLEAR_REGION", [1]).error, 0, "the worker's last clears may come late");
  assert.is(peer.ask("FLUSH").error, 0);
});

test("before RESUME questions are answered and work is refused", () => {
  const peer = Peer.debug();
  peer.construct("16 core 2 nosync");
  assert.is(u64At(peer.ask("GET_REGION_SIZE").data, 0), 2);
  assert.is(u64At(peer.ask("GET_SYNC_COUNT").data, 0), 8);
  assert.is(u64At(peer.ask("IN_SYNC", [7]).data, 0), 1);
  assert.is(u64At(peer.ask("IS_CLEAN", [7]).data, 0), 1);
  for (const type of ["MARK_REGION", "CLEAR_REGION", "FLUSH"] as const)
    assert.is(peer.ask(type, [0]).error, ESRCH, type);
  assert.is(peer.ask("FLUSH").error, ESRCH);
  assert.is(peer.ask("GET_RESYNC_WORK").error, ESRCH);
  assert.is(peer.describe().state, "created");
});

test("GET_REGION_SIZE: u64 sectors", () => {
  const peer = Peer.debug();
  peer.construct("8589934592 core 2147483648");
  const answer = peer.ask("GET_REGION_SIZE");
  assert.is(answer.data.length, 8);
  assert.is(u64At(answer.data, 0), 2147483648);
});

test("IS_CLEAN and IN_SYNC: 1 or 0 as int64", () => {
  const peer = Peer.resumed(8);
  const ask = (type: "IS_CLEAN" | "IN_SYNC") => {
    const answer = peer.ask(type, [6]);
    assert.is(answer.error, 0);
    assert.is(answer.data.length, 8);
    return u64At(answer.data, 0);
  };
  assert.is(ask("IN_SYNC"), 0);
  assert.is(ask("IS_CLEAN"), 0, "out of sync is not clean");
  peer.ask("SET_REGION_SYNC", [6, 1]);
  assert.is(ask("IN_SYNC"), 1);
  assert.is(ask("IS_CLEAN"), 1);
  peer.ask("MARK_REGION", [6]);
  assert.is(ask("IN_SYNC"), 1);
  assert.is(ask("IS_CLEAN"), 0, "marked is not clean");
  peer.ask("SET_REGION_SYNC", [6, 0]);
  peer.ask("CLEAR_REGION", [6]);
  assert.is(ask("IS_CLEAN"), 0, "a clear does not bring a region in sync");
});

test("MARK_REGION and CLEAR_REGION: any number of regions, all or none", () => {
  const peer = Peer.resumed(5000, " nosync");
  const regions = Array.from({ length: 5000 }, (_, region) => region);
  const answer = peer.ask("MARK_REGION", regions);
  assert.is(answer.error, 0);
  assert.is(answer.data.length, 0);
  assert.is(peer.describe().dirtyRegions, 5000);
  assert.is(peer.ask("MARK_REGION", regions).error, 0, "marking again changes nothing");
  assert.is(peer.describe().dirtyRegions, 5000);
  assert.is(peer.ask("CLEAR_REGION", [1, 2, 3, 5000]).error, EINVAL, "one region too far refuses all");
  assert.is(peer.describe().dirtyRegions, 5000);
  assert.is(peer.ask("CLEAR_REGION", regions.slice(1)).error, 0);
  assert.equal(peer.states(0, 3), [1, 0, 0]);
});

test("FLUSH: done without a payload; with one it marks", () => {
  const peer = Peer.resumed(8, " nosync");
  assert.is(peer.ask("FLUSH").error, 0);
  assert.is(peer.describe().dirtyRegions, 0);
  const answer = peer.ask("FLUSH", [2, 4]);
  assert.is(answer.error, 0);
  assert.is(answer.data.length, 0);
  assert.equal(peer.states(), [0, 0, 1, 0, 1, 0, 0, 0]);
  assert.is(peer.describe().flushes, 2);
});

test("SET_REGION_SYNC: in sync, out of sync, nothing else", () => {
  const peer = Peer.resumed(8);
  assert.is(peer.ask("SET_REGION_SYNC", [4, 1]).data.length, 0);
  assert.is(u64At(peer.ask("GET_SYNC_COUNT").data, 0), 1);
  assert.is(peer.ask("SET_REGION_SYNC", [4, 1]).error, 0, "again");
  assert.is(u64At(peer.ask("GET_SYNC_COUNT").data, 0), 1);
  assert.is(peer.ask("SET_REGION_SYNC", [4, 2]).error, EINVAL);
  assert.is(peer.ask("SET_REGION_SYNC", [4, 0]).error, 0);
  assert.is(u64At(peer.ask("GET_SYNC_COUNT").data, 0), 0);
});

test("GET_RESYNC_WORK: ascending, and the same region until it is reported", () => {
  const peer = Peer.resumed(4);
  const work = () => {
    const answer = peer.ask("GET_RESYNC_WORK");
    assert.is(answer.data.length, 16);
    return u64At(answer.data, 0) === 1 ? u64At(answer.data, 1) : "none";
  };
  for (const region of [0, 1, 2, 3]) {
    assert.is(work(), region);
    assert.is(work(), region);
    peer.ask("SET_REGION_SYNC", [region, 1]);
  }
  assert.is(work(), "none");
  const none = peer.ask("GET_RESYNC_WORK");
  assert.equal([...none.data], new Array(16).fill(0));
});

test("GET_RESYNC_WORK: a failed region comes after the others, a bounded number of times until the next resume", () => {
  const peer = Peer.resumed(3);
  const handedOut: number[] = [];
  for (;;) {
    const { data } = peer.ask("GET_RESYNC_WORK");
    if (u64At(data, 0) === 0) break;
    const region = u64At(data, 1);
    handedOut.push(region);
    peer.ask("SET_REGION_SYNC", [region, region === 1 ? 0 : 1]);
    assert.ok(handedOut.length < 100, "it ends");
  }
  assert.equal(handedOut, [0, 1, 2, ...new Array(8).fill(1)]);
  assert.is(peer.describe().failedRegions, 1);
  assert.is(peer.describe().outOfSyncRegions, 1);
  peer.ask("RESUME");
  assert.is(u64At(peer.ask("GET_RESYNC_WORK").data, 0), 0, "a repeated RESUME is none");
  peer.ask("POSTSUSPEND");
  peer.ask("RESUME");
  assert.is(u64At(peer.ask("GET_RESYNC_WORK").data, 1), 1);
});

test("GET_RESYNC_WORK: a region that falls out of sync behind the cursor is found", () => {
  const peer = Peer.resumed(4);
  for (const region of [0, 1, 2]) {
    peer.ask("GET_RESYNC_WORK");
    peer.ask("SET_REGION_SYNC", [region, 1]);
  }
  peer.ask("SET_REGION_SYNC", [0, 0]);
  assert.is(u64At(peer.ask("GET_RESYNC_WORK").data, 1), 3);
  peer.ask("SET_REGION_SYNC", [3, 1]);
  assert.is(u64At(peer.ask("GET_RESYNC_WORK").data, 1), 0);
});

test("GET_RESYNC_WORK: nothing is found behind the last region, in a mirror whose sets are filled to the last bit", () => {
  const peer = Peer.resumed(4096, " nosync");
  const work = () => {
    const { data } = peer.ask("GET_RESYNC_WORK");
    return [u64At(data, 0), u64At(data, 1)];
  };
  peer.ask("SET_REGION_SYNC", [5, 0]);
  assert.equal(work(), [1, 5]);
  peer.ask("SET_REGION_SYNC", [5, 0]); // its recovery has failed
  peer.ask("SET_REGION_SYNC", [4095, 0]);
  assert.equal(work(), [1, 4095]);
  peer.ask("SET_REGION_SYNC", [4095, 1]);
  peer.ask("MARK_REGION", [7]);
  peer.ask("SET_REGION_SYNC", [3, 0]);
  assert.equal(work(), [1, 3]);
});

test("GET_SYNC_COUNT: u64, and the last region in sync is announced once", () => {
  const peer = Peer.resumed(2);
  peer.ask("SET_REGION_SYNC", [0, 1]);
  assert.match(peer.ask("SET_REGION_SYNC", [1, 1]).notices.join(), /all 2 regions are in sync/);
  assert.is(peer.ask("SET_REGION_SYNC", [1, 1]).notices.length, 0);
  const answer = peer.ask("GET_SYNC_COUNT");
  assert.is(answer.data.length, 8);
  assert.is(u64At(answer.data, 0), 2);
});

test("STATUS_INFO and STATUS_TABLE: byte for byte what lvm2 parses", () => {
  for (const [line, info, table] of [
    ["16 clustered-core 2", "1 clustered-core", "clustered-core 2"],
    ["16 core 2 nosync block_on_error", "1 core", "core 2 nosync block_on_error"],
  ] as const) {
    const peer = Peer.debug();
    peer.construct(line);
    assert.is(text(peer.ask("STATUS_INFO").data), info);
    assert.is(text(peer.ask("STATUS_TABLE").data), table);
  }
});

test("IS_REMOTE_RECOVERING: never on one machine; the hint leaves one region to ask about while any is out of sync", () => {
  const peer = Peer.resumed(3);
  const ask = () => {
    const { data, error } = peer.ask("IS_REMOTE_RECOVERING", [2]);
    assert.is(error, 0);
    assert.is(data.length, 16);
    return [u64At(data, 0), u64At(data, 1)];
  };
  assert.equal(ask(), [0, 2]);
  peer.ask("SET_REGION_SYNC", [0, 1]);
  peer.ask("SET_REGION_SYNC", [2, 1]);
  assert.equal(ask(), [0, 2]);
  peer.ask("GET_RESYNC_WORK");
  peer.ask("SET_REGION_SYNC", [1, 0]);
  assert.equal(ask(), [0, 2], "a region whose recovery failed keeps the hint below the count");
  peer.ask("SET_REGION_SYNC", [1, 1]);
  assert.equal(ask(), [0, 3]);
});

test("the low 8 bits of the request type name it", () => {
  const peer = Peer.resumed(8);
  const type = peer.engine.abi.REQUEST_GET_REGION_SIZE;
  assert.is(u64At(peer.ask(0xabcdef00 + type).data, 0), 2);
  for (const unknown of [0, 18, 255, 0x100]) {
    const answer = peer.ask(unknown);
    assert.is(answer.error, EINVAL);
    assert.is(answer.data.length, 0);
  }
});

test("versions 1 to 3 are answered in their own version, others refused", () => {
  const peer = Peer.resumed(8, " nosync");
  const { abi } = peer.engine;
  for (const version of [1, 2, 3]) {
    let replied = 0;
    const request = { type: "FLUSH", uuid: peer.uuid, luid: peer.luid, seq: 9, version, data: [1] } as const;
    peer.engine.deliver(encodeRequest(abi, request), 0, 0, {
      send: (address, size) => {
        const reply = peer.engine.read(address, size);
        replied = new DataView(reply.buffer).getUint32(abi.ULOG_VERSION, true);
      },
      notice: () => assert.unreachable(),
    });
    assert.is(replied, version);
    assert.is(peer.ask("CTR", asciiBytes("16 core 2"), { version, luid: BigInt(version) }).data.length, 0);
  }
  for (const version of [0, 4, 0xffffffff]) assert.is(peer.ask("FLUSH", [], { version }).error, EINVAL);
});

test("of several regions, the one that there is not is named", () => {
  const peer = Peer.resumed(8);
  for (const regions of [
    [100, 2, 3],
    [1, 101, 3],
    [1, 2, 102],
  ]) {
    const answer = peer.ask("MARK_REGION", regions);
    assert.is(answer.error, EINVAL);
    assert.match(answer.notices.join(), new RegExp(`region ${Math.max(...regions)} is beyond the end`));
  }
  assert.equal(new Set(peer.states()).size, 1, "nothing is marked");
});

test("a log is known by its luid and its UUID together", () => {
  const peer = Peer.resumed(8);
  assert.is(new Peer(peer.engine, `${peer.uuid}2`, peer.luid).ask("FLUSH", [1]).error, ESRCH);
  assert.is(new Peer(peer.engine, peer.uuid.slice(1), peer.luid).ask("FLUSH", [1]).error, ESRCH);
  // Several of so many are in the log's own hash chain.
  for (let more = 1n; more < 5000n; more++) {
    assert.is(new Peer(peer.engine, peer.uuid, peer.luid + more).ask("FLUSH", [1]).error, ESRCH, `luid + ${more}`);
  }
  assert.is(peer.ask("FLUSH", [1]).error, 0);
});

test("an unknown log is ESRCH with as many zeros as the answer would have; what ends it is done", () => {
  const peer = Peer.debug();
  for (const [type, bytes] of [
    ["GET_REGION_SIZE", 8],
    ["IS_CLEAN", 8],
    ["IN_SYNC", 8],
    ["GET_SYNC_COUNT", 8],
    ["GET_RESYNC_WORK", 16],
    ["IS_REMOTE_RECOVERING", 16],
    ["STATUS_INFO", 64],
    ["STATUS_TABLE", 0],
    ["FLUSH", 0],
    ["MARK_REGION", 0],
    ["CLEAR_REGION", 0],
    ["SET_REGION_SYNC", 0],
    ["RESUME", 0],
  ] as const) {
    const answer = peer.ask(type, [0]);
    assert.is(answer.error, ESRCH, type);
    assert.equal([...answer.data], new Array(bytes).fill(0), type);
  }
  for (const type of ["DTR", "PRESUSPEND", "POSTSUSPEND"] as const) assert.is(peer.ask(type).error, 0, type);
});

test("a payload of another size than the request's is EINVAL and changes nothing", () => {
  const peer = Peer.resumed(8, " nosync");
  const before = peer.states();
  for (const [type, sizes] of [
    ["IS_CLEAN", [0, 7, 16]],
    ["IN_SYNC", [0, 4, 9]],
    ["IS_REMOTE_RECOVERING", [0, 16]],
    ["SET_REGION_SYNC", [0, 8, 15, 24]],
    ["MARK_REGION", [0, 1, 12]],
    ["CLEAR_REGION", [0, 1, 12]],
    ["FLUSH", [1, 12]],
    ["GET_RESYNC_WORK", [8]],
    ["GET_SYNC_COUNT", [8]],
    ["GET_REGION_SIZE", [8]],
    ["RESUME", [1]],
    ["PRESUSPEND", [1]],
    ["POSTSUSPEND", [1]],
    ["STATUS_INFO", [1]],
    ["STATUS_TABLE", [1]],
  ] as const) {
    for (const size of sizes) {
      const answer = peer.ask(type, new Uint8Array(size));
      assert.is(answer.error, EINVAL, `${type} with ${size} bytes`);
      assert.match(answer.notices.join(), new RegExp(`payload of ${size} bytes`));
    }
  }
  assert.equal(peer.states(), before);
  assert.is(peer.describe().state, "resumed");
});

test("regions beyond the mirror are EINVAL, 64 bits wide", () => {
  const peer = Peer.resumed(8, " nosync");
  for (const region of [8n, 0xffff_ffffn, 0x1_0000_0000n, 0xffff_ffff_ffff_ffffn]) {
    for (const type of [
      "IS_CLEAN",
      "IN_SYNC",
      "IS_REMOTE_RECOVERING",
      "MARK_REGION",
      "CLEAR_REGION",
      "FLUSH",
    ] as const) {
      const answer = peer.ask(type, [region]);
      assert.is(answer.error, EINVAL, type);
      assert.match(answer.notices.join(), new RegExp(`region ${region} is beyond`));
    }
    assert.is(peer.ask("SET_REGION_SYNC", [region, 0n]).error, EINVAL);
  }
  assert.equal(peer.states(), new Array(8).fill(0));
});

test("a reply carries the request's own headers", () => {
  const peer = Peer.resumed(8);
  const { abi } = peer.engine;
  const request = encodeRequest(abi, { type: "IN_SYNC", uuid: peer.uuid, luid: peer.luid, seq: 0x12345678, data: [1] });
  let reply: Uint8Array = new Uint8Array();
  peer.engine.deliver(request, 0, 0, {
    send: (address, size) => {
      reply = peer.engine.read(address, size);
    },
    notice: () => assert.unreachable(),
  });
  assert.is(reply.length, abi.FRAME_BYTES + 8);
  assert.equal([...reply.subarray(0, abi.ULOG_DATA)], [...request.subarray(0, abi.ULOG_DATA)]);
});

test("what is not the kernel's or contradicts itself is dropped and counted", () => {
  const peer = Peer.resumed(8);
  const { abi } = peer.engine;
  const good = encodeRequest(abi, { type: "MARK_REGION", uuid: peer.uuid, luid: peer.luid, seq: 1, data: [1] });
  const changed = (offset: number, bytes: 2 | 4, value: number) => {
    const frame = good.slice();
    const view = new DataView(frame.buffer);
    if (bytes === 2) view.setUint16(offset, value, true);
    else view.setUint32(offset, value, true);
    return frame;
  };
  const cases: [string, Uint8Array, number, "droppedForeign" | "droppedTruncated" | "droppedMalformed"][] = [
    ["another port", good, 4711, "droppedForeign"],
    ["not NLMSG_DONE", changed(abi.NLMSG_TYPE, 2, 2), 0, "droppedForeign"],
    ["another connector index", changed(abi.CN_IDX, 4, 8), 0, "droppedForeign"],
    ["another connector value", changed(abi.CN_VAL, 4, 2), 0, "droppedForeign"],
    ["empty", new Uint8Array(0), 0, "droppedTruncated"],
    ["half a netlink header", good.slice(0, 15), 0, "droppedTruncated"],
    ["half a connector header", good.slice(0, 30), 0, "droppedTruncated"],
    ["half a request", good.slice(0, 150), 0, "droppedTruncated"],
    ["half a payload", good.slice(0, abi.FRAME_BYTES + 4), 0, "droppedTruncated"],
    ["nlmsg_len beyond the datagram", changed(abi.NLMSG_LEN, 4, 5000), 0, "droppedTruncated"],
    ["nlmsg_len 0", changed(abi.NLMSG_LEN, 4, 0), 0, "droppedMalformed"],
    ["nlmsg_len huge", changed(abi.NLMSG_LEN, 4, 0xffffffff), 0, "droppedTruncated"],
    ["cn_msg.len too small", changed(abi.CN_LEN, 2, 100), 0, "droppedMalformed"],
    ["cn_msg.len too large", changed(abi.CN_LEN, 2, 0xffff), 0, "droppedMalformed"],
    ["data_size too large", changed(abi.ULOG_DATA_SIZE, 4, 16), 0, "droppedMalformed"],
    ["data_size huge", changed(abi.ULOG_DATA_SIZE, 4, 0xfffffff8), 0, "droppedMalformed"],
    ["bytes behind the message", new Uint8Array([...good, ...new Uint8Array(8)]), 0, "droppedMalformed"],
    ["larger than the input area", new Uint8Array(70000), 0, "droppedTruncated"],
  ];
  for (const [what, frame, port, counter] of cases) {
    const before = peer.counters();
    const state = peer.states();
    assert.is(peer.deliver(frame, port).length, 0, what);
    const after = peer.counters();
    assert.is(after[counter], before[counter] + 1, `${what}: ${counter}`);
    assert.equal(peer.states(), state);
  }
});

test("every request repeated at once gives the same answer", () => {
  for (const [type, data] of [
    ["MARK_REGION", [1, 2]],
    ["CLEAR_REGION", [1]],
    ["FLUSH", [3]],
    ["SET_REGION_SYNC", [5, 1]],
    ["SET_REGION_SYNC", [6, 0]],
    ["GET_RESYNC_WORK", []],
    ["GET_SYNC_COUNT", []],
    ["PRESUSPEND", []],
    ["POSTSUSPEND", []],
    ["RESUME", []],
    ["DTR", []],
  ] as const) {
    const peer = Peer.resumed(8);
    const first = peer.ask(type, data);
    const description = type === "DTR" ? "" : JSON.stringify(peer.states());
    const second = peer.ask(type, data);
    assert.is(second.error, first.error, type);
    assert.equal(second.data, first.data, type);
    if (type !== "DTR") assert.is(JSON.stringify(peer.states()), description, type);
  }
});

test.run();
