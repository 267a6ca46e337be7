import { runCommand } from "./command.ts";
import { alignedBuffer, Disk, SECTOR_SIZE_BYTES } from "./disk.ts";

const TABLE_BYTES = 4096;
const FIRST_ENTRY = 446;
const ENTRY_BYTES = 16;
const LINUX = 0x83;

export interface Partition {
  startSectors: number;
  sizeSectors: number;
}

/** Divides a disk, by a partition table as on a PC's first sector. None takes the partitions away. */
export async function divide(disk: string, partitions: readonly Partition[]): Promise<void> {
  const table = alignedBuffer(TABLE_BYTES);
  table.fill(0);
  for (const [index, { startSectors, sizeSectors }] of partitions.entries()) {
    const entry = FIRST_ENTRY + index * ENTRY_BYTES;
    table[entry + 4] = LINUX;
    table.writeUInt32LE(startSectors, entry + 8);
    table.writeUInt32LE(sizeSectors, entry + 12);
  }
  if (partitions.length > 0) table.writeUInt16BE(0x55aa, SECTOR_SIZE_BYTES - 2);
  const file = await Disk.open(disk);
  await file.writeCopy(table, 0);
  await file.close();
  await runCommand("blockdev", ["--rereadpt", disk]);
}
