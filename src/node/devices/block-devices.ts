// What the kernel says about block devices in /sys and /proc: which names mean the same device, which device lies on which,
// and who uses it. This never reads the device itself.
//
// Sources: Documentation/ABI/stable/sysfs-block (partition, size, holders, slaves), Documentation/filesystems/proc.rst
// (mountinfo), proc(5) (swaps).

import { existsSync, readdirSync, readFileSync, realpathSync, type Stats, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { findNode, numbersOfNode, parseNumbers } from "./device-numbers.ts";
import { type Contents, contentsOf } from "./signatures.ts";

const SECTOR_BYTES = 512;

/** What a path leads to. */
export interface Node {
  kind: "block device" | "file" | "other";
  /** `major:minor` of a block device. */
  numbers: string;
  /** The same for every name of one file. */
  inode: string;
  /** Of a file. */
  sizeBytes: number;
}

/** Where to look. A test makes its own. */
export interface Machine {
  sys: string;
  proc: string;
  /** Undefined where the path leads nowhere. */
  node(path: string): Node | undefined;
  /** Throws where the device cannot be read. */
  contents(device: Device): Contents;
}

export const THIS_MACHINE: Machine = {
  sys: "/sys",
  proc: "/proc",
  node: nodeAt,
  contents({ name, sizeBytes }) {
    const numbers = parseNumbers(name);
    const path = numbers === undefined ? name : findNode(numbers);
    if (path === undefined) throw new Error(`/dev has no node of ${name}`);
    return contentsOf(path, sizeBytes);
  },
};

/** A block device or a file, by whatever name it was given. */
export interface Device {
  name: string;
  /** `major:minor`, or null for a file. */
  numbers: string | null;
  /** Of a file, or null. */
  inode: string | null;
  sizeBytes: number;
}

/** Who has a device already. */
export interface Use {
  kind: "mount" | "swap" | "holder";
  /** Words that follow the device's name: `is mounted at /home`. */
  what: string;
}

function nodeAt(path: string): Node | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  return {
    kind: kindOf(stats),
    numbers: stats.isBlockDevice() ? numbersText(stats) : "0:0",
    inode: `${stats.dev}:${stats.ino}`,
    sizeBytes: stats.size,
  };
}

function kindOf(stats: Stats): Node["kind"] {
  if (stats.isBlockDevice()) return "block device";
  return stats.isFile() ? "file" : "other";
}

function numbersText(stats: Stats): string {
  const { major, minor } = numbersOfNode(stats);
  return `${major}:${minor}`;
}

/** Finds what a table names: a path or `major:minor`. Undefined if it does not exist here. Throws an Error with a sentence. */
export function findDevice(machine: Machine, name: string): Device | undefined {
  if (parseNumbers(name) !== undefined) {
    return existsSync(folderOf(machine, name)) ? blockDevice(machine, name, name) : undefined;
  }
  const node = machine.node(name);
  if (node === undefined) return undefined;
  if (node.kind === "other") throw new Error(`${name} is neither a block device nor a file. Name one of these.`);
  if (node.kind === "block device") return blockDevice(machine, name, node.numbers);
  return { name, numbers: null, inode: node.inode, sizeBytes: node.sizeBytes };
}

/** Like `findDevice`, but also undefined if the name leads to something else. */
export function findIfThere(machine: Machine, name: string): Device | undefined {
  try {
    return findDevice(machine, name);
  } catch {
    return undefined;
  }
}

function blockDevice(machine: Machine, name: string, numbers: string): Device {
  const sectors = readText(join(folderOf(machine, numbers), "size"));
  if (sectors === undefined) throw new Error(`${name} is the node of a device that does not exist (${numbers}).`);
  return { name, numbers, inode: null, sizeBytes: Number(sectors) * SECTOR_BYTES };
}

/**
 * How one device depends on another, as words between their names. Undefined if a write to one does not change the other.
 */
export function relationOf(machine: Machine, one: Device, other: Device): string | undefined {
  if (one.inode !== null || other.inode !== null) return fileRelation(machine, one, other);
  const [a, b] = [one.numbers as string, other.numbers as string];
  if (a === b) return "is the same device as";
  if (wholeDisk(machine, a) === b) return "is a partition of";
  if (wholeDisk(machine, b) === a) return "contains, as one of its partitions,";
  if (below(machine, a).some((part) => touches(machine, part, b))) return "lies on";
  if (below(machine, b).some((part) => touches(machine, part, a))) return "lies under";
  return undefined;
}

function fileRelation(machine: Machine, one: Device, other: Device): string | undefined {
  if (one.inode === other.inode) return "is the same file as";
  const [file, device] = one.inode === null ? [other, one] : [one, other];
  if (device.numbers === null) return undefined;
  if (backingInode(machine, device.numbers) === file.inode) {
    return file === one ? "is the file behind" : "is a loop device on the file";
  }
  const home = fileSystemOf(machine, file.name);
  if (home === undefined) return undefined;
  const disk: Device = { ...device, name: home, numbers: home };
  if (relationOf(machine, disk, device) === undefined) return undefined;
  return file === one ? "is a file in the file system on" : "holds the file system of the file";
}

/** Who uses a device, one of its partitions, or the whole disk that it is a partition of. */
export function usesOf(machine: Machine, { numbers, inode }: Device): Use[] {
  if (numbers === null) return swaps(machine, (node) => node.kind === "file" && node.inode === inode);
  const whole = wholeDisk(machine, numbers);
  const around = whole === undefined ? partitions(machine, numbers) : [whole];
  return [
    ...usesOfOne(machine, numbers),
    ...around.flatMap((part) => {
      const which = `${whole === undefined ? "has the partition" : "is on the disk"} ${kernelName(machine, part)}, which`;
      return usesOfOne(machine, part).map(({ kind, what }) => ({ kind, what: `${which} ${what}` }));
    }),
  ];
}

