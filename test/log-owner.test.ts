// Whose log a device holds: a log that another mirror left there is not believed.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, u64At } from "../src/common/kernel-frames.ts";
import { DeviceHost } from "./device-host.ts";
import { debugWasm } from "./harness.ts";

const REGIONS = 128;
const OWNER_OFFSET = 512;
const UUID_OFFSET = OWNER_OFFSET + 8;
const BITS_OFFSET = 1024;
const newEngine = () => new Engine(new WebAssembly.Module(debugWasm));
const device = (made: DeviceHost) => made.devices.get("/dev/log") as Uint8Array;
const ownerOn = (made: DeviceHost) => {
  const text = String.fromCharCode(...device(made).subarray(UUID_OFFSET, BITS_OFFSET));
  return text.slice(0, text.indexOf("\0"));
};

/** A server of its own, which makes a mirror's log on the device, resumes it, and tells how much is in sync. */
function life(bytes: Uint8Array, uuid: string, options = ""): { made: DeviceHost; inSync: number } {
  const made = new DeviceHost(newEngine());
  made.devices.set("/dev/log", bytes);
  assert.is(made.ask("CTR", asciiBytes(`${REGIONS * 1024} disk /dev/log 1024${options}`), uuid).error, 0);
  assert.is(made.ask("RESUME", [], uuid).error, 0);
  return { made, inSync: Number(u64At(made.ask("GET_SYNC_COUNT", [], uuid).data, 0)) };
}

function end({ made }: { made: DeviceHost }, uuid: string): Uint8Array {
  for (const type of ["PRESUSPEND", "POSTSUSPEND", "DTR"] as const) assert.is(made.ask(type, [], uuid).error, 0);
  return device(made);
}

const LONG = `LVM-${"x".repeat(124)}`;

test("the header names the mirror, whose log is believed when it comes back", () => {
  for (const uuid of ["a", "LVM-0123456789", LONG]) {
    const first = life(new Uint8Array(1 << 20), uuid, " nosync");
    assert.is(ownerOn(first.made), uuid);
    const bytes = end(first, uuid);
    const again = life(bytes, uuid);
    assert.is(again.inSync, REGIONS);
    assert.is(again.made.writes.length, 0, "and nothing is written");
  }
});

test("the log of another mirror is not believed, and both are named", () => {
  for (const other of ["LVM-b", "LVM-aa", "LVM-", LONG]) {
    const bytes = end(life(new Uint8Array(1 << 20), "LVM-a", " nosync"), "LVM-a");
    const later = life(bytes, other);
    assert.is(later.inSync, 0);
    assert.is(ownerOn(later.made), other);
    const said = later.made.notices.join("\n");
    assert.match(said, `log ${other} (luid 5): the log device holds the log of another mirror, named next`);
    assert.match(said, "log LVM-a: its log device holds another mirror's log from now on");
    assert.is(life(end(later, other), "LVM-a").inSync, 0, "nor is it believed when the first comes back");
  }
});

test("`nosync` speaks of the legs, whatever the device holds; the bits are those of the new log alone", () => {
  const bytes = end(life(new Uint8Array(1 << 20), "LVM-a"), "LVM-a");
  const later = life(bytes, "LVM-b", " nosync");
  assert.is(later.inSync, REGIONS);
  assert.equal([...device(later.made).subarray(BITS_OFFSET, BITS_OFFSET + 16)], new Array(16).fill(0xff));
});

test("a log that names nobody is believed, and gets a name: the kernel's own, or an earlier server's", () => {
  const bytes = end(life(new Uint8Array(1 << 20), "LVM-a", " nosync"), "LVM-a");
  bytes.fill(0, OWNER_OFFSET, BITS_OFFSET);
  const later = life(bytes, "LVM-b");
  assert.is(later.inSync, REGIONS);
  assert.is(ownerOn(later.made), "LVM-b");
});

test("a name in a form that is not known here is somebody else's", () => {
  const bytes = end(life(new Uint8Array(1 << 20), "LVM-a", " nosync"), "LVM-a");
  bytes[OWNER_OFFSET + 4] = 2;
  assert.is(life(bytes, "LVM-a").inSync, 0);
});

test("a power cut while another mirror's log is replaced leaves a log that nobody believes", () => {
  for (let cut = 0; ; cut++) {
    const bytes = end(life(new Uint8Array(1 << 20), "LVM-a", " nosync"), "LVM-a");
    const made = new DeviceHost(newEngine());
    made.devices.set("/dev/log", bytes);
    made.ask("CTR", asciiBytes(`${REGIONS * 1024} disk /dev/log 1024`), "LVM-b");
    made.request("RESUME", [], "LVM-b");
    for (let i = 0; i < cut && made.pending.length > 0; i++) made.complete();
    const isDone = made.pending.length === 0;
    for (const uuid of ["LVM-b", "LVM-a"]) {
      const said = life(bytes.slice(), uuid).inSync;
      // Of its own mirror the log may be believed until its first byte is written.
      assert.ok(said === 0 || (uuid === "LVM-a" && made.writes.length === 0), `${uuid} after ${cut} steps: ${said}`);
    }
    if (isDone) break;
  }
});

test("a running log whose device was given another's header writes its own again", () => {
  const bytes = end(life(new Uint8Array(1 << 20), "LVM-b"), "LVM-b");
  const { made } = life(new Uint8Array(1 << 20), "LVM-a", " nosync");
  for (const type of ["PRESUSPEND", "POSTSUSPEND"] as const) assert.is(made.ask(type, [], "LVM-a").error, 0);
  device(made).set(bytes);
  assert.is(made.ask("RESUME", [], "LVM-a").error, 0);
  assert.is(Number(u64At(made.ask("GET_SYNC_COUNT", [], "LVM-a").data, 0)), REGIONS, "memory knows more");
  assert.is(ownerOn(made), "LVM-a");
  assert.is(life(end({ made }, "LVM-a"), "LVM-a").inSync, REGIONS);
});

test.run();
