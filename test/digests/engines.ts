// The engines that replay the traces of a folder, each with its own WebAssembly, or none: V8 in Node.js and in Chromium,
// SpiderMonkey in Firefox, and a C compiler behind wasm2c.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Engine } from "../../src/common/engine.ts";
import { StaticServer } from "../browser/static-server.ts";
import { type Digests, digestOf } from "./digest-of.ts";

/** A folder with the core as dm-ulog.wasm, traces, their names in names.json, and index.html that runs page.ts. */
export interface Work {
  folder: string;
  names: readonly string[];
}

const BROWSER_MS = 120_000;
/** A browser's processes end one after the other and write into their profile meanwhile. */
const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 100 };

/** What keeps a new Firefox from asking, updating and calling home. */
const FIREFOX_PREFERENCES: Readonly<Record<string, boolean | string>> = {
  "app.normandy.enabled": false,
  "app.update.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.safebrowsing.downloads.remote.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.systemAddon.update.enabled": false,
  "extensions.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,#remote-settings-dummy/v1",
  "toolkit.telemetry.enabled": false,
  "toolkit.telemetry.reportingpolicy.firstRun": false,
};

export function inNode({ folder, names }: Work): Digests {
  const module = new WebAssembly.Module(readFileSync(join(folder, "dm-ulog.wasm")));
  const engine = new Engine(module);
  return Object.fromEntries(
    names.map((name) => [name, digestOf(new Uint8Array(readFileSync(join(folder, name))), module, engine)]),
  );
}

/** What the program of test/embedding/c/replay.c says of a file: a digest, or in its place a sentence. */
export interface NativeReplay {
  inputs: number;
  digest: string;
}

/** Runs that program once over files of a folder. Throws where it is ended by a signal. */
export function replayNative({ folder, names }: Work, program: string): Map<string, NativeReplay> {
  const { stdout, stderr, signal, error } = spawnSync(program, names, { cwd: folder, encoding: "utf8" });
  if (error !== undefined || signal !== null) throw error ?? new Error(`ended by ${signal}: ${stderr}`);
  const found = new Map<string, NativeReplay>();
  for (const [, name = "", count, digest, problem, before] of stdout.matchAll(
    /^(.*?): (?:(\d+) inputs, digest (\w+)|(.*), after (\d+) inputs)$/gm,
  )) {
    found.set(name, { inputs: Number(count ?? before), digest: digest ?? problem ?? "" });
  }
  return found;
}

export function inNative(work: Work, program: string): Digests {
  return Object.fromEntries([...replayNative(work, program)].map(([name, { digest }]) => [name, digest]));
}

export function inChromium(work: Work): Promise<Digests> {
  return inBrowser(work, (profile, url) => [
    "chromium",
    ...["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
    ...[`--user-data-dir=${profile}`, url],
  ]);
}

export function inFirefox(work: Work): Promise<Digests> {
  return inBrowser(work, (profile, url) => {
    const lines = Object.entries(FIREFOX_PREFERENCES).map(
      ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
    );
    writeFileSync(join(profile, "user.js"), lines.join(""));
    return ["firefox-esr", "--headless", "--no-remote", "--profile", profile, url];
  });
}

/** Opens the page in a browser with a profile of its own, and waits for what it posts. */
async function inBrowser(work: Work, words: (profile: string, url: string) => string[]): Promise<Digests> {
  const profile = mkdtempSync(join(tmpdir(), "dm-ulog-profile-"));
  let posted: (text: string) => void = () => {};
  const answer = new Promise<string>((resolve) => {
    posted = resolve;
  });
  const server = await StaticServer.start(work.folder, "/", new Map(), posted);
  const [program = "", ...rest] = words(profile, server.url);
  // In a process group of its own, so that all its processes can be ended.
  const env = { ...process.env, HOME: profile };
  const child = spawn(program, rest, { detached: true, stdio: "ignore", env });
  const ended = once(child, "exit");
  const timeout = new AbortController();
  try {
    const text = await Promise.race([
      answer,
      ended.then(([status, signal]) => Promise.reject(new Error(`${program} ended by itself: ${status ?? signal}`))),
      late(program, timeout.signal),
    ]);
    const { error, ...digests } = JSON.parse(text) as Digests;
    if (error !== undefined) throw new Error(error);
    return digests;
  } finally {
    timeout.abort();
    server.stop();
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, "SIGKILL");
      await ended;
    }
    rmSync(profile, REMOVAL);
  }
}

function late(program: string, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`${program} said nothing for ${BROWSER_MS} ms`)), BROWSER_MS);
    signal.addEventListener("abort", () => clearTimeout(timer));
  });
}
