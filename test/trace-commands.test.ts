// The commands that read traces as a person or a script meets them: what they print, and what they exit with.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parsePosition } from "../src/cli/trace-position.ts";
import { Engine } from "../src/common/engine.ts";
import { addressOf } from "../src/common/trace/address.ts";
import { Recording } from "../src/common/trace/recording.ts";
import { writeSectionHeader } from "../src/common/trace/section.ts";
import { type Section, Trace } from "../src/common/trace/trace.ts";
import { TraceBuffer } from "../src/common/trace/trace-buffer.ts";
import { CORPUS_FOLDER, readCorpusTrace } from "./corpus.ts";
import { Peer } from "./harness.ts";
import { facts, outputsOf, releaseModule } from "./recorded-lives.ts";

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const debugCore = fileURLToPath(new URL("../dist/dm-ulog.debug.wasm", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dm-ulog-test-"));
const { abi } = new Engine(releaseModule);
const REPLAY_DIGEST = /^digest [0-9a-f]{16}$/m;

const corpusFile = (name: string) => `${CORPUS_FOLDER}${name}.pcapng`;
const lines = (text: string) => text.trimEnd().split("\n");

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [command, ...args], { encoding: "utf8" });
}

/** A file of its own with this content. */
function made(name: string, content: Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

/** A trace whose first section does not say what it starts from. */
function startingUnknown(bytes: Uint8Array): Uint8Array {
  const trace = Trace.open(bytes, abi);
  const [section] = trace.sections;
  assert.is(trace.sections.length, 1);
  const buffer = TraceBuffer.growing();
  writeSectionHeader(buffer, { ...(section as Section), start: "unknown" });
  return Buffer.concat([buffer.content(), bytes.subarray(trace.events.offsets[0])]);
}

test.after(() => rmSync(folder, { recursive: true }));

test("replay: equal is 0, with a summary in words or as JSON, also against another build", () => {
  const { status, stdout, stderr } = run("replay", corpusFile("core-log"));
  assert.is(stderr, "");
  assert.is(status, 0);
  assert.match(
    stdout,
    /^Every output is as it was recorded\.\n107 events in 15\.000 s of recorded time, 106 requests: CTR 1, /,
  );
  assert.match(stdout, REPLAY_DIGEST);
  const json = JSON.parse(run("replay", "--json", "--core", debugCore, corpusFile("core-log")).stdout);
  assert.is(json.isEqual, true);
  assert.is(json.events, 107);
  assert.is(json.requests.IN_SYNC, 42);
  assert.is(json.difference, null);
  assert.match(stdout, `digest ${json.digest}`);
});

test("replay: the first difference is 1, in words, expected beside got, with the log then", () => {
  const bytes = readCorpusTrace("core-log.pcapng");
  const trace = Trace.open(bytes, abi);
  const { types, offsets } = trace.events;
  const index = types.indexOf(abi.REQUEST_GET_SYNC_COUNT);
  const [answer] = outputsOf(trace).find(([at]) => at > (offsets[index] as number)) as [number, number];
  const at = answer + 16 + abi.ULOG_DATA;
  bytes[at] = (bytes[at] as number) + 1;
  const file = made("other.pcapng", bytes);
  const { status, stdout } = run("replay", file);
  assert.is(status, 1);
  assert.match(stdout, `Event ${addressOf(trace, index)} at `);
  assert.match(stdout, /GET_SYNC_COUNT #\d+ log LVM-simulated-0/);
  assert.match(stdout, /expected: .* 1 regions in sync\n {7}got: .* 0 regions in sync/);
  assert.match(stdout, /^The log at this point: LVM-simulated-0 \(luid \d+, \S+\) created, 0 of \d+ regions in sync/m);
  assert.match(stdout, `The ${index} events before it are as recorded.`);
  const json = JSON.parse(run("replay", "--json", file).stdout);
  assert.is(json.isEqual, false);
  assert.is(json.difference.place, index);
  assert.match(json.difference.words.join("\n"), /expected: /);
});

test("replay --model: judges the recording by the rules, and names the one that is broken; a snapshot is no beginning", () => {
  const kept = run("replay", "--model", corpusFile("core-log"));
  assert.is(kept.status, 0);
  assert.match(kept.stdout, "The model agrees: 107 events keep every rule of docs/protocol-rules.md.");
  const skipped = JSON.parse(run("replay", "--model", "--json", corpusFile("begins-with-snapshot")).stdout);
  assert.equal(skipped.model, { events: 0, skippedEvents: 22, rule: null, sentence: null, address: null, event: null });
  const unasked = JSON.parse(run("replay", "--json", corpusFile("core-log")).stdout);
  assert.is(unasked.model, null);

  const bytes = readCorpusTrace("core-log.pcapng");
  const trace = Trace.open(bytes, abi);
  const index = trace.events.types.indexOf(abi.REQUEST_GET_SYNC_COUNT);
  const [answer] = outputsOf(trace).find(([at]) => at > (trace.events.offsets[index] as number)) as [number, number];
  bytes[answer + 16 + abi.ULOG_DATA] = 1;
  const { status, stdout } = run("replay", "--model", made("rule.pcapng", bytes));
  assert.is(status, 1);
  const event = `Event ${addressOf(trace, index)} at \\d+\\.\\d{6} s breaks a rule: GET_SYNC_COUNT #\\d+ .*`;
  assert.match(stdout, new RegExp(`${event}\nR24: GET_SYNC_COUNT #\\d+ of LVM-simulated-0: expected 0; came 1$`, "m"));
});

test("replay of several files: a result of each, a sum, and a status for all", () => {
  const bytes = readCorpusTrace("core-log.pcapng");
  const [answer] = outputsOf(Trace.open(bytes, abi)).slice(-1) as [[number, number]];
  const changed = bytes.slice();
  const at = answer[0] + 16 + abi.ULOG_SEQ;
  changed[at] = (changed[at] as number) ^ 1;
  const differs = made("differs.pcapng", changed);
  const none = join(folder, "nowhere.pcapng");
  const all = run("replay", corpusFile("core-log"), differs, none, corpusFile("reload"));
  assert.is(all.status, 1);
  assert.match(all.stdout, `${corpusFile("core-log")}: Every output is as it was recorded.\n107 events`);
  assert.match(all.stdout, `${differs}: Event 1:`);
  assert.match(all.stdout, /nowhere\.pcapng: cannot be replayed\. .*ENOENT/);
  assert.match(
    all.stdout,
    /\n2 of 4 files are as recorded; 1 differ: \S+differs\.pcapng; 1 cannot be replayed: \S+nowhere\.pcapng\. \d+ events are as recorded in all\.\n$/,
  );
  assert.is(run("replay", corpusFile("core-log"), none).status, 2);
  const json = JSON.parse(run("replay", "--json", corpusFile("core-log"), differs, none).stdout);
  assert.is(json.isEqual, false);
  assert.equal(
    json.results.map((one: { isEqual?: boolean; unusable?: string }) => one.isEqual ?? typeof one.unusable),
    [true, false, "string"],
  );

  // A file that brings no state of its own goes on where another ends, in whichever order they are named.
  const trace = Trace.open(readCorpusTrace("kernel-nosync.pcapng"), abi);
  const { offsets } = trace.events;
  const first = made("first.pcapng", trace.view.bytes.subarray(0, offsets[20]));
  const head = TraceBuffer.growing();
  const section = trace.sections[0] as Section;
  writeSectionHeader(head, { ...section, start: "unknown", firstEvent: section.firstEvent + 20 });
  const second = made("second.pcapng", Buffer.concat([head.content(), trace.view.bytes.subarray(offsets[20])]));
  assert.is(run("replay", second).status, 2);
  const together = run("replay", second, first, corpusFile("core-log"));
  assert.is(together.status, 0);
  assert.match(together.stdout, `${first} and ${second}: Every output is as it was recorded.`);
  assert.match(together.stdout, /3 of 3 files are as recorded/);
});

test("replay: what is cut is said and is no difference; what cannot be replayed is 2", () => {
  const bytes = readCorpusTrace("core-log.pcapng");
  const cut = run("replay", made("cut.pcapng", bytes.subarray(0, 40_001)));
  assert.is(cut.status, 0);
  assert.match(cut.stdout, /cut short/);
  for (const [args, sentence] of [
    [[join(folder, "none.pcapng")], /none\.pcapng cannot be read: ENOENT/],
    [[command], /main\.js: This is not a trace of dm-ulog/],
    [[corpusFile("core-log"), "--core", command], /main\.js cannot be used as a core/],
    [[made("empty.pcapng", new Uint8Array(0))], /The file is empty/],
    [[made("unknown.pcapng", startingUnknown(bytes))], /can be looked at, not replayed/],
  ] as const) {
    const { status, stdout, stderr } = run("replay", ...args);
    assert.is(status, 2);
    assert.is(stdout, "");
    assert.match(stderr, sentence);
  }
});

test("inspect: a line for each event, and filters", () => {
  const file = corpusFile("state-loss-disk");
  const all = run("inspect", file);
  assert.is(all.stderr, "");
  assert.is(all.status, 0);
  const trace = Trace.open(readCorpusTrace("state-loss-disk.pcapng"), abi);
  assert.is(all.stdout.match(/^ +\d+:\d+ +\d+\.\d{9} s {2}/gm)?.length, trace.eventCount);
  assert.match(
    all.stdout,
    /^── section 1, dm-ulog \S+, core [0-9a-f]{12}: a new engine: a server was started anew, and found no state files, from event 1:0 on\n/,
  );
  assert.match(all.stdout, /GET_RESYNC_WORK #\d+ log LVM-simulated-0 luid \d+ v3 → resync region 0$/m);
  assert.match(
    all.stdout,
    /notice: log LVM-simulated-0 \(luid \d+\): the kernel reconnected, but what this server knew of the log is lost/,
  );
  assert.match(all.stdout, /write of log 0: \d+ bytes at 0: done →/);

  const events = (...args: string[]) =>
    lines(run("inspect", file, ...args).stdout).filter((line) => /^ +\d/.test(line));
  for (const line of events("--type", "dm_ulog_flush")) assert.match(line, / FLUSH #/);
  assert.is(
    events("--type", "FLUSH").length,
    [...trace.events.types.subarray(0, trace.eventCount)].filter(
      (type, i) => type === abi.REQUEST_FLUSH && trace.events.kinds[i] === abi.INPUT_KIND_DATAGRAM,
    ).length,
  );
  assert.ok(events("--type", "completion").length > 3);
  assert.is(events("--limit", "5").length, 5);
  const addresses = (shown: string[]) => shown.map((line) => /\d+:\d+/.exec(line)?.[0]);
  assert.equal(addresses(events("--from", "3:1", "--to", "4:0")), ["3:1", "3:2", "4:0"]);
  assert.equal(
    addresses(events("--from", "50", "--to", "2:0")),
    ["1:50", "1:51", "1:52", "1:53", "2:0"],
    "only one 50",
  );
  const timed = events("--from", "67.9s", "--to", "68s").map((line) => Number(/(\d+\.\d+) s/.exec(line)?.[1]));
  assert.ok(timed.length > 0 && timed.every((seconds) => seconds >= 67.9 && seconds <= 68));
  assert.is(
    events("--log", "LVM-simulated-0").length + events("--type", "configure").length + events("--type", "tick").length >
      50,
    true,
  );

  const json = lines(run("inspect", file, "--json", "--limit", "4").stdout).map((line) => JSON.parse(line));
  assert.equal(
    json.map(({ event }) => event),
    [0, 1, 2, 3],
  );
  assert.is(json[1].log, "LVM-simulated-0");
  assert.ok(Array.isArray(json[1].effects));
});

test("inspect --region shows what names a region, and what hands it out to be resynced", () => {
  const events = (...args: string[]) =>
    lines(run("inspect", corpusFile("device-failure"), ...args).stdout).filter((line) => /^ +\d/.test(line));
  const all = events();
  const region = "25";
  const names = new RegExp(` #\\d+ .*(: regions? |→ resync region )(\\d+, )*${region}(,| |$)`);
  const expected = all.filter((line) => names.test(line));
  for (const type of ["FLUSH", "GET_RESYNC_WORK"])
    assert.ok(
      expected.some((line) => line.includes(` ${type} #`)),
      type,
    );
  assert.ok(expected.length < all.length / 4);
  assert.equal(events("--region", region), expected);
  assert.match(run("inspect", corpusFile("device-failure"), "--region", "x").stderr, /whole number/);
  // A number beyond 32 bits is no region, and must not be taken for its lower half.
  const peer = new Peer(new Engine(releaseModule));
  const recording = new Recording(peer.engine, facts);
  peer.construct("200 core 2");
  peer.ask("IN_SYNC", [2n ** 32n + 25n]);
  const large = made("large.pcapng", recording.finish());
  assert.match(run("inspect", large, "--region", "25").stdout, /No event matches/);
  assert.match(
    run("inspect", large, "--region", String(2 ** 32 + 25)).stdout,
    /IN_SYNC .*: region 4294967321 → EINVAL/,
  );
});

test("an event is named by section and number, or by its number where that is clear", () => {
  const file = corpusFile("state-loss-disk");
  for (const [position, sentence] of [
    ["3", /Several sections of the trace have an event 3: name one of 1:3, 2:3, 8:3, 9:3\./],
    [
      "99999",
      /No section of the trace has an event 99999\. Its events are 1:0 to 1:53, 2:0 to 2:6, .* 8:0 to 8:13; and 1 more\./,
    ],
    ["3:3", /The trace has no event 3:3\. Its events are 1:0 to 1:53, /],
    ["10:0", /The trace has no event 10:0\./],
  ] as const)
    for (const args of [
      ["inspect", file, "--from", position],
      ["inspect", file, "--to", position],
      ["trace", "cut", file, "--from", position, "-o", join(folder, "unclear")],
    ]) {
      const { status, stderr } = run(...args);
      assert.is(status, 2);
      assert.match(stderr, sentence);
    }
  const piece = join(folder, "addressed.pcapng");
  assert.match(run("trace", "cut", file, "--from", "8:6", "--to", "8:8", "-o", piece).stdout, /: 3 events of \d+\./);
  assert.equal(
    lines(run("inspect", piece, "--json").stdout).map((line) => JSON.parse(line).address),
    ["1:6", "1:7", "1:8"],
  );
});

test("inspect says why a section begins", () => {
  const sections = (name: string) =>
    lines(run("inspect", corpusFile(name)).stdout).filter((line) => line.startsWith("── section"));
  const lost = sections("state-loss-disk");
  assert.match(lost[1] as string, /makes its logs anew instead of reconnecting them, as it does after a power cut/);
  assert.match(lost[2] as string, /takes up the state file of 1 log from the one before it/);
  assert.match(lost[3] as string, /found no state files/);
  assert.match(
    lost[7] as string,
    /without state files, and the kernel reconnects its logs: what an earlier server knew is lost/,
  );
  assert.match(
    sections("kernel-kill-server-suspend")[2] as string,
    /found no state files/,
    "the log was removed before",
  );
  assert.match(sections("begins-with-snapshot")[0] as string, /the recording begins while a server runs/);

  const bytes = readCorpusTrace("core-log.pcapng");
  const trace = Trace.open(bytes, abi);
  const offset = (index: number) => trace.events.offsets[index] as number;
  const holed = made("holed.pcapng", Buffer.concat([bytes.subarray(0, offset(10)), bytes.subarray(offset(14))]));
  assert.match(
    run("inspect", holed).stdout,
    /── section 2, .*: the same server, 4 events are missing, .* from event 2:14 on/,
  );
  assert.match(run("replay", holed).stdout, /The 10 events|Every output/);

  const header = TraceBuffer.growing();
  writeSectionHeader(header, { ...(trace.sections[0] as Section), after: "a life" });
  const takenOver = made("taken-over.pcapng", Buffer.concat([header.content(), bytes.subarray(offset(0))]));
  assert.match(
    run("inspect", takenOver).stdout,
    /a server took over from another while that one served, and takes up no log/,
  );
});

test("inspect --time: the core's clock, since the first event, the wall clock where it is recorded", () => {
  const file = corpusFile("kernel-reload-disk");
  const first = (...args: string[]) => lines(run("inspect", file, "--limit", "2", ...args).stdout)[1];
  const trace = Trace.open(readCorpusTrace("kernel-reload-disk.pcapng"), abi);
  const unixNs = (trace.sections[0]?.clockUnixNs as bigint) + BigInt(trace.events.timesNs[0] as number);
  assert.match(first() as string, " 1.660466944 s  options");
  assert.match(first("--time", "since-start") as string, " 0.000000000 s  options");
  const wall = / (\S+)(\d{6})Z {2}options/.exec(first("--time", "wall") as string);
  assert.is(BigInt(Date.parse(`${wall?.[1]}Z`)) * 1_000_000n + BigInt(wall?.[2] as string), unixNs);
  const none = run("inspect", corpusFile("core-log"), "--time", "wall");
  assert.is(none.status, 2);
  assert.match(none.stderr, /does not record wall-clock times: leave out --time wall/);
  assert.match(run("inspect", file, "--time", "mine").stderr, /Allowed choices are core, since-start, wall/);
  assert.match(
    run("why", file, "--region", "0", "--time", "wall").stdout,
    /1:1 2026-11-28T00:01:4\d\.\d{9}Z {2}.*The kernel makes/,
  );
});

test("inspect --follow goes on as the file grows and where it is replaced, and ends on SIGINT", async () => {
  const bytes = readCorpusTrace("core-log.pcapng");
  const file = join(folder, "growing.pcapng");
  writeFileSync(file, bytes.subarray(0, 20_001));
  const child = spawn(process.execPath, [command, "inspect", file, "--follow", "--type", "GET_RESYNC_WORK"]);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data) => {
    stdout += data;
  });
  child.stderr.on("data", (data) => {
    stderr += data;
  });
  const addresses = (text: string) => text.match(/^ +\d+:\d+/gm) ?? [];
  const expected = (size: number) => {
    const piece = made("piece.pcapng", bytes.subarray(0, size));
    return addresses(run("inspect", piece, "--type", "GET_RESYNC_WORK").stdout);
  };
  const until = async (isReached: () => boolean) => {
    for (let i = 0; i < 200 && !isReached(); i++) await sleep(50);
    assert.ok(isReached(), stdout + stderr);
  };
  assert.ok(expected(20_001).length < expected(bytes.length).length);
  await until(() => addresses(stdout).length === expected(20_001).length);
  appendFileSync(file, bytes.subarray(20_001));
  await until(() => addresses(stdout).length === expected(bytes.length).length);
  assert.equal(addresses(stdout), expected(bytes.length));
  renameSync(file, `${file}.1`);
  writeFileSync(file, bytes.subarray(0, 100));
  await until(() => stdout.includes("is a new file"));
  appendFileSync(file, bytes.subarray(100));
  await until(() => addresses(stdout).length === 2 * expected(bytes.length).length);
  child.kill("SIGINT");
  const [status] = await once(child, "exit");
  assert.is(status, 0);
  assert.is(stderr, "");
  const limited = run("inspect", file, "--follow", "--limit", "3", "--json");
  assert.is(lines(limited.stdout).length, 3);
  assert.match(run("inspect", file, "--follow", "--stats").stderr, /leave out --follow or --stats/);
  assert.match(run("inspect", join(folder, "absent"), "--follow").stderr, /absent cannot be read: ENOENT/);
  assert.match(run("inspect", command, "--follow").stderr, /neither a trace of dm-ulog nor a log device/);
});

test("a name in a trace cannot command a terminal, in sentences or in JSON", () => {
  const peer = new Peer(new Engine(releaseModule), "LVM-\u009b31m\u001b[2J");
  const recording = new Recording(peer.engine, facts);
  peer.construct("200 core 2");
  const file = made("names.pcapng", recording.finish());
  for (const args of [
    ["inspect", file],
    ["inspect", file, "--json"],
    ["inspect", file, "--log", "\u001bx"],
    ["why", file, "--region", "0", "--json"],
  ]) {
    const { stdout, stderr } = run(...args);
    const isCommand = (one: string) => one !== "\n" && (one < " " || (one >= "\u007f" && one <= "\u009f"));
    assert.not.ok([...stdout, ...stderr].some(isCommand), stdout + stderr);
    assert.ok((stdout + stderr).includes("31m"));
  }
  const json = JSON.parse(lines(run("inspect", file, "--json").stdout)[0] as string);
  assert.is(json.log, "LVM-\u009b31m\u001b[2J");
});

test("inspect --errors shows refusals and failures alone", () => {
  const file = corpusFile("server-deaths");
  const { stdout } = run("inspect", file, "--errors");
  const shown = lines(stdout).filter((line) => /^ +\d/.test(line));
  for (const line of shown) assert.match(line, /: (E[A-Z]+|errno \d+)|damaged|trapped/);
  assert.ok(shown.length > 1);
  const failing = run("inspect", corpusFile("device-failure"), "--errors").stdout;
  assert.match(failing, /write of log 0: 1536 bytes at 0: EIO: .* → FLUSH reply #\d+ .*: EIO/);
  assert.match(run("inspect", corpusFile("core-log"), "--errors").stdout, /No event matches/);
});

test("inspect refuses names that mean nothing with those that do", () => {
  const file = corpusFile("core-log");
  for (const [args, sentence] of [
    [["--type", "MARKS"], /There is no type "MARKS"\. The types are: CTR, .*IS_REMOTE_RECOVERING, COMPLETION, TICK/],
    [["--log", "LVM-x"], /names the log "LVM-x"\. It names LVM-simulated-0/],
  ] as const) {
    const { status, stderr } = run("inspect", file, ...args);
    assert.is(status, 2);
    assert.match(stderr, sentence);
  }
  assert.match(run("inspect", file, "--from", "soon").stderr, /address of an event, such as 3:252, or a time/);
  const neither = run("inspect", command);
  assert.is(neither.status, 2);
  assert.match(neither.stderr, /neither a trace of dm-ulog nor a log device/);
  assert.match(run("inspect", file, "--from", "99999").stdout, /No event matches/);
});

test("inspect --stats counts", () => {
  const text = run("inspect", corpusFile("server-deaths"), "--stats").stdout;
  assert.match(text, /^request +number +refused +unanswered +at once +median +p99 +longest$/m);
  assert.match(text, /^IN_SYNC +13 /m);
  const json = JSON.parse(run("inspect", corpusFile("server-deaths"), "--stats", "--json").stdout);
  assert.is(json.events, 159);
  assert.is(json.requests.find(({ type }: { type: string }) => type === "IN_SYNC").count, 13);
  assert.ok(json.deviceWrites > 0 && json.flushes.ofDiskLogs > 0);
  const some = JSON.parse(run("inspect", corpusFile("server-deaths"), "--stats", "--json", "--type", "FLUSH").stdout);
  assert.is(some.events, 10);
});

test("inspect | head ends without a complaint", () => {
  const shell = `"${process.execPath}" "${command}" inspect "${corpusFile("core-log")}" | head -n 1`;
  const { stdout, stderr } = spawnSync("sh", ["-c", shell], { encoding: "utf8" });
  assert.match(stdout, /^── section 1, dm-ulog/);
  assert.is(stderr, "");
});

test("inspect: a log device, whole and cut", () => {
  const REGIONS = 300;
  const log = new Uint8Array(4096);
  const view = new DataView(log.buffer);
  view.setUint32(0, 0x4d69_5272, true);
  view.setUint32(4, 2, true);
  view.setUint32(8, REGIONS, true);
  log.fill(0xff, 1024, 1024 + REGIONS / 8 + 1);
  for (const region of [7, 64, 65, 66, 299]) {
    const at = 1024 + (region >>> 3);
    log[at] = (log[at] as number) & ~(1 << (region & 7));
  }
  const file = made("log", log);
  const { status, stdout } = run("inspect", file);
  assert.is(status, 0);
  assert.match(stdout, "a dirty log of version 2, which names no mirror\n300 regions, 295 clean, 5 not");
  assert.match(stdout, "Not clean: 7, 64-66, 299\n");
  assert.match(stdout, /^ {2}0 {2}\.{7}#\.{56}\n 64 {2}###\.{61}$/m);
  assert.match(stdout, /^256 {2}\.{43}#$/m);
  const json = JSON.parse(run("inspect", "--json", file).stdout);
  assert.equal(json.notClean, [
    [7, 7],
    [64, 66],
    [299, 299],
  ]);
  const short = run("inspect", made("short", log.subarray(0, 1030))).stdout;
  assert.match(short, "it has no bit for the regions from 48 on");
  assert.match(run("inspect", file, "--errors").stderr, /no events: --errors is for traces/);
  view.setUint32(4, 9, true);
  const foreign = run("inspect", made("foreign", log));
  assert.is(foreign.status, 2);
  assert.match(foreign.stderr, /version 9/);
});

test("adopt says whose a log is, and changes nothing else", () => {
  const log = new Uint8Array(8192).fill(0xff);
  const view = new DataView(log.buffer);
  view.setUint32(0, 0x4d69_5272, true);
  view.setUint32(4, 2, true);
  view.setBigUint64(8, 300n, true);
  const file = made("owned", log);
  const long = `LVM-${"x".repeat(124)}`;
  for (const [uuid, before] of [
    ["LVM-a", "nobody in particular"],
    [long, "LVM-a"],
    ["b", long],
  ] as const) {
    const { status, stdout } = run("adopt", file, uuid);
    assert.is(status, 0);
    assert.match(stdout, `${file} is the log of ${uuid} from now on. It was the log of ${before}.`);
    assert.is(JSON.parse(run("inspect", "--json", file).stdout).owner, uuid);
  }
  assert.match(run("inspect", file).stdout, "of the mirror b\n");
  const after = new Uint8Array(readFileSync(file));
  assert.equal(after.subarray(0, 512), log.subarray(0, 512));
  assert.equal(after.subarray(1024), log.subarray(1024));

  const refused = (sentence: RegExp, ...words: string[]) => {
    const { status, stderr } = run("adopt", ...words);
    assert.is(status, 2);
    assert.match(stderr, sentence);
  };
  refused(/1 to 128 printable characters/, file, `${long}y`);
  refused(/1 to 128 printable characters/, file, "a b");
  refused(/holds no dirty log. Nothing was written/, made("none", new Uint8Array(8192)), "a");
  refused(/holds no dirty log/, made("cut", log.subarray(0, 600)), "a");
  refused(/cannot be changed: ENOENT/, `${file}.none`, "a");
  refused(/cannot be changed: it is no device/, "/dev/null", "a");
});

test("trace cut and merge: pieces replay by themselves, and together are the whole", () => {
  const file = corpusFile("reload");
  const whole = REPLAY_DIGEST.exec(run("replay", file).stdout)?.[0];
  const [early, late, again] = ["early", "late", "again"].map((name) => join(folder, `${name}.pcapng`)) as [
    string,
    string,
    string,
  ];
  const cut = run("trace", "cut", file, "--to", "4.764s", "-o", early);
  assert.is(cut.stderr, "");
  assert.match(cut.stdout, /early\.pcapng: \d+ events of 143\./);
  assert.is(run("trace", "cut", file, "--from", "4.764s", "-o", late).status, 0);
  for (const piece of [early, late]) assert.is(run("replay", piece).status, 0);
  assert.match(run("inspect", late, "--limit", "1").stdout, /an engine restored from a snapshot/);
  const merged = run("trace", "merge", early, late, "-o", again);
  assert.match(merged.stdout, "143 events of 2 files.");
  assert.match(run("replay", again).stdout, whole as string);
  const both = run("replay", early, late);
  assert.is(both.status, 0);
  assert.match(both.stdout, `${early}: Every output is as it was recorded.`);
  assert.match(both.stdout, `${late}: Every output is as it was recorded.`);
  assert.match(both.stdout, /\n2 of 2 files are as recorded\. 143 events are as recorded in all\.\n$/);
});

test("trace refuses to write over what it reads, and to cut nothing", () => {
  const file = made("kept.pcapng", readCorpusTrace("reload.pcapng"));
  const before = readFileSync(file);
  for (const args of [
    ["cut", file],
    ["merge", file],
  ]) {
    const { status, stderr } = run("trace", ...args, "-o", file);
    assert.is(status, 2);
    assert.match(stderr, /write to another file/);
  }
  assert.equal(readFileSync(file), before);
  const nothing = run("trace", "cut", file, "--from", "99999", "-o", join(folder, "nothing.pcapng"));
  assert.is(nothing.status, 2);
  assert.match(nothing.stderr, /No section of the trace has an event 99999/);
  const never = run("trace", "cut", file, "--from", "99999s", "-o", join(folder, "nothing.pcapng"));
  assert.match(never.stderr, /no event there/);
  assert.not.ok(existsSync(join(folder, "nothing.pcapng")));
});

test("trace diff: the first event at which inputs differ, or the same input has other effects", () => {
  const bytes = readCorpusTrace("core-log.pcapng");
  const trace = Trace.open(bytes, abi);
  const a = made("a.pcapng", bytes);
  const diff = (...args: string[]) => run("trace", "diff", ...args);
  const same = diff(a, corpusFile("core-log"));
  assert.is(same.status, 0);
  assert.match(same.stdout, /^A is \S+a\.pcapng, B is \S+core-log\.pcapng\.\nTheir 107 events are the same\.\n$/);

  const index = trace.events.types.indexOf(abi.REQUEST_GET_SYNC_COUNT);
  const offset = trace.events.offsets[index] as number;
  const changed = (at: number) => {
    const other = bytes.slice();
    other[at] = (other[at] as number) ^ 1;
    return other;
  };
  const [answer] = outputsOf(trace).find(([at]) => at > offset) as [number, number];
  const effects = made("effects.pcapng", changed(answer + 16 + abi.ULOG_DATA));
  const other = diff(a, effects);
  assert.is(other.status, 1);
  assert.match(other.stdout, "The same input has different effects:\n");
  assert.match(other.stdout, `\n  A 1:${index} `);
  assert.match(other.stdout, /\n {2}A: GET_SYNC_COUNT reply .* 0 regions in sync\n {2}B: .* 1 regions in sync\n/);
  assert.match(other.stdout, `\nThe ${index} events before it are the same.\n`);

  const INPUT_DATA = 28 + 16;
  const inputs = diff(a, made("inputs.pcapng", changed(offset + INPUT_DATA + abi.ULOG_SEQ)), "--json");
  const json = JSON.parse(inputs.stdout);
  assert.equal(
    [json.what, json.place, json.a, json.b, json.isEqual],
    ["input", index, `1:${index}`, `1:${index}`, false],
  );
  assert.match(json.words[0], "the contents of an event");

  // Another time, of the event's packets all alike.
  const late = bytes.slice();
  const end = trace.endOf(index);
  const PACKET_TIME_LOW_BYTES = 16;
  for (let at = offset; at < end; at += new DataView(late.buffer).getUint32(at + 4, true))
    late[at + PACKET_TIME_LOW_BYTES] = (late[at + PACKET_TIME_LOW_BYTES] as number) ^ 1;
  const times = made("times.pcapng", late);
  assert.match(diff(a, times).stdout, /the times of an event\.\n.*The words are the same/s);
  assert.is(diff(a, times, "--ignore-times").status, 0);

  const short = join(folder, "short.pcapng");
  run("trace", "cut", a, "--to", "1:50", "-o", short);
  assert.match(diff(a, short).stdout, /B ends; A goes on with 56 events:\n {2}A 1:51 /);
  assert.match(diff(short, a).stdout, /A ends; B goes on with 56 events:\n {2}B 1:51 /);
  assert.is(
    diff(a, made("cut-off.pcapng", bytes.subarray(0, (trace.events.offsets[106] as number) + 300))).status,
    0,
    "the last event lost its outputs",
  );
});

test("trace diff: engines that begin otherwise", () => {
  const diff = (...args: string[]) => run("trace", "diff", ...args);
  const cuts = corpusFile("power-cuts");
  const from = (position: string) => {
    const piece = join(folder, `from-${position.replace(":", "-")}.pcapng`);
    assert.is(run("trace", "cut", cuts, "--from", position, "--to", "1:30", "-o", piece).status, 0);
    return piece;
  };
  assert.match(diff(from("1:0"), from("1:16")).stdout, /begin otherwise: A fresh, B snapshot/);
  assert.match(
    diff(from("1:16"), from("1:17")).stdout,
    /What their engines know before the event differs, from byte [\d,]+/,
  );
  assert.is(diff(from("1:16"), from("1:16")).status, 0);
  const dead = made(
    "one-life.pcapng",
    Buffer.concat([readCorpusTrace("core-log.pcapng"), readCorpusTrace("core-log.pcapng")]),
  );
  assert.match(diff(corpusFile("core-log"), dead).stdout, /A ends; B goes on with 107 events:\n {2}B 2:0 /);
  const longer = run("trace", "cut", dead, "--to", "2:3", "-o", join(folder, "longer.pcapng"));
  assert.is(longer.status, 0);
  const none = diff(cuts, join(folder, "not-there"));
  assert.is(none.status, 2);
  assert.match(none.stderr, /not-there cannot be read: ENOENT/);
});

test("trace dissector prints a file that is there", () => {
  const path = run("trace", "dissector").stdout.trimEnd();
  assert.match(readFileSync(path, "utf8"), /Proto\("dm_ulog"/);
});

test("positions as people write them", () => {
  assert.equal(parsePosition("1200"), { event: 1200 });
  assert.equal(parsePosition("1.5s"), { timeNs: 1_500_000_000 });
  assert.equal(parsePosition("20ms"), { timeNs: 20_000_000 });
  assert.equal(parsePosition("7us"), { timeNs: 7000 });
  assert.equal(parsePosition("3ns"), { timeNs: 3 });
  assert.equal(parsePosition("3:252"), { address: { section: 3, event: 252 } });
  for (const text of ["", "0:1", "1:", ":1", "1:2:3", "1:2s", "-1", "soon", "1.5", "1 h", "s", "1e3s"])
    assert.is(parsePosition(text), null, text);
});

test.run();
