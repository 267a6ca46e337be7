// Which logs a server gives up because the kernel has no table of them any more.

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { TableLine } from "../src/node/devices/device-mapper.ts";
import { logUuids } from "../src/node/devices/device-mapper.ts";
import { ForgottenLogs, logsOf, unnamed } from "../src/node/requests/forgotten-logs.ts";
import { Peer, words } from "./harness.ts";

const LINE = { name: "m", isLive: true, type: "mirror" };
const line = (text: string, more: Partial<TableLine> = {}) => ({ ...LINE, text, ...more }) as TableLine;
const LOG = { handle: 0, luid: 7n, uuid: "LVM-a" };

test("the UUIDs of userspace logs are found in tables, and a table that is cut off is no answer", () => {
  const uuids = logUuids([
    line("userspace 4 LVM-a clustered-disk 8:16 1024 2 8:0 0 8:32 0"),
    line("userspace 4 LVM-b integrated_flush clustered-core 1024 2 8:0 0 8:32 0", { isLive: false }),
    line("core 1 1024 2 8:0 0 8:32 0"),
    line("8:0 0", { type: "linear" }),
  ]);
  assert.equal(uuids, ["LVM-a", "LVM-b"]);
  assert.throws(() => logUuids([line("userspace 4")]), /cut off/);
  assert.throws(() => logUuids([line("")]), /cut off/);
});

test("at the start a log that no table names is given up, and no other", () => {
  const other = { ...LOG, handle: 1, uuid: "LVM-b" };
  assert.equal(unnamed([LOG, other], new Set(["LVM-b"])), [LOG]);
});

test("later a log is given up only if no table names it at two looks half a minute apart", () => {
  const forgotten = new ForgottenLogs();
  const none = new Set<string>();
  assert.equal(forgotten.look([LOG], none, 1000), []);
  assert.equal(forgotten.look([LOG], none, 30_999), []);
  assert.equal(forgotten.look([LOG], none, 31_000), [LOG]);
  assert.equal(forgotten.look([LOG], new Set([LOG.uuid]), 32_000), [], "it is named again");
  assert.equal(forgotten.look([LOG], none, 70_000), [], "from then on the time begins anew");
  assert.equal(forgotten.look([{ ...LOG, luid: 8n }], none, 100_000), [], "another luid has a time of its own");
});

test("the logs of an engine are listed as the core knows them, and one that is given up is gone", () => {
  const peer = Peer.resumed(8);
  const { engine } = peer;
  const [log, ...others] = [...logsOf(engine)];
  assert.equal(others, []);
  assert.equal(log, { handle: 0, luid: peer.luid, uuid: peer.uuid });
  engine.forget(0, peer.luid, peer.uuid, 1, { send: () => {}, notice: () => {} });
  assert.equal([...logsOf(engine)], []);
  assert.equal(words.logs(engine), []);
});

test.run();
