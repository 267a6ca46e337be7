// dm-ulog serve with the native host: this process becomes dm-ulogd.

import { spawn } from "node:child_process";
import { nativePath } from "./installation.ts";
import type { ServeOptions } from "./serve.ts";

/** Options that mean a process of its own with the native host, and the command to type for it. */
const COMMANDS: Partial<Record<keyof ServeOptions, string>> = {
  record: "dm-ulog record FILE",
  view: "dm-ulog view --live",
  metrics: "dm-ulog metrics --port PORT",
};

/** Whether the native host is to serve. Throws a sentence where it was asked for and cannot. */
export function isNativeWanted(options: ServeOptions): boolean {
  const path = nativePath();
  if (options.host === "node") return false;
  if (path === undefined) {
    if (options.host === "native")
      throw new Error(
        "The native host is not built. Type: npm run build:native (it needs Debian's packages wabt, gcc and make)",
      );
    return false;
  }
  for (const [option, command] of Object.entries(COMMANDS)) {
    if (options[option as keyof ServeOptions] === undefined) continue;
    throw new Error(
      `The native host serves nobody but the kernel. Instead of --${option}, start beside it: ${command}. Or choose the other ` +
        "host: --host node",
    );
  }
  return true;
}

/** The command line of the native host for the same options. */
export function nativeArguments(options: ServeOptions): string[] {
  return [
    ...["--runtime-dir", options.runtimeDir],
    ...["--quiet-time", String(options.quietTime)],
    ...["--lazy-regions", String(options.lazyRegions)],
    ...["--mark-ahead", String(options.markAhead)],
    ...["--block-size", String(options.blockSize)],
    ...(options.flightRecorder === undefined ? [] : ["--flight-recorder", String(options.flightRecorder)]),
    ...(options.spin === undefined ? [] : ["--spin", String(options.spin)]),
    ...(options.realTime === undefined ? [] : ["--real-time", String(options.realTime)]),
    ...(options.takeOver === true ? ["--take-over"] : []),
    ...(options.keeper ? [] : ["--no-keeper"]),
    ...(options.force === true ? ["--force"] : []),
    ...(options.logFormat === undefined ? [] : ["--log-format", options.logFormat]),
  ];
}

/** Returns only where this process could not become the native host, and waits for it as a child. */
export async function serveNatively(options: ServeOptions): Promise<void> {
  const path = nativePath() as string;
  const words = nativeArguments(options);
  // Both are there or neither: they need the same native package.
  const calls = await Promise.all([
    import("../node/system-calls.ts"),
    import("../node/control/service-manager.ts"),
  ]).catch(() => undefined);
  if (calls !== undefined) {
    const [{ execute }, { passedDescriptors }] = calls;
    execute(path, [path, ...words], process.env, passedDescriptors(process.env));
  }
  const child = spawn(path, words, { stdio: "inherit" });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? (signal === null ? 1 : 128);
  });
}
