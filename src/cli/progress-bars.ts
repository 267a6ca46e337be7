// What a terminal shows while something goes on: a picture of a few lines that is drawn over the one before, and the bars in it. The
// cursor stays visible, so that there is nothing to put right where a command is killed.

const BAR_CHARACTERS = 20;

/** The part of the terminal that is asked, as process.stdout is. */
type Terminal = Pick<NodeJS.WritableStream, "write"> & { columns?: number; rows?: number };

/** Lines on a terminal; each picture takes the place of the one before. */
export class Picture {
  private drawnLines = 0;

  constructor(private readonly out: Terminal) {}

  /** Without lines the picture disappears. What does not fit on the terminal is left out: only what is there can be drawn over. */
  draw(lines: readonly string[]): void {
    const { columns = Number.POSITIVE_INFINITY, rows = Number.POSITIVE_INFINITY } = this.out;
    // The cursor stands on the line below.
    const room = Math.max(1, rows - 1);
    const rest = lines.length <= room ? 0 : lines.length - (room - 1);
    const shown = rest === 0 ? lines : [...lines.slice(0, room - 1), `… and ${rest} more lines`];
    const up = this.drawnLines > 0 ? `\x1b[${this.drawnLines}A` : "";
    this.out.write(`${up}${shown.map((line) => `${line.slice(0, columns)}\x1b[K\n`).join("")}\x1b[J`);
    this.drawnLines = shown.length;
  }

  /** Leaves the picture where it is: the next one comes below. */
  keep(): void {
    this.drawnLines = 0;
  }

  get isEmpty(): boolean {
    return this.drawnLines === 0;
  }
}

/** Such as `[#####---------------]`; full only where everything is done. `total` is at least 1. */
export function bar(done: number, total: number): string {
  const filled = Math.floor((BAR_CHARACTERS * done) / total);
  return `[${"#".repeat(filled)}${"-".repeat(BAR_CHARACTERS - filled)}]`;
}
