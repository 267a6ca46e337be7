// Who else receives the kernel's requests: what is said of them and of the mirrors that they endanger. With real netlink
// sockets where the privilege is there, in a network namespace of the test's own.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LogDescription } from "../src/common/console.ts";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest, type Request } from "../src/common/kernel-frames.ts";
import { ListenerWatch } from "../src/node/control/listener-watch.ts";
import {
  connectorSockets,
  type Holder,
  holdersOf,
  type NetlinkSocket,
  requestSockets,
} from "../src/node/requests/netlink-sockets.ts";
import { Peer, releaseWasm, words } from "./harness.ts";
import { ConnectorPeer, enterNetworkNamespace } from "./netlink-namespace.ts";

const { abi } = new Engine(new WebAssembly.Module(releaseWasm));
const GOOD_LOG = words.logs(Peer.resumed(128).engine)[0] as LogDescription;
type LogChange = Partial<Omit<LogDescription, "constructor">>;

test("the kernel's table of netlink sockets is understood", () => {
  const table = [
    "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode",
    "000000005ceb3d4e 11  0          00000000 0        0        0     2        0        1026    ",
    "000000005ceb3d4f 11  134217999  00000040 8320     0        0     2        12       9026    ",
    "00000000dff1692f 12  134217999  00000040 0        0        0     2        0        1431    ",
    "",
  ].join("\n");
  assert.equal(connectorSockets(table), [
    { port: 0, groups: 0, queuedBytes: 0, drops: 0, inode: "1026" },
    { port: 134_217_999, groups: 0x40, queuedBytes: 8320, drops: 12, inode: "9026" },
  ]);
});

/** A watch over sockets, holders and logs that the test names. */
class Watched {
  sockets: NetlinkSocket[] = [{ port: 5, groups: 64, queuedBytes: 0, drops: 0, inode: "50" }];
  holders = new Map<string, Holder>();
  logs: LogDescription[] = [];
  told: string[] = [];
  readonly watch = new ListenerWatch({
    ownPort: 5,
    readSockets: () => this.sockets,
    findHolders: (inodes) => new Map([...this.holders].filter(([inode]) => inodes.has(inode))),
    readLogs: () => this.logs,
    log: (sentence, level) => this.told.push(`${level}: ${sentence}`),
  });

  other(change: Partial<NetlinkSocket>, inode = "60"): this {
    const before = this.sockets.find((socket) => socket.inode === inode);
    const socket = { port: 6, groups: 64, queuedBytes: 0, drops: 0, inode, ...before, ...change };
    this.sockets = [...this.sockets.filter((one) => one !== before), socket];
    return this;
  }

  /** Looks; returns what was told. */
  look(): string[] {
    this.told = [];
    this.watch.look();
    return this.told;
  }

  log(change: LogChange): this {
    const log = { ...GOOD_LOG, ...change };
    this.logs = [...this.logs.filter(({ luid, uuid }) => luid !== log.luid || uuid !== log.uuid), log];
    return this;
  }
}

function matches(told: readonly string[], ...patterns: RegExp[]): void {
  assert.is(told.length, patterns.length, told.join("\n"));
  for (const [index, pattern] of patterns.entries()) assert.match(told[index] as string, pattern);
}

