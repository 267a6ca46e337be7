import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CommandResult, runCommand, tryCommand } from "./command.ts";

const SLOW_WRITE_MS = 20;

/** Tables of a leg on top of a disk, so that a scenario can make it fail or slow. */
export const legTable = {
  plain: (disk: string, sizeSectors: number, offsetSectors = 0) => `0 ${sizeSectors} linear ${disk} ${offsetSectors}`,
  /** Makes a resync last seconds on any machine, however fast. */
  slow: (disk: string, sizeSectors: number, offsetSectors = 0) =>
    `0 ${sizeSectors} delay ${disk} ${offsetSectors} 0 ${disk} ${offsetSectors} ${SLOW_WRITE_MS}`,
  /** Writes take so long, reads do not. */
  delayed: (disk: string, sizeSectors: number, writeMs: number) =>
    `0 ${sizeSectors} delay ${disk} 0 0 ${disk} 0 ${writeMs}`,
  failing: (sizeSectors: number) => `0 ${sizeSectors} error`,
  failingWrites: (disk: string, sizeSectors: number) => `0 ${sizeSectors} flakey ${disk} 0 0 1000 1 error_writes`,
};

/** How `dmsetup` is given a table: on its command line it takes one line alone. */
function tableWords(name: string, table: string): string[] {
  if (!table.includes("\n")) return ["--table", table];
  const path = join(tmpdir(), `${name}.table`);
  writeFileSync(path, `${table}\n`);
  return [path];
}

/** Device-mapper devices of one scenario, in order, because a device must be removed before those below it. */
export class DeviceMapper {
  readonly #names: string[] = [];

  async create(name: string, table: string): Promise<string> {
    await runCommand("dmsetup", ["create", name, ...tableWords(name, table)]);
    this.#names.push(name);
    return `/dev/mapper/${name}`;
  }

  /** For tables that must be refused. */
  async tryCreate(name: string, table: string): Promise<CommandResult> {
    const result = await tryCommand("dmsetup", ["create", name, "--table", table]);
    if (result.exitCode === 0) this.#names.push(name);
    return result;
  }

  async load(name: string, table: string): Promise<void> {
    await runCommand("dmsetup", ["load", name, ...tableWords(name, table)]);
  }

  async suspend(name: string): Promise<void> {
    await runCommand("dmsetup", ["suspend", name]);
  }

  /** Puts waiting requests back into the queue instead of failing them. */
  async suspendWithoutFlush(name: string): Promise<void> {
    await runCommand("dmsetup", ["suspend", "--noflush", name]);
  }

  async resume(name: string): Promise<void> {
    await runCommand("dmsetup", ["resume", name]);
  }

  /** Puts another table under a live device. */
  async replace(name: string, table: string): Promise<void> {
    await this.suspend(name);
    await this.load(name, table);
    await this.resume(name);
  }

  async message(name: string, text: string): Promise<void> {
    await runCommand("dmsetup", ["message", name, "0", text]);
  }

  async status(name: string): Promise<string> {
    return (await runCommand("dmsetup", ["status", name])).trim();
  }

  async table(name: string): Promise<string> {
    return (await runCommand("dmsetup", ["table", name])).trim();
  }

  async remove(name: string): Promise<void> {
    await runCommand("dmsetup", ["remove", name]);
    this.gone(name);
  }

  /** A device that another program has made, and that goes with the scenario. */
  found(name: string): string {
    this.#names.push(name);
    return `/dev/mapper/${name}`;
  }

  /** A device that another program has removed. */
  gone(name: string): void {
    this.#names.splice(this.#names.indexOf(name), 1);
  }

  async removeAll(): Promise<void> {
    for (const name of [...this.#names].reverse()) await this.remove(name);
    const left = await runCommand("dmsetup", ["ls"]);
    if (!left.startsWith("No devices found")) throw new Error(`Devices nobody removed: ${left}`);
  }
}
