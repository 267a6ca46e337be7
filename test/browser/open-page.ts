// The page in a real browser, with what tests read from it and do to it.

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import type { App } from "../../src/visualizer/app.ts";
import type { Expected } from "./page-model.ts";

declare global {
  interface Window {
    dmUlog?: App;
  }
}

const READY_MS = 60_000;
const POLL_MS = 20;

export class OpenPage {
  /** What a person would see in the browser's console as errors. */
  readonly errors: string[] = [];
  readonly requests: string[] = [];

  private constructor(readonly page: Page) {
    page.on("pageerror", (error) => this.errors.push(String(error.stack)));
    page.on("console", (message) => message.type() === "error" && this.errors.push(message.text()));
    page.on("request", (request) => this.requests.push(request.url()));
  }

  /** Opens an address in a context of its own, and waits until everything is read. */
  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<OpenPage> {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    // What tsx compiles names its functions by a helper that a page does not have.
    await context.addInitScript("globalThis.__name = (named) => named");
    const opened = new OpenPage(await context.newPage());
    await opened.page.goto(url);
    await opened.ready();
    return opened;
  }

  /** Waits until every event is read and the page stands where it was asked to. */
  async ready(): Promise<void> {
    const isReady = () => {
      const { player } = window.dmUlog ?? {};
      return player?.hasSource === true && player.progress === null && player.timeline.isComplete;
    };
    await this.page.waitForFunction(isReady, null, { polling: POLL_MS, timeout: READY_MS });
    await this.settle();
  }

  /** Lets two frames pass: what was asked for is drawn then. */
  async settle(): Promise<void> {
    await this.page.evaluate(
      () =>
        new Promise((resolve) =>
          requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(resolve))),
        ),
    );
  }

  async position(): Promise<number> {
    return this.page.evaluate(() => (window.dmUlog as App).player.position);
  }

  async length(): Promise<number> {
    return this.page.evaluate(() => (window.dmUlog as App).player.timeline.length);
  }

  /** Goes to a position by the field for it, as a person does. */
  async goTo(position: number): Promise<void> {
    if (position === 0) {
      await this.page.getByRole("button", { name: "To the beginning" }).click();
    } else {
      await this.page.getByLabel("Go to event").fill(String(position - 1));
      await this.page.getByLabel("Go to event").press("Enter");
    }
    await this.page.waitForFunction((wanted) => window.dmUlog?.player.position === wanted, position);
    await this.settle();
  }

  /** The counts that the legend shows. */
  async shown(): Promise<Expected> {
    const counts = await this.page.evaluate(() =>
      Object.fromEntries(
        [...document.querySelectorAll<HTMLElement>("#legend li")].map((item) => [
          item.dataset.state,
          item.querySelector(".count")?.textContent ?? "",
        ]),
      ),
    );
    const number = (state: string) => Number((counts[state] ?? "").replaceAll(/\D/g, ""));
    return {
      clean: number("clean") + number("device"),
      dirty: number("dirty"),
      out: number("out"),
      failed: number("failed"),
      recovering: counts.recovering === "none" ? null : number("recovering"),
    };
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}
