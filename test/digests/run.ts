// `npm run test:digests`: replays the corpus in Node.js, in Chromium, in Firefox and as native code, and compares the
// digests. With the corpus goes a trace that was made from one of it by changing one bit of an input: it must give another
// digest, in each of them the same. Ends with one line of counts.

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import * as assert from "uvu/assert";
import { Engine } from "../../src/common/engine.ts";
import { COOKED_BYTES, PACKET_DATA } from "../../src/common/trace/format.ts";
import { Trace } from "../../src/common/trace/trace.ts";
import { Checks } from "../checks.ts";
import { CORPUS_FOLDER, corpusNames, readCorpusTrace, recordAnew } from "../corpus.ts";
import { buildReplay, missingPackages } from "../embedding/c/build.ts";
import { releaseWasm } from "../harness.ts";
import { differences, isDigest } from "./compare.ts";
import { checkCuts } from "./cuts.ts";
import type { Digests } from "./digest-of.ts";
import { inChromium, inFirefox, inNative, inNode, type Work } from "./engines.ts";

const BROWSERS = { chromium: "chromium", "firefox-esr": "firefox-esr" };
const ORIGINAL = "core-log.pcapng";
const CHANGED = "core-log, one bit of an input changed.pcapng";
const PAGE =
  '<!doctype html><meta charset="utf-8"><title>Digests</title><script type="module" src="page.js"></script>\n';
/** Places at which each trace is cut for the native replay. */
const CUTS = 200;

/** The trace with the lowest bit of the first region that is reported in sync flipped, and what the core answers then. */
function changeInput(file: Uint8Array): Uint8Array {
  const { abi } = new Engine(new WebAssembly.Module(releaseWasm));
  const { events } = Trace.open(file, abi);
  const index = events.types.indexOf(abi.REQUEST_SET_REGION_SYNC);
  assert.ok(index >= 0, `${ORIGINAL} reports no region`);
  const changed = file.slice();
  const at = (events.offsets[index] as number) + PACKET_DATA * 4 + COOKED_BYTES + abi.ULOG_DATA;
  changed[at] = (changed[at] as number) ^ 1;
  return recordAnew(Trace.open(changed, abi), releaseWasm);
}

function prepare(folder: string): Work {
  const names = [...corpusNames(), CHANGED];
  for (const name of corpusNames()) copyFileSync(join(CORPUS_FOLDER, name), join(folder, name));
  writeFileSync(join(folder, CHANGED), changeInput(readCorpusTrace(ORIGINAL)));
  writeFileSync(join(folder, "names.json"), JSON.stringify(names));
  writeFileSync(join(folder, "dm-ulog.wasm"), releaseWasm);
  writeFileSync(join(folder, "index.html"), PAGE);
  buildSync({
    entryPoints: [fileURLToPath(new URL("page.ts", import.meta.url))],
    outfile: join(folder, "page.js"),
    ...{ bundle: true, format: "esm", target: "es2022", logLevel: "warning" },
  });
  return { folder, names };
}

function printTable(names: readonly string[], found: ReadonlyMap<string, Digests>): void {
  const width = Math.max(...names.map((name) => name.length));
  const cells = (texts: readonly string[]) => texts.map((text) => text.padEnd(16)).join("  ");
  console.log(`${"".padEnd(width)}  ${cells([...found.keys()])}`);
  for (const name of names) {
    console.log(`${name.padEnd(width)}  ${cells([...found.values()].map((digests) => digests[name] ?? "-"))}`);
  }
}

async function main(): Promise<number> {
  const missing = missingPackages(BROWSERS);
  if (missing.length > 0) {
    console.error(
      `These tests need Debian packages that are not installed: ${missing.join(" ")} ` +
        `(as root: apt-get install --no-install-recommends ${missing.join(" ")}).`,
    );
    return 1;
  }
  const checks = new Checks();
  const { check } = checks;

  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-digests-"));
  try {
    const work = prepare(folder);
    const { names } = work;
    const program = buildReplay();
    const engines = {
      "Node.js": () => inNode(work),
      Chromium: () => inChromium(work),
      Firefox: () => inFirefox(work),
      native: () => inNative(work, program),
    };
    const found = new Map<string, Digests>();
    for (const [engine, run] of Object.entries(engines)) {
      await check(`${engine} replays ${names.length} traces; one bit of an input changes the digest`, async () => {
        found.set(engine, {});
        const digests = await run();
        found.set(engine, digests);
        for (const name of names) assert.ok(isDigest(digests[name]), `${name}: ${digests[name]}`);
        assert.is.not(digests[CHANGED], digests[ORIGINAL]);
      });
    }
    printTable(names, found);
    await check(`digests are equal in ${[...found.keys()].join(", ")}`, () => {
      const lines = differences(names, found);
      if (lines.length > 0) throw new Error(lines.join("\n"));
    });
    await check("an engine that answered otherwise, or not at all, would be named", () => {
      const digests = found.get("Node.js") as Digests;
      const equal = new Map(Object.keys(engines).map((engine) => [engine, digests]));
      assert.equal(differences(names, equal), []);
      for (const engine of equal.keys()) {
        for (const digest of [digests[CHANGED] as string, "nothing"]) {
          const lines = differences(names, new Map(equal).set(engine, { ...digests, [ORIGINAL]: digest }));
          assert.is(lines.length, 1);
          assert.ok(lines[0]?.startsWith(`${ORIGINAL}: `) && lines[0].includes(`${engine} ${digest}`), lines[0]);
        }
      }
    });
    await check(`native code reads each trace of the corpus, cut at ${CUTS} places, as the library does`, () => {
      for (const name of corpusNames()) checkCuts(readCorpusTrace(name), CUTS, program, folder);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
  return checks.end();
}

process.exitCode = await main();
