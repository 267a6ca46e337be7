/** The median; of an even number of values the higher of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error("There is no median of nothing.");
  return [...values].sort((a, b) => a - b)[values.length >>> 1] as number;
}

/** A number of regions as a power of ten. */
export function exponent(regionCount: number): string {
  return `1e${Math.round(Math.log10(regionCount))}`;
}
