// The keyboard: every movement in time and in the map has a key, and the help lists them all from this table.

/** A key as a person reads it, what it does, and what `KeyboardEvent.key` calls it. */
export interface Key {
  keys: readonly string[];
  shown: string;
  does: string;
  act: () => void;
}

/** Makes the keys work unless the user is typing into a field. */
export function listenToKeys(keys: readonly Key[]): void {
  const byKey = new Map(keys.flatMap((entry) => entry.keys.map((key) => [key, entry] as const)));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target as HTMLElement;
    if (target.matches("input:not([type=checkbox]), select, textarea, dialog *")) return;
    // A button that has the focus keeps the keys that press it.
    if (target.matches("button, summary, a") && (event.key === " " || event.key === "Enter")) return;
    const entry = byKey.get(event.key);
    if (entry === undefined) return;
    event.preventDefault();
    entry.act();
  });
}
