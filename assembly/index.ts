// The boundary of the module on one screen: what hosts call, and the tables they read.

import "./abort";

export {
  decodeDatagram,
  describeCounters,
  describeLog,
  describeNotice,
  explainErrno,
  priorityOfNotice,
  regionStates,
} from "./console";
export { handleInput, initialize } from "./engine";
export { violatedInvariant } from "./invariants";

export * from "./layout";
export * from "./limits";
export * from "./notices";
export * from "./on-disk";
export * from "./protocol";
export * from "./records";