function usesOfOne(machine: Machine, numbers: string): Use[] {
  const mounts = readMounts(machine).filter((mount) => mountDevice(machine, mount) === numbers);
  const [first, ...more] = mounts.map(({ place }) => place);
  const uses: Use[] = [];
  if (first !== undefined) {
    const others = more.length === 0 ? "" : ` and ${more.length} other ${more.length === 1 ? "place" : "places"}`;
    uses.push({ kind: "mount", what: `is mounted at ${first}${others}` });
  }
  uses.push(...swaps(machine, (node) => node.kind === "block device" && node.numbers === numbers));
  for (const holder of linksIn(machine, numbers, "holders")) {
    uses.push({ kind: "holder", what: `is in use by ${describeHolder(machine, holder)}` });
  }
  return uses;
}

function describeHolder(machine: Machine, numbers: string): string {
  const name = readText(join(folderOf(machine, numbers), "dm/name"));
  const kernels = kernelName(machine, numbers);
  return name === undefined ? kernels : `the mapping ${name} (${kernels})`;
}

function swaps(machine: Machine, isIt: (node: Node) => boolean): Use[] {
  const lines = (readText(join(machine.proc, "swaps")) ?? "").split("\n").slice(1);
  return lines
    .filter((line) => {
      const path = unescapeOctal(/^(\S+)/.exec(line)?.[1] ?? "");
      const node = path === "" ? undefined : machine.node(path);
      return node !== undefined && isIt(node);
    })
    .map(() => ({ kind: "swap", what: "is used as swap" }));
}

interface Mount {
  numbers: string;
  place: string;
  source: string;
}

function readMounts(machine: Machine): Mount[] {
  return (readText(join(machine.proc, "self/mountinfo")) ?? "").split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [, , numbers, , place] = before.split(" ");
    const source = after.split(" ")[1];
    if (numbers === undefined || place === undefined || source === undefined) return [];
    return { numbers, place: unescapeOctal(place), source: unescapeOctal(source) };
  });
}

/** File systems of several devices, such as btrfs, have numbers of their own, and name one of the devices. */
function mountDevice(machine: Machine, { numbers, source }: Mount): string | undefined {
  if (!numbers.startsWith("0:")) return numbers;
  const node = source.startsWith("/") ? machine.node(source) : undefined;
  return node?.kind === "block device" ? node.numbers : undefined;
}

/** The device that holds a file's file system, or undefined if there is none. */
function fileSystemOf(machine: Machine, path: string): string | undefined {
  let real = path;
  try {
    real = realpathSync(path);
  } catch {
    // As it was given.
  }
  let home: Mount | undefined;
  for (const mount of readMounts(machine)) {
    const isAbove = mount.place === "/" || real === mount.place || real.startsWith(`${mount.place}/`);
    if (isAbove && mount.place.length >= (home?.place.length ?? 0)) home = mount;
  }
  return home === undefined ? undefined : mountDevice(machine, home);
}

function backingInode(machine: Machine, numbers: string): string | undefined {
  const path = readText(join(folderOf(machine, numbers), "loop/backing_file"));
  return path === undefined ? undefined : machine.node(path)?.inode;
}

/** Whether two devices share sectors directly. */
function touches(machine: Machine, a: string, b: string): boolean {
  return a === b || wholeDisk(machine, a) === b || wholeDisk(machine, b) === a;
}

/** All devices below a mapping or RAID, at any depth. */
function below(machine: Machine, numbers: string): string[] {
  const found: string[] = [];
  const waiting = [numbers];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const part of linksIn(machine, next, "slaves")) {
      if (found.includes(part)) continue;
      found.push(part);
      waiting.push(part);
    }
  }
  return found;
}

/** The disk that a device is a partition of, or undefined if it is not a partition. */
function wholeDisk(machine: Machine, numbers: string): string | undefined {
  const folder = realFolderOf(machine, numbers);
  return folder !== undefined && existsSync(join(folder, "partition"))
    ? readText(join(dirname(folder), "dev"))
    : undefined;
}

function partitions(machine: Machine, numbers: string): string[] {
  const folder = folderOf(machine, numbers);
  return namesIn(folder)
    .filter((name) => existsSync(join(folder, name, "partition")))
    .flatMap((name) => readText(join(folder, name, "dev")) ?? []);
}

function linksIn(machine: Machine, numbers: string, folder: "holders" | "slaves"): string[] {
  const path = join(folderOf(machine, numbers), folder);
  return namesIn(path).flatMap((name) => readText(join(path, name, "dev")) ?? []);
}

/** The name that a person knows a block device by: `/dev/mapper/NAME` of a mapping, else the kernel's own. The numbers where it is gone. */
export function deviceName(machine: Machine, numbers: string): string {
  const mapping = readText(join(folderOf(machine, numbers), "dm/name"));
  if (mapping !== undefined) return `/dev/mapper/${mapping}`;
  return realFolderOf(machine, numbers) === undefined ? numbers : `/dev/${kernelName(machine, numbers)}`;
}

/** The name in the kernel's log and in /dev. */
function kernelName(machine: Machine, numbers: string): string {
  const folder = realFolderOf(machine, numbers);
  return folder === undefined ? numbers : folder.slice(folder.lastIndexOf("/") + 1).replaceAll("!", "/");
}

function folderOf(machine: Machine, numbers: string): string {
  return join(machine.sys, "dev/block", numbers);
}

function realFolderOf(machine: Machine, numbers: string): string | undefined {
  try {
    return realpathSync(folderOf(machine, numbers));
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** The kernel writes blanks and backslashes in such files as `\040`. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
