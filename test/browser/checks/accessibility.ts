// axe finds nothing serious, in both themes, on both sources, wide and narrow.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import * as assert from "uvu/assert";
import { OpenPage } from "../open-page.ts";
import type { Bench } from "../run.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SERIOUS = ["serious", "critical"];

/** Fails where axe finds something serious on the page as it stands. */
export async function assertAccessible({ page }: OpenPage): Promise<void> {
  await page.evaluate(axe);
  const found = await page.evaluate(() => (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run());
  const words = found.violations.map(({ id, impact, help, nodes }) => {
    return `${impact} ${id}: ${help}\n${nodes.map(({ html, failureSummary }) => `  ${html}\n  ${failureSummary}`).join("\n")}`;
  });
  for (const { id, impact } of found.violations) console.log(`          ${impact}: ${id}`);
  const serious = words.filter((_, i) => SERIOUS.includes(found.violations[i]?.impact ?? ""));
  assert.is(serious.join("\n"), "");
  assert.ok(found.passes.length > 20);
}

export async function accessibility({ browser, url, check }: Bench): Promise<void> {
  console.log("Accessibility");
  const narrow = { width: 390, height: 844 };
  for (const [name, path, options] of [
    ["simulation, light", "", { colorScheme: "light" }],
    ["simulation, dark", "", { colorScheme: "dark" }],
    ["trace, light", "?trace=small.pcapng#trace=small.pcapng&at=5000", { colorScheme: "light" }],
    ["simulation on a phone, dark", "", { colorScheme: "dark", viewport: narrow }],
    ["trace on a phone, light", "#trace=small.pcapng&at=5000", { colorScheme: "light", viewport: narrow }],
  ] as const) {
    await check(`axe finds nothing serious: ${name}`, async () => {
      const opened = await OpenPage.open(browser, url + path, options);
      await opened.page.locator("#map-frame").press("End");
      await opened.page.waitForTimeout(400);
      await assertAccessible(opened);
      await opened.close();
    });
  }

  await check("a keyboard reaches everything: focus is seen, and goes through the page and out", async () => {
    const opened = await OpenPage.open(browser, url);
    const reached = new Set<string>();
    for (let i = 0; i < 80; i++) {
      await opened.page.keyboard.press("Tab");
      const focus = await opened.page.evaluate(() => {
        const element = document.activeElement as HTMLElement;
        if (element === document.body) return null;
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        const isSeen = outlineStyle !== "none" && outlineWidth !== "0px";
        return { name: element.id || element.getAttribute("aria-label") || element.textContent || "", isSeen };
      });
      if (focus === null) break;
      assert.ok(focus.isSeen, `no focus is seen on ${focus.name}`);
      reached.add(focus.name);
    }
    for (const name of ["map-frame", "lines", "density", "detail-body", "show-help", "Next error", "Cut the power"]) {
      assert.ok(reached.has(name), `${name} is not reached: ${[...reached].join(", ")}`);
    }
    await opened.close();
  });
}
