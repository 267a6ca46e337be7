// The engine: one input in, its effects out. Given the same inputs it leaves the same bytes, in every host.

import { handleCompletion, handleTick } from "./completions";
import { core } from "./core";
import { handleDatagram } from "./datagram";
import { renewWake } from "./deadlines";
import { handleForget } from "./forget";
import { initializeHandles } from "./handles";
import { violatedInvariant } from "./invariants";
import {
  ABI_VERSION,
  INPUT_KIND,
  INPUT_KIND_COMPLETION,
  INPUT_KIND_CONFIGURE,
  INPUT_KIND_DATAGRAM,
  INPUT_KIND_FORGET,
  INPUT_KIND_RESTORE,
  INPUT_KIND_TICK,
  INPUT_PAYLOAD,
  INPUT_PAYLOAD_SIZE,
  INPUT_PORT,
} from "./layout";
import { INPUT_PAYLOAD_BYTES_MAX } from "./limits";
import { handleConfigure, setDefaults } from "./options";
import { handleRestore } from "./restore";
import { renewSlice } from "./slices";
import { hasWork, takeStep } from "./work";

/** Prepares the instance; to be called once, before the first input. Returns the ABI version. */
export function initialize(): u32 {
  core.abiVersion = ABI_VERSION;
  initializeHandles();
  setDefaults();
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
  core.lastStateWrite = 0;
  renewSlice();
  const size = load<u32>(INPUT_PAYLOAD_SIZE);
  const kind = load<u32>(INPUT_KIND);
  if (kind == INPUT_KIND_DATAGRAM) handleDatagram(INPUT_PAYLOAD, size, load<u32>(INPUT_PORT));
  else if (<usize>size > INPUT_PAYLOAD_BYTES_MAX) return 0;
  else if (kind == INPUT_KIND_COMPLETION) handleCompletion(INPUT_PAYLOAD, size);
  else if (kind == INPUT_KIND_TICK) {
    takeStep();
    handleTick();
  } else if (kind == INPUT_KIND_RESTORE) handleRestore(INPUT_PAYLOAD, size);
  else if (kind == INPUT_KIND_CONFIGURE) handleConfigure(INPUT_PAYLOAD, size);
  else if (kind == INPUT_KIND_FORGET) handleForget(INPUT_PAYLOAD, size);
  renewWake(hasWork());
  if (!ASC_NO_ASSERT) assert(violatedInvariant() == 0);
  return core.effectsBytes;
}
