// Keeps the position in the address once it rests, so that a link opens at the event.

import { writeHash } from "./address.ts";
import type { Player } from "./player.ts";

const REST_MS = 400;
const LIVE_LINK_WORDS =
  "The link to this server is copied. It does not keep events: use dm-ulog record --save to keep the last ones.";

export class AddressBar {
  private restingSinceMs = 0;
  private written = "";

  constructor(
    private readonly player: Player,
    private readonly say: (words: string) => void,
  ) {}

  /** Whether the address is as it was written here, and no other was asked for. */
  get isOwn(): boolean {
    return window.location.hash === this.written;
  }

  /** Called for each frame. */
  tick(nowMs: number): void {
    const { source, position, isPlaying, progress } = this.player;
    const isMoving = isPlaying && source.isLive !== true;
    if (isMoving || progress !== null || source.address === undefined) {
      this.restingSinceMs = nowMs;
      return;
    }
    const hash = writeHash(source.address, position, source.isLive);
    if (hash === this.written || nowMs - this.restingSinceMs < REST_MS) return;
    this.written = hash;
    history.replaceState(null, "", hash);
  }

  async copyLink(): Promise<void> {
    const { source, position } = this.player;
    if (source.address === undefined) {
      this.say(
        "A trace that was chosen or dropped has no address. Put it beside the page and open it with ?trace=FILE.",
      );
      return;
    }
    const link = new URL(writeHash(source.address, position, source.isLive), window.location.href).href;
    try {
      await navigator.clipboard.writeText(link);
      this.say(source.isLive ? LIVE_LINK_WORDS : "The link to this event is copied.");
    } catch {
      this.say(link);
    }
  }
}
