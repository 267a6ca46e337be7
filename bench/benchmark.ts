// What run.ts gives to a benchmark, and what it gets back.

export interface BenchmarkOptions {
  /** A short run of seconds, which shows that everything works and checks no target. */
  quick: boolean;
  seed: number;
  /** The core to measure. */
  corePath: string;
  /** A second core, measured in turns with the first. */
  against?: string;
}

export interface BenchmarkResult {
  /** Targets missed. */
  missed: number;
  /** The figures, as baseline.json keeps them. */
  figures: Record<string, unknown>;
}
