// The test files as JavaScript that one process can load together, and quickly.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";

const COLLECTED = fileURLToPath(new URL("collected.ts", import.meta.url));
const RUNNER = fileURLToPath(new URL("runner.ts", import.meta.url));

/** Writes `runner.js` and a `NAME.test.js` for each test file of the repository in `root`. */
export async function bundleTests(root: string, files: readonly string[], outdir: string): Promise<void> {
  await build({
    entryPoints: [RUNNER, ...files.map((file) => join(root, "test", `${file}.test.ts`))],
    entryNames: "[name]",
    outdir: join(root, outdir),
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "es2022",
    external: ["koffi", "node-netlink"],
    logLevel: "warning",
    plugins: [standIns],
  });
}

/** uvu is ours, and each module keeps its own address, from which it finds files. */
const standIns: Plugin = {
  name: "stand-ins",
  setup(build) {
    build.onResolve({ filter: /^uvu$/ }, () => ({ path: COLLECTED }));
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      loader: "ts",
      contents: readFileSync(path, "utf8").replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)),
    }));
  },
};
