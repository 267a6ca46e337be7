// What each key does. The help lists this table, and the page uses it.

import type { Key } from "./keys.ts";
import type { Player } from "./player.ts";
import type { MapView } from "./views/map-view.ts";
import type { Scrubber } from "./views/scrubber.ts";
import { JUMPS } from "./views/transport.ts";

/** What keys move. */
export interface Movable {
  player: Player;
  map: MapView;
  scrubber: Scrubber;
  copyLink(): void;
  toggleTheme(): void;
  toggleHelp(): void;
}

/** `done` is called after each key's action. */
export function keyTable({ player, map, scrubber, ...page }: Movable, done: () => void): Key[] {
  const key = (keys: string[], shown: string, does: string, act: () => void): Key => ({
    keys,
    shown,
    does,
    act: () => {
      act();
      done();
    },
  });
  const jumps = JUMPS.flatMap(({ flag, name, words, key: letter }) => [
    key([letter], letter, `next ${name}`, () => player.jump(flag, 1, words)),
    key([letter.toUpperCase()], `shift ${letter}`, `previous ${name}`, () => player.jump(flag, -1, words)),
  ]);
  return [
    key([" "], "space", "play, pause", () => player.toggle()),
    key(["ArrowRight", "l"], "→", "one event forward", () => player.step(1)),
    key(["ArrowLeft", "h"], "←", "one event back", () => player.step(-1)),
    key(["PageDown"], "page-down", "100 events forward", () => player.step(100)),
    key(["PageUp"], "page-up", "100 events back", () => player.step(-100)),
    key(["Home"], "home", "to the beginning", () => player.seek(0)),
    key(["End"], "end", "to the end", () => player.seek(player.timeline.length)),
    ...jumps,
    key([".", ">"], ".", "faster", () => player.changeSpeed(1)),
    key([",", "<"], ",", "slower", () => player.changeSpeed(-1)),
    key(["+", "="], "+", "zoom into the map", () => map.zoomBy(1)),
    key(["-"], "-", "zoom out of the map", () => map.zoomBy(-1)),
    key(["0"], "0", "the whole map", () => map.zoomOut()),
    key(["]"], "]", "zoom into the time strip", () => scrubber.zoomBy(1)),
    key(["["], "[", "zoom out of the time strip", () => scrubber.zoomBy(-1)),
    key(["c"], "c", "copy a link to this event", () => page.copyLink()),
    key(["d"], "d", "light or dark", () => page.toggleTheme()),
    key(["?"], "?", "this list", () => page.toggleHelp()),
  ];
}
