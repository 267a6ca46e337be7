// dm-ulog plan: what it proposes keeps to what was asked for, and is what a real engine takes.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Plan } from "../src/cli/plan.ts";
import { formatBytes, formatSeconds, parseSeconds } from "../src/cli/sizes.ts";
import { Console } from "../src/common/console.ts";
import { Engine, type Head } from "../src/common/engine.ts";
import { asciiBytes, decodeReply, encodeRequest } from "../src/common/kernel-frames.ts";
import { releaseWasm } from "./harness.ts";

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

function run(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [command, "plan", ...words], { encoding: "utf8" });
}

function plan(...words: string[]): Plan {
  const { stdout, stderr } = run(...words, "--json");
  assert.is(stderr, "");
  return JSON.parse(stdout) as Plan;
}

/** The error with which a constructor is answered on a log device of a size. */
async function constructOn(tableLine: string, deviceBytes: number): Promise<{ error: number; memoryBytes: number }> {
  const engine = new Engine(new WebAssembly.Module(releaseWasm));
  const { abi } = engine;
  const words = tableLine.split(" ");
  const log = words.slice(words.indexOf("integrated_flush") + 1, 5 + Number(words[4]));
  const data = asciiBytes(`${words[1]} ${log.join(" ")}`);
  let opened: Head | undefined;
  let error = 1;
  const handler = {
    send(address: number, size: number) {
      error = decodeReply(abi, engine.read(address, size)).error;
    },
    notice() {},
    close() {},
    wake() {},
    open(head: Head) {
      opened = head;
    },
  };
  engine.deliver(encodeRequest(abi, { type: "CTR", uuid: "u", luid: 1n, seq: 1, data }), 0, 1, handler);
  engine.goOn(1, handler);
  const device = { sizeBytes: deviceBytes, major: 8, minor: 0 };
  if (opened) engine.completed(opened, { effect: abi.EFFECT_KIND_OPEN, error: 0, device }, 2, handler);
  engine.goOn(2, handler);
  const memoryBytes = (await Console.create(releaseWasm)).logs(engine)[0]?.memoryBytes ?? 0;
  return { error, memoryBytes };
}

test("a large mirror gets a log device, and the figures are what an engine takes", async () => {
  const made = plan("--size", "20T", "--max-resync", "5m");
  assert.is(made.needsDevice, true);
  assert.is(made.regionSizeSectors, 2048);
  assert.is(made.regionCount, 20 * 1024 ** 2);
  assert.is(made.crashRegions, 10_000 * 6);
  assert.ok(made.crashResyncSeconds <= 300);
  assert.match(made.tableLine, / integrated_flush clustered-disk \/dev\/LOG 2048 2 \/dev\/LEG1 0 \/dev\/LEG2 0 /);

  const deviceBytes = made.deviceBytes as number;
  const fitting = await constructOn(made.tableLine, deviceBytes);
  assert.is(fitting.error, 0);
  assert.is.not((await constructOn(made.tableLine, deviceBytes - 512)).error, 0);
  assert.ok(fitting.memoryBytes <= made.memoryBytes && made.memoryBytes < fitting.memoryBytes + 65_536);
  // Three sets of a bit for each region, twice.
  assert.ok(made.stateFileBytes >= (6 * made.regionCount) / 8);
  assert.ok(made.stateFileBytes < (6 * made.regionCount) / 8 + 4096);
});

test("the region size is the largest that keeps to the limit", () => {
  for (const [limit, rate] of [
    ["90s", "200M"],
    ["5m", "100M"],
    ["1h", "1G"],
  ] as const) {
    const { regionSizeSectors, crashRegions, crashResyncSeconds, sizeSectors } = plan(
      ...["--size", "100T", "--max-resync", limit, "--resync-rate", rate],
    );
    assert.is(Math.log2(regionSizeSectors) % 1, 0);
    assert.ok(crashResyncSeconds <= parseSeconds(limit, "limit"));
    const rateBytes = rate === "1G" ? 2 ** 30 : Number.parseInt(rate, 10) * 2 ** 20;
    const twiceSeconds = (2 * Math.min(crashRegions, sizeSectors) * regionSizeSectors * 512) / rateBytes;
    const twiceCopySeconds = (2 * regionSizeSectors * 512) / rateBytes;
    assert.ok(twiceSeconds > parseSeconds(limit, "limit") || twiceCopySeconds > 0.1);
  }
});

