// The life of a log's device, as one table. Nothing else decides what follows what; disk-flow.ts carries it out.
//
// A phase is what is under way on the device, a goal what it is for, an event what has just happened:
//   BEGIN   a goal was set, and nothing is under way on the device
//   OPENED  the device is open, large enough, and no other mirror's       REFUSED  it is not, and closed again
//   READ    the image is read, or cannot be                               FOREIGN  and it is another format's: hands off
//   STORED  what reading made of the image is written, or cannot be       SETTLED  the legs that a resume flushes are
//
//   open      ask for the device                      announce  answer the constructor: the log is there
//   read      ask for the image; flush the legs       discard   answer the constructor with the error: no log
//   adopt     make the log's sets and the image agree; begin to write what differs
//   finish    answer who waited for the goal; the goal is reached
//   close     let go of the device, then finish
//   drain     flush the legs, write what is lazy, then answer; nothing of it where the device is not READY
//
// A goal is set by a request, a restore, or the end of another goal; DESTROY alone replaces a goal that is not reached.
// What has no row cannot happen: it stops the core.

import { ensure } from "./abort";

export const PHASE_CLOSED: u8 = 0;
export const PHASE_OPENING: u8 = 1;
export const PHASE_OPEN: u8 = 2;
/** The image is being read. */
export const PHASE_LOADING: u8 = 3;
/** What reading it made of the image is being written back. */
export const PHASE_STORING: u8 = 4;
export const PHASE_READY: u8 = 5;

/** Nothing is wanted of the device but what marks and clears ask. */
export const GOAL_NONE: u8 = 0;
export const GOAL_CONSTRUCT: u8 = 1;
export const GOAL_RESUME: u8 = 2;
/** A running log of an earlier server: memory knows more than the device. */
export const GOAL_RESTORE: u8 = 3;
/** A log of an earlier server that is not running: its device is opened and nothing more. */
export const GOAL_REOPEN: u8 = 4;
/** All that is lazy goes out, then the suspend is answered. */
export const GOAL_SUSPEND: u8 = 5;
/** The same, then the log is destroyed. */
export const GOAL_DESTROY: u8 = 6;

export const EVENT_BEGIN: u8 = 0;
export const EVENT_OPENED: u8 = 1;
export const EVENT_REFUSED: u8 = 2;
export const EVENT_READ: u8 = 3;
export const EVENT_FOREIGN: u8 = 4;
export const EVENT_STORED: u8 = 5;
export const EVENT_SETTLED: u8 = 6;

export const ACTION_OPEN: u8 = 1;
export const ACTION_ANNOUNCE: u8 = 2;
export const ACTION_DISCARD: u8 = 3;
export const ACTION_READ: u8 = 4;
export const ACTION_ADOPT: u8 = 5;
export const ACTION_FINISH: u8 = 6;
export const ACTION_CLOSE: u8 = 7;
export const ACTION_DRAIN: u8 = 8;

const LIFE_ROWS: u32 = 32;
const ROW_BYTES: usize = 5;

