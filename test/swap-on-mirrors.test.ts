// Swap on mirrors that a server keeps the log of, found through whatever lies between.

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { TableLine } from "../src/node/devices/device-mapper.ts";
import { swapOnMirrors } from "../src/node/devices/swap-on-mirrors.ts";
import { FakeMachine } from "./fake-machine.ts";

const line = (name: string, text: string, type = "mirror"): TableLine => ({
  name,
  type,
  text,
  lengthSectors: 1,
  isLive: true,
  isSuspended: false,
});
const TABLES = [
  line("served", "userspace 3 U clustered-core 64 2 8:0 0 8:16 0 1 handle_errors"),
  line("kernels", "core 1 64 2 8:0 0 8:16 0 1 handle_errors"),
  line("volume", "253:0 0", "linear"),
];

function machine(): FakeMachine {
  return new FakeMachine()
    .disk("sda", "8:0")
    .disk("sdb", "8:16")
    .mapping("dm-0", "253:0", ["sda", "sdb"], { "dm/name": "served" })
    .mapping("dm-1", "253:1", ["dm-0"], { "dm/name": "volume" })
    .mapping("dm-2", "253:2", ["sda", "sdb"], { "dm/name": "kernels" });
}

test("swap on the mirror, on a volume on it, and in a file on that", () => {
  const found = machine();
  found.swap("/dev/dm-0");
  assert.equal(swapOnMirrors(found, TABLES), ["served"]);
  found.swap("/dev/dm-1");
  assert.equal(swapOnMirrors(found, TABLES), ["served"]);
  // st_dev of 253:1.
  found.file("/home/swapfile", `${(253 << 8) | 1}:77`);
  found.swap("/home/swapfile");
  assert.equal(swapOnMirrors(found, TABLES), ["served"]);
});

test("swap on a partition of a RAID on the mirror", () => {
  const found = machine().mapping("md0", "9:0", ["dm-0"]).partition("md0p1", "259:0", "md0");
  found.swap("/dev/md0p1");
  assert.equal(swapOnMirrors(found, TABLES), ["served"]);
});

test("swap elsewhere, and no swap", () => {
  const found = machine();
  assert.equal(swapOnMirrors(found, TABLES), []);
  found.swap("/dev/sdb");
  assert.equal(swapOnMirrors(found, TABLES), [], "a leg alone is not the mirror");
  found.swap("/dev/dm-2");
  assert.equal(swapOnMirrors(found, TABLES), [], "the kernel keeps that log itself");
  found.swap("/dev/dm-0");
  assert.equal(swapOnMirrors(found, []), [], "no mirror has a userspace log");
});

test.run();
