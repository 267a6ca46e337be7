// as-bind, bundled into one module by build:as-bind, because the package itself requires the whole compiler as its peer, and
// browsers cannot load CommonJS. It has no types for its library build.

declare module "#as-bind" {
  const asBind: {
    instantiate(bytes: Uint8Array, imports: object): Promise<{ exports: Record<string, unknown> }>;
  };
  export default asBind;
}
