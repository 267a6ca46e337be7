// Builds the C appliance and the replay in C for tests, the kernel lab and benchmarks, where Debian's packages for it are installed.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const DIST = join(FOLDER, "../../../dist");
/** Programs and the packages they are in. */
const NEEDED = { wasm2c: "wabt", cc: "gcc libc6-dev", make: "make", flock: "util-linux" };

/** Debian packages that are not installed: of those that the programs here need, and of `more`, by the program's name. */
export function missingPackages(more: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries({ ...NEEDED, ...more })
    .filter(([program]) => spawnSync(program, ["--version"], { stdio: "ignore" }).error !== undefined)
    .map(([, name]) => name);
}

/** What is not installed, as a sentence, or undefined. */
export function missingForAppliance(): string | undefined {
  const packages = missingPackages();
  if (packages.length === 0) return undefined;
  return `the C appliance needs Debian packages that are not installed: ${packages.join(" ")}`;
}

/**
 * Builds the appliance, or brings it up to date with its sources and the core, in `folder`. Returns where it is. Throws what
 * the compiler says.
 */
export function buildAppliance(folder = join(DIST, "appliance"), corePath = join(DIST, "dm-ulog.wasm")): string {
  return build("appliance", folder, corePath);
}

/** The same for the program that replays traces. */
export function buildReplay(folder = join(DIST, "appliance"), corePath = join(DIST, "dm-ulog.wasm")): string {
  return build("replay", folder, corePath);
}

/** The same for the appliance on the machine that `dm-ulog conformance` plays. */
export function buildConformance(folder = join(DIST, "appliance"), corePath = join(DIST, "dm-ulog.wasm")): string {
  return build("appliance-conformance", folder, corePath);
}

function build(program: string, folder: string, corePath: string): string {
  const target = join(folder, program);
  const words = ["-C", FOLDER, `OUT=${folder}`, `CORE=${corePath}`, target];
  const { status, stdout, stderr } = spawnSync("make", words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} cannot be built of C:\n${stdout}${stderr}`);
  return target;
}
