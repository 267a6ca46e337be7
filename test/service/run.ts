// npm run test:service: the systemd unit, judged by systemd itself. Needs Debian's systemd, and no running one.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { Checks } from "../checks.ts";

const EXPOSURE_MAX = 3;

const unitPath = fileURLToPath(new URL("../../systemd/dm-ulog.service", import.meta.url));
const command = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

function analyze(...words: string[]): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync("systemd-analyze", words, { encoding: "utf8" });
  return { status, text: stdout + stderr };
}

function run(program: string, ...words: string[]): string {
  return spawnSync(program, words, { encoding: "utf8" }).stdout;
}

/** Options that the unit gives to the command, and the command does not have. */
function unknownOptions(unit: string): string[] {
  const words = /^ExecStart=\S+ (.*)$/m.exec(unit)?.[1]?.split(" ") ?? [];
  const help = run(process.execPath, command, words[0] ?? "", "--help");
  return words.filter((word) => word.startsWith("--") && !help.includes(word));
}

if (spawnSync("systemd-analyze", ["--version"]).status !== 0) {
  console.error("This needs a Debian package that is not installed: systemd (as root: apt-get install systemd).");
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), "dm-ulog-service-"));
const checks = new Checks();
try {
  const unit = readFileSync(unitPath, "utf8");
  // Where the command is installed it is not here: verify wants a program that exists.
  const path = join(folder, "dm-ulog.service");
  writeFileSync(path, unit.replace(/^(ExecStart=)\S+/m, `$1${process.execPath}`));
  await checks.check("systemd finds no fault with the unit", () => {
    assert.equal(analyze("verify", "--man=no", path), { status: 0, text: "" });
  });
  await checks.check(`its exposure is below ${EXPOSURE_MAX}.0`, () => {
    const { text } = analyze("security", "--offline=yes", "--no-pager", path);
    const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1]);
    console.log(`          exposure ${exposure}`);
    assert.ok(exposure < EXPOSURE_MAX, text);
  });
  await checks.check("its command line is one that the command takes", () => {
    assert.match(unit, /^ExecStart=\S+\/dm-ulog serve\b/m);
    assert.equal(unknownOptions(unit), []);
  });
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = checks.end();
