// Runs every *.test.ts of this folder: they need no root and no system package. Arguments choose files by a part of their
// name.

import { fileURLToPath } from "node:url";
import { runFiles, testFiles } from "./run-files.ts";

process.exitCode = await runFiles(testFiles(fileURLToPath(new URL(".", import.meta.url)), process.argv.slice(2)));
