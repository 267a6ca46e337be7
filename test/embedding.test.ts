// The core in hosts that are none of ours: what a small interpreter must take, and the C appliance on a real netlink socket.
// The kernel lab (npm run test:kernel -- --server c) has the mirrors to it.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type EffectHandler, Engine } from "../src/common/engine.ts";
import {
  asciiBytes,
  decodeReply,
  encodeRequest,
  type Reply,
  type Request,
  u64At,
} from "../src/common/kernel-frames.ts";
import { missingPrerequisites } from "../src/node/prerequisites.ts";
import { buildAppliance, missingForAppliance } from "./embedding/c/build.ts";
import { releaseWasm } from "./harness.ts";

const NETLINK_CONNECTOR = 11;
const APPLIANCE_LINES_MAX = 500;
/** What WebAssembly has learnt since its first version, as wabt calls it. */
const LATER_FEATURES = [
  ...["mutable-globals", "saturating-float-to-int", "sign-extension", "simd", "multi-value"],
  ...["bulk-memory", "reference-types"],
];

const applianceFolder = fileURLToPath(new URL("embedding/c/", import.meta.url));
const wasmPath = fileURLToPath(new URL("../dist/dm-ulog.wasm", import.meta.url));
const engine = new Engine(new WebAssembly.Module(releaseWasm));
const { abi } = engine;

test("the module needs nothing that came after WebAssembly's first version", () => {
  const words = [...LATER_FEATURES.map((feature) => `--disable-${feature}`), wasmPath];
  const { error, status, stderr } = spawnSync("wasm-validate", words, { encoding: "utf8" });
  if (error !== undefined) console.log("Not checked: there is no wasm-validate (Debian's package wabt).");
  else assert.is(status, 0, stderr);
});

test(`the C appliance has fewer than ${APPLIANCE_LINES_MAX} lines of code`, () => {
  // The replay is a program of its own, and the machine that the conformance kit plays is no part of the appliance.
  const others = ["replay.c", "conformance.c", "conformance.h"];
  const names = readdirSync(applianceFolder).filter((name) => /\.[ch]$/.test(name) && !others.includes(name));
  const lines = names.flatMap((name) => readFileSync(join(applianceFolder, name), "utf8").split("\n"));
  // Neither blank nor of a comment alone; comments of several lines begin each with a star.
  const code = lines.filter((line) => !/^\s*(\/\*.*|\*( .*|\/)?)?$/.test(line));
  assert.ok(names.length > 1 && code.length < APPLIANCE_LINES_MAX, `${code.length} lines in ${names.join(", ")}`);
});

const lacking = missingForAppliance() ?? missingPrerequisites().find((sentence) => sentence.includes("CAP_NET_ADMIN"));
if (lacking !== undefined) console.log(`The C appliance is not run: ${lacking}.`);
else testAppliance(buildAppliance());

