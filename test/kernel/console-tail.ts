const LINES_MAX = 60;

/** The last lines of a console. Repeated lines count once, so that endless complaints do not push the first one out. */
export class ConsoleTail {
  #lines: { text: string; times: number }[] = [];

  add(text: string): void {
    const last = this.#lines.at(-1);
    if (last?.text === text) {
      last.times++;
      return;
    }
    this.#lines.push({ text, times: 1 });
    if (this.#lines.length > LINES_MAX) this.#lines.shift();
  }

  clear(): void {
    this.#lines = [];
  }

  toString(): string {
    return this.#lines.map(({ text, times }) => (times === 1 ? text : `${text}  (${times} times)`)).join("\n");
  }
}
