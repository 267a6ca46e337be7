// A receive buffer that is full: requests are lost, and asked for again. A real netlink socket, in a network namespace of
// its own; the test plays a kernel with thousands of threads that wait for their answers. Needs CAP_NET_ADMIN.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, decodeReply, encodeRequest, type Request } from "../src/common/kernel-frames.ts";
import { metricsText } from "../src/node/control/metrics.ts";
import { missingForAppliance } from "./embedding/c/build.ts";
import { releaseWasm } from "./harness.ts";
import { buildNative } from "./native/build.ts";
import { ConnectorPeer, enterNetworkNamespace } from "./netlink-namespace.ts";

const { abi } = new Engine(new WebAssembly.Module(releaseWasm));
const EAGAIN = 11;

/** The kernel: numbers its requests, remembers which wait, and sends those again that it is told to. */
class WaitingKernel {
  readonly waiting = new Map<number, Pick<Request, "type" | "data">>();
  answered = 0;
  sentAgain = 0;
  private seq = 1000;

  constructor(readonly peer: ConnectorPeer) {}

  send(type: Request["type"], data: Request["data"] = []): void {
    const seq = ++this.seq;
    this.waiting.set(seq, { type, data });
    assert.is(this.peer.multicast(encodeRequest(abi, { type, uuid: "LVM-o", luid: 3n, seq, data })), 0);
  }

  /** Takes what has come by now. */
  take(): void {
    for (let got = this.peer.receive(); got !== undefined; got = this.peer.receive()) {
      const view = new DataView(got.buffer);
      const seq = view.getUint32(abi.CN_SEQ, true);
      const request = this.waiting.get(seq);
      if (request === undefined) continue;
      this.waiting.delete(seq);
      if (got.length >= abi.FRAME_BYTES) {
        assert.is(decodeReply(abi, got).error, 0);
        this.answered++;
      } else {
        assert.is(view.getUint32(abi.CN_ACK, true), EAGAIN);
        this.sentAgain++;
        this.send(request.type, request.data);
      }
    }
  }

  /** Until all are answered, or it has taken too long. */
  async takeAll(limitMs: number): Promise<void> {
    for (const end = Date.now() + limitMs; this.waiting.size > 0 && Date.now() < end; await sleep(1)) this.take();
  }
}

