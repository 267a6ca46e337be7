// The systemd unit of a mirror: its name, whom systemd is told of, and what to type where it is not installed.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  disableUnit,
  enableMonitor,
  enableUnit,
  MIRROR_UNIT,
  MONITOR_UNIT,
  type System,
  startUnits,
  stopUnits,
  unitOf,
} from "../src/cli/mirror-units.ts";
import { MIRRORS_DIRECTORY_DEFAULT } from "../src/node/mirrors/mirror-files.ts";

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

interface Context {
  folder: string;
  system: System;
  path: string | undefined;
}

const test = suite<Context>("mirror-units");

/** systemd runs here, for the functions under test, and systemctl writes down its words. */
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), "dm-ulog-units-"));
  context.system = { whereSystemdRuns: context.folder, unitFolders: ["/nowhere", join(context.folder, "units")] };
  mkdirSync(join(context.folder, "units"));
  writeFileSync(join(context.folder, "units", MIRROR_UNIT), "");
  systemctl(context, `echo "$@" >> ${context.folder}/words`);
  context.path = process.env.PATH;
  process.env.PATH = `${context.folder}:${context.path}`;
});

test.after.each((context) => {
  process.env.PATH = context.path;
  delete process.env.DM_ULOG_UNIT;
  rmSync(context.folder, { recursive: true });
});

