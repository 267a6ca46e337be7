// Writes a tar archive (POSIX.1-2001, "ustar" with pax headers for names that do not fit): a few files, all in memory.

const BLOCK_BYTES = 512;
const NAME_BYTES_MAX = 100;
/** Of a header. */
const CHECK_OFFSET = 148;

export interface TarFile {
  /** With / between folders. */
  name: string;
  content: Uint8Array;
}

/** The archive. Files belong to root and nobody else may read them. */
export function tarOf(files: readonly TarFile[], time: Date): Buffer {
  const parts = files.flatMap(({ name, content }) => [
    ...(Buffer.byteLength(name) <= NAME_BYTES_MAX ? [] : entry("pax", "x", paxRecord("path", name), time)),
    ...entry(name, "0", content, time),
  ]);
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]);
}

function entry(name: string, type: "0" | "x", content: Uint8Array, time: Date): Uint8Array[] {
  const head = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, offset: number, digits: number) =>
    head.write(value.toString(8).padStart(digits, "0"), offset, "latin1");
  head.write(name, 0, NAME_BYTES_MAX, "utf8");
  octal(0o600, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(content.length, 124, 11);
  octal(Math.floor(time.getTime() / 1000), 136, 11);
  head.write(`        ${type}`, CHECK_OFFSET, "latin1");
  head.write("ustar\x0000", 257, "latin1");
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, "0")}\0 `, CHECK_OFFSET, "latin1");
  return [head, content, Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES)];
}

/** `LENGTH KEY=VALUE\n`, of which the length counts itself too. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (rest + String(length).length !== length) length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}
