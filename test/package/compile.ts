// The program of a project, compiled with the compiler of this repository.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "./project.ts";

export const STRICT = {
  target: "ES2022",
  strict: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  // The package's declarations are what is tested.
  skipLibCheck: false,
};

export function compile(project: string, files: string[], compilerOptions: object): void {
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  execFileSync(process.execPath, [join(REPOSITORY, "node_modules/typescript/bin/tsc"), "-p", project], {
    stdio: "pipe",
  });
}
