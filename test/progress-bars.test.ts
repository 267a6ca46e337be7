// What a terminal shows after each picture, on a terminal of the test that obeys the few sequences that are used.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { bar, Picture } from "../src/cli/progress-bars.ts";

const ESCAPE = "\x1b";
const PIECES = new RegExp(`${ESCAPE}\\[(\\d*)[AKJ]|\\n|[^${ESCAPE}\\n]+`, "g");

/** Rows that scrolled off are forgotten. A line that is as long as the terminal is wide does not wrap. */
class Screen {
  lines: string[] = [""];
  private row = 0;
  private column = 0;

  constructor(
    readonly columns: number,
    readonly rows: number,
  ) {}

  write(text: string): boolean {
    for (const [piece, count] of text.matchAll(PIECES)) {
      if (piece === "\n") this.newLine();
      else if (piece.startsWith(ESCAPE) && piece.endsWith("A")) this.row = Math.max(0, this.row - Number(count));
      else if (piece === `${ESCAPE}[K`) this.lines[this.row] = this.line.slice(0, this.column);
      else if (piece === `${ESCAPE}[J`) {
        this.lines.length = this.row + 1;
        this.lines[this.row] = this.line.slice(0, this.column);
      } else {
        assert.not.match(piece, ESCAPE);
        assert.ok(this.column + piece.length <= this.columns, `it wraps: ${piece}`);
        this.lines[this.row] = this.line.slice(0, this.column) + piece + this.line.slice(this.column + piece.length);
        this.column += piece.length;
      }
    }
    return true;
  }

  private get line(): string {
    return this.lines[this.row] ?? "";
  }

  private newLine(): void {
    this.column = 0;
    if (this.row < this.rows - 1) this.row++;
    else this.lines.shift();
    this.lines[this.row] ??= "";
  }
}

test("a picture takes the place of the one before, whatever their sizes", () => {
  const screen = new Screen(20, 10);
  const picture = new Picture(screen);
  screen.write("before\n");
  picture.draw(["one, which is long", "two", "three"]);
  assert.equal(screen.lines, ["before", "one, which is long", "two", "three", ""]);
  picture.draw(["1", "2"]);
  assert.equal(screen.lines, ["before", "1", "2", ""]);
  picture.draw(["1", "2", "3", "4"]);
  assert.equal(screen.lines, ["before", "1", "2", "3", "4", ""]);
  picture.draw([]);
  assert.equal(screen.lines, ["before", ""]);
  assert.ok(picture.isEmpty);
});

test("one that is kept stays above the next", () => {
  const screen = new Screen(20, 10);
  const picture = new Picture(screen);
  picture.draw(["kept"]);
  assert.not.ok(picture.isEmpty);
  picture.keep();
  picture.draw(["next"]);
  picture.draw(["last"]);
  assert.equal(screen.lines, ["kept", "last", ""]);
});

test("lines that do not fit are cut, and those that have no room are counted", () => {
  const screen = new Screen(22, 4);
  const picture = new Picture(screen);
  const lines = Array.from({ length: 9 }, (_, line) => `${line} ${"x".repeat(30)}`);
  for (let time = 0; time < 3; time++) {
    picture.draw(lines);
    assert.equal(screen.lines, [`0 ${"x".repeat(20)}`, `1 ${"x".repeat(20)}`, "… and 7 more lines", ""]);
  }
  picture.draw(lines.slice(0, 3));
  assert.equal(screen.lines, [0, 1, 2].map((line) => `${line} ${"x".repeat(20)}`).concat(""));
});

test("a terminal that has no size, or one row, is drawn on", () => {
  const written: unknown[] = [];
  new Picture({ write: (text) => written.push(text) > 0 }).draw(["x".repeat(500)]);
  assert.match(String(written), "x".repeat(500));
  const screen = new Screen(22, 1);
  new Picture(screen).draw(["1", "2"]);
  assert.equal(screen.lines, [""]);
});

test("a bar is full only where everything is done, and empty only where nothing visible is", () => {
  assert.is(bar(0, 7), "[--------------------]");
  assert.is(bar(999_999, 1_000_000), "[###################-]");
  assert.is(bar(1_000_000, 1_000_000), "[####################]");
  assert.is(bar(1, 2), "[##########----------]");
});

test.run();
