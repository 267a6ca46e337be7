// Builds the native host for tests, the kernel lab and benchmarks, where Debian's packages for it are installed.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds the lab's own programs: one takes more memory than there is, the other is the least that a server can do. */
export function buildLabPrograms(folder = join(ROOT, "dist/native")): void {
  for (const name of ["hog", "floor"]) {
    const flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror"];
    const words = [...flags, "-o", join(folder, name), join(ROOT, `test/native/${name}.c`)];
    const { status, stderr } = spawnSync("cc", words, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${name}.c cannot be built:\n${stderr}`);
  }
}

/** Builds the host, or brings it up to date with its sources and the core. Returns where it is. Throws what the compiler says. */
export function buildNative(folder = join(ROOT, "dist/native"), corePath = join(ROOT, "dist/dm-ulog.wasm")): string {
  const target = join(folder, "dm-ulogd");
  const sources = join(ROOT, "src/native");
  // Test files run at the same time, and each may be the first to need it.
  const words = [sources, "make", "-C", sources, `OUT=${folder}`, `CORE=${corePath}`, target];
  const { status, stdout, stderr } = spawnSync("flock", words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`The native host cannot be built:\n${stdout}${stderr}`);
  return target;
}
