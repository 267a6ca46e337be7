// State files: what was stored is there after the process was killed, and nothing else is. No privilege needed.

import { type ChildProcess, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { claimRuntimeDirectory } from "../src/node/state/runtime-directory.ts";
import { StateFiles } from "../src/node/state/state-files.ts";
import { killSoon, startProgram } from "./killed-process.ts";

const folders: string[] = [];

/** A place for a state directory, in a runtime directory of its own. */
function folder(): string {
  const made = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "dm-ulog-state-"));
  folders.push(made);
  return join(made, "state");
}

/** What was told of things that were set aside. */
const told: string[] = [];
const HANDLE_COUNT = 4096;

function open(directory: string, bootId?: string): StateFiles {
  const asideFolder = join(directory, "../set-aside");
  const tell = (sentence: string) => told.push(sentence);
  return StateFiles.open(directory, { handleCount: HANDLE_COUNT, asideFolder, tell, ...(bootId && { bootId }) });
}

const words = new BigUint64Array(1024);
const memory = new Uint8Array(words.buffer);

test("a file is locked into memory when it is made, and when it is found", () => {
  const directory = folder();
  const locked = () => {
    const maps = readFileSync("/proc/self/smaps", "utf8");
    const [mapping] = maps.slice(maps.indexOf(`${directory}/3`)).split("VmFlags:");
    return Number(/^Locked: +(\d+) kB$/m.exec(mapping as string)?.[1]);
  };
  const states = open(directory);
  states.create(3, 10_000);
  assert.is(locked(), 12);
  states.close();
  const later = open(directory);
  assert.is(later.list().length, 1);
  assert.is(locked(), 12);
  later.close();
});

test("a file is zeros, then what was written", () => {
  const directory = folder();
  const states = open(directory);
  states.create(7, 10_000);
  words[3] = 0xfff8_0000_dead_beefn; // As a double it would be a NaN, whose bits nobody keeps.
  states.write(7, 4096, memory, 24, 8);
  states.write(7, 9995, memory, 24, 5);
  const file = readFileSync(join(directory, "7"));
  assert.is(file.length, 10_000);
  assert.is(file.readBigUInt64LE(4096), 0xfff8_0000_dead_beefn);
  assert.equal([...file.subarray(9994)], [0, 0xef, 0xbe, 0xad, 0xde, 0]);
  assert.throws(() => states.write(7, 10_000, memory, 24, 8), RangeError);
  assert.throws(() => states.write(7, 9999, memory, 24, 5), RangeError);

  states.create(7, 64);
  assert.equal(readFileSync(join(directory, "7")), Buffer.alloc(64), "made anew: zeros");
  states.delete(7);
  states.delete(7);
  states.write(7, 0, memory, 0, 8);
  assert.equal(readdirSync(directory), ["boot_id"]);
  states.close();
});

test("files come and go without end", () => {
  const states = open(folder());
  words[0] = 5n;
  for (let i = 0; i < 3000; i++) {
    states.create(i % 7, 65536);
    states.write(i % 7, 65528, memory, 0, 8);
    if (i % 3 === 0) states.delete(i % 7);
  }
  states.close();
});

test("what a killed process stored is there, to the last store", async () => {
  const directory = folder();
  for (let round = 0; round < 5; round++) {
    const saidPath = join(folder(), "../said");
    const said = await killSoon(writer(directory, saidPath), saidPath, 100 + round * 37);
    const states = open(directory);
    const kept = states.list();
    assert.equal(
      kept.map(({ handle }) => handle),
      [3],
    );
    const stored = new BigUint64Array(1024);
    new Uint8Array(stored.buffer).set(states.read(3, 0, kept[0]?.sizeBytes ?? 0));
    const last = Math.max(...[0, 1, 2, 3].map((i) => Number(stored[i * 100])));
    assert.ok(said > 0, "it stored something");
    assert.ok(last === said || last === said + 1, `${last} stored, ${said} said`);
    for (let i = 0; i < 4; i++) assert.is(Number(stored[((last - i) % 4) * 100]), last - i, "and each before it");
    states.write(3, 8, memory, 24, 8);
    assert.is(readFileSync(join(directory, "3")).readBigUInt64LE(8), words[3] as bigint, "it is open again");
    states.delete(3);
    states.close();
  }
});

