// What the kernel says of a mirror that is up: its legs, how much is in sync, its log. Source: mirror_status of drivers/md/dm-raid1.c and
// the log's own status (drivers/md/dm-log-userspace-base.c).

/** Of a leg: A alive, D a write failed, S a resync failed, R a read failed, F a flush failed, U unknown. */
export type LegHealth = "A" | "D" | "S" | "R" | "F" | "U";

export interface MirrorStatus {
  /** In the order of the table, as `major:minor`. */
  legs: { numbers: string; health: LegHealth }[];
  inSyncRegions: number;
  regionCount: number;
  /** Of a log on a device: A, or D or F where it has failed; undefined for a log in memory. */
  logHealth: string | undefined;
}

/** `2 98:0 98:16 512/512 1 AA 3 clustered-disk 98:32 A`. Undefined where the line is something else. */
export function parseMirrorStatus(text: string): MirrorStatus | undefined {
  const [count, ...words] = text.trim().split(/\s+/);
  const legCount = Number(count);
  const [regions = "", , health = "", , ...log] = words.slice(legCount);
  const match = /^(\d+)\/(\d+)$/.exec(regions);
  if (match === null || health.length !== legCount) return undefined;
  const legs = words.slice(0, legCount).map((numbers, index) => ({ numbers, health: health[index] as LegHealth }));
  return {
    legs,
    inSyncRegions: Number(match[1]),
    regionCount: Number(match[2]),
    logHealth: log.length >= 3 ? log.at(-1) : undefined,
  };
}
