// Stands for uvu in the bundles of the test files: keeps their tests instead of running them.

const tests = new Map<string, () => unknown>();

export function test(name: string, run: () => unknown): void {
  if (tests.has(name)) throw new Error(`Two tests of a file are called "${name}".`);
  tests.set(name, run);
}

test.run = () => {};

/** The tests that were declared since the last call, by name. */
export function takeTests(): Map<string, () => unknown> {
  const taken = new Map(tests);
  tests.clear();
  return taken;
}
