// `npm run test:package`: the package as npm packs it, installed into an empty project: in Node.js, in TypeScript, in a
// Vite build and in plain pages, these two in Debian's Chromium. Then the library as a package of its
// own, in every runtime. Ends with one line of counts. Of the network it needs the npm registry alone, for the other runtimes.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import * as assert from "uvu/assert";
import { build } from "vite";
import { StaticServer } from "../browser/static-server.ts";
import { type Check, Checks } from "../checks.ts";
import { compile, STRICT } from "./compile.ts";
import type { Life } from "./consumer/result.ts";
import { brokenLinks, missing, strangers } from "./contents.ts";
import { enginePackage } from "./engine-package.ts";
import { makeProject, type Packed, pack, REPOSITORY } from "./project.ts";
import { problemsOf } from "./types.ts";

const CHROMIUM = "/usr/bin/chromium";
const ARGUMENTS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"];
const RESULT_TIMEOUT_MS = 30_000;
/** The page is served from below a path, as few servers do. */
const BASE = "/some/where/";

async function main(): Promise<number> {
  if (!existsSync(CHROMIUM)) {
    console.error("Chromium is missing. As root: apt-get install -y --no-install-recommends chromium");
    return 1;
  }
  const work = mkdtempSync(join(tmpdir(), "dm-ulog-package-"));
  const project = join(work, "project");
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
  const checks = new Checks();
  const { check } = checks;
  try {
    const packed = pack(work);
    console.log(`${packed.files.length} files, ${(packed.sizeBytes / 1024).toFixed(0)} KiB packed`);
    await check("nothing in the package but what belongs, and all of that", () => {
      assert.equal(strangers(packed.files), []);
      assert.equal(missing(packed.files), []);
    });
    await check("every link in its documents leads to something in it", () => {
      assert.equal(brokenLinks(packed.files), []);
    });
    await check("publint and Are The Types Wrong have nothing to say", async () => {
      assert.equal(await problemsOf(packed), []);
    });
    await check("the library's documentation has no gap", () => {
      execFileSync(process.execPath, [join(REPOSITORY, "node_modules/typedoc/bin/typedoc"), "--emit", "none"], {
        cwd: REPOSITORY,
        stdio: "pipe",
      });
    });
    await check("npm installs it into an empty project, without a network", () => makeProject(project, packed));
    await typescript(check, project);
    await node(check, project, packed);
    await pages(check, project, browser);
    await enginePackage(check, work, checkLife);
  } finally {
    await browser.close();
    rmSync(work, { recursive: true });
  }
  return checks.end();
}

async function typescript(check: Check, project: string): Promise<void> {
  await check("TypeScript sees the types with moduleResolution nodenext, where nothing else declares anything", () =>
    compile(project, ["life.ts"], { ...STRICT, module: "NodeNext", lib: ["ES2022"], types: [], noEmit: true }),
  );
  await check("TypeScript sees the types with moduleResolution bundler", () =>
    compile(project, ["life.ts", "page.ts", "readme-0.ts", "readme-1.ts", "readme-2.ts"], {
      ...STRICT,
      module: "ESNext",
      moduleResolution: "bundler",
      lib: ["ES2022", "DOM", "DOM.Iterable"],
      types: [],
      noEmit: true,
    }),
  );
  await check("TypeScript compiles the program and the READMEs' examples for Node.js", () =>
    compile(project, ["node.ts", "server.ts", "readme-0.ts", "readme-1.ts", "readme-2.ts"], {
      ...STRICT,
      module: "NodeNext",
      lib: ["ES2022"],
      types: ["node"],
      outDir: "out",
    }),
  );
  await check("TypeScript compiles the program for pages", () =>
    compile(project, ["page.ts"], {
      ...STRICT,
      module: "NodeNext",
      lib: ["ES2022", "DOM", "DOM.Iterable"],
      types: [],
      outDir: "out",
    }),
  );
}

