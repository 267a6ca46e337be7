// udev's rules for the legs of mirrors: which devices they name, when they are written, and what udev makes of them.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keepLegRules, legRules } from "../src/node/mirrors/leg-rules.ts";
import { formatMirrorFile, type MirrorFile, parseMirrorFile } from "../src/node/mirrors/mirror-file.ts";

interface Context {
  folder: string;
  udev: { mirrorsDir: string; whereUdevRuns: string; rules: string };
  path: string | undefined;
}

const test = suite<Context>("leg-rules");

/** udev runs here, for the functions under test, and udevadm writes down its words. */
test.before.each((context) => {
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-rules-"));
  context.folder = folder;
  context.udev = { mirrorsDir: folder, whereUdevRuns: folder, rules: join(folder, "61-legs.rules") };
  writeFileSync(join(folder, "udevadm"), `#!/bin/sh\necho "$@" >> ${folder}/words\n`, { mode: 0o755 });
  context.path = process.env.PATH;
  process.env.PATH = `${folder}:${context.path}`;
});

test.after.each(({ folder, path }) => {
  process.env.PATH = path;
  rmSync(folder, { recursive: true });
});

function mirrorOf(...legs: string[]): MirrorFile {
  return parseMirrorFile("m.toml", `uuid = "u"\nlegs = ${JSON.stringify(legs)}\nsize = "1M"\n`);
}

function declare({ folder }: Context, name: string, ...legs: string[]): void {
  writeFileSync(join(folder, `${name}.toml`), formatMirrorFile(name, mirrorOf(...legs)));
}

function words({ folder }: Context): string {
  const path = join(folder, "words");
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  rmSync(path, { force: true });
  return text;
}

function rulesOf(...legs: string[]): string {
  return legRules([{ name: "m", path: "m.toml", mirror: mirrorOf(...legs) }]);
}

test("a leg is told by its name in /dev, as the kernel's and as a link", () => {
  const rules = rulesOf("/dev/disk/by-id/ata-A:8m", "/dev/sdb");
  for (const name of ["disk/by-id/ata-A:8m", "disk/by-id/ata-A", "sdb"]) {
    for (const key of ["KERNEL", "SYMLINK"])
      assert.ok(rules.includes(`\n${key}=="${name}", ENV{DM_ULOG_LEG_OF}="m"\n`), name);
  }
});

test("a file, a device without a name, and a name that udev would take for a pattern have no rule", () => {
  assert.is(rulesOf("/srv/leg", "8:16", "/dev/s*", '/dev/"', "/dev/[a]", "/dev/a|b"), "");
  assert.is(legRules([]), "");
});

test("udev is told of legs that come and go, once", async (context) => {
  const { folder, udev } = context;
  declare(context, "one", "/dev/null", "/dev/not-there");
  assert.is(await keepLegRules(folder, udev), undefined);
  assert.is(words(context), "control --reload\ntrigger --settle /dev/null\n");
  assert.is(await keepLegRules(folder, udev), undefined);
  assert.is(words(context), "");
  declare(context, "two", "/dev/zero", "/dev/not-there-2");
  rmSync(join(folder, "one.toml"));
  await keepLegRules(folder, udev);
  assert.is(words(context), "control --reload\ntrigger --settle /dev/null /dev/zero\n");
  assert.match(readFileSync(udev.rules, "utf8"), /^KERNEL=="zero", ENV\{DM_ULOG_LEG_OF\}="two"$/m);
  rmSync(join(folder, "two.toml"));
  await keepLegRules(folder, udev);
  assert.is(words(context), "control --reload\ntrigger --settle /dev/zero\n");
  assert.is(existsSync(udev.rules), false);
});

test("a mirror whose file is wrong costs no other one its rules", async (context) => {
  declare(context, "good", "/dev/null", "/dev/zero");
  writeFileSync(join(context.folder, "bad.toml"), "legs = 3\n");
  assert.is(await keepLegRules(context.folder, context.udev), undefined);
  assert.match(readFileSync(context.udev.rules, "utf8"), /="good"$/m);
});

test("without udev, and for mirrors declared elsewhere, nothing is written; what fails is a sentence", async (context) => {
  const { folder, udev } = context;
  declare(context, "m", "/dev/null", "/dev/zero");
  assert.is(await keepLegRules(folder, { ...udev, whereUdevRuns: "/nowhere" }), undefined);
  assert.is(await keepLegRules(folder, { ...udev, mirrorsDir: "/nowhere" }), undefined);
  assert.is(words(context), "");
  const problem = await keepLegRules(folder, { ...udev, rules: "/proc/rules" });
  assert.match(
    problem ?? "",
    /^udev does not know which devices are legs of mirrors, so none may be mounted by UUID= or LABEL=: /,
  );
});

test.run();
