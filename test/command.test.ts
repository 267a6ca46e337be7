// The dm-ulog command as a person meets it: what it prints, and what it says where something is wrong.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { formatSectors, parseBytes, parseSectors } from "../src/cli/sizes.ts";

/** Fetches whatever has the name: the runner of packages, without --no-install; and our name, which nobody has on a registry. */
const UNSAFE = /\bn[p]x\b(?! --no-install\b)|npm (install|i) (--?\w+ )*dm-[u]log\b/;

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

function run(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [command, ...words], { encoding: "utf8" });
}

test("--help tells the commands, and each command has its own", () => {
  const { stdout, status } = run("--help");
  assert.is(status, 0);
  for (const name of [
    "serve",
    "record",
    "status",
    "table",
    "plan",
    "replay",
    "inspect",
    "trace",
    "view",
    "demo",
    "simulate",
  ]) {
    assert.match(stdout, name);
    const help = run(name, "--help");
    assert.is(help.status, 0);
    assert.match(help.stdout, `Usage: dm-ulog ${name}`);
  }
});

test("a command whose reader has seen enough ends without a complaint", () => {
  for (const words of ["simulate --seeds 40 --events 1000", "completion bash", "demo"]) {
    const line = `"$0" "$1" ${words} | { read line; echo "$line"; }`;
    const { stdout, stderr } = spawnSync("bash", ["-c", line, process.execPath, command], { encoding: "utf8" });
    assert.ok(stdout.length > 1, words);
    assert.is(stderr, "", words);
  }
});

test("a command that does more than tell comes to its end where nobody reads", () => {
  const line = 'set -o pipefail; "$0" "$1" conformance false | true';
  assert.is(spawnSync("bash", ["-c", line, process.execPath, command]).status, 1, "a program that ends at once fails");
});

test("table prints a line for dmsetup", () => {
  const line = run("table", "--uuid", "LVM-x", "--length", "64M", "/dev/a", "/dev/b");
  assert.match(line.stderr, /^dm-ulog: \/dev\/a is not on this machine, so it was not checked\.$/m);
  const keepLog = "2 handle_errors keep_log";
  assert.is(line.stdout, `0 131072 mirror userspace 3 LVM-x clustered-core 1024 2 /dev/a 0 /dev/b 0 ${keepLog}\n`);
  const full = run(
    ...["table", "--uuid", "u", "--length", "2048s", "--region-size", "4K", "--log-type", "core", "--nosync"],
    ...["--integrated-flush", "--block-on-error", "--leg-failure", "wait", "/dev/a:8s", "/dev/b", "/dev/c"],
  );
  assert.is(
    full.stdout,
    "0 2048 mirror userspace 6 u integrated_flush core 8 nosync block_on_error " +
      "3 /dev/a 8 /dev/b 0 /dev/c 0 1 handle_errors\n",
  );
  const disk = run(
    "table",
    "--uuid",
    "u",
    "--length",
    "64M",
    "--log-device",
    "/dev/no-such-log",
    "/dev/a",
    "/dev/b",
  ).stdout;
  assert.match(disk, "mirror userspace 4 u clustered-disk /dev/no-such-log 1024 2 /dev/a 0 /dev/b 0 2 handle_errors");
  const random = run("table", "--length", "64M", "--leg-failure", "ignore", "/dev/a", "/dev/b").stdout;
  assert.match(random, /userspace 3 dm-ulog-[0-9a-f-]{36} clustered-core 1024 2 \/dev\/a 0 \/dev\/b 0\n$/);
});

