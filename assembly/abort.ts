// What must be true whatever a kernel or a host does. The core imports nothing, so a failed assertion has nobody to call:
// it stops the instance where it stands, and the host begins a new one from the state files.
// Assertions guard what cannot happen; anything a datagram can cause is answered, never aborted.

/** Replaces the compiler's imported `abort` (see `use` in asconfig.json). Traps. */
export function abort(_message: string | null, _fileName: string | null, _line: u32, _column: u32): void {
  unreachable();
}

/** An assertion that costs a compare and stands in every build: to go on would lose or damage what was acknowledged. */
export function ensure(holds: bool): void {
  if (!holds) unreachable();
}
