/** What the scenarios use of a log as `dm-ulog status --json` describes it. */
export interface LogStatus {
  uuid: string;
  luid: bigint;
  type: string;
  state: string;
  regionSizeSectors: number;
  regionCount: number;
  inSyncRegions: number;
  outOfSyncRegions: number;
  dirtyRegions: number;
  marks: number;
  flushes: number;
  resynced: number;
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
    inputs: number;
    flushes: number;
    flushesWithoutWrite: number;
    deviceWrites: number;
    deviceBytes: number;
    requests: Record<string, number>;
  };
}

/** A status as the control socket and `dm-ulog status --json` write it: luids are decimal strings there. */
export function statusOfJson(json: string): Status {
  const status = JSON.parse(json) as Status;
  return { ...status, logs: status.logs.map((log) => ({ ...log, luid: BigInt(log.luid) })) };
}
