/**
 * The package's entry for the simulated kernel: as the peer of your own engine, in a machine for scenarios of your own, and in random
 * lives of mirrors from a seed.
 * @module dm-ulog/simulation
 */

export { Checker } from "../common/sim/checker.ts";
export { Actions, type LifeScript } from "../common/sim/choices.ts";
export { MICROSECOND_NS, MILLISECOND_NS, SECOND_NS, VirtualClock } from "../common/sim/clock.ts";
export { Connector, type RequestTransport } from "../common/sim/connector.ts";
export { Digest } from "../common/sim/digest.ts";
export { FAULTS, type Fault, findFault } from "../common/sim/faults.ts";
export { type MirrorDevice, SimulatedKernel } from "../common/sim/kernel.ts";
export { Legs, type LegTiming } from "../common/sim/legs.ts";
export { type DeviceName, type DeviceTiming, LogDevice, LogDevices } from "../common/sim/log-device.ts";
export { Machine, type MachineParts } from "../common/sim/machine.ts";
export { Random } from "../common/sim/random.ts";
export {
  runScenario,
  type ScenarioOptions,
  type ScenarioResult,
  ScenarioViolation,
  violationOf,
} from "../common/sim/scenario.ts";
export { SimulatedServer } from "../common/sim/server.ts";
export { type ShrinkOptions, type Shrunk, shrink } from "../common/sim/shrink.ts";
export { spawn, type Task, type Wait } from "../common/sim/task.ts";
export type { LogTable, LogTableDevice } from "../common/sim/userspace-log.ts";
export { Violation } from "../common/sim/violation.ts";
export { Workload, type WorkloadOptions } from "../common/sim/workload.ts";
export { engineClock } from "./engine-clock.ts";
