// The live server: a real one, asked over a real netlink socket, whose page shows what its engine knows while it works.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { asciiBytes } from "../../../src/common/kernel-frames.ts";
import type { App } from "../../../src/visualizer/app.ts";
import { grouped } from "../../../src/visualizer/views/dom.ts";
import { lacksForServer, PlayedKernel } from "../../played-kernel.ts";
import { OpenPage } from "../open-page.ts";
import { abi, type Expected, expectedOf } from "../page-model.ts";
import type { Bench } from "../run.ts";
import { assertAccessible } from "./accessibility.ts";

const REGION_COUNT = 3000;
/** Behind a change, until the page shows it. */
const SHOWN_MS = 5000;

export async function live({ browser, screenshots, check }: Bench): Promise<void> {
  console.log("A live server");
  const lacking = lacksForServer();
  if (lacking !== undefined) {
    console.log(`          not to be had here: ${lacking}`);
    return;
  }
  // Worker threads have no TypeScript loader: the server runs as it is built.
  const { Server } = (await import(
    new URL("../../../dist/node/server.js", import.meta.url).href
  )) as typeof import("../../../src/node/server.ts");
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-live-"));
  const kernel = new PlayedKernel(abi, "LVM-live");
  const start = (port: number) =>
    Server.start({
      wasm: readFileSync(fileURLToPath(new URL("../../../dist/dm-ulog.wasm", import.meta.url))),
      kernelPort: kernel.port,
      application: "dm-ulog test",
      runtimeDirectory: folder,
      view: { port, address: "127.0.0.1", page: fileURLToPath(new URL("../../../dist/visualizer/", import.meta.url)) },
      log: () => {},
      failed: (error) => {
        throw error;
      },
    });
  let server = await start(0);
  const url = server.viewUrl as string;
  const ask = async (type: Parameters<PlayedKernel["ask"]>[1], data: Uint8Array | readonly number[] = []) =>
    assert.is((await kernel.ask(server.port, type, data)).error, 0, String(type));
  const resync = async (first: number, count: number) => {
    for (let region = first; region < first + count; region++) {
      await ask("GET_RESYNC_WORK");
      await ask("SET_REGION_SYNC", [region, 1]);
    }
  };
  const known = (): Expected => expectedOf(server);
  /** Waits until the page shows what the engine knows, and fails with both where it does not come to that. */
  const showsTheSame = async (opened: OpenPage) => {
    const endMs = performance.now() + SHOWN_MS;
    for (;;) {
      const shown = await opened.shown();
      if (JSON.stringify(shown) === JSON.stringify(known())) return;
      if (performance.now() > endMs) assert.equal(shown, known());
      await opened.page.waitForTimeout(50);
    }
  };

  await ask("CTR", asciiBytes(`${REGION_COUNT * 2} clustered-core 2`));
  await ask("RESUME");
  await resync(0, 400);
  const opened = await OpenPage.open(browser, url);
  const { page } = opened;

  await check("opens on the server that the page comes from, follows it, and has what was before", async () => {
    assert.match(await page.locator("#source-title").innerText(), /^live server: .* events of dm-ulog test$/);
    assert.is(await page.getByRole("button", { name: "Pause" }).count(), 1);
    assert.ok((await opened.length()) > 800);
    await showsTheSame(opened);
  });

  await check("the map has the engine's counts while it works", async () => {
    for (let round = 0; round < 8; round++) {
      await resync(400 + 100 * round, 100);
      await ask("FLUSH", [7 * round, 1000 + round, 2000 + round]);
      if (round > 3) await ask("CLEAR_REGION", [7 * round]);
      await showsTheSame(opened);
      assert.is(await opened.position(), await opened.length());
    }
    assert.ok(known().dirty > 10 && known().out > 1000, "there is something to compare");
    // What is costly is drawn when the position rests.
    await page.locator("#detail-title", { hasText: `Event ${grouped((await opened.position()) - 1)}` }).waitFor();
    await page.locator("#source-title", { hasText: `${grouped(await opened.length())} events` }).waitFor();
    await page.screenshot({ path: join(screenshots, "live.png") });
  });

  await check("what one has stopped at stays, while more comes", async () => {
    await page.getByRole("button", { name: "Pause" }).click();
    const before = await opened.position();
    const shown = await opened.shown();
    await resync(1200, 50);
    await page.waitForFunction((length) => (window.dmUlog as App).player.timeline.length > length, before + 90);
    assert.is(await opened.position(), before);
    assert.equal(await opened.shown(), shown);
    await page.keyboard.press("ArrowLeft");
    await opened.settle();
    assert.is(await opened.position(), before - 1);
    await page.keyboard.press("End");
    await page.keyboard.press(" ");
    await ask("MARK_REGION", [2999]);
    await showsTheSame(opened);
  });

  await check("who follows finds the next server again, with the log it has taken up", async () => {
    await server.stop();
    await page.locator("#source-title", { hasText: "The connection to the server has ended" }).waitFor();
    server = await start(Number(new URL(url).port));
    await page.waitForFunction(() => (window.dmUlog as App).player.source.problem === null);
    await resync(1250, 20);
    await showsTheSame(opened);
    await page.locator("#status", { hasText: "The live server is back." }).waitFor();
    await page.waitForTimeout(600);
    await page.screenshot({ path: join(screenshots, "live-again.png") });
  });

  await check("the simulation and back, on a phone in the dark too", async () => {
    await page.getByRole("button", { name: "Simulation", exact: true }).click();
    await page.locator("#source-title", { hasText: "simulated kernel" }).waitFor();
    await page.getByRole("button", { name: "Live server" }).click();
    await page.locator("#source-title", { hasText: "live server" }).waitFor();
    await showsTheSame(opened);
    await page.waitForFunction(() => window.location.hash === "#live");
    const viewport = { width: 390, height: 844 };
    const small = await OpenPage.open(browser, `${url}#live`, { viewport, colorScheme: "dark", deviceScaleFactor: 2 });
    await showsTheSame(small);
    await small.page.waitForTimeout(600);
    await small.page.screenshot({ path: join(screenshots, "live-phone-dark.png"), fullPage: true });
    assert.ok((await small.page.evaluate(() => document.documentElement.scrollWidth)) <= 390);
    assert.equal(small.errors, []);
    await small.close();
  });

  await check("axe finds nothing serious on a live server", () => assertAccessible(opened));

  await check("asks nothing of any other server", async () => {
    assert.equal(
      opened.requests.filter((address) => !address.startsWith(url) && !address.startsWith("data:")),
      [],
    );
    // While there was no server, the browser said so.
    assert.equal(
      opened.errors.filter((words) => !words.includes("net::ERR_")),
      [],
    );
  });

  await opened.close();
  assert.ok(await server.stop());
  kernel.close();
  rmSync(folder, { recursive: true });
}
