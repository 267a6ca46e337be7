import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "./contract.ts";
import { Disk, differingRegions, SECTOR_SIZE_BYTES } from "./disk.ts";
import type { DeviceMapper } from "./dm.ts";
import type { Random } from "./random.ts";

const POLL_INTERVAL_MS = 100;
const WAIT_TIME_LIMIT_MS = 30_000;

/** Types that begin with `kernel` are the kernel's own logs, the others are ours. */
export type LogType = "kernel core" | "kernel disk" | "core" | "disk" | "clustered-core" | "clustered-disk";

export interface MirrorOptions {
  /** Name of the device, and by default UUID of its log. */
  name: string;
  logUuid?: string;
  legs: [string, string];
  sizeSectors: number;
  regionSizeSectors: number;
  logType: LogType;
  /** For a disk log: a block device, or a file if the log is ours. */
  logDevice?: string;
  integratedFlush?: boolean;
  sync?: "sync" | "nosync";
  features?: string[];
}

/** 128 regions are enough to see a resync under way, and 4 MiB few enough pages for the guest to touch quickly. */
export const MIRROR: MirrorOptions = {
  name: "mirror",
  legs: [DISKS[0], DISKS[1]],
  sizeSectors: 8192,
  regionSizeSectors: 64,
  logType: "clustered-core",
};

/** The same with its log on a device. */
export const DISK_MIRROR: MirrorOptions = { ...MIRROR, logType: "clustered-disk", logDevice: DISKS[3] };

export interface MirrorStatus {
  inSyncRegions: number;
  regionCount: number;
  /** One letter a leg: A alive, D dead, S out of sync, R read error, F flush error. */
  health: string;
  /** Count and words of the log's own status. */
  log: string;
}

export function mirrorTable(options: MirrorOptions): string {
  const { legs, sizeSectors, regionSizeSectors, logType, logDevice, sync } = options;
  const [type, kernelType] = logType.split(" ");
  const logArgs: (string | number | false | undefined)[] = [logDevice, regionSizeSectors, sync];
  if (!kernelType)
    logArgs.unshift(options.logUuid ?? options.name, options.integratedFlush && "integrated_flush", type);
  const given = logArgs.filter((word) => word);
  const log = [kernelType ?? "userspace", given.length, ...given];
  const features = options.features ?? ["handle_errors"];
  const words = [0, sizeSectors, "mirror", ...log, legs.length, ...legs.flatMap((leg) => [leg, 0])];
  return [...words, features.length, ...features].join(" ");
}

export function parseMirrorStatus(line: string): MirrorStatus {
  const match = /^0 \d+ mirror \d+ (?:\d+:\d+ )+(\d+)\/(\d+) 1 (\S+) (.*)$/.exec(line);
  if (!match) throw new Error(`Not the status of a mirror: ${line}`);
  const [, inSyncRegions, regionCount, health, log] = match;
  return {
    inSyncRegions: Number(inSyncRegions),
    regionCount: Number(regionCount),
    health: health ?? "",
    log: log ?? "",
  };
}

/** A live device-mapper mirror of two legs. */
export class Mirror {
  options: MirrorOptions;
  /** What a reader of the mirror must get. */
  readonly contents: Buffer;
  readonly path: string;
  readonly #dm: DeviceMapper;

  private constructor(dm: DeviceMapper, options: MirrorOptions, contents: Buffer, path: string) {
    this.#dm = dm;
    this.options = options;
    this.contents = contents;
    this.path = path;
  }

  /** `table` is a line that another program made from the same options. */
  static async create(
    dm: DeviceMapper,
    options: MirrorOptions,
    contents: Buffer,
    table = mirrorTable(options),
  ): Promise<Mirror> {
    return new Mirror(dm, options, contents, await dm.create(options.name, table));
  }

  /** One that another program has made of the same options. */
  static found(dm: DeviceMapper, options: MirrorOptions, contents: Buffer): Mirror {
    return new Mirror(dm, options, contents, dm.found(options.name));
  }

  /** Another program has made it larger. `contents` is its beginning, as before. */
  hasGrown(sizeSectors: number): void {
    this.options = { ...this.options, sizeSectors };
  }

  get regionCount(): number {
    return Math.ceil(this.options.sizeSectors / this.options.regionSizeSectors);
  }

  async status(): Promise<MirrorStatus> {
    const status = parseMirrorStatus(await this.#dm.status(this.options.name));
    if (status.regionCount !== this.regionCount) {
      throw new Error(`The kernel counts ${status.regionCount} regions instead of ${this.regionCount}`);
    }
    return status;
  }

  table(): Promise<string> {
    return this.#dm.table(this.options.name);
  }

  async waitFor(what: string, isSo: (status: MirrorStatus) => boolean): Promise<MirrorStatus> {
    const deadline = Date.now() + WAIT_TIME_LIMIT_MS;
    for (;;) {
      const status = await this.status();
      if (isSo(status)) return status;
      if (Date.now() > deadline) {
        throw new Error(`${what}: not so after ${WAIT_TIME_LIMIT_MS} ms, ${JSON.stringify(status)}`);
      }
      await sleep(POLL_INTERVAL_MS);
    }
  }

  waitInSync(): Promise<MirrorStatus> {
    return this.waitFor("every region in sync", ({ inSyncRegions, regionCount }) => inSyncRegions === regionCount);
  }

  suspend(): Promise<void> {
    return this.#dm.suspend(this.options.name);
  }

  /** Waiting I/O continues after the resume. */
  suspendWithoutFlush(): Promise<void> {
    return this.#dm.suspendWithoutFlush(this.options.name);
  }

  resume(): Promise<void> {
    return this.#dm.resume(this.options.name);
  }

  /** Loads a table beside the live one; `resume` makes it live. */
  load(options: MirrorOptions): Promise<void> {
    return this.#dm.load(this.options.name, mirrorTable(options));
  }

  remove(): Promise<void> {
    return this.#dm.remove(this.options.name);
  }

  /** The regions in which a leg, or the mirror itself, differs from what a reader must get. */
  wrongRegions(path: string): Promise<number[]> {
    return differingRegions(path, this.contents, this.options.regionSizeSectors);
  }

  /** Writes the whole of a region, so that both legs agree on it. */
  async writeRegion(region: number, random: Random): Promise<void> {
    const sizeBytes = this.options.regionSizeSectors * SECTOR_SIZE_BYTES;
    const offsetBytes = region * sizeBytes;
    const truth = this.contents.subarray(offsetBytes, offsetBytes + sizeBytes);
    random.fill(truth);
    const disk = await Disk.open(this.path);
    try {
      await disk.writeCopy(truth, offsetBytes);
    } finally {
      await disk.close();
    }
  }

  /** Both legs, and the mirror itself, hold exactly what a reader must get. */
  async checkContents(): Promise<void> {
    for (const path of [...this.options.legs, this.path]) {
      const regions = await this.wrongRegions(path);
      if (regions.length > 0) {
        const where = `in ${regions.length} of ${this.regionCount} regions, the first is ${regions[0]}`;
        throw new Error(`${path} does not hold what was written ${where}`);
      }
    }
  }
}