test("what is of another boot or half made is removed and never listed", () => {
  const directory = folder();
  const before = open(directory, "boot 1");
  before.create(1, 4096);
  before.close();
  writeFileSync(join(directory, "2.new"), "half made");
  writeFileSync(join(directory, "3"), "");
  const again = open(directory, "boot 1");
  assert.equal(
    again.list().map(({ handle }) => handle),
    [1],
    "not the half made one, nor an empty one",
  );
  again.close();
  assert.not.ok(existsSync(join(directory, "2.new")));

  const rebooted = open(directory, "boot 2");
  assert.equal(rebooted.list(), []);
  assert.equal(readdirSync(directory), ["boot_id"]);
  rebooted.close();
});

/** What is in the folder beside `directory` where things are set aside. */
function aside(directory: string): string[] {
  const folder = join(directory, "../set-aside");
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

test("what is no file of a server is set aside with a sentence, and all else is restored", () => {
  const directory = folder();
  const before = open(directory, "boot 1");
  for (const handle of [0, 7, 4095]) before.create(handle, 64);
  before.close();
  const odd = ["07", "+7", "4096", "99999999", "notes", ".hidden", "7.new.old", "boot_id~", "1e3", "0x1"];
  for (const name of odd) writeFileSync(join(directory, name), "x");
  const asDirectory = ["1", "2.new", "last_request", "folder"];
  for (const name of asDirectory) mkdirSync(join(directory, name, "below"), { recursive: true });
  symlinkSync(join(directory, "7"), join(directory, "3"));
  assert.is(spawnSync("mkfifo", [join(directory, "4")]).status, 0);
  writeFileSync(join(directory, "5"), "");
  writeFileSync(join(directory, "6"), "");
  truncateSync(join(directory, "6"), 2 ** 41);

  told.length = 0;
  const states = open(directory, "boot 1");
  assert.equal(
    states.list().map(({ handle }) => handle),
    [0, 7, 4095],
  );
  const expected = [...odd, ...asDirectory, "3", "4", "5", "6"].sort();
  assert.equal(aside(directory), expected);
  assert.is(told.length, expected.length);
  for (const name of expected) {
    const sentence = told.find((one) => one.startsWith(`${join(directory, name)} `)) ?? "";
    assert.match(sentence, /was moved to .*set-aside.*Remove it if nobody misses it\.$/, name);
  }
  assert.match(told.join("\n"), /5 cannot be read \(it is empty\), and is taken for lost/);
  states.create(1, 64);
  states.close();
  assert.equal(readdirSync(directory).sort(), ["0", "1", "4095", "7", "boot_id"]);

  mkdirSync(join(directory, "folder"));
  writeFileSync(join(directory, "boot_id"), "boot 0");
  mkdirSync(join(directory, "boot_id.new"));
  told.length = 0;
  const rebooted = open(directory, "boot 2");
  assert.equal(rebooted.list(), []);
  assert.equal(readdirSync(directory), ["boot_id"]);
  assert.is(readFileSync(join(directory, "boot_id"), "utf8"), "boot 2");
  assert.is(told.length, 2);
  assert.ok(aside(directory).includes("folder.1"), "the first one is still there");
  rebooted.close();
});

test("what can be neither removed nor moved away is ignored, and never taken for this boot's", () => {
  const directory = folder();
  const before = open(directory, "boot 1");
  before.create(1, 64);
  before.close();
  if (spawnSync("chattr", ["+i", join(directory, "1")]).status !== 0) return; // Not root, or a file system without it.
  try {
    told.length = 0;
    for (let start = 0; start < 2; start++) {
      const states = open(directory, "boot 2");
      assert.equal(states.list(), [], `start ${start}`);
      states.close();
    }
    assert.match(told.join("\n"), /cannot be removed .*cannot be moved away \(EPERM\): it is ignored\./);
  } finally {
    spawnSync("chattr", ["-i", join(directory, "1")]);
  }
  const states = open(directory, "boot 2");
  assert.equal(readdirSync(directory), ["boot_id"]);
  states.close();
});

test("a file that cannot be removed is thrown with its errno, and is no state any more", () => {
  const directory = folder();
  const states = open(directory);
  states.create(2, 4096);
  states.write(2, 0, memory, 24, 8);
  renameSync(join(directory, "2"), join(directory, "elsewhere"));
  mkdirSync(join(directory, "2"));
  assert.throws(() => states.delete(2));
  assert.equal(readFileSync(join(directory, "elsewhere")).subarray(0, 4096), Buffer.alloc(4096));
  states.close();
});

test("in the runtime directory, a link is set aside, and what it leads to stays as it is", () => {
  const directory = join(folder(), "..");
  const victim = join(directory, "..", "victim");
  writeFileSync(victim, "from grandmother");
  symlinkSync(victim, join(directory, "lock"));
  symlinkSync("/nowhere/at/all", join(directory, "flight-recorder"));
  const sentences = claimRuntimeDirectory(directory);
  assert.is(readFileSync(victim, "utf8"), "from grandmother");
  assert.match(sentences.join("\n"), /\/lock is no regular file/);
  assert.equal(readdirSync(join(directory, "set-aside")).sort(), ["flight-recorder", "lock"]);
});

test("in the runtime directory, what is of another kind than it should be is set aside", () => {
  const directory = join(folder(), "..");
  for (const name of ["lock", "control.sock", "keeper", "flight-recorder", "flight-recorder.lost"])
    mkdirSync(join(directory, name));
  for (const name of ["state", "nodes", "crashes"]) writeFileSync(join(directory, name), "");
  const sentences = claimRuntimeDirectory(directory);
  assert.is(sentences.length, 8);
  assert.match(sentences.join("\n"), /\/state is no directory: it was moved to .*set-aside\/state\./);
  assert.equal(readdirSync(directory).sort(), ["lock", "set-aside"]);
  assert.is(readFileSync(join(directory, "lock"), "utf8"), `${process.pid}\n`);
  assert.throws(() => claimRuntimeDirectory(join(directory, "lock")), /is no directory\. Remove it, or name another/);
});

test("no room: told with its errno, and the server lives on", () => {
  const directory = folder();
  const states = open(directory);
  const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi").default;
  const libc = koffi.load(null);
  const setrlimit = libc.func("int setrlimit(int, const uint64_t *)") as (resource: number, limits: bigint[]) => number;
  const getrlimit = libc.func("int getrlimit(int, _Out_ uint64_t *)") as (resource: number, limits: bigint[]) => number;
  const mount = libc.func("int mount(const char *, const char *, const char *, unsigned long, const char *)");
  const umount = libc.func("int umount(const char *)");
  // A tmpfs of 64 KiB needs CAP_SYS_ADMIN; without it a limit on the size of files stands in.
  const isMounted = mount("tmpfs", directory, "tmpfs", 0, "size=64k") === 0;
  const limits = [0n, 0n];
  if (!isMounted) {
    process.on("SIGXFSZ", () => {});
    getrlimit(1, limits);
    setrlimit(1, [65536n, limits[1] as bigint]);
  }
  let error = 0;
  try {
    states.create(1, 1_000_000);
  } catch (thrown) {
    error = (thrown as NodeJS.ErrnoException).errno ?? 0;
  }
  if (!isMounted) setrlimit(1, limits);
  assert.is(error, isMounted ? -28 : -27, "ENOSPC, or EFBIG");
  assert.equal(
    readdirSync(directory).filter((name) => name !== "boot_id"),
    [],
  );
  states.write(1, 0, memory, 0, 8);
  states.create(2, 4096);
  states.write(2, 0, memory, 24, 8);
  states.close();
  if (isMounted) umount(directory);
});

/** A process that makes file 3 and stores 1, 2, 3 … at four places of it, and after each says the number in `said`. */
function writer(directory: string, said: string): ChildProcess {
  const modulePath = fileURLToPath(new URL("../src/node/state/state-files.ts", import.meta.url));
  const program = `
    import { openSync, writeSync } from "node:fs";
    import { StateFiles } from ${JSON.stringify(modulePath)};
    const options = { handleCount: 4, asideFolder: "/nowhere", tell: console.error };
    const states = StateFiles.open(${JSON.stringify(directory)}, options);
    const said = openSync(${JSON.stringify(said)}, "w");
    states.create(3, 8192);
    const words = new BigUint64Array(1);
    const memory = new Uint8Array(words.buffer);
    for (let i = 1; ; i++) {
      words[0] = BigInt(i);
      states.write(3, (i % 4) * 800, memory, 0, 8);
      writeSync(said, memory, 0, 8, 0);
    }`;
  return startProgram(program);
}

test.after(() => {
  for (const made of folders) rmSync(made, { recursive: true, force: true });
});

test.run();