// biome-ignore format: a table is read by its columns
const LIFE: usize = memory.data<u8>([
  // phase        goal            event          action           next phase
  PHASE_CLOSED,  GOAL_CONSTRUCT, EVENT_BEGIN,   ACTION_OPEN,     PHASE_OPENING,
  PHASE_CLOSED,  GOAL_RESUME,    EVENT_BEGIN,   ACTION_OPEN,     PHASE_OPENING,
  PHASE_CLOSED,  GOAL_RESUME,    EVENT_SETTLED, ACTION_FINISH,   PHASE_CLOSED,
  PHASE_CLOSED,  GOAL_RESTORE,   EVENT_BEGIN,   ACTION_OPEN,     PHASE_OPENING,
  PHASE_CLOSED,  GOAL_REOPEN,    EVENT_BEGIN,   ACTION_OPEN,     PHASE_OPENING,
  PHASE_CLOSED,  GOAL_SUSPEND,   EVENT_BEGIN,   ACTION_DRAIN,    PHASE_CLOSED,
  PHASE_CLOSED,  GOAL_DESTROY,   EVENT_BEGIN,   ACTION_DRAIN,    PHASE_CLOSED,

  PHASE_OPENING, GOAL_CONSTRUCT, EVENT_OPENED,  ACTION_ANNOUNCE, PHASE_OPEN,
  PHASE_OPENING, GOAL_CONSTRUCT, EVENT_REFUSED, ACTION_DISCARD,  PHASE_CLOSED,
  PHASE_OPENING, GOAL_RESUME,    EVENT_OPENED,  ACTION_READ,     PHASE_LOADING,
  PHASE_OPENING, GOAL_RESUME,    EVENT_REFUSED, ACTION_ADOPT,    PHASE_CLOSED,
  PHASE_OPENING, GOAL_RESTORE,   EVENT_OPENED,  ACTION_READ,     PHASE_LOADING,
  PHASE_OPENING, GOAL_RESTORE,   EVENT_REFUSED, ACTION_ADOPT,    PHASE_CLOSED,
  PHASE_OPENING, GOAL_REOPEN,    EVENT_OPENED,  ACTION_FINISH,   PHASE_OPEN,
  PHASE_OPENING, GOAL_REOPEN,    EVENT_REFUSED, ACTION_FINISH,   PHASE_CLOSED,
  PHASE_OPENING, GOAL_DESTROY,   EVENT_OPENED,  ACTION_DRAIN,    PHASE_OPEN,
  PHASE_OPENING, GOAL_DESTROY,   EVENT_REFUSED, ACTION_DRAIN,    PHASE_CLOSED,

  PHASE_OPEN,    GOAL_RESUME,    EVENT_BEGIN,   ACTION_READ,     PHASE_LOADING,
  PHASE_OPEN,    GOAL_SUSPEND,   EVENT_BEGIN,   ACTION_DRAIN,    PHASE_OPEN,
  PHASE_OPEN,    GOAL_DESTROY,   EVENT_BEGIN,   ACTION_DRAIN,    PHASE_OPEN,

  PHASE_LOADING, GOAL_RESUME,    EVENT_READ,    ACTION_ADOPT,    PHASE_STORING,
  PHASE_LOADING, GOAL_RESTORE,   EVENT_READ,    ACTION_ADOPT,    PHASE_STORING,
  PHASE_LOADING, GOAL_DESTROY,   EVENT_READ,    ACTION_DRAIN,    PHASE_OPEN,

  PHASE_STORING, GOAL_RESUME,    EVENT_STORED,  ACTION_FINISH,   PHASE_READY,
  PHASE_STORING, GOAL_RESUME,    EVENT_FOREIGN, ACTION_CLOSE,    PHASE_CLOSED,
  PHASE_STORING, GOAL_RESTORE,   EVENT_STORED,  ACTION_FINISH,   PHASE_READY,
  PHASE_STORING, GOAL_RESTORE,   EVENT_FOREIGN, ACTION_CLOSE,    PHASE_CLOSED,
  PHASE_STORING, GOAL_DESTROY,   EVENT_STORED,  ACTION_DRAIN,    PHASE_READY,

  PHASE_READY,   GOAL_RESUME,    EVENT_BEGIN,   ACTION_READ,     PHASE_LOADING,
  PHASE_READY,   GOAL_RESUME,    EVENT_SETTLED, ACTION_FINISH,   PHASE_READY,
  PHASE_READY,   GOAL_SUSPEND,   EVENT_BEGIN,   ACTION_DRAIN,    PHASE_READY,
  PHASE_READY,   GOAL_DESTROY,   EVENT_BEGIN,   ACTION_DRAIN,    PHASE_READY,
]);

/** Address of the row of what happened: its action, and behind that the next phase. */
function rowOf(phase: u32, goal: u32, event: u32): usize {
  for (let row: u32 = 0; row < LIFE_ROWS; row++) {
    const at = LIFE + ROW_BYTES * <usize>row;
    if (load<u8>(at) == phase && load<u8>(at, 1) == goal && load<u8>(at, 2) == event) return at + 3;
  }
  ensure(false);
  return 0;
}

export function actionOf(phase: u32, goal: u32, event: u32): u32 {
  return load<u8>(rowOf(phase, goal, event));
}

export function phaseAfter(phase: u32, goal: u32, event: u32): u32 {
  return load<u8>(rowOf(phase, goal, event), 1);
}
