// A machine that is not there: block devices, their partitions, mappings and mounts as the kernel tells them in /sys and
// /proc, in a folder of the test's.

import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Device, Machine, Node } from "../src/node/devices/block-devices.ts";
import type { Contents } from "../src/node/devices/signatures.ts";

export const EMPTY: Contents = { signatures: [], logRegions: null, logOwner: null, isBlank: true, byBlkid: true };

export class FakeMachine implements Machine {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "dm-ulog-machine-")));
  readonly sys = join(this.folder, "sys");
  readonly proc = join(this.folder, "proc");
  /** What stands at a path. */
  readonly nodes = new Map<string, Node>();
  /** What a device holds, by its name; an error where it cannot be read. */
  readonly held = new Map<string, Contents | Error>();
  readonly #folders = new Map<string, string>();
  #mounts = "";

  constructor() {
    mkdirSync(join(this.sys, "dev/block"), { recursive: true });
    mkdirSync(join(this.proc, "self"), { recursive: true });
    this.swap();
    this.mount("0:25", "/proc", "proc");
  }

  node(path: string): Node | undefined {
    return this.nodes.get(path);
  }

  contents({ name }: Device): Contents {
    const held = this.held.get(name) ?? EMPTY;
    if (held instanceof Error) throw held;
    return held;
  }

  /** A block device /dev/NAME; `more` are the files and folders of its own in /sys. */
  disk(name: string, numbers: string, sizeSectors = 2 ** 21, more: Record<string, string> = {}, of = "block"): this {
    const folder = join(this.sys, "devices", of, name);
    for (const part of ["holders", "slaves"]) mkdirSync(join(folder, part), { recursive: true });
    for (const [file, text] of Object.entries({ dev: numbers, size: String(sizeSectors), ...more })) {
      mkdirSync(join(folder, file, ".."), { recursive: true });
      writeFileSync(join(folder, file), `${text}\n`);
    }
    symlinkSync(folder, join(this.sys, "dev/block", numbers));
    this.#folders.set(name, folder);
    return this.name(`/dev/${name}`, numbers);
  }

  partition(name: string, numbers: string, disk: string, sizeSectors = 2 ** 20): this {
    return this.disk(name, numbers, sizeSectors, { partition: "1" }, `block/${disk}`);
  }

  /** A mapping or RAID over other devices. */
  mapping(name: string, numbers: string, lower: string[], more: Record<string, string> = {}): this {
    this.disk(name, numbers, 2 ** 20, more);
    for (const part of lower) {
      symlinkSync(this.#folder(part), join(this.#folder(name), "slaves", part));
      symlinkSync(this.#folder(name), join(this.#folder(part), "holders", name));
    }
    return this;
  }

  /** One more name of a device. */
  name(path: string, numbers: string): this {
    this.nodes.set(path, { kind: "block device", numbers, inode: `5:${path}`, sizeBytes: 0 });
    return this;
  }

  file(path: string, inode: string, sizeBytes = 1 << 20): this {
    this.nodes.set(path, { kind: "file", numbers: "0:0", inode, sizeBytes });
    return this;
  }

  mount(numbers: string, place: string, source: string): this {
    this.#mounts += `26 25 ${numbers} / ${place} rw,relatime shared:1 - ext4 ${source} rw\n`;
    writeFileSync(join(this.proc, "self/mountinfo"), this.#mounts);
    return this;
  }

  swap(...paths: string[]): this {
    const lines = paths.map((path) => `${path} partition\t1048572\t0\t-2\n`);
    writeFileSync(join(this.proc, "swaps"), `Filename\tType\tSize\tUsed\tPriority\n${lines.join("")}`);
    return this;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  #folder(name: string): string {
    const folder = this.#folders.get(name);
    if (folder === undefined) throw new Error(`The fake machine has no ${name}`);
    return folder;
  }
}
