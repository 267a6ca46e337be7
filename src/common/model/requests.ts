// The 17 requests: what each changes, and what its answer must be.

import { constructed } from "./constructing.ts";
import type { Conversation } from "./conversation.ts";
import {
  demandNoData,
  demandZeros,
  done,
  type Expectation,
  errorOf,
  question,
  refused,
  refusedAsInvalid,
  told,
} from "./expectation.ts";
import { destructor, resume, suspend } from "./life-requests.ts";
import type { LogModel } from "./log-model.ts";
import { demandSaved } from "./saved.ts";
import { demand } from "./violation.ts";
import { type Answer, EINVAL, EIO, ESRCH, latin1, type Request, type RequestName, viewOf } from "./wire.ts";

const VERSION_MAX = 3;
/** What a request that names no known log is answered with 0 for. */
const ENDINGS: readonly (RequestName | null)[] = ["DTR", "PRESUSPEND", "POSTSUSPEND"];
const REGION_QUESTIONS: readonly (RequestName | null)[] = ["IS_CLEAN", "IN_SYNC", "IS_REMOTE_RECOVERING"];

/** Applies a request that has come. Returns what its answer must be. */
export function expect(conversation: Conversation, request: Request): Expectation {
  const { name } = request;
  if (name === null || request.version < 1 || request.version > VERSION_MAX) return refusedAsInvalid(request, "R7");
  if (name === "CTR") return constructed(conversation, request);
  const log = conversation.logs.find(request.luid, request.uuid);
  if (log === null || (log.isEnding && name !== "DTR")) {
    return ENDINGS.includes(name) ? done(request, null, true) : refused(request, "R8", [ESRCH]);
  }
  const isMisfit = !fits(request, log);
  const mayNotBeAsked = !mayBeAsked(request, log);
  const stateErrors = log.disk !== null && log.hasRival ? [ESRCH, EINVAL] : [ESRCH];
  if (isMisfit) return refused(request, "R9", mayNotBeAsked ? [EINVAL, ESRCH] : [EINVAL]);
  if (mayNotBeAsked) return refused(request, "R10", stateErrors);
  return expectOf(conversation, request, log, name);
}

function expectOf(
  conversation: Conversation,
  request: Request,
  log: LogModel,
  name: Exclude<RequestName, "CTR">,
): Expectation {
  const { regionCount, regionSizeSectors, fromType } = log.table;
  const { numbers } = request;
  const region = numbers[0] as number;
  const saved = (regions: readonly number[]) => () => demandSaved(log, regions, "R46", request);
  switch (name) {
    case "DTR":
      return destructor(conversation, request, log);
    case "PRESUSPEND":
      return done(request, log, log.life !== "resumed", () => {
        demand("R18", log.life !== "resumed", request, "a log that is suspending", log.life);
      });
    case "POSTSUSPEND":
      return suspend(conversation, request, log);
    case "RESUME":
      return resume(conversation, request, log);
    case "GET_REGION_SIZE":
      return told(request, log, "R21", regionSizeSectors);
    case "IS_CLEAN":
      return told(request, log, "R23", log.isClean(region) ? 1 : 0);
    case "IN_SYNC":
      return told(request, log, "R22", log.outOfSync.has(region) ? 0 : 1);
    case "FLUSH":
      for (const marked of numbers) log.mark(marked);
      return durable(request, log, log.takesWork ? (log.disk?.exposed ?? []) : [], "R31", saved(numbers));
    case "MARK_REGION":
      for (const marked of numbers) log.mark(marked);
      return done(request, log, false, saved(numbers));
    case "CLEAR_REGION":
      for (const cleared of numbers) log.clear(cleared);
      return done(request, log, false, saved(numbers));
    case "GET_RESYNC_WORK":
      return resyncWork(request, log);
    case "SET_REGION_SYNC":
      if (numbers[1] === 1) {
        log.setInSync(region);
        return done(request, log, false, saved([region]));
      }
      log.setOutOfSync(region);
      return durable(request, log, log.disk?.exposed.has(region) ? [region] : [], "R32", saved([region]));
    case "GET_SYNC_COUNT":
      return told(request, log, "R24", regionCount - log.outOfSync.size);
    case "STATUS_INFO":
      return status(request, log);
    case "STATUS_TABLE":
      return question(request, log, "R30", textIs(request, "R30", [fromType]), fromType.length);
    case "IS_REMOTE_RECOVERING":
      return told(request, log, "R28", 0, log.outOfSync.size === 0 ? regionCount : regionCount - 1);
  }
}