function systemctl({ folder }: Context, script: string): void {
  writeFileSync(join(folder, "systemctl"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

function words({ folder }: Context): string {
  try {
    return readFileSync(join(folder, "words"), "utf8");
  } catch {
    return "";
  }
}

test("the unit's name is escaped as systemd does", () => {
  const escapes: [name: string, unit: string][] = [
    ["data", "dm-ulog-mirror@data.service"],
    ["my-data", "dm-ulog-mirror@my\\x2ddata.service"],
    ["a-b--c.d:e_F9", "dm-ulog-mirror@a\\x2db\\x2d\\x2dc.d:e_F9.service"],
  ];
  for (const [name, unit] of escapes) {
    assert.is(unitOf(name), unit);
    const { stdout, error } = spawnSync("systemd-escape", [`--template=${MIRROR_UNIT}`, name], { encoding: "utf8" });
    if (error === undefined) assert.is(stdout.trimEnd(), unit);
  }
});

test("systemd is told of what create, up, down and remove do", async (context) => {
  const { system } = context;
  assert.match(await enableUnit("my-data", MIRRORS_DIRECTORY_DEFAULT, system), /^systemd brings it up at boot: /);
  assert.is(await startUnits(["a", "b"], MIRRORS_DIRECTORY_DEFAULT, system), undefined);
  assert.is(await stopUnits(["a"], MIRRORS_DIRECTORY_DEFAULT, system), undefined);
  assert.is(await disableUnit("my-data", MIRRORS_DIRECTORY_DEFAULT, system), undefined);
  assert.is(
    words(context),
    "enable --now dm-ulog-mirror@my\\x2ddata.service\n" +
      "start dm-ulog-mirror@a.service dm-ulog-mirror@b.service\n" +
      "stop dm-ulog-mirror@a.service\n" +
      "disable --now dm-ulog-mirror@my\\x2ddata.service\n",
  );
});

test("the first mirror has the monitor enabled; later ones say where nothing watches them", async (context) => {
  const { folder, system } = context;
  const enable = (isFirst: boolean) => enableMonitor(isFirst, MIRRORS_DIRECTORY_DEFAULT, system);
  assert.match(
    (await enable(true)) ?? "",
    /dm-ulog unit --monitor \| sudo tee .*\n.* enable --now dm-ulog-monitor\.service$/,
  );
  writeFileSync(join(folder, "units", MONITOR_UNIT), "");
  systemctl(context, `echo "$@" >> ${folder}/words; test $1 != is-enabled`);
  assert.is(
    await enable(false),
    "Nothing watches it. To have it watched, type: sudo systemctl enable --now dm-ulog-monitor.service",
  );
  assert.is(await enable(true), "systemd has it watched: dm-ulog-monitor.service");
  const asked = "is-enabled --quiet dm-ulog-monitor.service\n";
  assert.is(words(context), `${asked}${asked}enable --now dm-ulog-monitor.service\n`);
  systemctl(context, "exit 0");
  assert.is(await enable(true), undefined);
  assert.is(await enableMonitor(true, "/elsewhere", system), undefined);
});

test("systemd is not told what it does itself, nor of nothing, nor of mirrors that the unit would not find", async (context) => {
  const { system } = context;
  await startUnits([], MIRRORS_DIRECTORY_DEFAULT, system);
  await startUnits(["a"], "/elsewhere", system);
  assert.match(await enableUnit("a", "/elsewhere", system), /its file is not in \/etc\/dm-ulog\/mirrors\.d\.$/);
  process.env.DM_ULOG_UNIT = "dm-ulog-mirror@a.service";
  await startUnits(["a"], MIRRORS_DIRECTORY_DEFAULT, system);
  await stopUnits(["a"], MIRRORS_DIRECTORY_DEFAULT, system);
  assert.is(words(context), "");
});

test("without systemd or without the unit nobody is told, and create says what to type", async (context) => {
  const noSystemd = { ...context.system, whereSystemdRuns: "/nowhere" };
  const noUnit = { ...context.system, unitFolders: ["/nowhere"] };
  for (const system of [noSystemd, noUnit]) {
    assert.is(await startUnits(["a"], MIRRORS_DIRECTORY_DEFAULT, system), undefined);
    assert.is(await disableUnit("a", MIRRORS_DIRECTORY_DEFAULT, system), undefined);
  }
  assert.match(await enableUnit("a", MIRRORS_DIRECTORY_DEFAULT, noSystemd), /At boot, type: dm-ulog up a$/);
  const sentence = await enableUnit("a-b", MIRRORS_DIRECTORY_DEFAULT, noUnit);
  assert.match(sentence, /dm-ulog unit --mirrors \| sudo tee \/etc\/systemd\/system\/dm-ulog-mirror@\.service/);
  assert.match(sentence, /systemctl enable --now 'dm-ulog-mirror@a\\x2db\.service'$/);
  assert.is(words(context), "");
});

test("what systemd refuses is passed on", async (context) => {
  systemctl(context, "echo 'Failed to enable unit: Read-only file system' >&2; exit 1");
  const problem = "has failed: Failed to enable unit: Read-only file system";
  const { system } = context;
  assert.ok((await enableUnit("a", MIRRORS_DIRECTORY_DEFAULT, system)).endsWith(problem));
  assert.ok((await stopUnits(["a"], MIRRORS_DIRECTORY_DEFAULT, system))?.endsWith(problem));
  rmSync(join(context.folder, "systemctl"));
  process.env.PATH = context.folder;
  assert.match(
    (await startUnits(["a"], MIRRORS_DIRECTORY_DEFAULT, system)) ?? "",
    /^systemctl start \S+ has failed: .*ENOENT/,
  );
});

test("the unit that is printed runs this command", () => {
  const text = execFileSync(process.execPath, [MAIN, "unit", "--mirrors"], { encoding: "utf8" });
  assert.ok(text.includes(`\nExecStart=${process.execPath} ${MAIN} up --degraded --wait 60s %I\n`), text);
  assert.ok(text.includes(`\nExecStop=${process.execPath} ${MAIN} down --wait 60s %I\n`), text);
  assert.not.match(text, /\/usr\/local/);
  const both = spawnSync(process.execPath, [MAIN, "unit", "--mirrors", "--host", "node"], { encoding: "utf8" });
  assert.is(both.status, 1);
  assert.match(both.stderr, /^dm-ulog: Give one of --host, for the server's unit, --mirrors and --monitor/);
  const monitor = execFileSync(process.execPath, [MAIN, "unit", "--monitor"], { encoding: "utf8" });
  assert.match(monitor, /^ExecStart=\/.*node.* \/.*\/main\.js monitor$/m);
});

test.run();