function testAppliance(program: string): void {
  const { RawNetlinkSocket } = createRequire(import.meta.url)("node-netlink") as typeof import("node-netlink");
  const kernel = new RawNetlinkSocket(NETLINK_CONNECTOR, { recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-appliance-"));
  const runtime = join(folder, "run");
  const children: ChildProcess[] = [];
  let seq = 0;

  async function start(): Promise<{ child: ChildProcess; port: number; said: string[] }> {
    const child = spawn(program, [runtime, "50", String(kernel.address().port)], { stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    const said: string[] = [];
    child.stdout?.setEncoding("utf8").on("data", (text: string) => said.push(text));
    while (!said.join("").includes("serving")) {
      await Promise.race([
        once(child.stdout as NodeJS.ReadableStream, "data"),
        once(child, "exit").then(() => Promise.reject(new Error("The appliance has ended by itself"))),
      ]);
    }
    return { child, port: Number(/netlink port (\d+)/.exec(said.join(""))?.[1]), said };
  }

  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<unknown> {
    const exited = once(child, "exit");
    child.kill(signal);
    const [exitCode, exitSignal] = await exited;
    return exitCode ?? exitSignal;
  }

  /** Sends a datagram; resolves with the first answer that is no bare acknowledgement. */
  async function exchange(port: number, datagram: Uint8Array): Promise<Uint8Array> {
    const answered = new Promise<Uint8Array>((resolve) => {
      const take = (answer: Uint8Array): void => {
        if (answer.length < abi.FRAME_BYTES) return;
        kernel.off("message", take);
        resolve(answer);
      };
      kernel.on("message", take);
    });
    kernel.send(datagram, { port }, () => {});
    return answered;
  }

  const request = (type: Request["type"], luid: bigint, data: Request["data"] = []): Uint8Array =>
    encodeRequest(abi, { type, uuid: "LVM-c", luid, seq: ++seq, data });
  const ask = async (port: number, ...words: Parameters<typeof request>): Promise<Reply> =>
    decodeReply(abi, await exchange(port, request(...words)));

  test("it answers as the core does, byte for byte, and ends with 0 when asked to", async () => {
    const { child, port, said } = await start();
    for (const datagram of [
      request("CTR", 7n, asciiBytes("2000000 core 2")),
      request("RESUME", 7n),
      request("GET_RESYNC_WORK", 7n),
      request("SET_REGION_SYNC", 7n, [0, 1]),
      request("MARK_REGION", 7n, [0]),
      request("FLUSH", 7n, [1_000_000]),
      request("STATUS_INFO", 7n),
      request("IN_SYNC", 8n, [1]),
    ]) {
      let expected: Uint8Array | undefined;
      const handler: EffectHandler = {
        send: (address, size) => {
          expected = engine.read(address, size);
        },
        notice: () => {},
        wake: () => {},
      };
      engine.deliver(datagram, abi.KERNEL_PORT, 1, handler);
      engine.goOn(1, handler);
      assert.equal(new Uint8Array(await exchange(port, datagram)), expected);
    }
    assert.is(await end(child, "SIGTERM"), 0);
    assert.match(said.join(""), /^LVM-c: created \(notice 1\), detail 1000000, errno 0$/m);
  });

  test("killed and started again it goes on, and so does the server in Node.js, and then it again", async () => {
    // Worker threads have no TypeScript loader: that server runs as it is built.
    const { Server } = (await import(
      new URL("../dist/node/server.js", import.meta.url).href
    )) as typeof import("../src/node/server.ts");
    const kernelPort = kernel.address().port;
    const inSync = async (port: number) => u64At((await ask(port, "GET_SYNC_COUNT", 7n)).data, 0);

    const first = await start();
    assert.is(await inSync(first.port), 1, "from the test before");
    assert.is((await ask(first.port, "SET_REGION_SYNC", 7n, [1, 1])).error, 0);
    assert.is(await end(first.child, "SIGKILL"), "SIGKILL");

    const inNode = await Server.start({
      ...{ wasm: releaseWasm, kernelPort, runtimeDirectory: runtime, log: () => {} },
      failed: (error) => {
        throw error;
      },
    });
    // The answer waits until all of the state file is read.
    assert.is(await inSync(inNode.port), 2);
    const [log] = inNode.console.logs(inNode);
    assert.equal([log?.inSyncRegions, log?.dirtyRegions, log?.state], [2, 1, "resumed"]);
    assert.is((await ask(inNode.port, "SET_REGION_SYNC", 7n, [2, 1])).error, 0);
    await inNode.stop();

    const second = await start();
    assert.is(await inSync(second.port), 3);
    assert.equal([...(await ask(second.port, "IS_CLEAN", 7n, [0])).data], [0, 0, 0, 0, 0, 0, 0, 0], "still marked");
    assert.is((await ask(second.port, "DTR", 7n)).error, 0);
    assert.equal(
      readdirSync(join(runtime, "state")).filter((name) => /^\d/.test(name)),
      [],
      "a log that is removed leaves no file",
    );
    assert.is(await end(second.child, "SIGTERM"), 0);
  });

  test("a mark is in the log file before its flush is answered; a second server is refused", async () => {
    const { child, port } = await start();
    const path = join(folder, "mirror.log");
    writeFileSync(path, Buffer.alloc(8192));
    const cleanBits = () => readFileSync(path).readUInt32LE(1024);
    assert.is((await ask(port, "CTR", 9n, asciiBytes(`64 disk ${path} 2 nosync`))).error, 0);
    assert.is((await ask(port, "RESUME", 9n)).error, 0);
    assert.is(cleanBits() >>> 0, 0xffff_ffff, "32 regions, each in sync");
    assert.is((await ask(port, "FLUSH", 9n, [4, 31])).error, 0);
    assert.is(cleanBits() >>> 0, 0x7fff_ffef);
    assert.is((await ask(port, "CTR", 10n, asciiBytes("64 disk /nowhere/at/all 2"))).error, -2, "ENOENT");

    const second = spawnSync(program, [runtime], { encoding: "utf8" });
    assert.is.not(second.status, 0);
    assert.match(second.stderr, /Another server serves this machine already/);
    assert.is(await end(child, "SIGTERM"), 0);
  });

  test.after(() => {
    kernel.close();
    for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
}

test.run();
