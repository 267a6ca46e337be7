// The option that says what the kernel does when a write to a leg fails, and what its help tells of it.

import { Option } from "commander";
import { LEG_FAILURE_FEATURES } from "./table.ts";

export const legFailure = () =>
  new Option("--leg-failure <what>", "what the kernel does when a write to a leg fails")
    .choices(Object.keys(LEG_FAILURE_FEATURES))
    .default("continue");

export const LEG_FAILURE_HELP = `When a write to a leg fails:
  continue  Writes complete on the remaining legs, and the log keeps which regions the failed leg missed. If the first leg
            fails while regions are out of sync, those are read from a leg that holds older data. If the log device fails,
            writes fail. (handle_errors keep_log)
  wait      Writes wait until a daemon, dmeventd, or an administrator loads another table. (handle_errors)
  ignore    Writes count as done although a leg missed them, and a leg that could not be resynced counts as in sync. (neither)`;
