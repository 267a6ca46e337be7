// The architectures that a package can be built for, and what Debian, Node.js and the compilers call them.

export interface Architecture {
  /** Debian's name, in the name of the package. */
  debian: string;
  /** The name in Node.js, npm and the names of prebuilt binaries. */
  node: string;
  /** Of Debian's compiler and binutils, where they are not this machine's own. */
  toolPrefix: string;
}

const ARCHITECTURES: readonly Omit<Architecture, "toolPrefix">[] = [
  { debian: "amd64", node: "x64" },
  { debian: "arm64", node: "arm64" },
];
const TRIPLETS: Record<string, string> = { amd64: "x86_64-linux-gnu-", arm64: "aarch64-linux-gnu-" };

/** That of Debian's name; this machine's own, if none is given. Throws a sentence for others. */
export function architectureOf(name: string | undefined): Architecture {
  const found = ARCHITECTURES.find(({ debian, node }) =>
    name === undefined ? node === process.arch : debian === name,
  );
  if (found === undefined) {
    const names = ARCHITECTURES.map(({ debian }) => debian).join(" and ");
    throw new Error(`There is no package for ${name ?? process.arch}, only for ${names}.`);
  }
  return { ...found, toolPrefix: found.node === process.arch ? "" : (TRIPLETS[found.debian] as string) };
}
