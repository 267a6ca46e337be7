// The native host on a real netlink socket, with a socket of the test in the kernel's part, and what looks on from outside. The
// kernel lab (npm run test:kernel -- --server native) has the mirrors to it.

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type EffectHandler, Engine } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest, type Request, u64At } from "../src/common/kernel-frames.ts";
import { NativeHost, PAGE_FIELDS } from "../src/node/control/native-host.ts";
import { Onlooker } from "../src/node/control/status.ts";
import { FlightRecording } from "../src/node/recording/flight-recording.ts";
import { saveFlight } from "../src/node/recording/flights.ts";
import { missingForAppliance } from "./embedding/c/build.ts";
import { releaseWasm } from "./harness.ts";
import { buildNative } from "./native/build.ts";
import { lacksForServer, PlayedKernel } from "./played-kernel.ts";

const CLI = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const SOURCES = fileURLToPath(new URL("../src/native/", import.meta.url));
const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const LIMIT_MS = 10_000;

const lacking = lacksForServer() ?? missingForAppliance();
if (lacking !== undefined) console.log(`The native host is not run: ${lacking}.`);
else testHost(buildNative());

interface Running {
  child: ChildProcess;
  port: number;
  said: () => string;
}

test("system calls that the native host never makes are forbidden, in every thread", () => {
  if (lacking !== undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-seccomp-"));
  const tests = fileURLToPath(new URL("native/", import.meta.url));
  const program = join(folder, "forbidden");
  const includes = [`-I${SOURCES}`, `-I${DIST}`, `-I${join(DIST, "native")}`, "-D_GNU_SOURCE", "-pthread"];
  execFileSync("cc", ["-std=c11", ...includes, "-o", program, join(tests, "forbidden.c"), join(SOURCES, "seccomp.c")]);
  const printed = execFileSync(program, { encoding: "utf8" });
  assert.is(printed, "before: allowed, others allowed\nafter: EPERM, others allowed\nthread: EPERM, others allowed\n");
  rmSync(folder, { recursive: true });
});

function parentOf(pid: string): number | undefined {
  try {
    return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return undefined; // it has ended
  }
}

function testHost(program: string): void {
  const { abi } = new Engine(new WebAssembly.Module(releaseWasm));
  const kernel = new PlayedKernel(abi, "LVM-n");
  // On a tmpfs where there is one: state files are mapped, and a disk would only be slower.
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "dm-ulog-native-"));
  const runtime = join(folder, "run");
  const children: ChildProcess[] = [];
  const onlooker = new Onlooker(runtime, () => releaseWasm);

  const words = (...more: string[]): string[] => [
    ...["--runtime-dir", runtime, "--kernel-port", String(kernel.port)],
    ...["--quiet-time", "50", "--flight-recorder", "2M", ...more],
  ];

  async function start(...more: string[]): Promise<Running> {
    const child = spawn(program, words(...more), { stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (text) => (said += text));
    for (const end = Date.now() + LIMIT_MS; !said.includes("is serving the kernel"); await sleep(5)) {
      if (child.exitCode !== null || Date.now() > end) throw new Error(`The native host does not serve: ${said}`);
    }
    return { child, port: Number(/netlink port (\d+)/.exec(said)?.[1]), said: () => said };
  }

  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<unknown> {
    const exited = once(child, "exit");
    child.kill(signal);
    const [exitCode, exitSignal] = await exited;
    return exitCode ?? exitSignal;
  }

  const inSync = async (port: number) => u64At((await kernel.ask(port, "GET_SYNC_COUNT")).data, 0);

  test("onlookers know the page's layout as the header has it", () => {
    const fields = Object.keys(PAGE_FIELDS);
    const source = join(folder, "offsets.c");
    const offsets = fields.map((field) => `printf("%zu\\n", offsetof(struct server_page, ${field}));`).join("\n");
    writeFileSync(source, `#include <stdio.h>\n#include "server-page.h"\nint main(void) {\n${offsets}\n}\n`);
    execFileSync("cc", [`-I${SOURCES}`, `-I${DIST}`, "-o", join(folder, "offsets"), source]);
    const printed = execFileSync(join(folder, "offsets"), { encoding: "utf8" }).trim().split("\n").map(Number);
    assert.equal(printed, Object.values(PAGE_FIELDS));
  });

  test("it answers, is one thread, and ends with 0 when asked to", async () => {
    const { child, port, said } = await start();
    assert.is((await kernel.ask(port, "CTR", asciiBytes("2000000 core 2"))).error, 0);
    assert.is((await kernel.ask(port, "RESUME")).error, 0);
    assert.is((await kernel.ask(port, "SET_REGION_SYNC", [0, 1])).error, 0);
    assert.is((await kernel.ask(port, "MARK_REGION", [0])).error, 0);
    assert.is((await kernel.ask(port, "FLUSH", [1_000_000])).error, -22, "no such region");
    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    assert.match(status, /^Threads:\t1$/m);
    assert.match(status, /^VmLck:\s+[1-9]/m, "its memory is locked");
    assert.is(await end(child, "SIGTERM"), 0);
    assert.match(said(), /log LVM-n \(luid 3\): created with 1000000 regions/);
    assert.match(said(), /refused/);
    assert.match(said(), /dm-ulogd has stopped/);
    assert.is(existsSync(join(runtime, "server")), false, "nobody is to look for it");
  });

  test("killed, it is followed by another with the same socket and the same state", async () => {
    const first = await start();
    assert.is(await inSync(first.port), 1, "from the test before");
    assert.is((await kernel.ask(first.port, "SET_REGION_SYNC", [1, 1])).error, 0);
    assert.is(await end(first.child, "SIGKILL"), "SIGKILL");
    // Nobody serves, and the request waits.
    const answer = kernel.ask(first.port, "GET_SYNC_COUNT");
    await sleep(50);
    const second = await start();
    assert.is(second.port, first.port);
    assert.is(u64At((await answer).data, 0), 2);
    for (const limit = Date.now() + LIMIT_MS; !second.said().includes("crash-1.pcapng"); await sleep(10)) {
      if (Date.now() > limit) throw new Error(`No word of the killed server: ${second.said()}`);
    }
    const replayed = spawnSync(process.execPath, [CLI, "replay", join(runtime, "crashes/crash-1.pcapng")]);
    assert.is(replayed.status, 0, String(replayed.stderr));
    assert.is(await end(second.child, "SIGTERM"), 0);
  });

  test("asked to end, it leaves its socket to the next one where there are logs, and lets go of it where there are none", async () => {
    const first = await start();
    assert.is(await end(first.child, "SIGTERM"), 0);
    const answer = kernel.ask(first.port, "GET_SYNC_COUNT");
    await sleep(50);
    const second = await start();
    assert.is(second.port, first.port);
    assert.is(u64At((await answer).data, 0), 2, "from the test before");
    assert.is(await end(second.child, "SIGTERM"), 0);

    const other = join(folder, "no-logs");
    const third = await start("--runtime-dir", other);
    assert.ok(existsSync(join(other, "keeper")));
    assert.is(await end(third.child, "SIGTERM"), 0);
    for (const limit = Date.now() + 2000; existsSync(join(other, "keeper")); await sleep(10)) {
      if (Date.now() > limit) throw new Error("The socket of a server without logs is kept");
    }
  });

  test("what a killed one left unanswered is asked for anew in slices, what was asked last first, while others are answered", async () => {
    const first = await start();
    await kernel.ask(first.port, "GET_SYNC_COUNT");
    assert.is(await end(first.child, "SIGKILL"), "SIGKILL");
    kernel.askedAgain.length = 0;
    const waiting = kernel.tell(first.port, "GET_SYNC_COUNT");
    const last = waiting - 1;
    const second = await start();
    const numbers = (from: number, count: number) => Array.from({ length: count }, (_, i) => (from + i) >>> 0);
    const expected = new Set(numbers(last - 256, 257));
    for (const limit = Date.now() + LIMIT_MS; kernel.askedAgain.length < expected.size; await sleep(5)) {
      if (Date.now() > limit) throw new Error(`Asked for anew: ${kernel.askedAgain.length}`);
    }
    await sleep(50);
    assert.equal(new Set(kernel.askedAgain.slice(0, 16)), new Set(numbers(last - 15, 16)));
    // What waited in the socket, and whatever follows it, comes to this server.
    assert.equal(new Set(kernel.askedAgain), expected);
    assert.is(await end(second.child, "SIGTERM"), 0);
  });

  test("a device that hangs does not hold up the end of its server", async () => {
    const { child, port, said } = await start("--runtime-dir", join(folder, "hangs"));
    // A process that is stopped writes no mark, as one whose device hangs.
    const devices = readdirSync("/proc").find((pid) => /^\d+$/.test(pid) && parentOf(pid) === child.pid) as string;
    const log = join(folder, "hanging.log");
    writeFileSync(log, new Uint8Array(65536));
    assert.is((await kernel.ask(port, "CTR", asciiBytes(`2000 disk ${log} 2 nosync`))).error, 0);
    assert.is((await kernel.ask(port, "RESUME")).error, 0);
    process.kill(Number(devices), "SIGSTOP");
    kernel.tell(port, "FLUSH", [4]);
    await sleep(600);
    const fromMs = performance.now();
    assert.is(await end(child, "SIGTERM"), 0);
    const tookMs = performance.now() - fromMs;
    // Of that a second is for its last sentence, which the same process would write.
    assert.ok(tookMs < 2000, `${tookMs} ms`);
    assert.not(said().includes("has stopped"));
  });

  test("status and metrics are read from what it shares, while it answers", async () => {
    const { child, port } = await start();
    const own = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && parentOf(pid) === child.pid);
    assert.ok(own.length >= 1);
    for (const pid of [String(child.pid), ...own]) {
      assert.match(readFileSync(`/proc/${pid}/status`, "utf8"), /^Seccomp:\s+2$/m);
    }
    let isOver = false;
    const asking = (async () => {
      let asked = 0;
      for (; !isOver; asked++) await kernel.ask(port, "MARK_REGION", [asked % 1000]);
      return asked;
    })();
    for (let look = 0; look < 50; look++) {
      const { logs, host, pid, busyDevices, silentSeconds, netlinkPort } = await onlooker.status();
      assert.equal([host, pid, netlinkPort, busyDevices], ["native", child.pid, port, []]);
      assert.equal([logs[0]?.uuid, logs[0]?.inSyncRegions, logs.length], ["LVM-n", 2, 1]);
      assert.ok(silentSeconds < 2, `${silentSeconds} s`);
    }
    isOver = true;
    const asked = await asking;
    const metrics = await onlooker.metrics();
    assert.match(metrics, new RegExp(`^dm_ulog_requests_total\\{type="MARK_REGION"\\} ${asked}$`, "m"));
    assert.match(metrics, new RegExp(`^dm_ulog_request_duration_seconds_count\\{type="MARK_REGION"\\} ${asked}$`, "m"));
    assert.match(metrics, /^dm_ulog_spins_total \d+$/m);
    const printed = spawnSync(process.execPath, [CLI, "status", "--runtime-dir", runtime], { encoding: "utf8" });
    assert.match(printed.stdout, /native host, process \d+.*\nThe server keeps logs that no mirror .*:\n.*\nLVM-n/);
    // script is of util-linux: it gives the command a terminal.
    const command = `stty rows 9 cols 60; exec '${process.execPath}' '${CLI}' status --watch --runtime-dir '${runtime}'`;
    const watching = spawn("script", ["-qc", command, "/dev/null"], { stdio: ["ignore", "pipe", "ignore"] });
    const isThere = await Promise.race([
      once(watching, "spawn").then(() => true),
      once(watching, "error").then(() => false),
    ]);
    let shown = "";
    watching.stdout.setEncoding("utf8").on("data", (text) => (shown += text));
    for (const end = Date.now() + LIMIT_MS; isThere && !shown.includes(" %"); await sleep(5)) {
      assert.ok(Date.now() < end, shown);
    }
    watching.kill();
    if (isThere) assert.match(shown, /^log LVM-n {2}\[-{20}\] {3}0\.0 %/m);
    assert.is(await end(child, "SIGTERM"), 0);
    assert.is(NativeHost.find(runtime), undefined);
  });

  test("what it did is replayed without a difference: from the flight recorder, and recorded from outside", async () => {
    const { child, port } = await start();
    const path = join(folder, "recorded.pcapng");
    const told: string[] = [];
    const options = { path, sizeBytes: 1 << 20, filesMax: 3 };
    const recording = new FlightRecording(join(runtime, "flight-recorder"), options, (words) => told.push(words));
    const running = recording.run();
    // More than both halves hold.
    for (let i = 0; i < 4000; i++) await kernel.ask(port, i % 2 === 0 ? "MARK_REGION" : "CLEAR_REGION", [i % 500]);
    const saved = join(folder, "saved.pcapng");
    saveFlight({ runtimeDirectory: runtime }, saved);
    await sleep(100);
    recording.end();
    await running;
    assert.equal(told, []);
    for (const file of [saved, path, `${path}.1`]) {
      const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, "replay", file], { encoding: "utf8" });
      assert.is(status, 0, `${file}: ${stdout}${stderr}`);
      assert.match(stdout, /\b\d{3,}\b/, "hundreds of events");
    }
    assert.is(await end(child, "SIGTERM"), 0);
  });

  test("one takes over from another, and the socket stays", async () => {
    const first = await start();
    const exited = once(first.child, "exit");
    saveFlight({ runtimeDirectory: runtime }, join(folder, "old.pcapng"));
    const second = await start("--take-over");
    assert.equal(await exited, [0, null]);
    assert.match(first.said(), /has taken over/);
    assert.is(second.port, first.port);
    assert.is(await inSync(second.port), 2);
    const lives = [join(folder, "old.pcapng"), join(folder, "new.pcapng")] as const;
    saveFlight({ runtimeDirectory: runtime }, lives[1]);
    const origin = (...files: string[]) => {
      const merged = join(folder, "merged.pcapng");
      const merge = spawnSync(process.execPath, [CLI, "trace", "merge", "-o", merged, ...files], {
        encoding: "utf8",
      });
      assert.is(merge.status, 0, merge.stderr);
      return spawnSync(process.execPath, [CLI, "inspect", merged], { encoding: "utf8" }).stdout;
    };
    assert.match(
      origin(lives[1]),
      /a new engine: a server took over from another while that one served, and goes on with its 1 log/,
    );
    assert.match(origin(...lives), /a server took over from the one of section 1 while that one served/);
    // Killed, it is followed as any other.
    assert.is(await end(second.child, "SIGKILL"), "SIGKILL");
    const third = await start();
    assert.is(third.port, first.port);
    assert.is((await kernel.ask(third.port, "DTR")).error, 0);
    const files = readdirSync(join(runtime, "state")).filter((name) => /^\d/.test(name));
    assert.equal(files, [], "a log that is removed leaves no file");
    assert.is(await end(third.child, "SIGTERM"), 0);
  });

  test("a server that was to take over and dies is given up, and the first goes on", async () => {
    const first = await start();
    assert.is((await kernel.ask(first.port, "CTR", asciiBytes("2000 core 2"))).error, 0);
    assert.is((await kernel.ask(first.port, "RESUME")).error, 0);
    // Listens as a new server does, takes the socket, and is gone.
    const listener = spawn("python3", [
      "-c",
      "import os,socket,signal,sys\n" +
        "s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)\n" +
        "s.bind(sys.argv[1]); s.listen(1)\n" +
        "os.kill(int(sys.argv[2]),signal.SIGUSR2)\n" +
        "c,_=s.accept(); c.recv(1); os.unlink(sys.argv[1])\n",
      join(runtime, "take-over"),
      String(first.child.pid),
    ]);
    await once(listener, "exit");
    for (const limit = Date.now() + LIMIT_MS; !/This one goes on.*is serving/s.test(first.said()); await sleep(10)) {
      if (Date.now() > limit) throw new Error(`It does not go on: ${first.said()}`);
    }
    assert.is((await kernel.ask(first.port, "SET_REGION_SYNC", [5, 1])).error, 0);
    assert.is(await inSync(first.port), 1);
    assert.is((await kernel.ask(first.port, "DTR")).error, 0);
    assert.is(await end(first.child, "SIGTERM"), 0);
  });

  // The one that held the lock is gone when it is to be asked: what decides is the lock, as for a server that takes over nothing.
  test("a server whose predecessor dies before it is asked begins as any other", async () => {
    const first = await start();
    await end(first.child, "SIGKILL");
    const lock = ["--no-fork", "--nonblock", join(runtime, "lock")];
    const second = spawnSync("flock", [...lock, program, ...words("--take-over")], {
      encoding: "utf8",
      timeout: LIMIT_MS,
    });
    assert.is(second.status, 1);
    assert.match(second.stderr, /serves this machine already \(process \d+\)/);
    const third = await start("--take-over");
    assert.is(third.port, first.port, "the keeper's socket");
    assert.is(await end(third.child, "SIGTERM"), 0);
  });

  test("a mark is in the log file before its flush is answered; a second server is refused", async () => {
    const { child, port } = await start();
    const path = join(folder, "mirror.log");
    writeFileSync(path, Buffer.alloc(8192));
    const cleanBits = () => readFileSync(path).readUInt32LE(1024);
    assert.is((await kernel.ask(port, "CTR", asciiBytes(`64 disk ${path} 2 nosync`))).error, 0);
    assert.is((await kernel.ask(port, "RESUME")).error, 0);
    assert.is(cleanBits() >>> 0, 0xffff_ffff, "32 regions, each in sync");
    assert.is((await kernel.ask(port, "FLUSH", [4, 31])).error, 0);
    assert.is(cleanBits() >>> 0, 0x7fff_ffef);
    const second = spawnSync(program, words(), { encoding: "utf8" });
    assert.is.not(second.status, 0);
    assert.match(second.stderr, /serves this machine already \(process \d+\)/);
    // Killed with an open device, it leaves the lock to the next.
    assert.is(await end(child, "SIGKILL"), "SIGKILL");
    const next = await start();
    assert.is((await kernel.ask(next.port, "FLUSH", [7])).error, 0);
    assert.is(cleanBits() >>> 0, 0x7fff_ff6f);
    assert.is((await kernel.ask(next.port, "DTR")).error, 0);
    assert.is((await kernel.ask(next.port, "CTR", asciiBytes("64 disk /nowhere/at/all 2"))).error, -2, "ENOENT");
    assert.is(await end(next.child, "SIGTERM"), 0);
  });

  test("it does not outlive its process for devices, and the next one goes on", async () => {
    const first = await start();
    assert.is((await kernel.ask(first.port, "CTR", asciiBytes("64 core 2"))).error, 0);
    assert.is((await kernel.ask(first.port, "RESUME")).error, 0);
    assert.is((await kernel.ask(first.port, "SET_REGION_SYNC", [7, 1])).error, 0);
    const devices = readFileSync(`/proc/${first.child.pid}/task/${first.child.pid}/children`, "utf8").trim();
    const exited = once(first.child, "exit");
    process.kill(Number(devices), "SIGKILL");
    assert.equal(await exited, [1, null]);
    assert.match(first.said(), /process for devices has ended/);
    const next = await start();
    assert.is(await inSync(next.port), 1);
    assert.is((await kernel.ask(next.port, "DTR")).error, 0);
    assert.is(await end(next.child, "SIGTERM"), 0);
  });

  test("odd things in the runtime directory are set aside", async () => {
    rmSync(join(runtime, "server"), { force: true });
    mkdirSync(join(runtime, "server"));
    writeFileSync(join(runtime, "state", "letter"), "from grandmother");
    writeFileSync(join(runtime, "state", "17"), "");
    writeFileSync(join(runtime, "state", "18"), "no state of a log");
    mkdirSync(join(runtime, "state", "19"));
    const { child, said } = await start();
    assert.equal(readdirSync(join(runtime, "set-aside")).sort(), ["17", "19", "letter", "server"]);
    assert.match(said(), /state\/letter .* is no file of this server: it was moved to set-aside\/letter/);
    assert.ok(statSync(join(runtime, "server")).isFile());
    assert.is(await end(child, "SIGTERM"), 0);
  });

  test("a command line that makes no sense is refused with a sentence", () => {
    for (const [given, sentence] of [
      [["--quiet-time", "0"], /--quiet-time 0 makes no sense: give a whole number from 1 to/],
      [["--block-size", "5000"], /--block-size 5000 is no power of two/],
      [["--flight-recorder", "12"], /too small/],
      [["--log-format", "loud"], /give plain, journal or json/],
      [["something"], /something makes no sense here/],
    ] as [string[], RegExp][]) {
      const { status, stderr } = spawnSync(program, given, { encoding: "utf8" });
      assert.is(status, 1);
      assert.match(stderr, sentence);
    }
  });

  test("its bytes are the core's own", async () => {
    const { child, port } = await start();
    const engine = new Engine(new WebAssembly.Module(releaseWasm));
    let seq = 1000;
    const requests: [Exclude<Request["type"], number>, NonNullable<Request["data"]>][] = [
      ["CTR", asciiBytes("2000000 core 2")],
      ["RESUME", []],
      ["GET_RESYNC_WORK", []],
      ["STATUS_INFO", []],
      ["IS_REMOTE_RECOVERING", [7]],
    ];
    for (const [type, data] of requests) {
      const request = encodeRequest(abi, { type, uuid: "LVM-n", luid: 3n, seq: ++seq, data });
      let expected = -1;
      const handler: EffectHandler = {
        send: (address, size) => {
          expected = engine.read(address, size).length;
        },
        notice: () => {},
        wake: () => {},
      };
      engine.deliver(request, abi.KERNEL_PORT, 1, handler);
      engine.goOn(1, handler);
      const { data: answered } = await kernel.ask(port, type, data);
      assert.is(answered.length + abi.FRAME_BYTES, expected, type);
    }
    assert.is((await kernel.ask(port, "DTR")).error, 0);
    assert.is(await end(child, "SIGTERM"), 0);
  });

  test.after(() => {
    kernel.close();
    for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
}

test.run();
