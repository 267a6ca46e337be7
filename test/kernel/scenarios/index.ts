import type { Scenario } from "../guest/scenario.ts";
import { bootScenarios } from "./boot.ts";
import { capabilityScenarios } from "./capabilities.ts";
import { changeScenarios } from "./changes.ts";
import { declaredScenarios } from "./declared.ts";
import { diskLifeScenarios } from "./disk-life.ts";
import { diskLogScenarios } from "./disk-log.ts";
import { doctorScenarios } from "./doctor.ts";
import { killServerScenarios } from "./kill-server.ts";
import { largeMirrorScenarios } from "./large-mirrors.ts";
import { legFailureScenarios } from "./leg-failure.ts";
import { lifeScenarios } from "./life.ts";
import { listenerScenarios } from "./listeners.ts";
import { logFailureScenarios } from "./log-failure.ts";
import { logOwnerScenarios } from "./log-owner.ts";
import { lostWritesScenarios } from "./lost-writes.ts";
import { migrationScenarios } from "./migration.ts";
import { monitorScenarios } from "./monitor.ts";
import { nativeMemoryScenarios } from "./native-memory.ts";
import { powerCutScenarios } from "./power-cut.ts";
import { removedScenarios } from "./removed.ts";
import { reportScenarios } from "./report.ts";
import { resyncScenarios } from "./resync.ts";
import { serviceScenarios } from "./service.ts";
import { slowLogScenarios } from "./slow-log.ts";
import { speedScenarios } from "./speed.ts";
import { statusScenarios } from "./status.ts";
import { suspendScenarios } from "./suspend.ts";
import { swapScenarios } from "./swap.ts";
import { tableScenarios } from "./table.ts";
import { viewScenarios } from "./view.ts";
import { writePathScenarios } from "./write-path.ts";
import { writeScenarios } from "./writes.ts";
import { writesInResyncScenarios } from "./writes-in-resync.ts";

export const scenarios: Scenario[] = [
  ...resyncScenarios,
  ...writeScenarios,
  ...suspendScenarios,
  ...legFailureScenarios,
  ...lifeScenarios,
  ...diskLogScenarios,
  ...diskLifeScenarios,
  ...logFailureScenarios,
  ...logOwnerScenarios,
  ...powerCutScenarios,
  ...lostWritesScenarios,
  ...killServerScenarios,
  ...removedScenarios,
  ...tableScenarios,
  ...declaredScenarios,
  ...changeScenarios,
  ...monitorScenarios,
  ...doctorScenarios,
  ...statusScenarios,
  ...reportScenarios,
  ...listenerScenarios,
  ...capabilityScenarios,
  ...viewScenarios,
  ...serviceScenarios,
  ...bootScenarios,
  ...writePathScenarios,
  ...migrationScenarios,
  ...nativeMemoryScenarios,
  ...largeMirrorScenarios,
  ...swapScenarios,
  ...writesInResyncScenarios,
  ...slowLogScenarios,
  ...speedScenarios,
];

export function findScenario(name: string): Scenario {
  const scenario = scenarios.find((candidate) => candidate.name === name);
  if (!scenario) throw new Error(`There is no scenario "${name}"; --list shows those there are`);
  return scenario;
}
