// What the model says where a conversation breaks a rule.
//
// Most demands hold, and words cost more than the demand itself: they are put together only where a rule is broken.

import type { RuleNumber } from "./rules.ts";
import type { Request } from "./wire.ts";

/** What a demand is about: a request, or whatever else by its name. */
export type Subject = Request | string;
/** What was expected, and what came. */
export type Words = string | (() => string);

/** A rule is broken. The message begins with the rule's number and says what was expected and what came. */
export class RuleViolation extends Error {
  override name = "RuleViolation";

  constructor(
    readonly rule: RuleNumber,
    subject: Subject,
    expected: Words,
    came: Words,
  ) {
    super(`${rule}: ${nameOf(subject)}: expected ${textOf(expected)}; came ${textOf(came)}`);
  }
}

/** Throws where a rule does not hold. */
export function demand(rule: RuleNumber, holds: boolean, subject: Subject, expected: Words, came: Words): void {
  if (!holds) throw new RuleViolation(rule, subject, expected, came);
}

function nameOf(subject: Subject): string {
  if (typeof subject === "string") return subject;
  const { name, seq, uuid } = subject;
  return `${name ?? "a request of an unknown type"} #${seq} of ${uuid}`;
}

function textOf(words: Words): string {
  return typeof words === "string" ? words : words();
}
