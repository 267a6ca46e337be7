// `npm run test:wireshark`: the dissector, in the tshark that is installed.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { runFiles, testFiles } from "../run-files.ts";

const { stdout, error } = spawnSync("tshark", ["--version"], { encoding: "utf8" });
if (error === undefined) {
  console.log(stdout.split("\n", 1)[0]);
  process.exitCode = await runFiles(testFiles(fileURLToPath(new URL(".", import.meta.url)), process.argv.slice(2)));
} else {
  console.error(
    "These tests need a Debian package that is not installed: tshark " +
      "(as root: apt-get install --no-install-recommends tshark).",
  );
  process.exitCode = 1;
}
