// How long requests waited, over the events in sight of the scrubber.

import uPlot from "uplot";
import type { Latencies } from "../model/latencies.ts";
import { grouped } from "./dom.ts";
import type { Palette } from "./palette.ts";

const HEIGHT_PX = 112;
const LOGARITHMIC = 3;

export class LatencyPlot {
  onSeek: (event: number) => void = () => {};
  private plot: uPlot | null = null;
  private palette: Palette | null = null;

  constructor(private readonly frame: HTMLElement) {
    new ResizeObserver(() => this.plot?.setSize({ width: this.frame.clientWidth, height: HEIGHT_PX })).observe(frame);
  }

  set isHidden(isHidden: boolean) {
    this.frame.hidden = isHidden;
  }

  draw({ events, median, highest }: Latencies, palette: Palette): void {
    const data: uPlot.AlignedData = [events, median, highest];
    if (this.plot !== null && this.palette === palette) {
      this.plot.setData(data);
      return;
    }
    this.palette = palette;
    this.plot?.destroy();
    this.plot = new uPlot(this.options(palette), data, this.frame);
    this.plot.over.addEventListener("click", () => {
      const left = this.plot?.cursor.left ?? -1;
      if (left >= 0) this.onSeek(Math.round(this.plot?.posToVal(left, "x") ?? 0));
    });
  }

  private options(palette: Palette): uPlot.Options {
    const axis = {
      stroke: palette.quiet.css,
      grid: { stroke: palette.line.css, width: 1 },
      ticks: { stroke: palette.line.css, width: 1, size: 4 },
      font: "11px system-ui, sans-serif",
    };
    const points = (colour: string, size: number) => ({
      stroke: colour,
      width: 1,
      points: { show: true, size, fill: colour, stroke: colour },
      paths: () => null,
    });
    return {
      width: Math.max(200, this.frame.clientWidth),
      height: HEIGHT_PX,
      legend: { show: false },
      scales: { x: { time: false }, y: { distr: LOGARITHMIC } },
      axes: [
        { ...axis, size: 26, values: (_, ticks) => ticks.map((tick) => grouped(tick)) },
        {
          ...axis,
          size: 58,
          splits: (_, __, low, high) => powersOfTen(low, high),
          values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : microseconds(tick))),
        },
      ],
      series: [{}, points(palette.accent.css, 3), points(palette.error.css, 2)],
    };
  }
}

function powersOfTen(low: number, high: number): number[] {
  const powers: number[] = [];
  for (let exponent = Math.ceil(Math.log10(low) - 1e-9); 10 ** exponent <= high; exponent++)
    powers.push(10 ** exponent);
  return powers;
}

function microseconds(value: number): string {
  if (value >= 1e6) return `${value / 1e6} s`;
  return value >= 1000 ? `${value / 1000} ms` : `${value} µs`;
}
