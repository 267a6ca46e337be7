// What publint and Are The Types Wrong say of the package: those who install it would meet it in their editors and bundlers.

import { readFileSync } from "node:fs";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import type { Packed } from "./project.ts";

/** The package is of ES modules: `require` gets it from Node.js 20.19 on, and nothing resolves it that knows no `exports`. */
const NOT_MEANT = new Set(["node10", "node16-cjs"]);
/** A file of bytes has no types. */
const BYTES = "./core.wasm";

export async function problemsOf(packed: Packed): Promise<string[]> {
  const tarball = readFileSync(packed.path);
  const { messages } = await publint({ pack: { tarball: new Uint8Array(tarball).buffer }, strict: true });
  const types = await checkPackage(createPackageFromTarballData(new Uint8Array(tarball)));
  const problems = types.types === false ? [{ kind: "no types" }] : types.problems;
  const met = problems.filter(
    (problem) =>
      !("resolutionKind" in problem && NOT_MEANT.has(String(problem.resolutionKind))) &&
      !("entrypoint" in problem && problem.entrypoint === BYTES),
  );
  return [
    ...messages.map(({ type, code, path }) => `publint: ${type} ${code} at ${path.join(".")}`),
    ...met.map((problem) => `types: ${JSON.stringify(problem)}`),
  ];
}
