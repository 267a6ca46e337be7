// JSON of what holds 64 bits, a luid above all: it stands as a decimal string, since readers take numbers of JSON for doubles.

/** As it stands in JSON. */
export type Written<T> = { [Key in keyof T]: T[Key] extends bigint ? string : T[Key] };

export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? String(part) : part));
}
