// The engine: one input in, its effects out. Given the same inputs it leaves the same bytes, in every host.

import { core } from "./core";
import { handleDatagram } from "./datagram";
import { violatedInvariant } from "./invariants";
import { ABI_VERSION, INPUT_KIND, INPUT_KIND_DATAGRAM, INPUT_PAYLOAD, INPUT_PAYLOAD_SIZE, INPUT_PORT } from "./layout";

/** Prepares the instance; to be called once, before the first input. Returns the ABI version. */
export function initialize(): u32 {
  core.abiVersion = ABI_VERSION;
  return ABI_VERSION;
}

/**
 * Takes the input in the input area, whose header and payload the host has written. Returns the bytes of effect
 * records that stand in the effects area then; the host carries them out in order before the next input.
 * An unknown kind of input is ignored.
 */
export function handleInput(): u32 {
  core.inputs++;
  core.effectsBytes = 0;
  if (load<u32>(INPUT_KIND) == INPUT_KIND_DATAGRAM) {
    handleDatagram(INPUT_PAYLOAD, load<u32>(INPUT_PAYLOAD_SIZE), load<u32>(INPUT_PORT));
  }
  if (!ASC_NO_ASSERT) assert(violatedInvariant() == 0);
  return core.effectsBytes;
}
