// The core imports nothing, so a failed assertion has nobody to call: it stops the instance where it stands.
// Assertions guard what cannot happen; anything a datagram can cause is answered, never aborted.

/** Replaces the compiler's imported `abort` (see `use` in asconfig.json). Traps. */
export function abort(_message: string | null, _fileName: string | null, _line: u32, _column: u32): void {
  unreachable();
}
