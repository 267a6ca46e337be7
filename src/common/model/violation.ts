// What the model says where a conversation breaks a rule.

import type { RuleNumber } from "./rules.ts";

/** A rule is broken. The message begins with the rule's number and says what was expected and what came. */
export class RuleViolation extends Error {
  override name = "RuleViolation";

  constructor(
    readonly rule: RuleNumber,
    subject: string,
    expected: string,
    came: string,
  ) {
    super(`${rule}: ${subject}: expected ${expected}; came ${came}`);
  }
}

/** Throws where a rule does not hold. */
export function demand(rule: RuleNumber, holds: boolean, subject: string, expected: string, came: string): void {
  if (!holds) throw new RuleViolation(rule, subject, expected, came);
}
