import assert from "node:assert/strict";
import { alignedBuffer, Disk, SECTOR_SIZE_BYTES } from "./disk.ts";
import type { DeviceMapper } from "./dm.ts";

// What dm-log-writes leaves, little endian, in sectors: a head, then for each entry a sector that describes it and the
// sectors that were written.
//
//   head    +0 magic u64   +8 version u64   +16 entries u64   +24 bytes of a sector u32
//   entry   +0 sector u64   +8 sectors u64   +16 flags u64   +24 bytes of its name u64   +32 name of a mark
//
// Writes are entered when a flush (or FUA) has made them durable, so the entries before a mark are what a power cut at
// the mark leaves for certain.
const MAGIC = 0x6a736677736872n;
const ENTRY_COUNT = 16;
const ENTRY_SECTOR = 0;
const ENTRY_SECTOR_COUNT = 8;
const ENTRY_FLAGS = 16;
const ENTRY_NAME_BYTES = 24;
const ENTRY_NAME = 32;
const FLAG_DISCARD = 4n;
const FLAG_MARK = 8n;
const RECORD_SIZE_BYTES = 16 * 1024 * 1024;
const RECORD_SIZE_SECTORS = RECORD_SIZE_BYTES / SECTOR_SIZE_BYTES;

/** A disk behind dm-log-writes: shows which writes surely survive a power cut, and which may survive it. */
export class RecordedDisk {
  readonly path: string;
  readonly #dm: DeviceMapper;
  readonly #name: string;
  readonly #disk: string;
  readonly #record: string;
  readonly #before: Buffer;

  private constructor(dm: DeviceMapper, name: string, disk: string, path: string, record: string, before: Buffer) {
    this.#dm = dm;
    this.#name = name;
    this.#disk = disk;
    this.path = path;
    this.#record = record;
    this.#before = before;
  }

  /** The first sectors of `disk`; its record is the `index`th on `recordDisk`. */
  static async create(
    dm: DeviceMapper,
    name: string,
    disk: string,
    sizeSectors: number,
    recordDisk: string,
    index: number,
  ): Promise<RecordedDisk> {
    const before = await readStart(disk, sizeSectors * SECTOR_SIZE_BYTES);
    const record = await dm.create(
      `${name}-record`,
      `0 ${RECORD_SIZE_SECTORS} linear ${recordDisk} ${index * RECORD_SIZE_SECTORS}`,
    );
    const path = await dm.create(name, `0 ${sizeSectors} log-writes ${disk} ${record}`);
    return new RecordedDisk(dm, name, disk, path, record, before);
  }

  /** Waits for the I/O under way; later I/O waits. */
  suspend(): Promise<void> {
    return this.#dm.suspendWithoutFlush(this.#name);
  }

  resume(): Promise<void> {
    return this.#dm.resume(this.#name);
  }

  mark(name: string): Promise<void> {
    return this.#dm.message(this.#name, `mark ${name}`);
  }

  /** Everything written so far, flushed or not: the most that a power cut can leave. */
  readAll(): Promise<Buffer> {
    return readStart(this.#disk, this.#before.length);
  }

  /** Ends the recording; nothing may use the disk any more. Returns what was durable at each mark, by its name. */
  async durableAtMarks(): Promise<Map<string, Buffer>> {
    await this.#dm.remove(this.#name);
    const record = await readStart(this.#record, RECORD_SIZE_BYTES);
    assert.equal(record.readBigUInt64LE(0), MAGIC, `${this.#record} is no record of writes`);
    const durable = Buffer.from(this.#before);
    const atMarks = new Map<string, Buffer>();
    let at = SECTOR_SIZE_BYTES;
    for (let left = record.readBigUInt64LE(ENTRY_COUNT); left > 0n; left--) {
      const flags = record.readBigUInt64LE(at + ENTRY_FLAGS);
      assert(!(flags & FLAG_DISCARD), "A mirror that discards");
      const start = Number(record.readBigUInt64LE(at + ENTRY_SECTOR)) * SECTOR_SIZE_BYTES;
      const size = Number(record.readBigUInt64LE(at + ENTRY_SECTOR_COUNT)) * SECTOR_SIZE_BYTES;
      if (flags & FLAG_MARK) {
        const nameEnd = at + ENTRY_NAME + Number(record.readBigUInt64LE(at + ENTRY_NAME_BYTES));
        atMarks.set(record.toString("latin1", at + ENTRY_NAME, nameEnd).replace(/\0.*/s, ""), Buffer.from(durable));
      }
      record.copy(durable, start, at + SECTOR_SIZE_BYTES, at + SECTOR_SIZE_BYTES + size);
      at += SECTOR_SIZE_BYTES + size;
    }
    return atMarks;
  }
}

async function readStart(path: string, sizeBytes: number): Promise<Buffer> {
  const buffer = alignedBuffer(sizeBytes);
  const disk = await Disk.open(path);
  await disk.read(buffer, 0);
  await disk.close();
  return buffer;
}
