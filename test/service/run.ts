// npm run test:service: the systemd unit, judged by systemd itself. Needs Debian's systemd, and no running one.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

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

const checks: [name: string, check: (path: string, unit: string) => string | undefined][] = [
  [
    "systemd finds no fault with the unit",
    (path) => {
      const { status, text } = analyze("verify", "--man=no", path);
      return status === 0 && text === "" ? undefined : text;
    },
  ],
  [
    `its exposure is below ${EXPOSURE_MAX}.0`,
    (path) => {
      const { text } = analyze("security", "--offline=yes", "--no-pager", path);
      const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1] ?? Number.NaN);
      console.log(`      exposure ${exposure}`);
      return exposure < EXPOSURE_MAX ? undefined : text;
    },
  ],
  [
    "its command line is one that the command takes",
    (_path, unit) => {
      const unknown = unknownOptions(unit);
      return /^ExecStart=\S+\/dm-ulog serve\b/m.test(unit) && unknown.length === 0 ? undefined : unknown.join(" ");
    },
  ],
];

if (spawnSync("systemd-analyze", ["--version"]).status !== 0) {
  console.error("This needs a Debian package that is not installed: systemd (as root: apt-get install systemd).");
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), "dm-ulog-service-"));
let failed = 0;
try {
  const unit = readFileSync(unitPath, "utf8");
  // Where the command is installed it is not here: verify wants a program that exists.
  const path = join(folder, "dm-ulog.service");
  writeFileSync(path, unit.replace(/^(ExecStart=)\S+/m, `$1${process.execPath}`));
  for (const [name, check] of checks) {
    const complaint = check(path, unit);
    console.log(`${complaint === undefined ? "ok   " : "FAIL "} ${name}`);
    if (complaint !== undefined) {
      failed++;
      console.log(complaint);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
