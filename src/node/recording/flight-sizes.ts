// Of the flight recorder, for those that load no native package.

export const FLIGHT_BYTES_DEFAULT = 16 * 1024 * 1024;
export const FLIGHT_BYTES_MIN = 1024 * 1024;
export const FLIGHT_BYTES_MAX = 1024 * 1024 * 1024;
