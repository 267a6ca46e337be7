// Sizes as people type and read them. Device-mapper counts in 512-byte sectors.

export const SECTOR_BYTES = 512;

const SECTORS = { s: 1, k: 2, m: 2 * 1024, g: 2 * 1024 ** 2, t: 2 * 1024 ** 3 } as const;

/** Sectors of a size such as `1024s`, `512K`, `2M`, `1G` or `20T`; a bare number is sectors. Throws an Error with a sentence otherwise. */
export function parseSectors(text: string, what: string): number {
  const match = /^([0-9]+)([skmgt]?)(i?b)?$/i.exec(text.trim());
  const sectors =
    match === null ? 0 : Number(match[1]) * SECTORS[(match[2] || "s").toLowerCase() as keyof typeof SECTORS];
  if (!Number.isSafeInteger(sectors) || sectors <= 0) {
    throw new Error(`${what} "${text}" is not a size. Write it as 1024s (sectors), 512K, 2M, 1G or 20T.`);
  }
  return sectors;
}

/** A size in the largest unit that keeps it whole, such as `512 KiB`. */
export function formatSectors(sectors: number): string {
  for (const unit of ["t", "g", "m", "k"] as const) {
    if (sectors % SECTORS[unit] === 0) return `${sectors / SECTORS[unit]} ${unit.toUpperCase()}iB`;
  }
  return `${sectors} sectors`;
}

/** Bytes of a size such as `256M` or `1G`; a bare number is bytes. Throws an Error with a sentence otherwise. */
export function parseBytes(text: string, what: string): number {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : parseSectors(text, what) * SECTOR_BYTES;
}

/** Bytes in the largest unit that gives at least 1, with at most one decimal, such as `5.1 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Math.round(value * 10) / 10} ${units[unit]}`;
}

/** A number with a comma between thousands. */
export function formatCount(value: number): string {
  return value.toLocaleString("en-US");
}

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** Seconds of a duration such as `90s`, `5m`, `2h` or `1d`. Throws an Error with a sentence otherwise. */
export function parseSeconds(text: string, what: string): number {
  const match = /^([0-9]{1,9})([smhd])$/i.exec(text.trim());
  const seconds =
    match === null ? 0 : Number(match[1]) * SECONDS[(match[2] as string).toLowerCase() as keyof typeof SECONDS];
  if (seconds <= 0) throw new Error(`${what} "${text}" is not a duration. Write it as 90s, 5m, 2h or 1d.`);
  return seconds;
}

/** Seconds as a person reads them, such as `0.2 s`, `5 min` or `29.1 h`. */
export function formatSeconds(seconds: number): string {
  const tenths = (value: number) => String(Math.round(value * 10) / 10);
  if (seconds < 120) return `${tenths(seconds)} s`;
  if (seconds < 7200) return `${tenths(seconds / 60)} min`;
  return seconds < 172_800 ? `${tenths(seconds / 3600)} h` : `${tenths(seconds / 86_400)} days`;
}
