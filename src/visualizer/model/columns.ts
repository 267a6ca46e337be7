// Arrays that grow at their end: a million events of some numbers each are kept without an object for any of them.

type Numbers = Uint8Array | Uint16Array | Uint32Array | Float32Array | Float64Array;

/** A typed array with room to grow. `values` is another array after growing: take it anew for each use. */
export class Column<T extends Numbers> {
  length = 0;

  constructor(public values: T) {}

  push(value: number): void {
    this.reserve(this.length + 1);
    this.values[this.length++] = value;
  }

  /** Makes room for so many numbers; those beyond `length` are for the caller to set. */
  reserve(length: number): void {
    if (length <= this.values.length) return;
    const make = this.values.constructor as new (length: number) => T;
    const larger = new make(Math.max(length, this.values.length * 2));
    larger.set(this.values);
    this.values = larger;
  }

  /** The number at `index`; 0 before the first and beyond the room. */
  at(index: number): number {
    return this.values[index] ?? 0;
  }
}

const FIRST_ROOM = 4096;

export function bytes(): Column<Uint8Array> {
  return new Column(new Uint8Array(FIRST_ROOM));
}

export function halfWords(): Column<Uint16Array> {
  return new Column(new Uint16Array(FIRST_ROOM));
}

export function words(): Column<Uint32Array> {
  return new Column(new Uint32Array(FIRST_ROOM));
}

export function floats(): Column<Float32Array> {
  return new Column(new Float32Array(FIRST_ROOM));
}

export function doubles(): Column<Float64Array> {
  return new Column(new Float64Array(FIRST_ROOM));
}
