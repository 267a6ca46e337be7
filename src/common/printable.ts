// Texts that came from outside, for a terminal.

/** A text with `?` for each character that a terminal might obey. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