test("table refuses what no mirror can be, with a sentence", () => {
  for (const [words, sentence] of [
    [["--length", "64M", "/dev/a"], /at least two legs/],
    [["/dev/no-such-a", "/dev/no-such-b"], /no block device here/],
    [["--length", "64M", "--region-size", "3M", "/dev/a", "/dev/b"], /region size 6144 is not a power of two/],
    [["--length", "1M", "--region-size", "2M", "/dev/a", "/dev/b"], /region size 4096/],
    [["--length", "big", "/dev/a", "/dev/b"], /"big" is not a size/],
    [["--length", "64M", "--sync", "--nosync", "/dev/a", "/dev/b"], /option/],
    [["--length", "64M", "--log-type", "core2", "/dev/a", "/dev/b"], /log type/],
    [["--length", "64M", "--log-type", "disk", "/dev/a", "/dev/b"], /do not go together/],
    [["--length", "64M", "--log-device", "/dev/l", "--region-size", "3M", "/dev/a", "/dev/b"], /region size 6144/],
    [["--length", "64M", "--uuid", "two words", "/dev/a", "/dev/b"], /without spaces/],
    [
      ["--length", "64M", "--leg-failure", "keep_log", "/dev/a", "/dev/b"],
      /Allowed choices are continue, wait, ignore/,
    ],
    [["--length", "64M", "a", "/dev/b"], /Leg "a" is neither a whole path/],
    [["--length", "64M", "/dev/null", "/dev/b"], /neither a block device nor a file/],
  ] as const) {
    const result = run("table", ...words);
    assert.is(result.status, 1);
    assert.is(result.stdout, "");
    assert.match(result.stderr, sentence);
  }
});

test("table --help says what each choice means when a leg fails", () => {
  const { stdout } = run("table", "--help");
  for (const sentence of [
    /continue\s+Writes complete on the remaining legs/,
    /wait\s+Writes wait until a daemon, dmeventd, or an administrator/,
    /ignore\s+Writes count as done although a leg missed them/,
    /--force\s+print the line even if/,
  ]) {
    assert.match(stdout, sentence);
  }
});

test("no text says to run a package by a name that is not installed: whoever owns it on a registry would run as root", () => {
  const root = fileURLToPath(new URL("../", import.meta.url));
  const folders = new Set(["node_modules", "dist", ".git"]);
  const texts = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(md|ts|js|json|lua|service|html|c|h|sh)$|^init$|^run$/.test(entry.name))
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter(
      (path) =>
        !relative(root, path)
          .split(sep)
          .some((part) => folders.has(part)),
    );
  assert.ok(texts.length > 200, `${texts.length} files were looked at`);
  const unsafe = texts.flatMap((path) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => UNSAFE.test(line))
      .map((line) => `${relative(root, path)}: ${line.trim()}`),
  );
  assert.equal(unsafe, []);
  const [runner, installer] = [["n", "px"].join(""), ["npm install --global dm", "ulog"].join("-")];
  for (const line of [
    `npm i ${installer.split(" ").at(-1)}`,
    `sudo ${runner} dm-ulog serve`,
    `${runner} dm-ulog view`,
    `${runner} -y x`,
    `sudo ${installer}`,
  ]) {
    assert.ok(UNSAFE.test(line), line);
  }
  for (const line of [`${runner} --no-install dm-ulog`, `npm install --global ./dm-ulog-0.1.0.tgz`]) {
    assert.ok(!UNSAFE.test(line), line);
  }
});

