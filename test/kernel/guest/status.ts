/** What the scenarios use of a log as `dm-ulog status --json` describes it. Large counts are decimal strings. */
export interface LogStatus {
  uuid: string;
  luid: string;
  type: string;
  state: string;
  regionSizeSectors: number;
  regionCount: number;
  inSyncRegions: number;
  outOfSyncRegions: number;
  dirtyRegions: number;
  marks: string;
  flushes: string;
  resynced: string;
  /** Null for a core log. */
  device: { error: string | null; unsettledRegions: number } | null;
}

export interface Status {
  /** Of its socket. Not of the appliance. */
  netlinkPort?: number;
  /** Of the native host alone. */
  busyDevices?: { uuid: string }[];
  logs: LogStatus[];
  counters: {
    inputs: string;
    flushes: string;
    flushesWithoutWrite: string;
    deviceWrites: string;
    deviceBytes: string;
    requests: Record<string, string>;
  };
}