test("a small mirror needs no log device", () => {
  const made = plan("--size", "1G", "--max-resync", "5m", "/dev/no-such-a", "/dev/no-such-b:8s");
  assert.is(made.needsDevice, false);
  assert.is(made.deviceBytes, undefined);
  assert.is(made.crashResyncSeconds, made.fullResyncSeconds);
  assert.match(
    made.tableLine,
    / clustered-core 32768 2 \/dev\/no-such-a 0 \/dev\/no-such-b 8 2 handle_errors keep_log$/,
  );
  assert.match(made.notes.join("\n"), /^\/dev\/no-such-a is not on this machine/);
  assert.match(
    run("--size", "1G", "--max-resync", "5m", "/dev/null", "/dev/no-such-b").stderr,
    /neither a block device/,
  );
});

test("a shorter quiet time, fewer lazy regions and fewer writes make less to copy", () => {
  const ask = (...words: string[]) => plan("--size", "20T", "--max-resync", "1h", ...words).crashRegions;
  assert.is(ask(), 60_000);
  assert.is(ask("--quiet-time", "1000"), 40_000);
  assert.is(ask("--lazy-regions", "100"), 30_100);
  assert.is(ask("--writes", "1"), 6);
});

test("a person gets a sentence for each figure", () => {
  const { stdout } = run("--size", "20T", "--max-resync", "5m");
  for (const words of [
    "1 MiB",
    "20,971,520",
    "15.2 MiB",
    "2,622,464 bytes",
    "29.1 h",
    "up to 5 min",
    "60,000 regions",
  ]) {
    assert.match(stdout, words);
  }
  assert.ok(stdout.split("\n").every((line) => line.length <= 120 || line.includes(" mirror userspace ")));
});

test("what cannot be is refused with a sentence", () => {
  for (const [words, sentence] of [
    [["--size", "20T"], /--max-resync/],
    [["--size", "big", "--max-resync", "5m"], /"big" is not a size/],
    [["--size", "20T", "--max-resync", "5"], /"5" is not a duration/],
    [["--size", "20T", "--max-resync", "0s"], /"0s" is not a duration/],
    [["--size", "20T", "--max-resync", "5m", "--resync-rate", "0"], /rate of 0/],
    [["--size", "20T", "--max-resync", "1s"], /even with the smallest regions \(4 KiB\)/],
    [["--size", "1s", "--max-resync", "5m"], /at least 8 sectors/],
    [["--size", "4000T", "--max-resync", "9s", "--writes", "1000"], /choose a larger region size/],
    [["--size", "20T", "--max-resync", "5m", "--writes", "0"], /from 1 to/],
    [["--size", "20T", "--max-resync", "5m", "/dev/sda"], /at least two legs/],
  ] as const) {
    const result = run(...words);
    assert.is(result.status, 1);
    assert.is(result.stdout, "");
    assert.match(result.stderr, sentence);
  }
});

test("durations and sizes as people write them", () => {
  assert.equal(
    ["90s", "5m", "2H", "1d"].map((text) => parseSeconds(text, "It")),
    [90, 300, 7200, 86_400],
  );
  assert.equal([0.25, 119, 300, 104_857.6, 1e6].map(formatSeconds), ["0.3 s", "119 s", "5 min", "29.1 h", "11.6 days"]);
  assert.equal([0, 512, 65_536, 16_056_320].map(formatBytes), ["0 bytes", "512 bytes", "64 KiB", "15.3 MiB"]);
});

test.run();
