// `npm run corpus`: replays the traces of test/traces and says what the core answers otherwise, trace by trace. With
// `-- --update` it also writes down the new answers, so that a change of behaviour is seen by who reviews the change.

import { writeFileSync } from "node:fs";
import { Engine } from "../src/common/engine.ts";
import { TraceError } from "../src/common/trace/format.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { CORPUS_FOLDER, changesInWords, corpusNames, readCorpusTrace, recordAnew } from "./corpus.ts";
import { releaseWasm, words } from "./harness.ts";

const isUpdate = process.argv.slice(2).includes("--update");
const { abi } = new Engine(new WebAssembly.Module(releaseWasm));
let changed = 0;
let refused = 0;

for (const name of corpusNames()) {
  try {
    const before = readCorpusTrace(name);
    const after = recordAnew(Trace.open(before, abi), releaseWasm);
    const lines = changesInWords(before, after, abi, words);
    console.log(lines.length === 0 ? `${name}: as recorded` : `${name}: ${lines.join("\n")}`);
    if (lines.length === 0) continue;
    changed++;
    if (isUpdate) writeFileSync(`${CORPUS_FOLDER}${name}`, after);
  } catch (error) {
    if (!(error instanceof TraceError)) throw error;
    refused++;
    console.log(`${name}: cannot be replayed. ${error.message} test/traces/README.md says how it is made anew.`);
  }
}
if (changed > 0) {
  console.log(
    isUpdate
      ? `\n${changed} traces were written anew. Review the change above as a change of behaviour.`
      : `\n${changed} traces differ. If that is meant: npm run corpus -- --update`,
  );
}
process.exitCode = refused > 0 || (changed > 0 && !isUpdate) ? 1 : 0;
