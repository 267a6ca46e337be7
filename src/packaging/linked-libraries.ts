// The packages of Debian with the libraries that programs are linked to, read from the programs: also from those of another
// architecture, whose libraries are not on this machine.

import { execFileSync } from "node:child_process";

/** By the beginning of the library's name. */
const PACKAGES: [RegExp, string][] = [
  [/^(libc|libm|libdl|libpthread|librt)\.so|^ld-linux/, "libc6"],
  [/^libstdc\+\+\.so/, "libstdc++6"],
  [/^libgcc_s\.so/, "libgcc-s1"],
];

/** For the field Depends. Throws a sentence where a library is of no package known here. */
export function libraryPackages(programs: readonly string[]): string[] {
  const needed = new Set<string>();
  let libc = [0, 0];
  for (const program of programs) {
    const text = execFileSync("readelf", ["--wide", "--dynamic", "--version-info", program], { encoding: "utf8" });
    for (const [, library] of text.matchAll(/\(NEEDED\).*\[(.*)\]/g)) {
      const found = PACKAGES.find(([name]) => name.test(library as string));
      if (found === undefined) throw new Error(`${program} is linked to ${library}, whose package is not known here.`);
      needed.add(found[1]);
    }
    for (const [, major, minor] of text.matchAll(/\bName: GLIBC_(\d+)\.(\d+)/g)) {
      const version = [Number(major), Number(minor)];
      if (compare(version, libc) > 0) libc = version;
    }
  }
  return [...needed].sort().map((name) => (name === "libc6" ? `libc6 (>= ${libc.join(".")})` : name));
}

function compare([major = 0, minor = 0]: number[], [otherMajor = 0, otherMinor = 0]: number[]): number {
  return major - otherMajor || minor - otherMinor;
}
