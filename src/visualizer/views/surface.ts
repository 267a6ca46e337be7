// A canvas that is as large as its place on the page, in device pixels.

export class Surface {
  readonly context: CanvasRenderingContext2D;
  /** Device pixels for each CSS pixel. */
  scale = 1;
  private cssWidth = 0;
  private cssHeight = 0;

  /** `onResize` is called when the drawing is lost. */
  constructor(
    readonly canvas: HTMLCanvasElement,
    onResize: () => void,
  ) {
    this.context = canvas.getContext("2d") as CanvasRenderingContext2D;
    new ResizeObserver(() => {
      if (this.fit()) onResize();
    }).observe(canvas);
    this.fit();
  }

  get width(): number {
    return this.canvas.width;
  }

  get height(): number {
    return this.canvas.height;
  }

  /** Makes the canvas as large as its place. Returns whether that changed it. */
  private fit(): boolean {
    const { clientWidth, clientHeight } = this.canvas;
    const scale = Math.max(1, Math.min(3, window.devicePixelRatio));
    if (clientWidth === this.cssWidth && clientHeight === this.cssHeight && scale === this.scale) return false;
    this.cssWidth = clientWidth;
    this.cssHeight = clientHeight;
    this.scale = scale;
    this.canvas.width = Math.max(1, Math.round(clientWidth * scale));
    this.canvas.height = Math.max(1, Math.round(clientHeight * scale));
    return true;
  }
}
