// Virtual time for an embedded engine.

import type { VirtualClock } from "../common/sim/clock.ts";
import type { Clock } from "./host.ts";

/** A simulation's clock as `DirtyLogEngine.create` takes it. */
export function engineClock(clock: VirtualClock): Clock {
  return {
    nowNs: () => clock.nowNs,
    after(delayNs, callback) {
      let isWanted = true;
      clock.after(delayNs, () => isWanted && callback());
      return () => {
        isWanted = false;
      };
    },
  };
}
