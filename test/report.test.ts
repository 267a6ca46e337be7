// dm-ulog report: the archive, by the system's tar; programs that hang or say too much; what must not go in.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { kernelLines, tablesText } from "../src/cli/report-parts.ts";
import { tarOf } from "../src/cli/tar.ts";
import { outputOf } from "../src/node/limited-command.ts";

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dm-ulog-report-"));
test.after(() => rmSync(folder, { recursive: true }));

function extracted(archive: string): string {
  const into = mkdtempSync(join(folder, "extracted-"));
  const { status, stderr } = spawnSync("tar", ["-xf", archive, "-C", into], { encoding: "utf8" });
  assert.equal([status, stderr], [0, ""]);
  return into;
}

test("tar reads what was written: contents of any size, names of any length", () => {
  const contents = [0, 1, 511, 512, 513, 100_000].map((size) => Buffer.alloc(size, size % 251));
  const names = contents.map((content) => `folder/${content.length}`);
  // The pax record's own length has one digit more from some length on.
  for (let length = 85; length < 135; length++) {
    names.push(`folder/${"n".repeat(length)}`);
    contents.push(Buffer.from(String(length)));
  }
  names.push(`folder/${"é".repeat(60)}`);
  contents.push(Buffer.from("not ASCII"));
  const path = join(folder, "all.tar");
  writeFileSync(
    path,
    tarOf(
      names.map((name, i) => ({ name, content: contents[i] as Buffer })),
      new Date(1e12),
    ),
  );
  const into = extracted(path);
  assert.is(readdirSync(join(into, "folder")).length, names.length);
  for (const [i, name] of names.entries()) {
    assert.equal(readFileSync(join(into, name)), contents[i], name);
    assert.is(statSync(join(into, name)).mode & 0o777, 0o600);
    assert.is(statSync(join(into, name)).mtimeMs, 1e12);
  }
});

test("a program that hangs is left behind, one that says too much is cut off, one that is not there is told", async () => {
  const beganMs = performance.now();
  await outputOf("sh", ["-c", "trap '' TERM; sleep 60"], 300).then(
    () => assert.unreachable(),
    ({ message }: Error) => assert.is(message, "sh has not ended within 0.3 s."),
  );
  assert.ok(performance.now() - beganMs < 5000);
  const much = await outputOf("sh", ["-c", "yes"], 20_000);
  assert.is(much.length, 16 * 1024 * 1024 + "\nThe rest is cut off.\n".length);
  assert.is(await outputOf("sh", ["-c", "echo out; echo err >&2; exit 3"], 5000), "out\nerr\n");
  await outputOf("dm-ulog-no-such-program", [], 5000).then(
    () => assert.unreachable(),
    ({ message }: Error) => assert.is(message, "There is no dm-ulog-no-such-program here."),
  );
});

test("a table of another target than a mirror is told by its name alone: that of dm-crypt holds the key", () => {
  const line = { lengthSectors: 8, isLive: true, isSuspended: false };
  const text = tablesText([
    { ...line, name: "secret", type: "crypt", text: "aes-xts-plain64 0123456789abcdef 0 8:0 0" },
    { ...line, name: "m", type: "mirror", text: "core 1 64 2 8:0 0 8:16 0" },
    { ...line, name: "m", type: "mirror", text: "core 1 128 2 8:0 0 8:16 0", isLive: false, isSuspended: true },
  ]);
  assert.is(
    text,
    "secret: 8 crypt\nm: 8 mirror core 1 64 2 8:0 0 8:16 0\n" +
      "m (not live yet, suspended): 8 mirror core 1 128 2 8:0 0 8:16 0\n",
  );
});

test("of the kernel's log only what is about mirrors and errors", () => {
  const text = "[1] usb 1-1: Product: X\n[2] device-mapper: raid1: Mirror read failed\n[3] I/O error, dev sda\n";
  assert.is(kernelLines(text), "[2] device-mapper: raid1: Mirror read failed\n[3] I/O error, dev sda\n");
  assert.match(kernelLines("[1] x"), /no such lines/);
});

test("the server's log is of every unit whose name begins with dm-ulog, and a journal without it is told", () => {
  const programs = join(folder, "programs");
  mkdirSync(programs);
  const journalOf = (name: string, script: string) => {
    writeFileSync(join(programs, "journalctl"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const file = join(folder, `${name}.tar.gz`);
    const env = { ...process.env, PATH: `${programs}:${process.env.PATH}` };
    const words = [
      command,
      "report",
      file,
      "--runtime-dir",
      join(folder, "none"),
      "--mirrors-dir",
      join(folder, "none"),
    ];
    const { stdout, status } = spawnSync(process.execPath, words, { encoding: "utf8", env });
    assert.is(status, 0);
    const [top = ""] = readdirSync(extracted(file));
    const { stdout: text } = spawnSync("tar", ["-xOf", file, `${top}/journal.txt`], { encoding: "utf8" });
    return { text, stdout };
  };
  const there = journalOf("there", 'echo "$@"');
  assert.match(there.text, /^--unit=dm-ulog\* --lines=5000 --no-pager --no-hostname /);
  for (const script of ["echo '-- No entries --'", "echo 'No journal files were found.' >&2", "true"]) {
    const { text, stdout } = journalOf(`none-${script.length}`, script);
    assert.is(text, "");
    assert.match(stdout, /^journal\.txt +The journal has nothing of a unit dm-ulog/m);
  }
});

test("a report of a machine without a server: what is there, and why the rest is not", () => {
  const mirrors = join(folder, "mirrors");
  mkdirSync(mirrors);
  const name = `${"m".repeat(118)}.toml`;
  writeFileSync(join(mirrors, name), 'uuid = "u"\nlegs = ["/dev/gone-a", "/dev/gone-b"]\nsize = "1M"\n');
  const file = join(folder, "report.tar.gz");
  const run = () =>
    spawnSync(
      process.execPath,
      [command, "report", file, "--runtime-dir", join(folder, "none"), "--mirrors-dir", mirrors],
      { encoding: "utf8" },
    );
  const { stdout, stderr, status } = run();
  assert.equal([status, stderr], [0, ""]);
  assert.is(statSync(file).mode & 0o777, 0o600);
  const into = extracted(file);
  const [top = ""] = readdirSync(into);
  const read = (part: string) => readFileSync(join(into, top, part), "utf8");
  assert.ok(stdout.startsWith(read("contents.txt")), "what is said is what is in it");
  for (const part of ["versions.txt", "status.txt", "status.json", "doctor.txt", `declared/${name}`]) {
    assert.match(stdout, new RegExp(`^${part} +[\\d.]+ (bytes|KiB) +\\S`, "m"));
    assert.ok(read(part).length > 0);
  }
  assert.match(stdout, /^flight-recorder\.pcapng +There is nothing in .*no server runs/m);
  assert.match(stdout, /^metrics\.txt +No server answers/m);
  assert.match(stdout, /nothing of the data on the mirrors/);
  assert.match(read("versions.txt"), /^dm-ulog \d+\.\d+\.\d+\n/);
  assert.match(read("status.txt"), /^m{118} +(down|unknown) +1 MiB/m);
  assert.is(JSON.parse(read("status.json")).schemaVersion, 1);

  const hash = () => createHash("sha256").update(readFileSync(file)).digest("hex");
  const before = hash();
  const again = run();
  assert.is(again.status, 1);
  assert.match(again.stderr, /There is a file .* already/);
  assert.is(hash(), before);
});

test.run();
