import { execFileSync } from "node:child_process";
import { mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { findScenario } from "../scenarios/index.ts";
import { type BootPlan, type GuestReport, RECORD_MOUNT, REPORT_TERMINAL } from "./contract.ts";
import { KernelLog } from "./kernel-log.ts";
import { Lab } from "./lab.ts";

const plan = JSON.parse(readFileSync(new URL("../plan.json", import.meta.url), "utf8")) as BootPlan;
const terminal = openSync(REPORT_TERMINAL, "w");

function report(event: GuestReport): void {
  writeSync(terminal, `${JSON.stringify(event)}\n`);
}

// The rest of the host can only be read.
if (plan.recordFolder !== undefined) {
  mkdirSync(RECORD_MOUNT);
  execFileSync("mount", ["-t", "hostfs", "-o", plan.recordFolder, "none", RECORD_MOUNT]);
}

const kernelLog = new KernelLog();
kernelLog.take(); // What was said before the first scenario is none of its business.
const rejection = new Promise<never>((_resolve, reject) => process.on("unhandledRejection", reject));

// After a failure nothing in this guest can be trusted to be clean: the host boots another for the scenarios left.
for (const [index, name] of plan.scenarios.entries()) {
  report({ event: "start", scenario: name });
  try {
    await Promise.race([
      Lab.run(plan, findScenario(name), kernelLog, report, index === 0 ? plan.powerCuts : 0),
      rejection,
    ]);
    report({ event: "passed", scenario: name });
  } catch (error) {
    report({ event: "failed", scenario: name, reason: error instanceof Error ? error.message : String(error) });
    break;
  }
}
process.exit();
