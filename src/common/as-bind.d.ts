// as-bind ships no types for its library build, and its package's main entry is the compiler's transform.

declare module "as-bind/dist/as-bind.cjs.js" {
  const asBind: {
    instantiate(bytes: Uint8Array, imports: object): Promise<{ exports: Record<string, unknown> }>;
  };
  export default asBind;
}
