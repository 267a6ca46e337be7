// The simulation: what the page opens on, that it lives, and that it shows what its core knows.

import * as assert from "uvu/assert";
import type { App } from "../../../src/visualizer/app.ts";
import { OpenPage } from "../open-page.ts";
import { Reference } from "../page-model.ts";
import type { Bench } from "../run.ts";

export async function simulation({ browser, url, check }: Bench): Promise<void> {
  console.log("The simulation");
  const opened = await OpenPage.open(browser, url);
  const { page } = opened;

  await check("opens paused, with three sentences, in the middle of a resync", async () => {
    assert.is(await page.locator("#story p").count(), 3);
    assert.is(await page.getByRole("button", { name: "Play" }).count(), 1);
    const { out, recovering } = await opened.shown();
    assert.ok(out > 0, "nothing is out of sync");
    assert.ok(recovering !== null, "nothing is being recovered");
  });

  await check("shows the counts that the core has, at positions all over a life with a power cut", async () => {
    await page.waitForFunction(() => window.location.hash.includes("&at="));
    const length = await opened.length();
    const reference = Reference.ofAddress(new URL(page.url()).hash, length);
    assert.ok(reference.trace.eventCount >= length);
    for (const share of [0, 0.0005, 0.2, 0.41, 0.7, 0.76, 0.8, 0.84, 0.9, 1]) {
      const position = Math.floor(share * length);
      await opened.goTo(position);
      assert.equal(await opened.shown(), reference.expected(position), `after ${position} events`);
    }
  });

  await check("a link opens at the event", async () => {
    await opened.goTo(1234);
    await page.waitForFunction(() => window.location.hash.endsWith("&at=1234"));
    const again = await OpenPage.open(browser, page.url());
    assert.is(await again.position(), 1234);
    assert.equal(await again.shown(), await opened.shown());
    assert.equal(again.errors, []);
    await again.close();
  });

  await check("keys step, jump, play and pause; help lists them", async () => {
    await page.locator("body").press("Home");
    for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowLeft");
    await opened.settle();
    assert.is(await opened.position(), 4);
    await page.keyboard.press("f");
    await opened.settle();
    const atFlush = await opened.position();
    assert.ok(atFlush > 4);
    await page.keyboard.press("s");
    await opened.settle();
    assert.ok((await opened.position()) > atFlush);
    await page.keyboard.press("S");
    await opened.settle();
    assert.ok((await opened.position()) < atFlush + 1);
    const before = await opened.position();
    await page.keyboard.press(" ");
    await page.waitForTimeout(700);
    await page.keyboard.press(" ");
    await opened.settle();
    assert.ok((await opened.position()) > before);
    assert.is(await page.getByRole("button", { name: "Play" }).count(), 1);
    await page.keyboard.press("?");
    assert.ok(await page.getByRole("dialog", { name: "Keys" }).isVisible());
    await page.keyboard.press("Escape");
    assert.not.ok(await page.getByRole("dialog").isVisible());
  });

  await check("choosing a message shows its bytes field by field, and what it changed", async () => {
    // The first flush with a mark that follows: its region becomes dirty.
    await opened.goTo(200);
    await page.getByLabel("Which events to list").selectOption("flushes");
    await opened.settle();
    await page
      .locator(".line.ahead", { hasText: /^\D*[\d,]+[\d. ]+.*FLUSH region/ })
      .first()
      .click();
    await page.waitForTimeout(300);
    const detail = page.locator("#detail-body");
    for (const name of ["nlmsg_len", "id.idx", "luid", "request_type", "region"]) {
      assert.ok((await detail.locator("td.field", { hasText: new RegExp(`^${name}$`) }).count()) > 0, name);
    }
    assert.match(await detail.locator(".changes").innerText(), /region [\d,]+/);
    await page.getByLabel("Which events to list").selectOption("all");
  });

  await check("a region that is chosen tells its state and its history", async () => {
    await page.locator("#map-frame").focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    await page.waitForTimeout(300);
    assert.match(await page.locator("#readout").innerText(), /^Region 1: /);
    assert.match(await page.locator("#region").innerText(), /Region 1/);
    assert.ok((await page.locator("#region .history li").count()) > 0, "no history");
  });

  await check("things that happen go on from the latest instant, and the map stays true", async () => {
    for (const name of ["Cut the power", "Fail a disk", "Disk is back", "Kill the server", "Suspend, resume"]) {
      await page.getByRole("button", { name }).click();
      await page.getByLabel("Speed").selectOption("2500");
      await page.waitForTimeout(1200);
    }
    await page.keyboard.press("Escape");
    await page.evaluate(() => {
      (window.dmUlog as App).player.isPlaying = false;
    });
    await page.waitForFunction(() => window.location.hash.includes("suspend"));
    const position = await opened.position();
    const reference = Reference.ofAddress(new URL(page.url()).hash, await opened.length());
    assert.equal(await opened.shown(), reference.expected(position));
  });

  await check("another machine begins anew: a core log is resynced whole after a power cut", async () => {
    await page.locator("summary").click();
    await page.getByLabel("log", { exact: true }).selectOption("core");
    await page.getByLabel("regions", { exact: true }).selectOption("128");
    await page.getByRole("button", { name: "Restart" }).click();
    await opened.settle();
    assert.is(await opened.position(), 0);
    await page.evaluate(() => (window.dmUlog as App).seek(400));
    await page.waitForFunction(() => window.dmUlog?.player.position === 400);
    await page.getByRole("button", { name: "Cut the power" }).click();
    await page.waitForFunction(() => {
      const { position, index, source } = (window.dmUlog as App).player.timeline;
      const cut = source.notes[0]?.event ?? Number.POSITIVE_INFINITY;
      return position > cut && index.outOfSync.values.subarray(cut, position).includes(128);
    });
  });

  await check("asks nothing of any other server, and has no errors", async () => {
    assert.equal(
      opened.requests.filter((address) => !address.startsWith(url) && !address.startsWith("data:")),
      [],
    );
    assert.equal(opened.errors, []);
  });
  await opened.close();
}
