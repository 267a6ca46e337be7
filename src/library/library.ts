// The package's main entry, without the way to find the core, in which Node.js and browsers differ.

export { type Abi, type AbiName, readAbi } from "../common/abi.ts";
export {
  Console,
  type Counters,
  type DeviceDescription,
  type LogDescription,
  type MemorySource,
  REGION_STATES,
  type RegionState,
} from "../common/console.ts";
export { compileCore } from "../common/core-module.ts";
export {
  type Completion,
  type EffectHandler,
  Engine,
  type EngineOptions,
  type EngineTap,
  type Head,
  type OpenedDevice,
} from "../common/engine.ts";
export { decodeReply, encodeRequest, type Reply, type Request, type RequestName } from "../common/kernel-frames.ts";
export { DirtyLogEngine, type DirtyLogEngineOptions } from "./dirty-log-engine.ts";
export type { Clock, LogName, LogStorage, StateStore, Storage, Transport } from "./host.ts";
export type { LogChange } from "./log-watch.ts";
export type { OpenDevice, Operation } from "./operations.ts";
export type { EngineSnapshot, EngineState } from "./snapshot.ts";
