// What the cases share: a kernel with its mirrors, two log devices, and one host.

import { encodeRequest, type RequestName } from "../kernel-frames.ts";
import { Random } from "../sim/random.ts";
import type { Device, DeviceFacts } from "./device.ts";
import { Mirror, Requests } from "./mirror.ts";
import type { Host } from "./program.ts";
import { type Core, Stage } from "./stage.ts";

const DEVICE_BYTES = 256 * 1024;
/** So many regions have their clean bits in a block of 4 KiB, behind the header. */
export const REGIONS_PER_BLOCK = 4096 * 8;
const SECTORS_PER_REGION = 8;

/** A stage with what most cases need. */
export class Scene {
  readonly stage: Stage;
  /** A regular file. */
  readonly file: Device;
  /** A block device. */
  readonly block: Device;
  private readonly requests = new Requests();
  private luid = 0xffff_8880_0010_0000n;

  constructor(core: Core, host: Host, seed: number) {
    this.stage = new Stage(core, host, new Random(seed));
    this.file = this.stage.addDevice(fileFacts("/var/lib/mirror/log-a", 77n), DEVICE_BYTES);
    this.block = this.stage.addDevice({ name: "253:6", major: 253, minor: 6, fileSystem: 0n, inode: 0n }, DEVICE_BYTES);
  }

  /** A log that is not made yet. */
  mirror(uuid: string): Mirror {
    this.luid += 0x200n;
    return new Mirror(this.stage, this.requests, uuid, this.luid);
  }

  /** A log in memory, resumed, its first region copied and marked. */
  coreLog(uuid: string, regions = 128): Mirror {
    const mirror = this.mirror(uuid);
    mirror.make(coreLog(regions));
    mirror.ok("GET_RESYNC_WORK");
    mirror.ok("SET_REGION_SYNC", [0, 1]);
    mirror.ok("MARK_REGION", [0]);
    return mirror;
  }

  /** A log on a device, resumed, with every region in sync. */
  diskLog(uuid: string, device: Device, regions = 4 * REGIONS_PER_BLOCK): Mirror {
    const mirror = this.mirror(uuid);
    mirror.make(diskLog(device, regions));
    return mirror;
  }

  /** A datagram that is a request of no log. */
  request(type: RequestName | number, data: readonly number[] = []): Uint8Array {
    const { abi } = this.stage.core;
    return encodeRequest(abi, { type, uuid: "LVM-nobody", luid: 1n, seq: this.requests.next(), data });
  }

  /** Kills the process, and starts another in its place. */
  restart(): void {
    this.stage.kill();
    this.stage.start();
  }
}

function fileFacts(name: string, inode: bigint): DeviceFacts {
  return { name, major: 0, minor: 0, fileSystem: 64_769n, inode };
}

export function coreLog(regions: number): string {
  return `${regions * SECTORS_PER_REGION} clustered-core ${SECTORS_PER_REGION}`;
}

export function diskLog(device: Device, regions: number): string {
  return `${regions * SECTORS_PER_REGION} clustered-disk ${device.facts.name} ${SECTORS_PER_REGION} nosync`;
}
