// `npm run test:browser`: the page in Debian's Chromium. Prints figures, names the folder of its screenshots, and ends with
// one line of counts. Names of parts, such as `live`, run those alone. `--picture FILE` also keeps the picture for the README.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { type Browser, chromium } from "playwright-core";
import { type Check, Checks } from "../checks.ts";
import { accessibility } from "./checks/accessibility.ts";
import { figures } from "./checks/figures.ts";
import { live } from "./checks/live.ts";
import { looks } from "./checks/looks.ts";
import { simulation } from "./checks/simulation.ts";
import { traces } from "./checks/traces.ts";
import { StaticServer } from "./static-server.ts";
import { busyTrace, largeTrace } from "./traces.ts";

const CHROMIUM = "/usr/bin/chromium";
const ARGUMENTS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"];
const PAGE_BYTES_MAX = 400 * 1024;
/** The page must work wherever it is put: it is served from below a path, as few servers do. */
const BASE = "/some/where/";

/** What checks are given. */
export interface Bench {
  browser: Browser;
  /** Address of the page. */
  url: string;
  /** Files of traces, which the server has beside the page under the same names. */
  traces: Readonly<Record<"small" | "million" | "large", string>>;
  screenshots: string;
  check: Check;
}

async function main(): Promise<number> {
  if (!existsSync(CHROMIUM)) {
    console.error("Chromium is missing. As root: apt-get install -y --no-install-recommends chromium");
    return 1;
  }
  const folder = fileURLToPath(new URL("../../dist/visualizer/", import.meta.url));
  const work = mkdtempSync(join(tmpdir(), "dm-ulog-page-"));
  const screenshots = mkdtempSync(join(tmpdir(), "dm-ulog-screenshots-"));
  const checks = new Checks();
  const { check } = checks;

  await check("the page with the core is at most 400 KiB compressed", async () => {
    let bytes = 0;
    for (const name of readdirSync(folder)) {
      const size = gzipSync(readFileSync(join(folder, name)), { level: 9 }).length;
      bytes += size;
      console.log(`          ${name}: ${(size / 1024).toFixed(1)} KiB`);
    }
    console.log(`          together: ${(bytes / 1024).toFixed(1)} KiB compressed`);
    if (bytes > PAGE_BYTES_MAX) throw new Error(`${bytes} bytes are more than ${PAGE_BYTES_MAX}`);
  });

  console.log("Traces are made.");
  const files = { small: "small.pcapng", million: "million.pcapng", large: "large.pcapng" };
  const paths = Object.fromEntries(Object.entries(files).map(([key, name]) => [key, join(work, name)]));
  const traceFiles = paths as Record<keyof typeof files, string>;
  writeFileSync(traceFiles.small, busyTrace(5000, 20_000, 1));
  writeFileSync(traceFiles.million, busyTrace(1_000_000, 1_000_000, 2));
  writeFileSync(traceFiles.large, largeTrace(10_000_000, 10_000, 3));
  const beside = new Map(Object.entries(files).map(([key, name]) => [name, traceFiles[key as keyof typeof files]]));

  const server = await StaticServer.start(folder, BASE, beside);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
  try {
    const bench: Bench = { browser, url: server.url, traces: traceFiles, screenshots, check };
    const parts = [simulation, traces, live, figures, accessibility, looks];
    const chosen = parts.filter(({ name }) => process.argv.includes(name));
    for (const part of chosen.length > 0 ? chosen : parts) await part(bench);
  } finally {
    await browser.close();
    server.stop();
    rmSync(work, { recursive: true });
  }
  console.log(`Screenshots: ${screenshots}`);
  return checks.end();
}

process.exitCode = await main();
