// Where the tests are that could tell, and what tells one from all others: its file and its name. What happens while a file is loaded has the file's name alone.

/** Files with tests that could tell. Each asks the core itself; what asks a host with a core in it tells nothing more. */
export const TEST_FILES: readonly string[] = [
  "requests",
  "disk",
  "core-imports",
  "corpus",
  "luids",
  "mark-ahead",
  "log-owner",
  "slices",
  "model",
  "forgotten-logs",
  "log-devices",
  "console",
  "notices",
  "layout",
  "limits",
  "regions.fuzz",
  "datagrams.fuzz",
  "determinism",
  "effects-room",
  "state-damage",
  "core.fuzz",
  "sim",
];

const SEPARATOR = ": ";

export const testId = (file: string, name: string): string => `${file}${SEPARATOR}${name}`;
export const fileOf = (id: string): string => id.split(SEPARATOR, 1)[0] as string;
export const isTest = (id: string): boolean => id.includes(SEPARATOR);
