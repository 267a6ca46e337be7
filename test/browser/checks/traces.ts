// Traces: by link, chosen and dropped; what is none is refused with a sentence.

import { readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import type { App } from "../../../src/visualizer/app.ts";
import { OpenPage } from "../open-page.ts";
import { Reference } from "../page-model.ts";
import type { Bench } from "../run.ts";

export async function traces({ browser, url, traces: files, check }: Bench): Promise<void> {
  console.log("Traces");
  const bytes = readFileSync(files.small);
  const reference = Reference.ofBytes(bytes);

  await check("by link: shows the counts that the engine has, all over the trace", async () => {
    const opened = await OpenPage.open(browser, `${url}?trace=small.pcapng`);
    assert.is(await opened.length(), reference.trace.eventCount);
    for (const share of [0.0001, 0.1, 0.5, 0.31, 0.999, 1]) {
      const position = Math.ceil(share * reference.trace.eventCount);
      await opened.goTo(position);
      assert.equal(await opened.shown(), reference.expected(position), `after ${position} events`);
    }
    await opened.page.waitForFunction(() => window.location.hash.includes("trace=small.pcapng&at="));
    await opened.page.keyboard.press("E");
    await opened.settle();
    const event = (await opened.position()) - 1;
    assert.match(await opened.page.locator(".line.error").first().innerText(), /beyond the end of the mirror|EINVAL/);
    assert.ok(event < reference.trace.eventCount);
    assert.equal(opened.errors, []);
    await opened.close();
  });

  await check("a link with a position opens there", async () => {
    const opened = await OpenPage.open(browser, `${url}#trace=small.pcapng&at=7777`);
    assert.is(await opened.position(), 7777);
    assert.equal(await opened.shown(), reference.expected(7777));
    await opened.close();
  });

  await check("chosen, and dropped on the page", async () => {
    const opened = await OpenPage.open(browser, url);
    await opened.page.setInputFiles("#trace-file", files.small);
    await opened.page.waitForFunction(() => window.dmUlog?.player.source.title.startsWith("small.pcapng"));
    await opened.ready();
    assert.is(await opened.length(), reference.trace.eventCount);
    // A piece that begins and ends with whole blocks, but the last event of which may be cut.
    const part = [...bytes.subarray(0, reference.trace.endOf(99))];
    await opened.page.evaluate((content) => {
      const dropped = new DataTransfer();
      dropped.items.add(new File([Uint8Array.from(content)], "dropped.pcapng"));
      for (const type of ["dragover", "drop"]) {
        document.dispatchEvent(new DragEvent(type, { dataTransfer: dropped, bubbles: true, cancelable: true }));
      }
    }, part);
    await opened.page.waitForFunction(() => window.dmUlog?.player.source.title.startsWith("dropped.pcapng"));
    await opened.ready();
    assert.is(await opened.length(), 100);
    await opened.goTo(100);
    assert.equal(await opened.shown(), reference.expected(100));
    assert.equal(opened.errors, []);
    await opened.close();
  });

  await check("what is no trace, or not to be had, is refused with a sentence", async () => {
    const opened = await OpenPage.open(browser, url);
    const { page } = opened;
    const status = page.locator("#status");
    await page.setInputFiles("#trace-file", {
      name: "letter.txt",
      mimeType: "text/plain",
      buffer: Buffer.from("Dear Sir or Madam"),
    });
    await status.filter({ hasText: "This is not a trace of dm-ulog" }).waitFor();
    await page.evaluate(() => {
      window.location.hash = "trace=https://example.org/x.pcapng";
    });
    await status.filter({ hasText: "own server only" }).waitFor();
    assert.ok(await page.evaluate(() => (window.dmUlog as App).player.hasSource));
    assert.equal(
      opened.requests.filter((address) => !address.startsWith(url) && !address.startsWith("data:")),
      [],
    );
    await opened.close();
  });
}
