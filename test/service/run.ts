// npm run test:service: the systemd unit, judged by systemd itself. Needs Debian's systemd, and no running one.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { Checks } from "../checks.ts";

/** By unit. */
const EXPOSURE_MAX = { "dm-ulog.service": 2, "dm-ulog-node.service": 3 };

const unitFolder = fileURLToPath(new URL("../../systemd/", import.meta.url));
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
  for (const [name, exposureMax] of Object.entries(EXPOSURE_MAX)) {
    const unit = readFileSync(join(unitFolder, name), "utf8");
    // Where the program is installed it is not here: verify wants one that exists.
    const path = join(folder, name);
    writeFileSync(path, unit.replace(/^(Exec\w+=)\S+/gm, `$1${process.execPath}`));
    await checks.check(`${name}: systemd finds no fault with it`, () => {
      assert.equal(analyze("verify", "--man=no", path), { status: 0, text: "" });
    });
    await checks.check(`${name}: its exposure is at most ${exposureMax}.0`, () => {
      const { text } = analyze("security", "--offline=yes", "--no-pager", path);
      const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1]);
      console.log(`          exposure ${exposure}`);
      assert.ok(exposure <= exposureMax, text);
    });
  }
  const unit = readFileSync(join(unitFolder, "dm-ulog-node.service"), "utf8");
  await checks.check("the command line of the Node.js host is one that the command takes", () => {
    assert.match(unit, /^ExecStart=\S+\/dm-ulog serve\b/m);
    assert.equal(unknownOptions(unit), []);
  });
  await checks.check("dm-ulog unit prints both with the paths of this machine", () => {
    const inNode = run(process.execPath, command, "unit", "--host", "node");
    assert.ok(inNode.includes(`\nExecStart=${process.execPath} ${command} serve --host node\n`), inNode);
    assert.is(inNode.replace(/^Exec.*$/gm, ""), unit.replace(/^Exec.*$/gm, ""));
  });
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = checks.end();
