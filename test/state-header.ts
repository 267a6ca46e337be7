// What a state file begins with (assembly/state-header.ts), for tests that forge one.

export const STATE_HEADER_BYTES = 200;

/** Where a header says it. */
export const STATE_FIELDS = {
  check: 8,
  luid: 16,
  state: 32,
  marksInDoubt: 44,
  uuidBytes: 52,
  constructorBytes: 56,
  uuid: 64,
} as const;

/** Makes the check of the header at `at` hold, with `text` as its constructor string: FNV-1a, as state-file.ts has it. */
export function sealHeader(file: Uint8Array, at: number, text: Uint8Array): void {
  let mixed = 0xcbf2_9ce4_8422_2325n;
  for (const byte of [...file.subarray(at + STATE_FIELDS.luid, at + STATE_HEADER_BYTES), ...text])
    mixed = BigInt.asUintN(64, (mixed ^ BigInt(byte)) * 0x0000_0100_0000_01b3n);
  new DataView(file.buffer, file.byteOffset + at).setBigUint64(STATE_FIELDS.check, mixed, true);
}
