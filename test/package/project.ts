// The package as npm packs it, and an empty project that it is installed into, by npm and without a network: what it depends
// on comes from this repository's own node_modules.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
export const CONSUMER = fileURLToPath(new URL("consumer/", import.meta.url));
const MODULES = "node_modules/";
/** Types that the project's own code uses, in place of what its author would install. */
const TYPES = ["node_modules/@types/node", "node_modules/undici-types"];

export interface Packed {
  path: string;
  sizeBytes: number;
  files: string[];
}

interface LockedPackage {
  dev?: boolean;
  devOptional?: boolean;
  optional?: boolean;
}

/** Packs what was built into `folder`: the whole package, or the one in `source`. */
export function pack(folder: string, source = REPOSITORY): Packed {
  const output = execFileSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], {
    cwd: source,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  // An array, or an object by name, as npm's version has it.
  const [packed] = Object.values(JSON.parse(output)) as [{ filename: string; size: number; files: { path: string }[] }];
  const { filename, size, files } = packed;
  return { path: join(folder, filename), sizeBytes: size, files: files.map(({ path }) => path).sort() };
}

/** Makes a project of the consumer's files and the code of the READMEs, and installs the package into it. */
export function makeProject(folder: string, packed: Packed): void {
  cpSync(CONSUMER, folder, { recursive: true });
  for (const [name, code] of readmeExamples()) writeFileSync(join(folder, name), code);
  install(folder, { ...asDependencies(productionFolders(false)), "dm-ulog": `file:${packed.path}` });
  // Which of these fit the machine at hand npm would ask the registry: they are copied as they are.
  for (const path of [...productionFolders(true), ...TYPES]) {
    cpSync(join(REPOSITORY, path), join(folder, path), { recursive: true });
  }
}

/** Makes `folder` a project that depends on these, and has npm install them. */
export function install(folder: string, dependencies: Record<string, string>): void {
  const manifest = { name: "consumer", private: true, type: "module", dependencies };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  const cache = join(folder, "..", "cache");
  const flags = ["--offline", "--install-links", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"];
  execFileSync("npm", ["install", ...flags, "--cache", cache], { cwd: folder, stdio: "pipe" });
}

/** The TypeScript of the READMEs: `readme-0.ts` of the front page, `readme-1.ts` and `readme-2.ts` of the library's. */
export function readmeExamples(): [name: string, code: string][] {
  const blocks = ["README.md", "src/library/README.md"].flatMap((path) => [
    ...readFileSync(join(REPOSITORY, path), "utf8").matchAll(/^```ts\n(.*?)^```$/gms),
  ]);
  if (blocks.length !== 3) throw new Error(`The READMEs have ${blocks.length} pieces of TypeScript, not three.`);
  return blocks.map(([, code], index) => [`readme-${index}.ts`, code as string]);
}

/**
 * Folders of the packages that an installed dm-ulog may load: those it needs, or those that it can do without, as far as
 * they are here. Paths from the repository.
 */
function productionFolders(isOptional: boolean): string[] {
  const lock = JSON.parse(readFileSync(join(REPOSITORY, "package-lock.json"), "utf8")) as {
    packages: Record<string, LockedPackage>;
  };
  return Object.entries(lock.packages)
    .filter(([path, { dev, devOptional }]) => path !== "" && !dev && !devOptional && existsSync(join(REPOSITORY, path)))
    .filter(([, { optional }]) => (optional ?? false) === isOptional)
    .map(([path]) => path);
}

/** Where npm is to take each package from. */
function asDependencies(folders: readonly string[]): Record<string, string> {
  return Object.fromEntries(folders.map((path) => [path.slice(MODULES.length), `file:${join(REPOSITORY, path)}`]));
}