test("status without a server says how to start one", () => {
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-test-"));
  try {
    const result = run("status", "--runtime-dir", folder);
    assert.is(result.status, 1);
    assert.match(result.stderr, /No server answers .* sudo dm-ulog serve/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("record without a server says how to start one", () => {
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-test-"));
  try {
    for (const words of [["FILE"], ["--stop"], ["--save", "FILE"]]) {
      const result = run("record", ...words, "--runtime-dir", folder);
      assert.is(result.status, 1);
      assert.match(result.stderr, /No server answers .* sudo dm-ulog serve/);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("view serves the page, on a trace where one is named, and ends when it is told to", async () => {
  const file = fileURLToPath(new URL("traces/two-logs.pcapng", import.meta.url));
  const child = spawn(process.execPath, [command, "view", file], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const url = new URL(/http:\S+/.exec(line.toString())?.[0] as string);
  assert.is(url.hostname, "127.0.0.1");
  assert.match(await (await fetch(new URL("/", url))).text(), "<title>dm-ulog");
  const path = new URLSearchParams(url.hash.slice(1)).get("trace") as string;
  const trace = await fetch(new URL(path, url));
  assert.equal(Buffer.from(await trace.arrayBuffer()), readFileSync(file));
  assert.is((await fetch(new URL(path, url), { headers: { origin: "http://evil.example" } })).status, 403);
  assert.is((await fetch(new URL("live.pcapng", url))).status, 404);
  const exited = once(child, "exit");
  child.kill("SIGINT");
  assert.equal(await exited, [0, null]);
});

test("view refuses what is no trace, and a port that is taken, with a sentence", async () => {
  const none = run("view", fileURLToPath(import.meta.url));
  assert.is(none.status, 1);
  assert.match(none.stderr, /not a trace of dm-ulog/);
  assert.match(run("view", "/no/such/file").stderr, /ENOENT/);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  assert.match(run("view", "--port", String(port)).stderr, /is taken. Name another one/);
  taken.close();
});

test("the demonstration ends by itself without a terminal, and says how to see it", () => {
  const { status, stdout } = run("demo");
  assert.is(status, 0);
  assert.match(stdout, /in a browser: dm-ulog view\n$/);
  const figure = (words: string) => {
    const digits = new RegExp(`^ *([\\d,]+)  ${words}$`, "m").exec(stdout)?.[1];
    return Number(digits?.replaceAll(",", ""));
  };
  assert.ok(figure("while it resyncs") > 0.7 * figure("once it is in sync"));
  assert.ok(figure("while it resyncs, with cmirrord's answer to IS_REMOTE_RECOVERING") < 100);
});

test("simulate runs a core of one's own, and refuses what is none", () => {
  const built = fileURLToPath(new URL("../dist/dm-ulog.debug.wasm", import.meta.url));
  const own = run("simulate", "--core", built, "--events", "500");
  assert.is(own.status, 0);
  assert.match(own.stdout, /No violation\.\n$/);
  assert.is(/digest \w+/.exec(own.stdout)?.[0], /digest \w+/.exec(run("simulate", "--events", "500").stdout)?.[0]);
  // An empty module: the eight bytes that each begins with.
  const foreign = join(mkdtempSync(join(tmpdir(), "dm-ulog-core-")), "foreign.wasm");
  writeFileSync(foreign, Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  for (const [core, sentence] of [
    [foreign, /foreign\.wasm cannot be used as a core: The module is not a dm-ulog core: it does not export/],
    [command, /main\.js cannot be used as a core: /],
    ["debgu", /debgu cannot be used as a core: ENOENT/],
  ] as const) {
    const { status, stderr } = run("simulate", "--core", core, "--events", "500");
    assert.is(status, 1);
    assert.match(stderr, sentence);
  }
  rmSync(dirname(foreign), { recursive: true });
});

test("a wrong word is answered with where to read on", () => {
  const result = run("srve");
  assert.is(result.status, 1);
  assert.match(result.stderr, /unknown command/);
  assert.match(run("simulate", "--events", "many").stderr, /whole number/);
  assert.match(run("serve", "--quiet-time", "0").stderr, /from 1 to/);
  assert.match(run("serve", "--block-size", "5000").stderr, /one of those sizes/);
  assert.match(run("serve", "--flight-recorder", "1K").stderr, /Give 0, or a size from 1M to 1G/);
  assert.match(run("serve", "--record-size", "big").stderr, /"big" is not a size/);
  assert.match(run("serve", "--view", "65536").stderr, /a whole number up to 65535/);
  assert.match(run("serve", "--view-address", "example.org").stderr, /Give an IP address/);
  assert.match(run("record").stderr, /a FILE to record to, --stop, or --save FILE/);
  assert.match(run("record", "FILE", "--stop").stderr, /Give one of these/);
});

test("sizes as people write them", () => {
  for (const [text, sectors] of [
    ["1024", 1024],
    ["1024s", 1024],
    ["512K", 1024],
    ["2MiB", 4096],
    ["1g", 2 ** 21],
    ["20T", 20 * 2 ** 31],
  ] as const) {
    assert.is(parseSectors(text, "Size"), sectors);
  }
  for (const text of ["", "0", "-1", "1.5M", "1X", "M", "99999999999999T"]) {
    assert.throws(() => parseSectors(text, "Size"), /is not a size/);
  }
  assert.is(formatSectors(1024), "512 KiB");
  assert.is(formatSectors(3), "3 sectors");
  assert.is(formatSectors(20 * 2 ** 31), "20 TiB");
  assert.equal(
    ["0", "1000", "2s", "1M"].map((text) => parseBytes(text, "Size")),
    [0, 1000, 1024, 1048576],
  );
});

test.run();
