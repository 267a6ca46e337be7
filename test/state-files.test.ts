// State files: what was stored is there after the process was killed, and nothing else is. No privilege needed.

import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { StateFiles } from "../src/node/state-files.ts";
import { killSoon, startProgram } from "./killed-process.ts";

const folders: string[] = [];

function folder(): string {
  const made = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "dm-ulog-state-"));
  folders.push(made);
  return made;
}

const words = new BigUint64Array(1024);
const memory = new Uint8Array(words.buffer);

test("a file is zeros, then what was written", () => {
  const directory = folder();
  const states = StateFiles.open(directory);
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
  const states = StateFiles.open(folder());
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
    const saidPath = join(folder(), "said");
    const said = await killSoon(writer(directory, saidPath), saidPath, 100 + round * 37);
    const states = StateFiles.open(directory);
    const kept = states.list();
    assert.equal(
      kept.map(({ handle }) => handle),
      [3],
    );
    const stored = new BigUint64Array(1024);
    new Uint8Array(stored.buffer).set(kept[0]?.bytes ?? []);
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
  const before = StateFiles.open(directory, "boot 1");
  before.create(1, 4096);
  before.close();
  writeFileSync(join(directory, "2.new"), "half made");
  writeFileSync(join(directory, "3"), "");
  const again = StateFiles.open(directory, "boot 1");
  assert.equal(
    again.list().map(({ handle }) => handle),
    [1],
    "not the half made one, nor an empty one",
  );
  again.close();
  assert.not.ok(existsSync(join(directory, "2.new")));

  const rebooted = StateFiles.open(directory, "boot 2");
  assert.equal(rebooted.list(), []);
  assert.equal(readdirSync(directory), ["boot_id"]);
  rebooted.close();
});

test("no room: told with its errno, and the server lives on", () => {
  const directory = folder();
  const states = StateFiles.open(directory);
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
  const modulePath = fileURLToPath(new URL("../src/node/state-files.ts", import.meta.url));
  const program = `
    import { openSync, writeSync } from "node:fs";
    import { StateFiles } from ${JSON.stringify(modulePath)};
    const states = StateFiles.open(${JSON.stringify(directory)});
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
