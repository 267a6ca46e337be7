// What an answer must be.

import type { LogModel } from "./log-model.ts";
import type { RuleNumber } from "./rules.ts";
import { demand, type Words } from "./violation.ts";
import { type Answer, EINVAL, type Request, type RequestName, u64s } from "./wire.ts";

export interface Expectation {
  /** The log that the request speaks of, if it is known. */
  readonly log: LogModel | null;
  /** Whether the answer may come later. */
  readonly mayWait: boolean;
  /** Whether it changes nothing: a question, or a refusal. */
  readonly isWithoutEffect: boolean;
  /** Throws if the answer is not what the rules demand. */
  judge(answer: Answer): void;
}

/** Bytes of data in the answer to each request; 0 for those that are not here. */
const ANSWER_BYTES: Partial<Record<RequestName, number>> = {
  GET_REGION_SIZE: 8,
  IS_CLEAN: 8,
  IN_SYNC: 8,
  GET_SYNC_COUNT: 8,
  GET_RESYNC_WORK: 16,
  IS_REMOTE_RECOVERING: 16,
  STATUS_INFO: 64,
};

/** The request must be refused with one of these errors. */
export function refused(request: Request, rule: RuleNumber, errors: readonly number[]): Expectation {
  return {
    log: null,
    mayWait: false,
    isWithoutEffect: true,
    judge: (answer) => {
      demand(rule, errors.includes(answer.error), request, () => `error ${errors.join(" or ")}`, errorOf(answer));
      demandZeros(request, answer);
    },
  };
}

export function refusedAsInvalid(request: Request, rule: RuleNumber): Expectation {
  return refused(request, rule, [EINVAL]);
}

/** The request is a question that is answered at once with this data. */
export function told(request: Request, log: LogModel, rule: RuleNumber, ...data: readonly number[]): Expectation {
  return question(request, log, rule, (answer) => {
    const came = u64s(answer.data);
    const isSame = data.every((value, i) => value === came[i]);
    demand(
      rule,
      isSame,
      request,
      () => data.join(", "),
      () => came.join(", "),
    );
  });
}

/** The request is a question whose data is judged by `judge`, which need not look at error and size. */
export function question(
  request: Request,
  log: LogModel,
  rule: RuleNumber,
  judge: (answer: Answer) => void,
  sizeBytes = ANSWER_BYTES[request.name as RequestName] ?? 0,
): Expectation {
  return {
    log,
    mayWait: false,
    isWithoutEffect: true,
    judge: (answer) => {
      demandDone(request, answer);
      demand(rule, answer.data.length === sizeBytes, request, () => `${sizeBytes} bytes`, bytesOf(answer));
      judge(answer);
    },
  };
}

/** The request is answered at once with 0 and without data. */
export function done(request: Request, log: LogModel | null, isWithoutEffect: boolean, then = () => {}): Expectation {
  return {
    log,
    mayWait: false,
    isWithoutEffect,
    judge: (answer) => {
      demandDone(request, answer);
      demandNoData(request, answer);
      then();
    },
  };
}

export function demandDone(request: Request, answer: Answer): void {
  demand("R11", answer.error === 0, request, "error 0", errorOf(answer));
}

export function demandNoData(request: Request, answer: Answer): void {
  demand("R6", answer.data.length === 0, request, "no data", bytesOf(answer));
}

/** A refusal: an error below 0, and the zeros that stand for the data. */
export function demandZeros(request: Request, answer: Answer): void {
  const sizeBytes = ANSWER_BYTES[request.name as RequestName] ?? 0;
  const isRight = answer.error < 0 && answer.data.length === sizeBytes && answer.data.every((byte) => byte === 0);
  demand("R6", isRight, request, () => `${sizeBytes} zero bytes`, bytesOf(answer));
}

export function errorOf({ error }: Answer): Words {
  return () => `error ${error}`;
}

function bytesOf({ data }: Answer): Words {
  return () => `${data.length} bytes${data.some((byte) => byte !== 0) ? " that are not all zero" : ""}`;
}
