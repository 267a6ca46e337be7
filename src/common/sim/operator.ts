// A person's work on one mirror: makes it, then suspends, reloads, removes, pulls disks and puts them back, and mends
// what is broken.

import type { Actions } from "./choices.ts";
import { MILLISECOND_NS, SECOND_NS, type VirtualClock } from "./clock.ts";
import type { Random } from "./random.ts";
import { drawTable, type Rig } from "./rig.ts";
import { sleep, type Task } from "./task.ts";
import { Violation } from "./violation.ts";

/** What operators did. */
export interface Deeds {
  suspends: number;
  reloads: number;
  removals: number;
  /** Tables whose log the server had no room for: memory, or logs that it can have at once. */
  tablesWithoutRoom: number;
  legFailures: number;
  deviceFailures: number;
}

const ENOMEM = 12;
const TABLE_LOADED_NS_MAX = SECOND_NS;
/** Attempts to mend a log before it is left for later. */
const REPAIR_ATTEMPTS = 20;

export class Operator {
  constructor(
    private readonly clock: VirtualClock,
    private readonly actions: Actions,
    private readonly rig: Rig,
    private readonly deeds: Deeds,
    /** False once nothing new is to be begun. */
    private readonly isLively: () => boolean,
  ) {}

  *work(): Task {
    const { rig, actions, clock } = this;
    yield* this.create();
    if (this.isLively()) rig.workload.start();
    while (this.isLively()) {
      const action = actions.next((random) => random.between(MILLISECOND_NS / 2, 30 * MILLISECOND_NS));
      if (action === null) return;
      yield sleep(clock, action.pauseNs);
      if (!this.isLively()) return;
      if (needsRepair(rig)) yield* this.repairLog();
      else yield* this.doSomething(action.random);
    }
  }

  /**
   * A log device that failed works again. A resume brings the log's memory to it; a mirror that has seen its log fail needs
   * a new table, which only then finds on the device what the old one knew.
   */
  *repairLog(): Task {
    const { rig, clock } = this;
    for (let attempt = 0; attempt < REPAIR_ATTEMPTS && needsRepair(rig); attempt++) {
      if (rig.watch !== null && !rig.watch.isClaimed) {
        yield* this.suspendAndResume();
      } else {
        this.deeds.reloads++;
        rig.table = { ...rig.table, options: [] };
        yield* rig.device.reload(rig.table);
      }
      if (needsRepair(rig)) yield sleep(clock, 100 * MILLISECOND_NS);
    }
  }

  *suspendAndResume(): Task {
    this.deeds.suspends++;
    yield* this.rig.device.suspend();
    yield* this.rig.device.resume();
  }

  private *create(): Task {
    while ((yield* this.rig.device.create(this.rig.table)) !== 0) yield sleep(this.clock, SECOND_NS);
  }

  private *doSomething(random: Random): Task {
    const { rig, clock, deeds } = this;
    switch (random.below(9)) {
      case 0:
      case 1:
        deeds.suspends++;
        yield* rig.device.suspend();
        yield sleep(clock, random.below(5 * MILLISECOND_NS));
        yield* rig.device.resume();
        return;
      case 2: {
        const table = drawTable(rig, random);
        // A table may be loaded long before its mirror changes over to it.
        const error = yield* rig.device.reload(table, random.oneIn(3) ? random.between(1, TABLE_LOADED_NS_MAX) : 0);
        if (error === -ENOMEM) deeds.tablesWithoutRoom++;
        if (error !== 0) return;
        rig.table = table;
        deeds.reloads++;
        return;
      }
      case 3: {
        deeds.legFailures++;
        const leg = random.between(1, rig.legs.legCount - 1);
        rig.legs.setFailed(leg, true);
        yield sleep(clock, random.between(MILLISECOND_NS, 20 * MILLISECOND_NS));
        rig.legs.setFailed(leg, false);
        yield* this.suspendAndResume();
        return;
      }
      case 4:
        rig.workload.stop();
        yield sleep(clock, random.between(SECOND_NS, 8 * SECOND_NS));
        if (this.isLively()) rig.workload.start();
        return;
      case 5:
        if (!random.oneIn(4)) return;
        deeds.removals++;
        yield* rig.device.remove();
        rig.table = drawTable(rig, random);
        yield* this.create();
        return;
      case 6:
        yield* this.failLogDevice(random);
        return;
      default:
        yield* this.askStatus();
    }
  }

  /** The log device fails in one way or several for a while. */
  private *failLogDevice(random: Random): Task {
    const { rig, clock, deeds } = this;
    if (rig.logDevice === null || random.oneIn(2)) return;
    deeds.deviceFailures++;
    const kind = random.below(4);
    rig.logDevice.failing = { writes: kind !== 1, reads: kind === 1 || kind === 3, opens: kind === 2 || kind === 3 };
    yield sleep(clock, random.between(MILLISECOND_NS, 60 * MILLISECOND_NS));
    if (random.oneIn(3)) yield* this.suspendAndResume();
    rig.logDevice.repair();
    yield* this.repairLog();
  }

  private *askStatus(): Task {
    const { device, table, logDevice } = this.rig;
    const { mirror } = device;
    if (mirror === null) return;
    const status = yield* mirror.log.status();
    // Where the server dies between the kernel's CTR and its RESUME, the kernel gives up.
    if (status === null) return;
    if (logDevice === null) {
      if (status === `1 ${table.type}`) return;
    } else {
      // A server that takes up its predecessor's logs does not know the numbers of a device before it has opened it.
      const letter = logDevice.failureCount > 0 ? "[AD]" : "A";
      if (new RegExp(`^3 ${table.type} (${logDevice.number}|0:0) ${letter}$`).test(status)) return;
    }
    throw new Violation(`the status of ${table.uuid} is ${JSON.stringify(status)}`);
  }
}

/** Whether the mirror needs a person because of its log. */
export function needsRepair({ device, watch }: Rig): boolean {
  const { mirror } = device;
  if (mirror === null) return false;
  return mirror.hasLogFailed || (watch?.wasResumed === true && !watch.isClaimed);
}
