// Tables for a person: columns as wide as necessary, numbers aligned to the right.

export type Cell = string | number;

/** Rows below their heads. Columns of numbers, or of text that begins with a digit, stand to the right. */
export function formatTable(heads: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => row.map(String));
  const widths = heads.map((head, column) => Math.max(head.length, ...texts.map((row) => row[column]?.length ?? 0)));
  const toTheRight = heads.map((_, column) => texts.every((row) => /^[\d-]/.test(row[column] ?? "-")));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return toTheRight[column] ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [line(heads), line(widths.map((width) => "-".repeat(width))), ...texts.map(line)].join("\n");
}

export function verdictWord(met: boolean): string {
  return met ? "ok" : "MISSED";
}
