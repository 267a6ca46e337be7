// Sentences about causes: why a region is out of sync when a log is made, restored, or has read its device. Each says what was
// recorded, and where the recording does not tell, that it does not.

import type { DeviceReading } from "./region-on-device.ts";
import type { Before } from "./region-stories.ts";
import type { Reason, RegionStory } from "./region-story.ts";

type Cause = Reason["cause"];
type Words = Omit<Reason, "address">;

/** Why a region is out of sync in a log in memory that the kernel has just made. */
export function reasonWhenMade(story: RegionStory, before: Before | null): Words {
  if (story.isLost) {
    return because(
      "state lost",
      "the kernel reconnects the log, and this server does not know it: what an earlier server knew is lost",
    );
  }
  if (before?.isSameEngine && before.story.removed === null) {
    const old = `the table of luid ${before.story.luid} is replaced`;
    return because(
      "reload",
      `${old}, and a log in memory takes nothing over from another table, which may have other legs`,
    );
  }
  if (before?.story.isInUse) {
    return because("power cut", `a log in memory ends with the machine: ${endOf(before.story)}`);
  }
  if (story.has("sync")) return because("option sync", "the table says `sync`: everything is resynced");
  return because("new mirror", "nothing is known of a new mirror, and a log in memory keeps nothing of an earlier one");
}

/** What a disk log found when it read its device. */
export interface Found {
  reading: DeviceReading;
  /** The device holds no log, one of another mirror, or one of an unknown version. */
  isNew: boolean;
  isOther: boolean;
  isUnknownVersion: boolean;
  /** Regions of a log that was smaller than the mirror; null where it was not. */
  heldRegions: bigint | null;
  /** Address of the latest failure of the device that the trace has, null for none. */
  failed: string | null;
}

/** Why a region is out of sync after a disk log has read its device for the first time. */
export function reasonWhenRead(story: RegionStory, region: number, found: Found, before: Before | null): Words {
  const { reading, heldRegions } = found;
  if (reading.error !== 0) return because("device not read", "the log device cannot be read, so nothing is known");
  if (found.isUnknownVersion) return because("unknown version", "the log on the device has an unknown version");
  if (found.isOther) return because("another mirror's log", "the log device holds the log of another mirror");
  if (found.isNew) return because("new mirror", "no log was on the log device");
  if (story.has("sync")) return because("option sync", "the table says `sync`: everything is resynced");
  if (heldRegions !== null && BigInt(region) >= heldRegions) {
    return because(
      "grown",
      `the mirror has grown: the log on the device has ${heldRegions} regions, and this one is not among them`,
    );
  }
  // With `nosync` the bits do not count, so a region is out of sync only where the device as a whole is not believed.
  const isClean = reading.isClean === true || (story.has("nosync") && !story.isLost);
  if (isClean) return reasonOfDisbelief(found.failed, story);
  if (story.isLost) {
    return because("state lost", "what an earlier server knew is lost, and the log device says that it is not clean");
  }
  return reasonOfDirty(before);
}

/** The device says clean, and the region is out of sync all the same. */
function reasonOfDisbelief(failed: string | null, story: RegionStory): Words {
  if (story.isLost && story.has("nosync")) {
    return because("state lost", "what an earlier server knew is lost, and `nosync` is not believed then");
  }
  const where =
    failed === null
      ? "it had failed, and the trace does not hold that failure"
      : `it failed at ${failed}, and has not taken all writes since`;
  return because("device behind", `the log device is not believed, because it may be behind: ${where}`);
}

/** The device says that the region is not clean: why, from what is known of the mirror before. */
function reasonOfDirty(before: Before | null): Words {
  const found = "the log device says that it is not clean";
  if (before === null) return because("not recorded", `${found}; the trace does not hold what came before`);
  const { story, isSameEngine } = before;
  const { state, reason, device } = story;
  if (state !== null && !state.isInSync && story.isRead && reason !== null) {
    return because(reason.cause, `${found}: it was out of sync already since ${reason.address} (${reason.cause})`);
  }
  const isReload = isSameEngine && story.removed === null;
  const end = isReload ? `the table of luid ${story.luid} is replaced` : endOf(story);
  const cause: Cause = isReload ? "reload" : story.isInUse ? "power cut" : "not recorded";
  if (state?.isMarked) {
    return because(
      cause,
      `${found}: it was marked since ${story.markedSince}, so a write may have been under way; ${end}`,
    );
  }
  if (device.underWay !== null && !device.underWay.isClean) {
    return because(cause, `${found}: a write of ${device.underWay.asked} that said so was under way; ${end}`);
  }
  if (device.isClean === false) {
    const what = device.isAhead
      ? `marked ahead of a sequential writer (${device.since})`
      : `not clean there (${device.since})`;
    const why = `${found}: it was ${what}, and that it is clean was not written since`;
    return because(story.isInUse && !isSameEngine ? "power cut" : "clear not written", `${why}; ${end}`);
  }
  return because("not recorded", `${found}; the trace does not tell who wrote that (${end})`);
}

/** How the last life of a log ended, as far as the trace tells. */
export function endOf(story: RegionStory): string {
  const { luid, last, removed, isInUse } = story;
  if (removed !== null) return `the log before it, luid ${luid}, was ${removed}`;
  if (!isInUse)
    return `the log before it, luid ${luid}, was not in use at ${last}, the last event of its server in the trace`;
  return (
    `the log before it, luid ${luid}, was in use at ${last}, the last event of its server in the trace, and the kernel has not ` +
    "reconnected it: the machine stopped (a power cut, a crash, a reboot), or the log was removed while no server ran and its " +
    "state is lost; the trace does not tell which"
  );
}

function because(cause: Cause, clause: string): Words {
  return { cause, clause };
}
