// What User Mode Linux needs on processors whose extended registers are wider than it knows (xstate.c says why).

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The environment that the guest is to be started in; its library is made in `folder`. Empty on other processors. */
export function environmentForRegisters(labFolder: string, folder: string): { LD_PRELOAD?: string } {
  if (!/^flags\s*:.*\bamx_tile\b/m.test(readFileSync("/proc/cpuinfo", "utf8"))) return {};
  const library = join(folder, "xstate.so");
  execFileSync("cc", [
    "-O1",
    "-shared",
    "-fPIC",
    "-Wall",
    "-Werror",
    "-o",
    library,
    join(labFolder, "xstate.c"),
    "-ldl",
  ]);
  return { LD_PRELOAD: library };
}
