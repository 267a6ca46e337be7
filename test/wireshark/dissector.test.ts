// The dissector in tshark: what it shows is what the trace library reads, and nothing that stands in a file upsets it.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../../src/common/engine.ts";
import { asciiBytes, u64At } from "../../src/common/kernel-frames.ts";
import { Random } from "../../src/common/sim/random.ts";
import { readEvent } from "../../src/common/trace/event.ts";
import { NO_LOG } from "../../src/common/trace/event-table.ts";
import { Recording } from "../../src/common/trace/recording.ts";
import { Trace } from "../../src/common/trace/trace.ts";
import { EventWords } from "../../src/common/trace/words.ts";
import { CORPUS_FOLDER, corpusNames, readCorpusTrace } from "../corpus.ts";
import { DeviceHost } from "../device-host.ts";
import { seedFor, words } from "../harness.ts";
import { facts, outputsOf, releaseModule } from "../recorded-lives.ts";

const dissector = fileURLToPath(new URL("../../src/wireshark/dm-ulog.lua", import.meta.url));
const { abi } = new Engine(releaseModule);
const { requestNames } = new EventWords(abi, words);
const seed = seedFor("wireshark");
const OUTPUT_BYTES_MAX = 1 << 28;
const DAMAGED_FILES = 12;
const DAMAGES_PER_FILE = 200;

/** Runs tshark with the dissector. Throws where it complains of the file or of the dissector. */
function tshark(file: string, ...options: string[]): string {
  const { stdout, stderr, status } = spawnSync("tshark", ["-X", `lua_script:${dissector}`, "-r", file, ...options], {
    encoding: "utf8",
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { ...process.env, TZ: "UTC" },
  });
  const complaints = stderr.replace(/^Running as user .*\n/gm, "");
  assert.is(complaints, "");
  assert.is(status, 0);
  return stdout;
}

function rows(file: string, filter: string, ...fields: string[]): string[][] {
  const chosen = fields.flatMap((field) => ["-e", field]);
  return tshark(file, "-Y", filter, "-T", "fields", ...chosen)
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split("\t"));
}

