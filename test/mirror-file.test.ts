// The files that declare mirrors: what is written is read again, faults are told with their place, changes leave all else as it is.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseMirrorTable } from "../src/node/control/machine.ts";
import { stableName } from "../src/node/devices/stable-names.ts";
import { differences, type WholeMirror } from "../src/node/mirrors/mirror-difference.ts";
import {
  changeMirrorFile,
  formatMirrorFile,
  legsToCopyFromFirst,
  legsUnknownToLog,
  type MirrorFile,
  parseMirrorFile,
} from "../src/node/mirrors/mirror-file.ts";
import {
  checkMirrorName,
  declaredNames,
  deleteDeclared,
  mirrorPath,
  readDeclared,
  writeDeclared,
} from "../src/node/mirrors/mirror-files.ts";
import { FakeMachine } from "./fake-machine.ts";

const USUAL: MirrorFile = {
  uuid: "dm-ulog-1",
  legs: ["/dev/disk/by-id/a", "/dev/disk/by-id/b:2048s"],
  size: "8192s",
  regionSize: "512K",
  logDevice: undefined,
  logType: undefined,
  logLegs: undefined,
  legFailure: "continue",
  integratedFlush: true,
  blockOnError: false,
  spares: [],
  behind: [],
  takeBack: true,
  logFailure: "reopen",
  program: undefined,
};
const UNUSUAL: MirrorFile = {
  ...USUAL,
  logDevice: "/var/lib/a log.bin",
  logType: "disk",
  legFailure: "wait",
  integratedFlush: false,
  blockOnError: true,
  spares: ["/dev/disk/by-id/c"],
  behind: ["/dev/disk/by-id/a"],
  takeBack: false,
  logFailure: "memory",
  program: '/usr/local/bin/tell "me"\\',
};

function faults(text: string): string {
  try {
    return `It is right: ${JSON.stringify(parseMirrorFile("a.toml", text))}`;
  } catch (error) {
    return (error as Error).message;
  }
}

test("what is written is read again", () => {
  for (const mirror of [USUAL, UNUSUAL]) {
    assert.equal(parseMirrorFile("a.toml", formatMirrorFile("a", mirror)), mirror);
  }
  assert.not.match(formatMirrorFile("a", USUAL), /spares|program|take-back|log-device|integrated/);
});

