// Screenshots for a person to look at, and that the page fits every width.

import { copyFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import type { App } from "../../../src/visualizer/app.ts";
import { OpenPage } from "../open-page.ts";
import type { Bench } from "../run.ts";

const PICTURE = process.argv.indexOf("--picture");

export async function looks({ browser, url, screenshots, check }: Bench): Promise<void> {
  console.log("Looks");
  for (const [name, path, width, height, colorScheme] of [
    ["light", "", 1440, 900, "light"],
    ["dark", "", 1440, 900, "dark"],
    ["phone", "", 390, 844, "light"],
    ["phone-dark", "", 360, 740, "dark"],
    ["tablet", "", 820, 1180, "light"],
    ["wide", "", 2560, 1300, "dark"],
    ["trace", "#trace=small.pcapng&at=12000", 1440, 900, "light"],
    ["large", "#trace=large.pcapng&at=9000", 1440, 900, "light"],
  ] as const) {
    await check(`${name}: fits ${width} pixels`, async () => {
      const deviceScaleFactor = width < 600 ? 2 : 1;
      const viewport = { width, height };
      const opened = await OpenPage.open(browser, url + path, { viewport, colorScheme, deviceScaleFactor });
      const { page } = opened;
      await page.waitForTimeout(600);
      const file = join(screenshots, `${name}.png`);
      await page.screenshot({ path: file });
      if (name === "light" && PICTURE > 0) copyFileSync(file, process.argv[PICTURE + 1] as string);
      if (height < width) assert.ok(await fitsHeight(opened), "the page is cut off");
      else await page.screenshot({ path: join(screenshots, `${name}-whole.png`), fullPage: true });
      const scrollWidth = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(scrollWidth <= width, `${scrollWidth} pixels wide`);
      assert.equal(opened.errors, []);
      await opened.close();
    });
  }

  await check("marks and clears light up while it plays", async () => {
    const opened = await OpenPage.open(browser, url);
    const { page } = opened;
    await opened.goTo(1500);
    await page.getByLabel("Speed").selectOption("500");
    await page.getByRole("button", { name: "Play" }).click();
    await page.waitForFunction(() => !(window.dmUlog as App).map.flashes.isEmpty);
    await page.waitForTimeout(300);
    await page.screenshot({ path: join(screenshots, "playing.png") });
    await page.keyboard.press("?");
    await page.screenshot({ path: join(screenshots, "help.png") });
    await opened.close();
  });
}

/** Whether everything can be reached: in sight, or by scrolling the page. */
function fitsHeight({ page }: OpenPage): Promise<boolean> {
  return page.evaluate(() => {
    const time = document.querySelector(".time")?.getBoundingClientRect();
    return time !== undefined && time.bottom <= window.innerHeight + 1;
  });
}
