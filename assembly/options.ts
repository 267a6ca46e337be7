// What a host may choose about disk logs, and what holds where it does not.

import { core } from "./core";
import {
  CONFIGURE_AHEAD_REGIONS,
  CONFIGURE_BLOCK_BYTES,
  CONFIGURE_BYTES,
  CONFIGURE_LAZY_REGIONS,
  CONFIGURE_QUIET_NS,
} from "./layout";
import { PAGE_BYTES } from "./on-disk";

/** A region marked again within this time after its clear costs no write. */
const QUIET_NS_DEFAULT: u64 = 3_000_000_000;
/** At 512 KiB a region: 32 GiB to resync after a power cut at the worst. */
const LAZY_REGIONS_MAX_DEFAULT: u32 = 65536;
/** One write in 65 of a sequential writer; at 512 KiB a region, 32 MiB more to resync for it after a power cut. */
const AHEAD_REGIONS_DEFAULT: u32 = 64;
/** A mark looks at so many regions before it. */
const AHEAD_REGIONS_MAX: u32 = 4096;
const BLOCK_BYTES_MAX: u32 = 65536;

export function setDefaults(): void {
  core.quietNs = QUIET_NS_DEFAULT;
  core.lazyRegionsMax = LAZY_REGIONS_MAX_DEFAULT;
  core.aheadRegions = AHEAD_REGIONS_DEFAULT;
  core.blockBytes = PAGE_BYTES;
}

export function handleConfigure(payload: usize, size: usize): void {
  if (size < CONFIGURE_BYTES) return;
  const quietNs = load<u64>(payload, CONFIGURE_QUIET_NS);
  const lazyRegionsMax = load<u32>(payload, CONFIGURE_LAZY_REGIONS);
  const aheadRegions = load<u32>(payload, CONFIGURE_AHEAD_REGIONS);
  const blockBytes = load<u32>(payload, CONFIGURE_BLOCK_BYTES);
  if (quietNs != 0) core.quietNs = quietNs;
  if (lazyRegionsMax != 0) core.lazyRegionsMax = lazyRegionsMax;
  if (aheadRegions != 0) core.aheadRegions = min(aheadRegions - 1, AHEAD_REGIONS_MAX);
  if (blockBytes >= PAGE_BYTES && blockBytes <= BLOCK_BYTES_MAX && popcnt(blockBytes) == 1)
    core.blockBytes = blockBytes;
}
