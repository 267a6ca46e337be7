import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

export const SECTOR_SIZE_BYTES = 512;
const CHUNK_SIZE_BYTES = 1 << 20;
const WASM_PAGE_SIZE_BYTES = 65_536;

/** Memory that O_DIRECT takes: the kernel refuses (EINVAL) an ordinary Buffer, and linear memory is page-aligned. */
export function alignedBuffer(sizeBytes: number): Buffer {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(sizeBytes / WASM_PAGE_SIZE_BYTES) });
  return Buffer.from(memory.buffer, 0, sizeBytes);
}

/** A block device, accessed without the guest's page cache, so that reads return the content of the device itself. */
export class Disk {
  readonly #file: FileHandle;
  readonly path: string;

  private constructor(file: FileHandle, path: string) {
    this.#file = file;
    this.path = path;
  }

  static async open(path: string): Promise<Disk> {
    return new Disk(await open(path, constants.O_RDWR | constants.O_DIRECT), path);
  }

  /** `buffer` is aligned memory; the whole of it is read. */
  async read(buffer: Buffer, offsetBytes: number): Promise<void> {
    const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, offsetBytes);
    if (bytesRead !== buffer.length) throw new Error(`${this.path}: read ${bytesRead} of ${buffer.length} bytes`);
  }

  /** `buffer` is aligned memory; the whole of it is written. */
  async write(buffer: Buffer, offsetBytes: number): Promise<void> {
    const { bytesWritten } = await this.#file.write(buffer, 0, buffer.length, offsetBytes);
    if (bytesWritten !== buffer.length)
      throw new Error(`${this.path}: wrote ${bytesWritten} of ${buffer.length} bytes`);
  }

  /** For memory that need not be aligned. */
  async writeCopy(contents: Buffer, offsetBytes: number): Promise<void> {
    const buffer = alignedBuffer(contents.length);
    contents.copy(buffer);
    await this.write(buffer, offsetBytes);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

const chunk = alignedBuffer(CHUNK_SIZE_BYTES);

/** Calls `visit` for one chunk after another, with its offset and the memory to use for it. */
async function forEachChunk(
  sizeBytes: number,
  visit: (buffer: Buffer, offsetBytes: number) => Promise<void>,
): Promise<void> {
  for (let offsetBytes = 0; offsetBytes < sizeBytes; offsetBytes += CHUNK_SIZE_BYTES) {
    await visit(chunk.subarray(0, Math.min(CHUNK_SIZE_BYTES, sizeBytes - offsetBytes)), offsetBytes);
  }
}

/** Writes `contents` to the start of a device. */
export async function writeContents(path: string, contents: Buffer): Promise<void> {
  const disk = await Disk.open(path);
  await forEachChunk(contents.length, async (buffer, offsetBytes) => {
    contents.copy(buffer, 0, offsetBytes);
    await disk.write(buffer, offsetBytes);
  });
  await disk.close();
}

export async function readContents(path: string, sizeSectors: number): Promise<Buffer> {
  const contents = alignedBuffer(sizeSectors * SECTOR_SIZE_BYTES);
  const disk = await Disk.open(path);
  await disk.read(contents, 0);
  await disk.close();
  return contents;
}

/** Fills `contents`, memory that is there already, with the start of a device. */
export async function readContentsInto(contents: Buffer, path: string): Promise<void> {
  const disk = await Disk.open(path);
  await forEachChunk(contents.length, async (buffer, offsetBytes) => {
    await disk.read(buffer, offsetBytes);
    buffer.copy(contents, offsetBytes);
  });
  await disk.close();
}

/** The regions in which the start of a device is not `contents`. */
export async function differingRegions(path: string, contents: Buffer, regionSizeSectors: number): Promise<number[]> {
  const regionSizeBytes = regionSizeSectors * SECTOR_SIZE_BYTES;
  const stepSizeBytes = Math.min(regionSizeBytes, CHUNK_SIZE_BYTES);
  const regions = new Set<number>();
  const disk = await Disk.open(path);
  await forEachChunk(contents.length, async (buffer, offsetBytes) => {
    await disk.read(buffer, offsetBytes);
    for (let start = 0; start < buffer.length; start += stepSizeBytes) {
      const found = buffer.subarray(start, start + stepSizeBytes);
      const at = offsetBytes + start;
      if (!found.equals(contents.subarray(at, at + found.length))) regions.add(Math.floor(at / regionSizeBytes));
    }
  });
  await disk.close();
  return [...regions];
}