/** Whether data and regions are what the request is made with. */
function fits({ name, data, numbers }: Request, { table }: LogModel): boolean {
  const areRegions = (some: readonly number[]) => some.every((region) => region < table.regionCount);
  switch (name) {
    case "FLUSH":
      return data.length % 8 === 0 && areRegions(numbers);
    case "MARK_REGION":
    case "CLEAR_REGION":
      return data.length !== 0 && data.length % 8 === 0 && areRegions(numbers);
    case "IS_CLEAN":
    case "IN_SYNC":
    case "IS_REMOTE_RECOVERING":
      return data.length === 8 && areRegions(numbers);
    case "SET_REGION_SYNC":
      return data.length === 16 && areRegions(numbers.slice(0, 1)) && (numbers[1] as number) <= 1;
    case "DTR":
      return true;
    default:
      return data.length === 0;
  }
}

/** Whether the log is at a point of its life where it may be asked this. */
function mayBeAsked({ name, data }: Request, log: LogModel): boolean {
  if (REGION_QUESTIONS.includes(name)) return log.disk === null || log.life !== "created";
  const isClear = name === "CLEAR_REGION" || (name === "FLUSH" && data.length === 0);
  if (isClear) return log.takesWork || log.life === "suspended";
  const isWork = name === "FLUSH" || name === "MARK_REGION" || name === "GET_RESYNC_WORK" || name === "SET_REGION_SYNC";
  return !isWork || log.takesWork;
}

/** An answer that waits until the device calls none of these regions clean. */
function durable(
  request: Request,
  log: LogModel,
  regions: Iterable<number>,
  rule: "R31" | "R32",
  then: () => void,
): Expectation {
  const { disk } = log;
  if (disk === null) return done(request, log, false, then);
  const debt = disk.oweFlush(regions);
  return {
    log,
    mayWait: true,
    isWithoutEffect: false,
    judge: (answer) => {
      disk.flushDebts.delete(debt);
      if (answer.error !== 0) {
        const mayFail = disk.hasFailed || !log.takesWork || log.isEnding || log.isLetGo;
        const expected = mayFail ? "error 0 or -5" : "error 0: the device has not failed";
        demand("R33", mayFail && answer.error === EIO, request, expected, errorOf(answer));
        demandZeros(request, answer);
        return;
      }
      demandNoData(request, answer);
      const [region] = debt;
      const expected = `no answer before the device stops calling region ${region} clean, which is not`;
      demand(rule, region === undefined, request, expected, errorOf(answer));
      then();
    },
  };
}

function resyncWork(request: Request, log: LogModel): Expectation {
  return question(request, log, "R25", ({ data }) => {
    const view = viewOf(data);
    const isWork = view.getBigUint64(0, true);
    const region = Number(view.getBigUint64(8, true));
    const came = `{${isWork}, ${region}}`;
    if (isWork === 0n) {
      demand("R25", region === 0, request, "{0, 0} where there is no work", came);
      demand("R26", log.recovering === null, request, `region ${log.recovering}, which is not reported yet`, came);
      demand("R27", log.isRoundOver, request, "a region that is out of sync and has not failed", came);
      return;
    }
    demand("R25", isWork === 1n && log.outOfSync.has(region), request, "a region that is out of sync, or none", came);
    const isOut = log.recovering === null || log.recovering === region;
    demand("R26", isOut, request, `region ${log.recovering}, which is not reported yet`, came);
    if (log.recovering === region) return;
    const hasTurn = !log.isRoundKnown || !log.failed.has(region) || log.isRoundOver;
    demand("R27", hasTurn, request, "a region that has not failed in this round", came);
    log.handOut(region);
  });
}

function status(request: Request, log: LogModel): Expectation {
  const { table, disk } = log;
  if (disk === null) {
    const text = `1 ${table.type}`;
    return question(request, log, "R29", textIs(request, "R29", [text]), text.length);
  }
  const { major, minor } = disk.facts ?? { major: 0, minor: 0 };
  const letters = disk.hasFailed ? ["D"] : disk.isFailing ? ["A", "D"] : ["A"];
  const texts = letters.map((letter) => `3 ${table.type} ${major}:${minor} ${letter}`);
  return question(request, log, "R29", textIs(request, "R29", texts), (texts[0] as string).length);
}

function textIs(request: Request, rule: "R29" | "R30", texts: readonly string[]): (answer: Answer) => void {
  return ({ data }) => {
    const came = latin1(data);
    demand(rule, texts.includes(came), request, `"${texts.join('" or "')}"`, `"${came}"`);
  };
}
