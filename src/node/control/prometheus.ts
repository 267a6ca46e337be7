// The text format of Prometheus, version 0.0.4: what a metric is, then its samples.

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  labels?: Labels;
  value: number;
}

export class PrometheusText {
  private readonly lines: string[] = [];

  /** Only grows; its name ends in `_total`. */
  counter(name: string, help: string, samples: readonly Sample[]): void {
    this.simple("counter", name, help, samples);
  }

  gauge(name: string, help: string, samples: readonly Sample[]): void {
    this.simple("gauge", name, help, samples);
  }

  /** `counts` has one more than there are `bounds`, for what is above the last; not cumulative. */
  histogram(
    name: string,
    help: string,
    bounds: readonly number[],
    rows: readonly { labels: Labels; counts: readonly number[]; sum: number }[],
  ): void {
    this.head("histogram", name, help);
    for (const { labels, counts, sum } of rows) {
      let count = 0;
      for (const [i, inBucket] of counts.entries()) {
        count += inBucket;
        const le = i < bounds.length ? String(bounds[i]) : "+Inf";
        this.sample(`${name}_bucket`, { labels: { ...labels, le }, value: count });
      }
      this.sample(`${name}_sum`, { labels, value: sum });
      this.sample(`${name}_count`, { labels, value: count });
    }
  }

  toString(): string {
    return `${this.lines.join("\n")}\n`;
  }

  private simple(type: string, name: string, help: string, samples: readonly Sample[]): void {
    this.head(type, name, help);
    for (const sample of samples) this.sample(name, sample);
  }

  private head(type: string, name: string, help: string): void {
    this.lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }

  private sample(name: string, { labels = {}, value }: Sample): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
    this.lines.push(`${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`);
  }
}

function escaped(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));
}
