// as-bind, as build:as-bind makes one module of it: the package itself brings the whole compiler along as its peer, and
// browsers do not take CommonJS. It ships no types for its library build.

declare module "#as-bind" {
  const asBind: {
    instantiate(bytes: Uint8Array, imports: object): Promise<{ exports: Record<string, unknown> }>;
  };
  export default asBind;
}
