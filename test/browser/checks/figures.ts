// How fast the page is, on traces as large as the ones it is for.

import * as assert from "uvu/assert";
import { roaming, scrubbing } from "../frames.ts";
import { OpenPage } from "../open-page.ts";
import type { Bench } from "../run.ts";

const OPEN_MS_MAX = 3000;
const FRAMES_MIN = 30;
/** The best of so many: this machine may be busy with something else. */
const ATTEMPTS = 3;

export async function figures({ browser, url, traces, check }: Bench): Promise<void> {
  console.log("Figures");
  const opened = await OpenPage.open(browser, url);

  await check("a trace of 1 million events opens in 3 s", async () => {
    let best = Infinity;
    for (let attempt = 0; attempt < ATTEMPTS && best > OPEN_MS_MAX; attempt++) {
      await opened.page.getByRole("button", { name: "Simulation" }).click();
      await opened.ready();
      const startedMs = performance.now();
      await opened.page.setInputFiles("#trace-file", traces.million);
      await opened.page.waitForFunction(() => window.dmUlog?.player.source.title.startsWith("million.pcapng"));
      const seenMs = performance.now() - startedMs;
      await opened.ready();
      const tookMs = performance.now() - startedMs;
      console.log(
        `          first events shown after ${seenMs.toFixed(0)} ms, all of them after ${tookMs.toFixed(0)} ms`,
      );
      best = Math.min(best, tookMs);
    }
    assert.is(await opened.length(), 1_000_000);
    assert.ok(best <= OPEN_MS_MAX, `${best.toFixed(0)} ms`);
  });

  await check("a trace of 1 million events is scrubbed at 30 frames/s", async () => {
    const frames = await scrubbing(opened);
    console.log(`          ${frames.toFixed(0)} frames/s`);
    assert.ok(frames >= FRAMES_MIN);
  });
  assert.equal(opened.errors, []);
  await opened.close();

  await check("10 million regions are drawn at 30 frames/s", async () => {
    const large = await OpenPage.open(browser, `${url}?trace=large.pcapng`);
    const frames = await roaming(large);
    console.log(`          ${frames.toFixed(0)} frames/s`);
    assert.ok(frames >= FRAMES_MIN);
    assert.equal(large.errors, []);
    await large.close();
  });
}