function withFile(bytes: Uint8Array, use: (file: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-test-"));
  try {
    const file = join(folder, "trace.pcapng");
    writeFileSync(file, bytes);
    use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Packets that Wireshark calls malformed, or that the dissector stumbles over. */
const upset = (file: string) => rows(file, "_ws.malformed || _ws.lua.error", "frame.number");

/** What the trace library knows of each request. */
function requestsOf(bytes: Uint8Array): string[][] {
  const trace = Trace.open(bytes, abi);
  const requests: string[][] = [];
  for (let index = 0; index < trace.eventCount; index++) {
    const { kinds, types, logs, regionCounts } = trace.events;
    if (kinds[index] !== abi.INPUT_KIND_DATAGRAM || logs[index] === NO_LOG) continue;
    const { payload } = readEvent(trace, index).input;
    const type = types[index] as number;
    const data = payload.subarray(abi.ULOG_DATA);
    const regions = Array.from({ length: regionCounts[index] as number }, (_, i) => u64At(data, i));
    requests.push([
      String(type),
      `${requestNames[type]} #`,
      trace.logs[logs[index] as number]?.uuid ?? "",
      regions.join(","),
    ]);
  }
  return requests;
}

for (const name of corpusNames()) {
  test(`${name}: requests by name, with their regions`, () => {
    const file = `${CORPUS_FOLDER}${name}`;
    const expected = requestsOf(readCorpusTrace(name));
    const fields = ["dm_ulog.type", "_ws.col.Info", "dm_ulog.uuid", "dm_ulog.region"];
    const shown = rows(file, "dm_ulog.type && frame.packet_flags_direction == 1", ...fields);
    assert.ok(expected.length > 10);
    assert.equal(
      shown.map(([type, info, uuid, regions]) => [type, /^\S+ #/.exec(info as string)?.[0], uuid, regions]),
      expected,
    );
    assert.equal(upset(file), []);
    assert.equal(rows(file, "_ws.expert", "frame.number"), [], "nothing for an expert to look at");
    const packets = rows(file, "frame", "_ws.col.Protocol").map(([protocol]) => protocol);
    assert.equal([...new Set(packets)].sort(), ["dm-ulog", "dm-ulog host"]);
  });
}

test("connector, request and answer field by field; inputs and effects by kind", () => {
  const text = tshark(`${CORPUS_FOLDER}reload.pcapng`, "-V");
  for (const line of [
    "Protocol: connector (11)",
    "Type: NLMSG_DONE (3)",
    "Index: CN_IDX_DM (7)",
    "Value: CN_VAL_DM_USERSPACE_LOG (1)",
    "Request: CTR (1)",
    "Request: GET_RESYNC_WORK (12)",
    "Error: 0 (success)",
    "UUID: LVM-simulated-0",
    "Regions in sync: 0",
    "Is there work: yes (1)",
    "Input: COMPLETION (2)",
    "Input: CONFIGURE (5)",
    "Effect: STATE_WRITE (10)",
    "Effect: FLUSH_LEGS (7)",
    "Effect that is done: OPEN (3)",
  ]) {
    assert.match(text, line);
  }
});

test("effects that are longer than a packet go on in the next one", () => {
  const engine = new Engine(releaseModule);
  const recording = new Recording(engine, facts);
  const host = new DeviceHost(engine);
  // All of it is to be written anew.
  host.devices.set("/dev/log", new Uint8Array(1 << 20).fill(0xff));
  host.ask("CTR", asciiBytes("8000000 clustered-disk /dev/log 2"));
  host.ask("RESUME");
  host.completeAll();
  withFile(recording.finish(), (file) => {
    assert.equal(upset(file), []);
    const goingOn = rows(file, "dm_ulog_host.written", "frame.number", "_ws.col.Info");
    assert.ok(
      goingOn.some(([, info]) => info === "-> effects go on"),
      "a packet in the midst of a record",
    );
    const kinds = new Set(
      rows(file, "dm_ulog_host.effect", "dm_ulog_host.effect").flatMap(([all]) => (all as string).split(",")),
    );
    for (const kind of kinds)
      assert.ok(Number(kind) >= 1 && Number(kind) <= abi.EFFECT_KIND_STATE_DELETE, `effect ${kind}`);
  });
});

test("a recording of strangers' datagrams and errors", () => {
  const engine = new Engine(releaseModule);
  const recording = new Recording(engine, facts);
  const host = new DeviceHost(engine);
  host.ask("CTR", asciiBytes("100 core 3"));
  host.ask("FLUSH", [1], "LVM-unknown", 77n);
  const silent = { send: () => {}, notice: () => {} };
  engine.deliver(new Uint8Array(3), 0, 0, silent);
  engine.deliver(new Uint8Array(60).fill(0x41), 4242, 0, silent);
  withFile(recording.finish(), (file) => {
    assert.equal(upset(file), []);
    const refused = rows(file, "dm_ulog.error != 0", "_ws.col.Info").map(([info]) => info as string);
    assert.ok(refused.some((info) => /^CTR reply #\d+ .*: -22 \(EINVAL\)$/.test(info)));
    assert.ok(refused.some((info) => /^FLUSH reply #\d+ LVM-unknown: -3 \(ESRCH\)$/.test(info)));
  });
});

test("damaged packets do not upset it", () => {
  const random = new Random(seed);
  for (let i = 0; i < DAMAGED_FILES; i++) {
    const bytes = readCorpusTrace(random.pick(corpusNames()));
    const outputs = outputsOf(Trace.open(bytes, abi));
    for (let k = 0; k < DAMAGES_PER_FILE; k++) {
      const [offset, length] = random.pick(outputs);
      // What stands before a datagram is Wireshark's own to read where it is not the connector's any more.
      const at = offset + Math.min(length - 1, 16 + random.below(length));
      bytes[at] = random.pick([0, 1, 0x7f, 0xff, random.below(256)]);
    }
    withFile(bytes, (file) => {
      assert.equal(upset(file), [], `file ${i}`);
      tshark(file, "-2", "-V");
    });
  }
});

test("other captures are left to Wireshark's own dissectors", () => {
  const bytes = readCorpusTrace("two-logs.pcapng");
  const text = Buffer.from(bytes).toString("latin1").replaceAll("\x07\x00dm-ulog", "\x07\x00another");
  withFile(Buffer.from(text, "latin1"), (file) => {
    assert.equal(rows(file, "dm_ulog_host", "frame.number"), []);
    assert.ok(rows(file, "user_dlt", "frame.number").length > 0);
    assert.ok(rows(file, "dm_ulog", "frame.number").length > 0, "requests are shown in any capture of netlink");
  });
  const view = new DataView(bytes.buffer);
  const GENERIC_NETLINK = 16;
  for (const [offset, length] of outputsOf(Trace.open(bytes, abi))) {
    // Of each answer: the connector's index is another subsystem's.
    if (length > 16 && view.getUint16(offset + 14) === 11) view.setUint32(offset + 16 + abi.CN_IDX, 99, true);
  }
  withFile(bytes, (file) => {
    assert.equal(rows(file, "dm_ulog.type && frame.packet_flags_direction == 2", "frame.number"), []);
    const shown = rows(file, "dm_ulog && frame.packet_flags_direction == 2", "_ws.col.Protocol", "_ws.col.Info");
    assert.ok(shown.length > 10);
    for (const row of shown) assert.equal(row, ["connector", "a message of connector 99.1"]);
  });
  for (const [offset, length] of outputsOf(Trace.open(bytes, abi))) {
    if (length > 16 && view.getUint16(offset + 14) === 11) view.setUint16(offset + 14, GENERIC_NETLINK);
  }
  withFile(bytes, (file) => {
    assert.equal(rows(file, "dm_ulog && frame.packet_flags_direction == 2", "frame.number"), []);
    assert.ok(rows(file, "netlink && frame.packet_flags_direction == 2", "frame.number").length > 10);
  });
});

test.run();
