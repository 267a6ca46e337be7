// The netlink socket outlives the server: kept by systemd or by a process, taken up by the next server of either host, and nothing of
// it keeps a server from starting. In a network namespace of its own: a keeper looks whether other servers are there.

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import koffi from "koffi";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, u64At } from "../src/common/kernel-frames.ts";
import { passedDescriptors, ServiceManager } from "../src/node/control/service-manager.ts";
import { connectorSocketOf, holdersOf, isKeeper, requestSockets } from "../src/node/requests/netlink-sockets.ts";
import type { SocketKeeperOptions } from "../src/node/requests/socket-keeper.ts";
import { closeDescriptor } from "../src/node/system-calls.ts";
import { listenForPackets, receiveDescriptor, unixDatagramSocket } from "../src/node/unix-sockets.ts";
import { missingForAppliance } from "./embedding/c/build.ts";
import { releaseWasm } from "./harness.ts";
import { ConnectorPeer, enterNetworkNamespace } from "./netlink-namespace.ts";
import { NotifySocket } from "./notify-socket.ts";
import { PlayedKernel } from "./played-kernel.ts";
import { StartedHosts } from "./started-hosts.ts";

const dist = (path: string): string => new URL(`../dist/${path}`, import.meta.url).href;
const LIMIT_MS = 10_000;
const NOBODY = 65534;
const libc = koffi.load(null);
const bind = libc.func("int bind(int, const void *, unsigned int)") as (fd: number, a: Uint8Array, n: number) => number;
const socket = libc.func("int socket(int, int, int)") as (domain: number, type: number, protocol: number) => number;
const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 0o2000003;
const NETLINK_ROUTE = 0;
const NETLINK_CONNECTOR = 11;

/** A netlink socket that is bound to a port of its own. */
function boundSocket(protocol: number): number {
  const fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol);
  assert.is(bind(fd, new Uint8Array(new Uint32Array([AF_NETLINK, 0, 0]).buffer), 12), 0);
  return fd;
}

const { abi } = new Engine(new WebAssembly.Module(releaseWasm));
const elsewhere = process.platform === "linux" ? boundSocket(NETLINK_CONNECTOR) : -1;

