// Linux's error numbers, which the engine uses on every system.

export const EIO = 5;
export const ENODEV = 19;
const ERRNO_MAX = 4095;

/** The positive errno of an error, which may hold it with either sign; EIO if it has none. */
export function errnoOf(error: unknown): number {
  return hasErrno(error) ? Math.abs(error.errno) : EIO;
}

export function hasErrno(error: unknown): error is { errno: number } {
  const errno = Math.abs(Number((error as { errno?: unknown } | null | undefined)?.errno));
  return Number.isInteger(errno) && errno > 0 && errno <= ERRNO_MAX;
}

export function systemError(message: string, errno: number): Error {
  return Object.assign(new Error(message), { errno });
}
