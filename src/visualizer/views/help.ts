// The list of keys and what they do.

import type { Key } from "../keys.ts";
import { byId, element } from "./dom.ts";

export class Help {
  private readonly dialog = byId<HTMLDialogElement>("help");

  constructor(keys: readonly Key[]) {
    const list = element("dl", { class: "keys" });
    for (const { shown, does } of keys) {
      const names = shown.split(" ").map((key) => element("kbd", {}, key));
      list.append(element("div", {}, element("dt", {}, ...names), element("dd", {}, does)));
    }
    const close = element("button", { type: "button", click: () => this.dialog.close() }, "Close");
    this.dialog.append(
      element("h2", { id: "help-title" }, "Keys"),
      list,
      element(
        "p",
        { class: "quiet" },
        "In the map the arrow keys choose a region. Drag a trace onto the page to open it; it does not leave this machine.",
      ),
      close,
    );
    byId("show-help").addEventListener("click", () => this.toggle());
  }

  toggle(): void {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }
}