if (!enterNetworkNamespace()) {
  test("a socket that is kept needs a privilege to be tested", () => {
    assert.not(/^CapEff:\s*0*1ffffffffff$/m.test(readFileSync("/proc/self/status", "utf8")));
  });
} else {
  // Its process is JavaScript.
  const { SocketKeeper } = (await import(
    dist("node/requests/socket-keeper.js")
  )) as typeof import("../src/node/requests/socket-keeper.ts");
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "dm-ulog-keeper-"));
  const kernel = new PlayedKernel(abi, "LVM-k");
  const hosts = new StartedHosts(folder, kernel.port);
  const inNode = (directory: string) => hosts.inNode(directory);
  const natively = (directory: string) => hosts.natively(directory);
  let directories = 0;

  test.after(() => {
    hosts.killAll();
    kernel.close();
    rmSync(folder, { recursive: true });
  });

  async function until(isSo: () => boolean, what: string): Promise<void> {
    for (const limit = Date.now() + LIMIT_MS; !isSo(); await sleep(10)) if (Date.now() > limit) throw new Error(what);
  }

  const runtimeDirectory = (): string => {
    const directory = join(folder, String(++directories));
    mkdirSync(directory);
    return directory;
  };

  /** Without a server: the processes that hold a socket of the kernel's group. */
  const holders = () => [...holdersOf(new Set(requestSockets().map(({ inode }) => inode))).values()];

  const inSync = async (port: number) => u64At((await kernel.ask(port, "GET_SYNC_COUNT")).data, 0);

  test("killed, it is followed by another with the same socket and the same state, as often as that is", async () => {
    const directory = runtimeDirectory();
    let server = await inNode(directory);
    const { port } = server;
    assert.is((await kernel.ask(port, "CTR", asciiBytes("2000 core 2"))).error, 0);
    assert.is((await kernel.ask(port, "RESUME")).error, 0);
    let keeper: number | undefined;
    for (const region of [0, 1]) {
      assert.is((await kernel.ask(port, "SET_REGION_SYNC", [region, 1])).error, 0);
      await hosts.end(server, "SIGKILL");
      // One that has just started may not have its name yet.
      await until(() => holders().every(isKeeper), "no keeper");
      const [holder, ...others] = holders();
      assert.equal(others, []);
      keeper ??= holder?.pid;
      assert.is(holder?.pid, keeper, "one keeper for all servers");
      // Nobody serves, and the request waits.
      const answer = kernel.ask(port, "GET_SYNC_COUNT");
      await sleep(20);
      server = await inNode(directory);
      assert.is(server.port, port);
      assert.is(u64At((await answer).data, 0), region + 1);
    }
    const descriptors = readdirSync(`/proc/${keeper}/fd`).length;
    assert.ok(descriptors < 30, `a keeper holds nothing else of the server: ${descriptors} descriptors`);
    // Asked to end, it leaves the socket to the next one too, where there are logs.
    await hosts.end(server, "SIGTERM");
    const answer = kernel.ask(port, "GET_SYNC_COUNT");
    server = await inNode(directory);
    assert.is(server.port, port);
    assert.is(u64At((await answer).data, 0), 2);
    assert.is((await kernel.ask(port, "DTR")).error, 0);
    await hosts.end(server, "SIGTERM");
    await until(() => holders().length === 0, "The socket of a server without logs is kept");
    await until(() => !existsSync(join(directory, "keeper")), "A keeper is left");
  });

  const lacking = missingForAppliance();
  if (lacking !== undefined) console.log(`Not with the native host: ${lacking}.`);
  else
    test("each host goes on with the socket that the other's keeper has", async () => {
      const directory = runtimeDirectory();
      const first = await inNode(directory);
      await hosts.end(first, "SIGKILL");
      const second = await natively(directory);
      assert.is(second.port, first.port);
      await hosts.end(second, "SIGTERM");
      await until(() => holders().length === 0, "the keeper of Node.js does not obey the native host");
      const third = await natively(directory);
      assert.is((await kernel.ask(third.port, "CTR", asciiBytes("2000 core 2"))).error, 0);
      await hosts.end(third, "SIGKILL");
      const fourth = await inNode(directory);
      assert.is(fourth.port, third.port);
      assert.is(await inSync(fourth.port), 0);
      await hosts.end(fourth, "SIGTERM");
      const fifth = await natively(directory);
      assert.is(fifth.port, third.port, "left by a server that was asked to end");
      await hosts.end(fifth, "SIGTERM");
      const sixth = await inNode(directory);
      assert.is(sixth.port, third.port, "left by a server that was asked to end");
      assert.is((await kernel.ask(sixth.port, "DTR")).error, 0);
      await hosts.end(sixth, "SIGTERM");
      await until(() => holders().length === 0, "the native keeper does not obey the host in Node.js");
    });

  test("a keeper ends when another server has a socket of its own, and leaves the name of another keeper alone", async () => {
    const directory = runtimeDirectory();
    const server = await inNode(directory);
    await hosts.end(server, "SIGKILL");
    assert.is(holders().length, 1);
    rmSync(join(directory, "keeper"));
    writeFileSync(join(directory, "keeper"), "of another");
    const other = new ConnectorPeer(91, 65536);
    other.join(false);
    await until(() => !holders().some(isKeeper), "It is still there");
    assert.ok(existsSync(join(directory, "keeper")));
    other.close();
  });

  for (const [host, begin] of Object.entries({ inNode, ...(lacking === undefined && { natively }) })) {
    test(`a keeper that ends has what waits in its socket asked for anew: ${host}`, async () => {
      const directory = runtimeDirectory();
      const server = await begin(directory);
      await hosts.end(server, "SIGKILL");
      kernel.askedAgain.length = 0;
      const asked = [kernel.tell(server.port, "GET_SYNC_COUNT"), kernel.tell(server.port, "FLUSH")];
      const other = new ConnectorPeer(91, 65536);
      other.join(false);
      await until(() => asked.every((seq) => kernel.askedAgain.includes(seq)), "Nobody asks for them");
      await until(() => !holders().some(isKeeper), "It is still there");
      other.close();
    });
  }

  const told: string[] = [];
  /** A server's part, played by this process. */
  const played = (directory: string, more: Partial<SocketKeeperOptions> = {}) =>
    new SocketKeeper({
      runtimeDirectory: directory,
      manager: undefined,
      environment: {},
      log: (s) => told.push(s),
      ...more,
    });
  const holderOf = (inode: string) => holdersOf(new Set([inode])).get(inode) ?? null;

  test("without a server the socket is kept for a time, and with one for as long as that lives", async () => {
    const directory = runtimeDirectory();
    const first = played(directory, { withoutServerMs: 300 });
    const descriptor = boundSocket(NETLINK_CONNECTOR);
    const { inode = "" } = connectorSocketOf(descriptor) ?? {};
    first.keep(descriptor);
    closeDescriptor(descriptor);
    await until(() => isKeeper(holderOf(inode)), "No keeper has it");
    await sleep(600);
    first.disconnect();
    const second = played(directory);
    const taken = second.take() as number;
    assert.is(connectorSocketOf(taken)?.inode, inode, "the first one lived");
    second.keep(taken);
    closeDescriptor(taken);
    await sleep(600);
    assert.ok(isKeeper(holderOf(inode)), "the second one lives");
    const leftMs = Date.now();
    second.disconnect();
    await until(() => holderOf(inode) === null, "It is kept for ever");
    assert.ok(Date.now() - leftMs >= 290, `after ${Date.now() - leftMs} ms`);
    assert.is(played(directory).take(), undefined);
    assert.equal(told, []);
  });

  test("a wrong descriptor is refused, and so is a keeper that hangs or is another user's", () => {
    const wrong = [boundSocket(NETLINK_ROUTE), elsewhere, unixDatagramSocket(), openSync("/dev/null", "r")];
    for (const descriptor of wrong) {
      const directory = runtimeDirectory();
      const before = played(directory);
      before.keep(descriptor);
      const open = readdirSync("/proc/self/fd").length;
      assert.is(played(directory).take(), undefined, String(descriptor));
      assert.is(readdirSync("/proc/self/fd").length, open, "what was refused is closed");
      before.letGo();
    }
    const directory = runtimeDirectory();
    const path = join(directory, "keeper");
    closeDescriptor(listenForPackets(path));
    assert.is(played(directory).take(), undefined, "a name that a keeper left");
    rmSync(path);
    let listener = listenForPackets(path);
    let fromMs = Date.now();
    assert.is(played(directory).take(), undefined, "nobody answers");
    const waitedMs = Date.now() - fromMs;
    assert.ok(waitedMs >= 900 && waitedMs < 3000, `after ${waitedMs} ms`);
    closeDescriptor(listener);
    rmSync(path);

    chmodSync(folder, 0o777);
    chmodSync(directory, 0o777);
    process.seteuid?.(NOBODY);
    listener = listenForPackets(path);
    process.seteuid?.(0);
    fromMs = Date.now();
    assert.is(played(directory).take(), undefined, "of another user");
    assert.ok(Date.now() - fromMs < 500, "it was asked for nothing");
    closeDescriptor(listener);
    assert.equal(told, []);
  });

  test("what cannot be kept is told, and nothing else comes of it", async () => {
    const directory = runtimeDirectory();
    mkdirSync(join(directory, "keeper", "full"), { recursive: true });
    const server = await inNode(directory);
    assert.match(server.said(), /Nothing keeps the server's socket \(.*keeper.*\): if this server dies/);
    await hosts.end(server, "SIGTERM");
  });

  test("systemd is given the socket, passes it on, and gives it back at the end", async () => {
    const name = `@dm-ulog-store-${process.pid}`;
    const store = new NotifySocket(name);
    const environment = { NOTIFY_SOCKET: name };
    const descriptor = boundSocket(NETLINK_CONNECTOR);
    const { inode } = connectorSocketOf(descriptor) ?? {};
    const manager = ServiceManager.find(environment);
    const server = played(runtimeDirectory(), { manager });
    server.keep(descriptor);
    assert.is(store.next(), "FDSTOREREMOVE=1\nFDNAME=netlink", "an older one is not passed on");
    const stored = receiveDescriptor(store.fd);
    assert.is(connectorSocketOf(stored)?.inode, inode);
    server.keep(descriptor);
    store.next();
    assert.is(store.next(), "FDSTORE=1\nFDNAME=netlink\nFDPOLL=0");
    server.letGo();
    assert.is(store.next(), "FDSTOREREMOVE=1\nFDNAME=netlink");
    assert.equal(readdirSync(join(folder, String(directories))), [], "and no process keeps it too");

    // Passed with others, of which one is another socket, and one no socket at all.
    const program = `
      import { SocketKeeper } from ${JSON.stringify(dist("node/requests/socket-keeper.js"))};
      import { connectorSocketOf } from ${JSON.stringify(dist("node/requests/netlink-sockets.js"))};
      import { existsSync } from "node:fs";
      const { env: environment } = process;
      const taken = new SocketKeeper({ runtimeDirectory: "/nowhere", environment, log: console.log }).take();
      const open = [3, 4, 5].map((fd) => existsSync("/proc/self/fd/" + fd));
      console.log(JSON.stringify([taken, connectorSocketOf(taken)?.inode, open, environment.LISTEN_FDS]));`;
    const passed = (pid: string) =>
      spawnSync(
        "sh",
        [
          "-c",
          `LISTEN_PID=${pid} LISTEN_FDS=3 exec "$@"`,
          "sh",
          process.execPath,
          "--input-type=module",
          "--eval",
          program,
        ],
        {
          stdio: ["ignore", "pipe", "inherit", store.fd, stored, openSync("/dev/null", "r")],
          encoding: "utf8",
        },
      ).stdout.trim();
    assert.is(passed("$$"), JSON.stringify([4, inode, [false, true, true], null]));
    assert.match(passed("1"), /^\[null,null,\[true,true,true\]/);
    for (const count of ["-1", "1e9", "", "two"])
      assert.equal(passedDescriptors({ LISTEN_PID: "7", LISTEN_FDS: count }, 7), []);
  });
}

test.run();
