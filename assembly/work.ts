// What goes on with ticks: a request that has waited for its log to become whole is answered, or a log's work goes on by a slice.

import { letSiblingsResume } from "./completions";
import { core } from "./core";
import { answerHeld } from "./datagram";
import { firstToAnswer, takeHeld } from "./held";
import { INPUT_PAYLOAD } from "./layout";
import { HAS_NO_WORK, Log, STATE_MAKING, WORK_REPAIR } from "./log";
import { goOn } from "./log-type";
import { make } from "./making";
import { Mirror } from "./mirror";
import { repair } from "./restore";
import { dequeue } from "./slices";

/** Whether a tick has something to do, whatever the time is. */
export function hasWork(): bool {
  return core.firstQueued != 0 || firstToAnswer() != 0;
}

/** Takes one step. A tick brings no payload: the input area has room for a request. */
export function takeStep(): void {
  const held = firstToAnswer();
  if (held != 0) {
    takeHeld(held, INPUT_PAYLOAD);
    answerHeld(INPUT_PAYLOAD);
    return;
  }
  const at = dequeue();
  if (at == 0) return;
  const log = changetype<Log>(at);
  const mirror = changetype<Mirror>(log.mirror);
  if (log.work == WORK_REPAIR) repair(log);
  else if (log.state == STATE_MAKING) make(log);
  else if (log.work != HAS_NO_WORK) goOn(log, log.work);
  letSiblingsResume(mirror);
}
