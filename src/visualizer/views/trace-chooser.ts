// Two ways to give the page a trace: a button, and dropping a file anywhere on the page.

import { byId } from "./dom.ts";

/** Calls `use` with every trace file that a person chooses or drops. */
export function listenForTraces(use: (file: File) => void): void {
  const field = byId<HTMLInputElement>("trace-file");
  byId("open-trace").addEventListener("click", () => field.click());
  field.addEventListener("change", () => {
    const file = field.files?.[0];
    // The same file may be chosen again.
    field.value = "";
    if (file !== undefined) use(file);
  });

  const cover = byId("drop");
  const hasFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files") === true;
  document.addEventListener("dragover", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    cover.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) cover.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    cover.hidden = true;
    const file = event.dataTransfer?.files[0];
    if (!hasFile(event) || file === undefined) return;
    event.preventDefault();
    use(file);
  });
}
