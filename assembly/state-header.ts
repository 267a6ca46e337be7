// What a state file begins with. The UUID, padded with zeros to 136 bytes, follows and is part of what the check covers.

/** "dmulog", then the version of the file in 16 bits. */
export const STATE_MAGIC: u64 = 0x0004_676f_6c75_6d64;

@unmanaged
export class StateHeader {
  magic: u64;
  /** Of everything else in the header, of the UUID, and of the constructor string. */
  check: u64;
  luid: u64;
  serial: u64;
  state: u32;
  wasResumed: u32;
  reconnects: u32;
  marksInDoubt: u32;
  /** What the mirror knows of its log device. */
  deviceBehind: u32;
  uuidBytes: u32;
  constructorBytes: u32;
  /** Zero. */
  reserved: u32;
}
