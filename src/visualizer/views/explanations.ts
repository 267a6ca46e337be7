// A sentence on each thing that kernel, core and device say to each other, for those who meet it for the first time.

export const EXPLANATIONS: Readonly<Record<string, string>> = {
  CTR: "The kernel loads a mirror's table and asks for a log of it.",
  DTR: "The table is gone, and its log with it.",
  PRESUSPEND: "The mirror is about to be suspended; resync stops.",
  POSTSUSPEND: "No write is under way any more; the log settles what it still has to tell its device.",
  RESUME: "The mirror begins to work; the log must know now which regions may differ.",
  GET_REGION_SIZE: "The kernel asks how large a region is, to number them as the log does.",
  IS_CLEAN: "The kernel asks whether nothing is being written to a region.",
  IN_SYNC:
    "The kernel asks whether both disks hold the same in a region: only then may it read from any and must write to all.",
  FLUSH: "The kernel waits until every mark so far is durable. No write to a marked region reaches a disk before that.",
  MARK_REGION: "Regions are about to be written: from now on the disks may differ there.",
  CLEAR_REGION: "All writes to these regions have ended on every disk.",
  GET_RESYNC_WORK: "The kernel asks for a region to copy from the first disk to the others.",
  SET_REGION_SYNC: "The kernel reports that a region was copied, or that a disk has missed a write to it.",
  GET_SYNC_COUNT: "The kernel asks how many regions are in sync; this is what `dmsetup status` shows.",
  STATUS_INFO: "Somebody asks for the mirror's status.",
  STATUS_TABLE: "Somebody asks for the mirror's table.",
  IS_REMOTE_RECOVERING: "The kernel asks whether another machine is copying a region, before it writes there.",
  open: "The core asks its host to open the log device.",
  read: "The core asks its host for bytes of the log device.",
  write: "The core asks its host to make bytes durable on the log device.",
  close: "The log device is not needed any more.",
  "flush legs":
    "What the disks have in their caches must be durable before a region may be called clean on the log device.",
  tick: "The time has come that the core had asked to be woken at: clears that nobody took back go to the log device.",
  restore: "A server that starts again takes up what the one before had kept.",
  configure: "The host sets options of the core.",
};
