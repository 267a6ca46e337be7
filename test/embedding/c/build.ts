// Builds the C appliance for tests, the kernel lab and benchmarks, where Debian's packages for it are installed.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const DIST = join(FOLDER, "../../../dist");
/** Programs and the packages they are in. */
const NEEDED = { wasm2c: "wabt", cc: "gcc libc6-dev", make: "make" };

/** What is not installed, as a sentence, or undefined. */
export function missingForAppliance(): string | undefined {
  const packages = Object.entries(NEEDED)
    .filter(([program]) => spawnSync(program, ["--version"], { stdio: "ignore" }).error !== undefined)
    .map(([, name]) => name);
  if (packages.length === 0) return undefined;
  return `the C appliance needs Debian packages that are not installed: ${packages.join(" ")}`;
}

/**
 * Builds the program, or brings it up to date with its sources and the core, in `folder`. Returns where it is. Throws what
 * the compiler says.
 */
export function buildAppliance(folder = join(DIST, "appliance"), corePath = join(DIST, "dm-ulog.wasm")): string {
  const words = ["-C", FOLDER, `OUT=${folder}`, `CORE=${corePath}`];
  const { status, stdout, stderr } = spawnSync("make", words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`The C appliance cannot be built:\n${stdout}${stderr}`);
  return join(folder, "appliance");
}
