/** What the program has seen. */
export interface Life {
  errors: number[];
  states: number[];
  restored: number[];
  /** Of regions 0 to 7: the byte of the log device. */
  cleanBits: number;
  notices: number;
  failures: string[];
  requests: Record<string, number>;
  replayDigest: string;
  isReplayEqual: boolean;
  simulationDigest: string;
  fault: string;
}
