// The server's two threads over a real netlink socket of this machine's kernel, with a second socket in the kernel's
// part. Needs CAP_NET_ADMIN; where that is missing the lab (npm run test:kernel) is what tests the server.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, decodeReply, encodeRequest, type Reply, type Request } from "../src/common/kernel-frames.ts";
import { releaseWasm } from "./harness.ts";

const NETLINK_CONNECTOR = 11;
const CAP_NET_ADMIN = 12n;

const { abi } = new Engine(new WebAssembly.Module(releaseWasm));

function lacks(): string | undefined {
  if (process.platform !== "linux") return "this is not Linux";
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  if (((BigInt(`0x${capabilities}`) >> CAP_NET_ADMIN) & 1n) === 0n) return "there is no CAP_NET_ADMIN";
  return undefined;
}

const lacking = lacks();
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

  test("requests are answered, memory is read from the other thread, and it stops", async () => {
    const kernel = new RawNetlinkSocket(NETLINK_CONNECTOR, { recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
    const sentences: string[] = [];
    const server = await Server.start({
      wasm: releaseWasm,
      kernelPort: kernel.address().port,
      log: (sentence) => sentences.push(sentence),
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
    const states = server.console.regionStates(server, "LVM-s", "3", 0, 1_000_000);
    assert.is(states.length, 1_000_000);
    assert.is(states[999_999], 1);
    assert.is(server.console.counters(server).requests.FLUSH, "2");

    const stranger = new RawNetlinkSocket(NETLINK_CONNECTOR, { recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
    stranger.send(
      encodeRequest(abi, { type: "DTR", uuid: "LVM-s", luid: 3n, seq: 1 }),
      { port: server.port },
      () => {},
    );
    assert.is((await ask("GET_SYNC_COUNT")).error, 0, "the stranger's DTR was not obeyed");
    assert.is(server.console.counters(server).droppedForeign, "1");

    // A notice reaches the log while the server serves, not when it ends.
    for (let i = 0; i < 100 && !sentences.join().includes("is beyond"); i++) await sleep(20);
    assert.match(sentences.join("\n"), /created with 1000000 regions/);
    assert.match(sentences.join("\n"), /region 1000000 is beyond/);
    await server.stop();
    stranger.close();
    kernel.close();
  });
}

test.run();
