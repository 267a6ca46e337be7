// Where a trace may be split so that events stay whole, for code that passes it on in pieces.

import { BLOCK_PACKET, TO_CORE } from "./format.ts";
import { blockBytes, fileView, PacketReader } from "./packet.ts";

/**
 * How many of these bytes are events that are known to be whole. They begin with an event and hold nothing but events, the
 * last of which may be cut.
 */
export function endOfWholeEvents(bytes: Uint8Array): number {
  const { words } = fileView(bytes);
  const packet = new PacketReader();
  let end = 0;
  for (let offset = 0; ; ) {
    const total = blockBytes(words, offset >>> 2, bytes.length);
    if (total === 0) return end;
    const isPacket = words[offset >>> 2] === BLOCK_PACKET && packet.read(words, offset >>> 2, total);
    // Each event begins with its input.
    if (isPacket && packet.direction === TO_CORE) end = offset;
    offset += total;
  }
}