async function node(check: Check, project: string, packed: Packed): Promise<void> {
  await check("a program in Node.js makes a mirror's log on a storage of its own, and has its MARK answered", () => {
    checkLife(JSON.parse(runNode(project, "node.js")) as Life);
  });
  await check("the README's example says what it promises", () => {
    assert.match(runNode(project, "readme-0.js"), /^0 logs, 1 datagrams$/m);
  });
  await check("the library's example says what it promises", () => {
    assert.match(runNode(project, "readme-1.js"), /^FLUSH was answered with 0; regions 4 to 6: clean, dirty, clean$/m);
  });
  await check("so does the library's scenario", () => {
    assert.match(runNode(project, "readme-2.js"), /^true 0 regions differ after 5 kills$/m);
  });
  await check("the server is there", () => assert.is(runNode(project, "server.js").trim(), "function"));
  await check("the core is found by its name, and is the package's", () => {
    writeFileSync(join(project, "core.js"), 'process.stdout.write(import.meta.resolve("dm-ulog/core.wasm"));\n');
    const url = execFileSync(process.execPath, [join(project, "core.js")], { cwd: project, encoding: "utf8" });
    assert.ok(packed.files.includes("dist/dm-ulog.wasm"));
    assert.ok(readFileSync(new URL(url)).equals(readFileSync(join(REPOSITORY, "dist/dm-ulog.wasm"))));
  });
  await check("what the package does not export cannot be imported", () => {
    writeFileSync(join(project, "inner.js"), 'import "dm-ulog/dist/common/engine.js";\n');
    assert.throws(
      () => execFileSync(process.execPath, [join(project, "inner.js")], { stdio: "pipe" }),
      /ERR_PACKAGE_PATH/,
    );
  });
  await check("the command is there", () => {
    const command = join(project, "node_modules/.bin/dm-ulog");
    const { version } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as { version: string };
    assert.is(execFileSync(command, ["--version"], { encoding: "utf8" }).trim(), version);
  });
}

async function pages(check: Check, project: string, browser: Browser): Promise<void> {
  const built = join(project, "built");
  await check("Vite builds a page with it, the core as a file beside", async () => {
    await build({ root: project, base: "./", configFile: false, logLevel: "warn", build: { outDir: built } });
    const assets = readdirSync(join(built, "assets"));
    assert.is(assets.filter((name) => name.endsWith(".wasm")).length, 1, String(assets));
  });
  await check("Vite's page does in Chromium what the program does in Node.js", async () => {
    checkLife(JSON.parse(await resultOf(browser, built, "index.html")) as Life);
  });
  await check("a plain page with an import map does", async () => {
    checkLife(JSON.parse(await resultOf(browser, project, "plain.html")) as Life);
  });
  await check(
    "a plain page that imports the module by its address does, with nothing else of the package",
    async () => {
      const alone = join(project, "alone");
      cpSync(join(project, "bare.html"), join(alone, "bare.html"));
      const dist = join("node_modules", "dm-ulog", "dist");
      for (const name of ["browser", "dm-ulog.wasm"]) {
        cpSync(join(project, dist, name), join(alone, dist, name), { recursive: true });
      }
      const result = JSON.parse(await resultOf(browser, alone, "bare.html")) as object;
      assert.equal(result, { answers: [0, 0, 0], marks: 1 });
    },
  );
}

/** What the program must have seen, wherever it runs. */
function checkLife(life: Life): void {
  assert.equal(life.errors, [0, 0, 0, 0, 0, 0]);
  assert.equal(life.states, [0, 1, 0]);
  assert.equal(life.restored, [0, 1, 1]);
  assert.is(life.cleanBits, 0b1001_1111);
  assert.equal(life.failures, []);
  assert.ok(life.notices > 0);
  assert.is(life.requests.MARK_REGION, 2);
  assert.ok(life.isReplayEqual);
  assert.is(life.fault, "marks-dropped");
  first ??= life;
  assert.equal(life, first);
}

/** What the first host said. */
let first: Life | undefined;

function runNode(project: string, name: string): string {
  return execFileSync(process.execPath, [join("out", name)], { cwd: project, encoding: "utf8", stdio: "pipe" });
}

/** Opens a page and waits for what it has to say. Throws where the page, or what it loads, fails. */
async function resultOf(browser: Browser, folder: string, page: string): Promise<string> {
  const server = await StaticServer.start(folder, BASE, new Map());
  const opened = await browser.newPage();
  const errors: string[] = [];
  opened.on("pageerror", (error) => errors.push(error.stack ?? error.message));
  opened.on("response", (response) => {
    // Chromium asks for an icon that no page here has.
    const isIcon = response.url().endsWith("/favicon.ico");
    if (!response.ok() && !isIcon) errors.push(`${response.status()} ${response.url()}`);
  });
  try {
    await opened.goto(`${server.url}${page}`);
    const body = opened.locator("body[data-result]");
    await body.waitFor({ state: "attached", timeout: RESULT_TIMEOUT_MS }).catch((error: Error) => {
      throw new Error([error.message, ...errors].join("\n"));
    });
    assert.equal(errors, []);
    return (await body.getAttribute("data-result")) ?? "";
  } finally {
    await opened.close();
    server.stop();
  }
}

process.exitCode = await main();
