// Every server of a life is held against the model of the protocol, from its first input to its death.

import type { Engine } from "../engine.ts";
import { EngineFollower } from "../model/engine-follower.ts";
import { Violation } from "./violation.ts";

export class ModelWatch {
  private follower: EngineFollower | null = null;

  /** Follows the core of a server that starts; what its predecessor did must have been looked at. */
  follow(engine: Engine): void {
    this.check();
    this.follower = new EngineFollower(engine);
  }

  /** Throws where a rule was broken. */
  check(): void {
    const cause = this.follower?.violation ?? null;
    if (cause !== null) throw new Violation(cause.message, { cause });
  }
}
