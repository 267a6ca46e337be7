/**
 * The package's entry for the simulated kernel: as the peer of your own engine, and random lives of mirrors from
 * a seed.
 * @module dm-ulog/simulation
 */

export { Actions, type LifeScript } from "../common/sim/choices.ts";
export { Clock, MICROSECOND_NS, MILLISECOND_NS, SECOND_NS } from "../common/sim/clock.ts";
export { Connector, type Transport } from "../common/sim/connector.ts";
export { FAULTS, type Fault, findFault } from "../common/sim/faults.ts";
export { type MirrorDevice, SimulatedKernel } from "../common/sim/kernel.ts";
export { Legs, type LegTiming } from "../common/sim/legs.ts";
export { Random } from "../common/sim/random.ts";
export {
  runScenario,
  type ScenarioOptions,
  type ScenarioResult,
  ScenarioViolation,
} from "../common/sim/scenario.ts";
export { spawn, type Task, type Wait } from "../common/sim/task.ts";
export type { LogTable, LogTableDevice } from "../common/sim/userspace-log.ts";
export { Workload, type WorkloadOptions } from "../common/sim/workload.ts";
