// The traces of a run with --record. In the guest every server writes a file of its own, straight into a folder of the host,
// so that they survive a power cut; here they become one trace for each scenario.

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Engine } from "../../src/common/engine.ts";
import { Trace } from "../../src/common/trace/trace.ts";
import { tracePart } from "./guest/contract.ts";

/** Removes the files of an earlier run of a scenario. */
export function removeTraces(folder: string, scenario: string): void {
  for (const path of [...parts(folder, scenario), tracePath(folder, scenario)]) rmSync(path, { force: true });
}

/** Merges the traces of all servers of a scenario, each as far as its file was written. */
export function joinTraces(folder: string, scenario: string): void {
  const wasm = readFileSync(new URL("../../dist/dm-ulog.wasm", import.meta.url));
  const { abi } = new Engine(new WebAssembly.Module(wasm));
  const traces = [...parts(folder, scenario)].map((path) => {
    const file = new Uint8Array(readFileSync(path));
    // The server was killed before it wrote anything, or in the middle of a block.
    return file.length === 0 ? file : file.subarray(0, Trace.open(file, abi).scannedBytes);
  });
  if (traces.length === 0) return;
  writeFileSync(tracePath(folder, scenario), Buffer.concat(traces));
  for (const path of parts(folder, scenario)) rmSync(path);
}

function tracePath(folder: string, scenario: string): string {
  return join(folder, `${scenario}.pcapng`);
}

function* parts(folder: string, scenario: string): Generator<string> {
  for (let number = 1; existsSync(tracePart(folder, scenario, number)); number++) {
    yield tracePart(folder, scenario, number);
  }
}