test("each fault is told with its line and column, and all of them at once", () => {
  const text = formatMirrorFile("a", USUAL);
  assert.is(
    faults(
      'uuid = 5\nlegs = ["/dev/a", 7]\nsize = "1G"\n  colour = "red"\nleg-failure = "sometimes"\ntake-back = "true"\n',
    ),
    [
      'a.toml:1:8: uuid must be a text in quotes, such as "512K".',
      'a.toml:2:19: legs must be a list of texts in quotes, such as ["/dev/sda", "/dev/sdb"].',
      'a.toml:4:3: There is no key "colour". The keys are uuid, legs, size, region-size, log-device, log-type, log-legs, leg-failure, ' +
        "integrated-flush, block-on-error, spares, behind, take-back, log-failure, program.",
      'a.toml:5:15: leg-failure must be one of "continue", "wait", "ignore".',
      "a.toml:6:13: take-back must be true or false, without quotes.",
    ].join("\n"),
  );
  assert.is(
    faults(""),
    "a.toml: The key uuid is missing.\na.toml: The key legs is missing.\na.toml: The key size is missing.",
  );
  assert.match(faults(`${text}[monitor]\nspares = []\n`), /^a\.toml:\d+:1: A mirror's file has no tables/);
  assert.match(faults(`${text}uuid = "twice"\n`), /^a\.toml:\d+:1: Defining a key multiple times/);
  assert.match(faults('uuid = "open'), /^a\.toml:1:\d+: Unterminated string/);
  assert.match(faults(`${text}nosync = true\n`), /There is no key "nosync"/);
  assert.match(faults(`${text}__proto__ = "x"\n`), /There is no key "__proto__"/);
  assert.match(faults(`${text}log-device = ""\n`), /log-device must be a text/);
  assert.match(faults(`${text}"log"."device" = "x"\n`), /There is no key "log.device"/);
});

test("a file that contradicts itself is refused, and legs that are behind are never copied from", () => {
  const text = (more: string) => `uuid = "u"\nlegs = ["/dev/a", "/dev/b", "/dev/c"]\nsize = "1G"\n${more}\n`;
  assert.is(faults(text('behind = ["/dev/d"]')), "a.toml: /dev/d stands in behind, and is none of the legs.");
  assert.match(faults(text('behind = ["/dev/b", "/dev/a", "/dev/c"]')), /^a\.toml: Every leg stands in behind/);
  assert.match(faults(text('spares = ["/dev/b"]')), /^a\.toml: \/dev\/b is a leg and a spare/);
  const ordered = (behind: string) => legsToCopyFromFirst(parseMirrorFile("a.toml", text(`behind = ${behind}`)));
  assert.equal(ordered("[]"), ["/dev/a", "/dev/b", "/dev/c"]);
  assert.equal(ordered('["/dev/a"]'), ["/dev/b", "/dev/c", "/dev/a"]);
  assert.equal(ordered('["/dev/b", "/dev/a"]'), ["/dev/c", "/dev/a", "/dev/b"]);
});

test("a change leaves comments and all else as they were", () => {
  const text =
    '# Mine.\nuuid = "u" # of the log\nlegs = [\n  "/dev/a", # old\n  "/dev/b",\n]\nsize = "1G"\nspares = ["/dev/c"]';
  const changed = changeMirrorFile("a.toml", text, { legs: ["/dev/a", "/dev/c"], spares: [], "log-device": "/dev/l" });
  assert.is(
    changed,
    '# Mine.\nuuid = "u" # of the log\nlegs = ["/dev/a", "/dev/c"]\nsize = "1G"\nspares = []\nlog-device = "/dev/l"\n',
  );
  const without = changeMirrorFile("a.toml", changed, { "log-device": null, "log-type": null });
  assert.is(parseMirrorFile("a.toml", without).logDevice, undefined);
  assert.is(parseMirrorFile("a.toml", changeMirrorFile("a.toml", without, { size: "2G" })).size, "2G");
});

test("names fit for device-mapper, a file and a unit", () => {
  for (const name of ["data", "a-b_c.d:e", "7", "a".repeat(118)]) checkMirrorName(name);
  for (const name of ["", ".", "..", "a/b", "-a", ".a", "a b", "a\n", "a\\x2d", "ä", "control", "a".repeat(119)]) {
    assert.throws(() => checkMirrorName(name), /cannot be the name of a mirror/, name);
  }
});

test("the folder: written whole or not at all, listed in order, missing ones told", () => {
  const folder = join(mkdtempSync(join(tmpdir(), "dm-ulog-mirrors-")), "mirrors.d");
  try {
    assert.equal(declaredNames(folder), []);
    for (const name of ["b", "a"]) writeDeclared(mirrorPath(folder, name), formatMirrorFile(name, USUAL));
    writeFileSync(join(folder, "notes.txt"), "");
    assert.equal(declaredNames(folder), ["a", "b"]);
    assert.equal(readdirSync(folder).sort(), ["a.toml", "b.toml", "notes.txt"]);
    assert.equal(readDeclared(folder, "a").mirror, USUAL);
    assert.throws(() => readDeclared(folder, "c"), /No mirror c is declared: there is no .*c\.toml\./);
    assert.throws(() => readDeclared(folder, "../a"), /cannot be the name/);
    // Somebody was cut off before.
    writeFileSync(join(folder, ".a.toml.new"), "half");
    writeDeclared(mirrorPath(folder, "a"), formatMirrorFile("a", UNUSUAL));
    assert.equal(declaredNames(folder), ["a", "b"]);
    assert.match(readFileSync(join(folder, "a.toml"), "utf8"), /log-failure = "memory"/);
    deleteDeclared(mirrorPath(folder, "a"));
    assert.equal(declaredNames(folder), ["b"]);
  } finally {
    rmSync(join(folder, ".."), { recursive: true });
  }
});

test("what differs between a mirror and its file", () => {
  const whole = (text: string, lengthSectors = 8192): WholeMirror => ({
    lengthSectors,
    table: parseMirrorTable(text) as NonNullable<ReturnType<typeof parseMirrorTable>>,
  });
  const names: Record<string, string> = { "/dev/a": "8:0", "/dev/b": "8:16" };
  const identify = (name: string) => names[name] ?? name;
  const live = whole("userspace 4 u integrated_flush clustered-core 64 2 8:0 0 8:16 2048 2 handle_errors keep_log");
  const compare = (text: string, lengthSectors?: number) => differences(live, whole(text, lengthSectors), identify);
  assert.equal(
    compare("userspace 4 u integrated_flush clustered-core 64 2 /dev/a 0 /dev/b 2048 2 keep_log handle_errors"),
    [],
  );
  assert.equal(
    compare("userspace 5 u integrated_flush clustered-core 64 nosync 2 8:0 0 8:16 2048 2 handle_errors keep_log"),
    [],
  );
  assert.equal(
    compare("userspace 5 v clustered-disk /dev/l 128 block_on_error 2 /dev/c 2048 /dev/a 0 1 handle_errors", 4096),
    [
      "UUID of the log: the mirror has u, its file v.",
      "Legs: the mirror has 8:0 8:16 from sector 2048 on, its file /dev/c from sector 2048 on 8:0.",
      "Size: the mirror has 8192 sectors, its file 4096 sectors.",
      "Size of a region: the mirror has 64 sectors, its file 128 sectors.",
      "Log device: the mirror has no log device, its file /dev/l.",
      "Log type: the mirror has clustered-core, its file clustered-disk.",
      "Options of the log: the mirror has integrated_flush, its file block_on_error.",
      "When a leg fails: the mirror has handle_errors keep_log, its file handle_errors.",
    ],
  );
  const kernels = whole("core 1 64 2 8:0 0 8:16 2048 2 handle_errors keep_log");
  assert.match(
    differences(kernels, live, identify).join(" "),
    /the mirror has none, its log is the kernel's own, its file u/,
  );
});

test("the name that stays: by id, the one that people know first; a mapping by its name; none where there is none", () => {
  const machine = new FakeMachine().disk("sda", "8:0").disk("sdb", "8:16");
  const byId = mkdtempSync(join(tmpdir(), "dm-ulog-by-id-"));
  try {
    const device = (name: string, numbers: string) => ({ name, numbers, inode: null, sizeBytes: 1 });
    for (const link of ["wwn-0x5", "ata-DISK_SERIAL", "ata-DISK_SERIAL_1"]) machine.name(join(byId, link), "8:0");
    for (const link of ["wwn-0x5", "ata-DISK_SERIAL_1", "ata-DISK_SERIAL"]) symlinkSync("/dev/null", join(byId, link));
    assert.is(stableName(device("/dev/sda", "8:0"), machine, byId), join(byId, "ata-DISK_SERIAL"));
    assert.is(stableName(device("/dev/sdb", "8:16"), machine, byId), undefined);
    assert.is(stableName(device("/dev/disk/by-path/p", "8:16"), machine, byId), "/dev/disk/by-path/p");
    assert.is(stableName({ ...device("/var/log.bin", ""), numbers: null }, machine, byId), "/var/log.bin");
    mkdirSync(join(machine.sys, "dev/block/8:16/dm"), { recursive: true });
    writeFileSync(join(machine.sys, "dev/block/8:16/dm/name"), "vg-lv\n");
    assert.is(stableName(device("/dev/dm-3", "8:16"), machine, byId), "/dev/mapper/vg-lv");
    assert.is(stableName(device("/dev/sda", "8:0"), machine, "/nowhere"), undefined);
  } finally {
    rmSync(byId, { recursive: true });
    machine.remove();
  }
});

test("a leg that the log has never seen is told apart; a log in memory, or a file without the key, knows all", () => {
  const text = (more: string) => `uuid = "u"\nlegs = ["/dev/a", "/dev/b"]\nsize = "1G"\n${more}`;
  const unknown = (more: string) => legsUnknownToLog(parseMirrorFile("m.toml", text(more)));
  assert.equal(unknown('log-device = "/dev/l"\nlog-legs = ["/dev/a", "/dev/c"]\n'), ["/dev/b"]);
  assert.equal(unknown('log-device = "/dev/l"\nlog-legs = ["/dev/b", "/dev/a"]\n'), []);
  assert.equal(unknown('log-device = "/dev/l"\n'), []);
  assert.equal(unknown('log-legs = ["/dev/c"]\n'), []);
  const made = parseMirrorFile("m.toml", text('log-device = "/dev/l"\nlog-legs = ["/dev/a", "/dev/b"]\n'));
  assert.equal(parseMirrorFile("m.toml", formatMirrorFile("m", made)), made);
});

test.run();