if (!enterNetworkNamespace()) {
  test("requests that are lost need a privilege to be tested", () => {
    assert.not(/^CapEff:\s*0*1ffffffffff$/m.test(readFileSync("/proc/self/status", "utf8")));
  });
} else {
  const { Server } = (await import(
    new URL("../dist/node/server.js", import.meta.url).href
  )) as typeof import("../src/node/server.ts");
  const { ConnectorSocket, TIMED_OUT, DRAINED } = await import("../src/node/requests/connector-socket.ts");

  test("the receive buffer is larger than net.core.rmem_max permits", () => {
    const permitted = Number(readFileSync("/proc/sys/net/core/rmem_max", "utf8"));
    const peer = new ConnectorPeer(5, 1 << 20);
    const socket = new ConnectorSocket(abi.CN_IDX_DM, { bufferBytes: 2 * permitted });
    try {
      socket.setTimeout(1000);
      assert.is(socket.bufferWarning, undefined);
      const datagram = encodeRequest(abi, { type: "FLUSH", uuid: "LVM-o", luid: 3n, seq: 1, data: [7] });
      const sent = Math.ceil((4 * permitted) / 832) + 100;
      for (let i = 0; i < sent; i++) peer.multicast(datagram);
      const buffer = new Uint8Array(4096);
      let received = 0;
      let size = socket.receive(buffer);
      for (; size >= 0; size = socket.receive(buffer)) received++;
      assert.is(size, DRAINED);
      assert.is(socket.overruns, 1);
      assert.is(socket.receive(buffer), TIMED_OUT, "and goes on as before");
      assert.ok(received > (3.9 * permitted) / 832 && received < sent, `${received} of ${sent} fit`);
    } finally {
      socket.close();
      peer.close();
    }
  });

  test("where that is not permitted, the server says what to do and goes on with less", () => {
    const permitted = Number(readFileSync("/proc/sys/net/core/rmem_max", "utf8"));
    const module = new URL("../dist/node/requests/connector-socket.js", import.meta.url).href;
    const program =
      `import { ConnectorSocket } from ${JSON.stringify(module)};` +
      `console.log(new ConnectorSocket(7, { bufferBytes: ${2 * permitted} }).bufferWarning); process.exit();`;
    const without = ["--bounding-set=-net_admin", "--inh-caps=-net_admin", process.execPath];
    const { stdout, stderr } = spawnSync("setpriv", [...without, "--input-type=module", "--eval", program], {
      encoding: "utf8",
    });
    // Older kernels let nobody join the group without that privilege.
    if (/EPERM|Operation not permitted/.test(stderr)) return;
    const fits = Math.floor((2 * permitted) / 832);
    assert.match(stdout, new RegExp(`holds about ${fits} requests .* \\(errno 1\\)`));
    assert.match(stdout, new RegExp(`sudo sysctl net.core.rmem_max=${2 * permitted}`));
  });

  test("requests that found the receive buffer full are asked for again, however many; it is logged and counted", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dm-ulog-overrun-"));
    // Its own buffer is small: the server has to wait with its answers while the test does not read them, and so takes no more.
    const kernel = new WaitingKernel(new ConnectorPeer(77, 65536));
    const sentences: string[] = [];
    const server = await Server.start({
      wasm: releaseWasm,
      kernelPort: kernel.peer.port,
      runtimeDirectory: folder,
      log: (sentence, level) => sentences.push(`${level}: ${sentence}`),
      failed: (error) => {
        throw error;
      },
    });
    try {
      kernel.send("CTR", asciiBytes("2000000 core 2 nosync"));
      await kernel.takeAll(5000);
      kernel.send("RESUME");
      await kernel.takeAll(5000);
      assert.is(kernel.answered, 2);
      assert.is(kernel.sentAgain, 0);
      const threads = 20_000;
      for (let i = 0; i < threads; i++) kernel.send("MARK_REGION", [i]);
      await kernel.takeAll(20_000);
      assert.is(kernel.waiting.size, 0, `${kernel.waiting.size} requests wait for 15 s`);
      assert.is(kernel.answered, threads + 2);
      assert.ok(kernel.sentAgain > 5000, `${kernel.sentAgain} were lost`);
      assert.is(server.console.logs(server)[0]?.dirtyRegions, threads);
      assert.ok(server.overruns >= 1);
      assert.match(sentences.join("\n"), /^warning: The kernel's requests came faster .* \(1 times so far\)/m);
      const { overruns, latencies, others, spin } = server;
      const counters = server.console.counters(server);
      const text = metricsText({
        ...{ version: "1", uptimeSeconds: 1, residentBytes: 1, counters, logs: [], latencies, overruns, others, spin },
      });
      assert.match(text, new RegExp(`^dm_ulog_receive_overruns_total ${overruns}$`, "m"));
    } finally {
      // A test that fails must not leave the server's thread waiting for its kernel.
      const taking = setInterval(() => kernel.take(), 5);
      await server.stop();
      clearInterval(taking);
      kernel.peer.close();
      rmSync(folder, { recursive: true });
    }
  });

  const lacking = missingForAppliance();
  if (lacking !== undefined) console.log(`Not with the native host: ${lacking}.`);
  else
    test("the native host does the same, also while it looks for requests without sleeping", async () => {
      const folder = mkdtempSync(join(tmpdir(), "dm-ulog-overrun-"));
      const kernel = new WaitingKernel(new ConnectorPeer(78, 65536));
      const words = [
        "--runtime-dir",
        join(folder, "run"),
        "--kernel-port",
        "78",
        "--flight-recorder",
        "0",
        "--no-keeper",
      ];
      const child = spawn(buildNative(), words, { stdio: ["ignore", "pipe", "pipe"] });
      let said = "";
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (text) => (said += text));
      try {
        for (const end = Date.now() + 5000; !said.includes("is serving") && Date.now() < end; ) await sleep(5);
        kernel.send("CTR", asciiBytes("2000000 core 2 nosync"));
        await kernel.takeAll(5000);
        kernel.send("RESUME");
        await kernel.takeAll(5000);
        assert.is(kernel.answered, 2, said);
        const threads = 20_000;
        for (let i = 0; i < threads; i++) kernel.send("MARK_REGION", [i]);
        await kernel.takeAll(20_000);
        assert.is(kernel.waiting.size, 0, `${kernel.waiting.size} requests wait for 15 s`);
        assert.is(kernel.answered, threads + 2);
        assert.ok(kernel.sentAgain > 1000, `${kernel.sentAgain} were lost`);
        assert.match(said, /^dm-ulog: The kernel's requests came faster .* \([1-9]\d* times so far\)/m);
      } finally {
        const taking = setInterval(() => kernel.take(), 5);
        const ended = once(child, "exit");
        child.kill();
        await ended;
        clearInterval(taking);
        kernel.peer.close();
        rmSync(folder, { recursive: true });
      }
    });
}

test.run();
