// The Node.js host's look at swap on its mirrors, at the start and while it runs.

import { THIS_MACHINE } from "./block-devices.ts";
import { readTables } from "./device-mapper.ts";
import { swapOnMirrors } from "./swap-on-mirrors.ts";

const LOOK_INTERVAL_MS = 5000;

/** Mirrors with a userspace log that swap is on now; none where the tables cannot be read. */
export function mirrorsWithSwap(): string[] {
  try {
    return swapOnMirrors(THIS_MACHINE, readTables());
  } catch {
    return [];
  }
}

/** Says whenever swap comes to be on another mirror than `known`. The process may end meanwhile. */
export function watchSwap(known: readonly string[], tell: (sentence: string) => void): void {
  let before = known;
  setInterval(() => {
    const now = mirrorsWithSwap();
    const added = now.filter((name) => !before.includes(name));
    if (added.length > 0) tell(swapSentence(added));
    before = now;
  }, LOOK_INTERVAL_MS).unref();
}

/** What to say of such mirrors. */
export function swapSentence(mirrors: readonly string[]): string {
  return (
    `Swap lies on mirrors whose log this server keeps (${mirrors.join(", ")}). The Node.js host must not serve them: when memory runs ` +
    "out, the machine deadlocks. Use the native host (npm run build:native), or take the swap away: sudo swapoff."
  );
}
