/** What must never happen has happened. The message is a sentence's end: what, in which region. */
export class Violation extends Error {
  override name = "Violation";
}
