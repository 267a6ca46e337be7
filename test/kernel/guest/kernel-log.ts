import { constants, openSync, readSync } from "node:fs";

const WARNING = 4;
const RECORD_SIZE_BYTES_MAX = 8192;

/** What the kernel says about a server that is back. */
export const RECONNECTED = /dm-log-userspace: Reconnected to userspace log server\.\.\. DM_ULOG_CTR complete$/;
/** What it may say of one that is away. */
export const SERVER_AWAY =
  /dm-log-userspace: ( Userspace log server not found\.$|Attempting to contact userspace log server\.\.\.$|Unable to send log request \[\d+\] to userspace: -3$|\[\S+\] Request timed out: \[\d+\/\d+\] - retrying$)/;

/** What is told in place of records that a flood of others has overwritten. */
export const OVERWRITTEN = /^Records were overwritten/;

export interface KernelLogRecord {
  /** syslog level: 4 is a warning, less is worse. */
  level: number;
  text: string;
}

/** A cursor on the kernel's log: each record is taken once. */
export class KernelLog {
  readonly #fd = openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK);
  readonly #buffer = Buffer.alloc(RECORD_SIZE_BYTES_MAX);

  take(): KernelLogRecord[] {
    const records: KernelLogRecord[] = [];
    for (;;) {
      let sizeBytes: number;
      try {
        sizeBytes = readSync(this.#fd, this.#buffer);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EAGAIN") return records;
        if (code !== "EPIPE") throw error;
        records.push({ level: WARNING, text: "Records were overwritten before they were read" });
        continue;
      }
      const line = this.#buffer.toString("utf8", 0, sizeBytes);
      const match = /^(\d+),[^;]*;(.*)/.exec(line);
      if (!match) throw new Error(`A record of /dev/kmsg has an unknown form: ${line}`);
      records.push({ level: Number(match[1]) & 7, text: match[2] ?? "" });
    }
  }
}

function isComplaint({ level, text }: KernelLogRecord): boolean {
  const isBanner = /dm-log-userspace: version \S+ loaded/.test(text);
  // A busy host made the guest wait.
  if (/^hrtimer: interrupt took \d+ ns$/.test(text)) return false;
  return level <= WARNING || (/dm-log-userspace|I\/O error/.test(text) && !isBanner);
}

/** Throws for a complaint that is neither expected nor possible, and for an expected one that never came. */
export function checkKernelLog(records: KernelLogRecord[], expected: RegExp[], possible: RegExp[]): void {
  const known = [...expected, ...possible];
  const surprises = records.filter(
    (record) => isComplaint(record) && !known.some((pattern) => pattern.test(record.text)),
  );
  if (surprises.length > 0) {
    const texts = surprises.slice(0, 5).map(({ text }) => `"${text}"`);
    throw new Error(`The kernel complained ${surprises.length} times: ${texts.join(", ")}`);
  }
  for (const pattern of expected) {
    if (!records.some(({ text }) => pattern.test(text))) throw new Error(`The kernel never logged ${pattern}`);
  }
}
