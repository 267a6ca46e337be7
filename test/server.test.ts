// The server's two threads over a real netlink socket of this machine's kernel, with a second socket in the kernel's
// part. Needs CAP_NET_ADMIN; where that is missing the lab (npm run test:kernel) is what tests the server.

import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { MessagePort } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, decodeReply, encodeRequest, type Reply, type Request } from "../src/common/kernel-frames.ts";
import { replay } from "../src/common/trace/replay.ts";
import { TimeTravel } from "../src/common/trace/time-travel.ts";
import { Trace } from "../src/common/trace/trace.ts";
import type { ServerOptions } from "../src/node/server.ts";
import { releaseWasm } from "./harness.ts";
import { lacksForServer, PlayedKernel } from "./played-kernel.ts";

const NETLINK_CONNECTOR = 11;

const module = new WebAssembly.Module(releaseWasm);
const { abi } = new Engine(module);

const lacking = lacksForServer();
if (lacking !== undefined) {
  test("what serving lacks here is told in a sentence", async () => {
    const { missingPrerequisites } = await import("../src/node/prerequisites.ts");
    assert.ok(missingPrerequisites().length > 0, lacking);
  });
} else {
  const { RawNetlinkSocket } = createRequire(import.meta.url)("node-netlink") as typeof import("node-netlink");
  // Worker threads have no TypeScript loader: the server runs as it is built.
  const { Server } = (await import(
    new URL("../dist/node/server.js", import.meta.url).href
  )) as typeof import("../src/node/server.ts");
  type Running = Awaited<ReturnType<typeof Server.start>>;

  /** Those that have not been stopped. A test that fails leaves one, whose threads would keep this process. */
  const running = new Set<Running>();
  test.after.each(async () => {
    for (const server of running) await stop(server);
  });
  const startServer = async (options: ServerOptions): Promise<Running> => {
    const server = await Server.start(options);
    running.add(server);
    return server;
  };
  const stop = (server: Running): Promise<boolean> => {
    running.delete(server);
    return server.stop();
  };

  test("requests are answered, memory is read from the other thread, and it stops", async () => {
    const kernel = new RawNetlinkSocket(NETLINK_CONNECTOR, { recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
    const sentences: string[] = [];
    const server = await startServer({
      wasm: releaseWasm,
      kernelPort: kernel.address().port,
      log: (sentence, level) => sentences.push(`${level}: ${sentence}`),
      failed: (error) => {
        throw error;
      },
    });
    let seq = 0;
    const ask = async (type: Request["type"], data: Request["data"] = []): Promise<Reply> => {
      const request = encodeRequest(abi, { type, uuid: "LVM-s", luid: 3n, seq: ++seq, data });
      const reply = once(kernel, "message");
      kernel.send(request, { port: server.port }, () => {});
      return decodeReply(abi, (await reply)[0] as Uint8Array);
    };

    assert.equal(server.console.logs(server), []);
    assert.is((await ask("CTR", asciiBytes("2000000 core 2 nosync"))).error, 0);
    assert.is((await ask("RESUME")).error, 0);
    assert.is((await ask("FLUSH", [5, 999_999])).error, 0);
    assert.is((await ask("FLUSH", [1_000_000])).error, -22);
    const [log] = server.console.logs(server);
    assert.is(log?.regionCount, 1_000_000);
    assert.is(log?.dirtyRegions, 2);
    const states = server.console.regionStates(server, "LVM-s", 3n, 0, 1_000_000);
    assert.is(states.length, 1_000_000);
    assert.is(states[999_999], 1);
    assert.is(server.console.counters(server).requests.FLUSH, 2);
    const flushes = server.latencies[abi.REQUEST_FLUSH];
    assert.is(
      flushes?.counts.reduce((sum, count) => sum + count),
      2,
    );
    assert.ok((flushes?.sumSeconds ?? 0) > 0 && (flushes?.sumSeconds ?? 9) < 2);
    assert.is(server.overruns, 0);

    const stranger = new RawNetlinkSocket(NETLINK_CONNECTOR, { recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
    stranger.send(
      encodeRequest(abi, { type: "DTR", uuid: "LVM-s", luid: 3n, seq: 1 }),
      { port: server.port },
      () => {},
    );
    assert.is((await ask("GET_SYNC_COUNT")).error, 0, "the stranger's DTR was not obeyed");
    assert.is(server.console.counters(server).droppedForeign, 1);

    // A notice reaches the log while the server serves, not when it ends.
    for (let i = 0; i < 100 && !sentences.join().includes("is beyond"); i++) await sleep(20);
    assert.match(sentences.join("\n"), /^info: .*created with 1000000 regions/m);
    assert.match(sentences.join("\n"), /^warning: .*refused, region 1000000 is beyond/m);
    await stop(server);
    stranger.close();
    kernel.close();
  });

  test("a server may stop while its threads still start", async () => {
    for (let i = 0; i < 12; i++) {
      const server = await startServer({
        wasm: releaseWasm,
        kernelPort: 1,
        log: () => {},
        failed: (error) => {
          throw error;
        },
      });
      await sleep(10 * i);
      assert.ok(await stop(server), `after ${10 * i} ms`);
    }
  });

  test("recorded from the first event, at run time, and in the flight recorder: every trace replays", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dm-ulog-server-"));
    const kernel = new RawNetlinkSocket(NETLINK_CONNECTOR, { recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
    const sentences: string[] = [];
    const paths = { whole: join(folder, "whole"), part: join(folder, "part"), saved: join(folder, "saved") };
    let failure: Error | undefined;
    const start = (record?: string) =>
      startServer({
        wasm: releaseWasm,
        kernelPort: kernel.address().port,
        runtimeDirectory: folder,
        ...(record === undefined ? {} : { record: { path: record, sizeBytes: 1 << 28, filesMax: 2 } }),
        log: (sentence) => sentences.push(sentence),
        failed: (error) => {
          failure = error;
        },
      });
    let server = await start(paths.whole);
    let seq = 0;
    const ask = async (type: Request["type"], data: Request["data"] = []): Promise<void> => {
      kernel.send(
        encodeRequest(abi, { type, uuid: "LVM-r", luid: 4n, seq: ++seq, data }),
        { port: server.port },
        () => {},
      );
      for (;;) {
        const [datagram] = (await once(kernel, "message")) as [Uint8Array];
        // A server that starts asks for what died with the one before.
        if (datagram.length < abi.FRAME_BYTES) continue;
        assert.is(decodeReply(abi, datagram).error, 0);
        return;
      }
    };
    const askSome = async (count: number) => {
      for (let i = 0; i < count; i++) await ask(i % 2 === 0 ? "MARK_REGION" : "CLEAR_REGION", [i % 1000]);
    };

    await ask("CTR", asciiBytes("2000 clustered-core 2"));
    await ask("RESUME");
    await askSome(300);
    assert.is(server.recordedPath, paths.whole);
    assert.is(await server.stopRecording(), paths.whole);
    await askSome(50);
    await server.record({ path: paths.part, sizeBytes: 1 << 28, filesMax: 2 });
    await askSome(100);
    server.saveFlight(paths.saved);
    await stop(server);
    assert.ok(sentences.includes(`Recorded to ${paths.whole}.`) && sentences.includes(`Recording to ${paths.part}.`));
    const requests = (path: string): number => {
      const trace = Trace.open(new Uint8Array(readFileSync(path)), abi);
      const summary = replay(trace, module);
      assert.ok(summary.isEqual, JSON.stringify(summary.difference));
      assert.is(trace.problem, null);
      assert.is(summary.events, trace.eventCount);
      return summary.requests.reduce((sum, count) => sum + count, 0);
    };
    assert.is(requests(paths.whole), 302);
    assert.is(requests(paths.part), 100, "stopping the server ends the file");
    assert.is(requests(paths.saved), 452);

    // A request thread that dies: here of an order that makes no sense.
    server = await start();
    await askSome(10);
    sentences.length = 0;
    type Inner = { parts: { recording: { orders: MessagePort; ring: () => void } } };
    const { recording } = (server as unknown as Inner).parts;
    recording.orders.postMessage(null);
    recording.ring();
    for (let i = 0; i < 200 && failure === undefined; i++) await sleep(20);
    assert.instance(failure, TypeError);
    const told = /last events are in (\S+crash-1\.pcapng)/.exec(sentences.join("\n"));
    assert.is(requests(told?.[1] as string), 10);
    await stop(server);
    kernel.close();
    rmSync(folder, { recursive: true });
  });

  test("a state file that cannot be removed is told, and the kernel is answered all the same", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dm-ulog-server-"));
    const kernel = new PlayedKernel(abi, "LVM-d");
    const sentences: string[] = [];
    mkdirSync(join(folder, "state/07"), { recursive: true });
    const server = await startServer({
      wasm: releaseWasm,
      kernelPort: kernel.port,
      runtimeDirectory: folder,
      log: (sentence, level) => sentences.push(`${level}: ${sentence}`),
      failed: (error) => {
        throw error;
      },
    });
    assert.is((await kernel.ask(server.port, "CTR", asciiBytes("2000 clustered-core 2 nosync"))).error, 0);
    rmSync(join(folder, "state/0"));
    mkdirSync(join(folder, "state/0"));
    assert.is((await kernel.ask(server.port, "DTR")).error, 0);
    assert.is((await kernel.ask(server.port, "CTR", asciiBytes("2000 clustered-core 2 nosync"))).error, 0);
    await stop(server);
    const told = sentences.join("\n");
    assert.match(told, /^warning: \S+07 is no regular file: it was moved to \S+set-aside/m);
    assert.match(told, /^warning: The state file of a log that has ended could not be removed \(state\/0 in/m);
    assert.match(told, /^error: A log's state could not be kept \(handle 0/m);
    kernel.close();
    rmSync(folder, { recursive: true });
  });

  test("a view shows what the server does, to those who are stuck too, and ends with it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dm-ulog-server-"));
    const kernel = new PlayedKernel(abi, "LVM-v");
    const sentences: string[] = [];
    const start = (view: ServerOptions["view"], flightBytes?: number) =>
      startServer({
        wasm: releaseWasm,
        kernelPort: kernel.port,
        runtimeDirectory: folder,
        ...(view === undefined ? {} : { view }),
        ...(flightBytes === undefined ? {} : { flightBytes }),
        log: (sentence) => sentences.push(sentence),
        failed: (error) => {
          throw error;
        },
      });
    const view = {
      port: 0,
      address: "127.0.0.1",
      page: fileURLToPath(new URL("../dist/visualizer/", import.meta.url)),
    };
    const server = await start(view);
    assert.match(server.viewUrl ?? "", /^http:\/\/127\.0\.0\.1:\d+\/$/);
    await kernel.ask(server.port, "CTR", asciiBytes("2000 clustered-core 2 nosync"));
    await kernel.ask(server.port, "RESUME");
    const feed = await fetch(`${server.viewUrl}live.pcapng`);
    const stuck = await Promise.all(Array.from({ length: 5 }, () => fetch(`${server.viewUrl}live.pcapng`)));
    for (let i = 0; i < 400; i++) assert.is((await kernel.ask(server.port, "MARK_REGION", [i])).error, 0);
    const parts: Uint8Array[] = [];
    for await (const part of feed.body as unknown as AsyncIterable<Uint8Array>) {
      parts.push(part);
      const trace = Trace.open(new Uint8Array(Buffer.concat(parts)), abi);
      const travel = new TimeTravel(trace, module);
      const [log] = trace.eventCount > 0 ? server.console.logs(travel.seek(trace.eventCount - 1)) : [];
      if (log?.dirtyRegions === 400 && trace.isWhole(trace.eventCount - 1)) break;
    }
    assert.ok(await stop(server), "all threads have ended");
    await Promise.allSettled(stuck.map((one) => one.arrayBuffer()));

    // A view that cannot be had keeps nobody from serving.
    const blind = await start(view, 0);
    assert.is(blind.viewUrl, undefined);
    assert.match(sentences.join("\n"), /There is no view. It shows what the flight recorder has/);
    assert.is((await kernel.ask(blind.port, "GET_SYNC_COUNT")).error, 0);
    await stop(blind);
    kernel.close();
    rmSync(folder, { recursive: true });
  });
}

test.run();