test("the server itself is no other, whatever it drops; a listener that reads is told once, and when it goes", () => {
  const watched = new Watched();
  assert.equal(watched.look(), []);
  watched.sockets = watched.sockets.map((socket) => ({ ...socket, drops: 5 }));
  assert.equal(watched.look(), []);
  watched.holders.set("60", { pid: 70, program: "cmirrord", uid: 0 });
  matches(
    watched.other({}).look(),
    /^warning: Process 70 \(cmirrord, user 0\) receives .* two servers with two opinions/,
  );
  assert.equal(watched.look(), []);
  watched.holders.set("61", { pid: 71, program: "sniffer", uid: 1000 });
  matches(
    watched.other({}, "61").look(),
    /^warning: Process 71 .* receives the kernel's requests too\. It does no harm/,
  );
  matches(watched.other({}, "62").look(), /^warning: A process that this one cannot see \(netlink port 6, socket 62\)/);
  assert.is(watched.watch.report.listeners.length, 3);
  watched.sockets = watched.sockets.slice(0, 1);
  assert.is(watched.look().length, 3);
  matches(watched.told.slice(0, 1), /^info: Process 70 \(cmirrord, user 0\) receives the kernel's requests no more\.$/);
  assert.equal(watched.watch.report, { listeners: [], dropped: 0, toCheck: [] });
});

test("one that does not read is told before it drops", () => {
  const watched = new Watched();
  watched.other({}).look();
  assert.equal(watched.other({ queuedBytes: 832 }).look(), []);
  assert.equal(watched.other({ queuedBytes: 400 }).look(), [], "it read some");
  matches(
    watched.other({ queuedBytes: 1664 }).look(),
    /^warning: .* has not read any for some seconds \(1664 bytes wait\)/,
  );
  assert.equal(watched.other({ queuedBytes: 2496 }).look(), [], "once");
});

test("drops: told with what to do, and the mirrors that were in use are to be checked", () => {
  const watched = new Watched().log({ uuid: "a", luid: 1n }).log({ uuid: "b", luid: 2n, state: "suspended" });
  watched.holders.set("60", { pid: 71, program: "deaf", uid: 1000 });
  watched.other({}).look();
  matches(
    watched.other({ drops: 3 }).look(),
    /^error: Process 71 \(deaf, user 1000\) .* has dropped 3\. .* End it: sudo kill 71\. Then check the mirrors of these logs: a \(/,
  );
  assert.equal(watched.watch.report.toCheck, ["a"]);
  assert.equal(watched.look(), [], "it drops no more");
  assert.equal(watched.other({ drops: 9 }).look(), [], "more of the same is for metrics");
  assert.is(watched.watch.report.dropped, 9);
  watched.log({ uuid: "b", luid: 2n, state: "resumed" });
  assert.equal(watched.look(), []);
  matches(watched.other({ drops: 10 }).look(), /of these logs: a, b \(/);
  watched.logs = [];
  watched.sockets = watched.sockets.slice(0, 1);
  watched.look();
  assert.equal(
    watched.watch.report.toCheck,
    ["a", "b"],
    "whoever caused it is gone, and so are the logs; not what may differ",
  );
});

test("a socket that was deaf before the first look counts, and one without mirrors is told too", () => {
  const watched = new Watched();
  matches(
    watched.other({ drops: 4 }).look(),
    /^error: .* has dropped 4\. .* sudo dm-ulog doctor; and end it\. No mirror was in use\.$/,
  );
  assert.is(watched.watch.report.dropped, 4);
  const restarted = new Watched().log({ uuid: "a", luid: 1n });
  restarted.other({ drops: 4 }).look();
  assert.equal(restarted.watch.report.toCheck, ["a"]);
});

test("a mirror whose log was made anew, with all of it out of sync, needs no check; others do", () => {
  const device = { ...{ major: 8, minor: 16, isReady: true, error: null, urgentBlocks: 0, lazyBlocks: 0 } };
  const onDevice = { device: { ...device, unsettledRegions: 0, waitingRequests: 0 } };
  const cases: [LogChange, boolean][] = [
    [{ luid: 2n }, true],
    [{ luid: 1n }, false],
    [{ luid: 2n, options: ["nosync"] }, false],
    [{ luid: 2n, state: "created" }, false],
    [{ luid: 2n, ...onDevice }, false],
    [{ luid: 2n, ...onDevice, options: ["sync"] }, true],
  ];
  for (const [change, isDismissed] of cases) {
    const watched = new Watched().log({ uuid: "a", luid: 1n });
    watched.other({ drops: 1 }).look();
    watched.logs = [];
    const told = watched.log({ uuid: "a", ...change }).look();
    const what = inspect(change);
    assert.equal(watched.watch.report.toCheck, isDismissed ? [] : ["a"], what);
    if (isDismissed) matches(told, /^info: The mirror of log a is copied as a whole/);
    else assert.equal(told, []);
    watched.other({ drops: 2 }).look();
    assert.equal(watched.watch.report.toCheck, ["a"], "and again where more is dropped");
  }
});

if (enterNetworkNamespace()) {
  const { Server } = (await import(
    new URL("../dist/node/server.js", import.meta.url).href
  )) as typeof import("../src/node/server.ts");

  test("who holds a socket is found by its inode", () => {
    const peer = new ConnectorPeer(9, 65536);
    try {
      assert.equal(requestSockets(), []);
      peer.join(false);
      const [socket] = requestSockets();
      assert.is(socket?.port, 9);
      assert.is(holdersOf(new Set([socket?.inode as string])).get(socket?.inode as string)?.pid, process.pid);
      assert.is(holdersOf(new Set(["1"])).size, 0);
    } finally {
      peer.close();
    }
  });

  test("a deaf listener: the running server says so, and which mirrors to check", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dm-ulog-deaf-"));
    const kernel = new ConnectorPeer(78, 1 << 20);
    const sentences: string[] = [];
    const server = await Server.start({
      wasm: releaseWasm,
      kernelPort: kernel.port,
      runtimeDirectory: folder,
      log: (sentence, level) => sentences.push(`${level}: ${sentence}`),
      failed: (error) => {
        throw error;
      },
    });
    const deaf = new ConnectorPeer(79, 4096);
    const until = async (what: string, isSo: () => boolean): Promise<void> => {
      for (const end = Date.now() + 15_000; !isSo(); await sleep(20)) if (Date.now() > end) assert.unreachable(what);
    };
    try {
      let seq = 0;
      const send = (type: Request["type"], data: Request["data"] = []) =>
        kernel.multicast(encodeRequest(abi, { type, uuid: "LVM-w", luid: 3n, seq: ++seq, data }));
      send("CTR", asciiBytes("2000 core 2 nosync"));
      send("RESUME");
      await until("the log is resumed", () => server.console.logs(server)[0]?.state === "resumed");
      deaf.join(true);
      // The kernel hears of what is dropped here (-ENOBUFS); a sender that is no kernel does not.
      for (let region = 0; region < 100; region++) send("IN_SYNC", [region]);
      const failed = requestSockets().find(({ port }) => port === deaf.port)?.drops ?? 0;
      assert.ok(failed > 50, `${failed} of 100 were dropped`);
      await until("it answers", () => kernel.receive() !== undefined);
      await until("it is told", () => server.others.toCheck.length > 0);
      const { listeners, dropped, toCheck } = server.others;
      assert.equal(toCheck, ["LVM-w"]);
      assert.is(dropped, failed);
      assert.equal(
        listeners.map(({ port, drops, holder }) => [port, drops, holder?.pid]),
        [[79, failed, process.pid]],
      );
      assert.match(
        sentences.join("\n"),
        new RegExp(`^error: Process ${process.pid} .* has dropped ${failed}\\. .*: LVM-w \\(`, "m"),
      );
      assert.is(server.console.counters(server).requests.IN_SYNC, 100);
    } finally {
      await server.stop();
      deaf.close();
      kernel.close();
      rmSync(folder, { recursive: true });
    }
  });
}

test.run();
