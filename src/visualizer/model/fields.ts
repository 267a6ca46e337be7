// The bytes of a message, divided into named fields. The offsets are the core's own.

import type { Abi } from "../../common/abi.ts";
import type { Console } from "../../common/console.ts";
import type { TraceEffect, TraceInput } from "../../common/trace/event.ts";
import { asciiOf, viewOf } from "./lines.ts";

export interface Field {
  offset: number;
  sizeBytes: number;
  name: string;
  /** The meaning of the bytes, in words. */
  value: string;
}

/** Fields that belong together, such as a struct of a header file. */
export interface FieldGroup {
  name: string;
  fields: Field[];
}

type Read = (offset: number) => number | bigint;

export function datagramFields(abi: Abi, console: Console, bytes: Uint8Array, fromKernel: boolean): FieldGroup[] {
  if (bytes.length < abi.FRAME_BYTES) return [rest("bytes", bytes, 0)];
  const view = viewOf(bytes);
  const u16 = (offset: number) => String(view.getUint16(offset, true));
  const u32 = (offset: number) => String(view.getUint32(offset, true));
  const field = (offset: number, sizeBytes: number, name: string, value: string): Field => {
    return { offset, sizeBytes, name, value };
  };
  const error = view.getInt32(abi.ULOG_ERROR, true);
  const type = view.getUint32(abi.ULOG_TYPE, true);
  const words = console.decodeDatagram(bytes, fromKernel);
  const typeName = /^(\S+)/.exec(words)?.[1] ?? "";
  const uuidEnd = abi.ULOG_UUID + abi.UUID_BYTES;
  const netlinkType = view.getUint16(abi.NLMSG_TYPE, true);
  return [
    {
      name: "netlink header",
      fields: [
        field(abi.NLMSG_LEN, 4, "nlmsg_len", `${u32(abi.NLMSG_LEN)} bytes in total`),
        field(
          abi.NLMSG_TYPE,
          2,
          "nlmsg_type",
          netlinkType === abi.NLMSG_TYPE_DONE ? "NLMSG_DONE" : String(netlinkType),
        ),
        field(abi.NLMSG_FLAGS, 2, "nlmsg_flags", u16(abi.NLMSG_FLAGS)),
        field(abi.NLMSG_SEQ, 4, "nlmsg_seq", u32(abi.NLMSG_SEQ)),
        field(abi.NLMSG_PID, 4, "nlmsg_pid", u32(abi.NLMSG_PID)),
      ],
    },
    {
      name: "connector message",
      fields: [
        field(abi.CN_IDX, 4, "id.idx", `${u32(abi.CN_IDX)}: device-mapper`),
        field(abi.CN_VAL, 4, "id.val", `${u32(abi.CN_VAL)}: userspace log`),
        field(abi.CN_SEQ, 4, "seq", u32(abi.CN_SEQ)),
        field(abi.CN_ACK, 4, "ack", u32(abi.CN_ACK)),
        field(abi.CN_LEN, 2, "len", `${u16(abi.CN_LEN)} bytes follow`),
        field(abi.CN_FLAGS, 2, "flags", u16(abi.CN_FLAGS)),
      ],
    },
    {
      name: "dm_ulog_request",
      fields: [
        field(abi.ULOG_LUID, 8, "luid", `0x${view.getBigUint64(abi.ULOG_LUID, true).toString(16)}`),
        field(abi.ULOG_UUID, abi.UUID_BYTES, "uuid", asciiOf(bytes.subarray(abi.ULOG_UUID, uuidEnd))),
        field(uuidEnd, abi.ULOG_VERSION - uuidEnd, "padding", ""),
        field(abi.ULOG_VERSION, 4, "version", u32(abi.ULOG_VERSION)),
        field(abi.ULOG_ERROR, 4, "error", fromKernel && error === 0 ? "0" : console.explainErrno(error)),
        field(abi.ULOG_SEQ, 4, "seq", u32(abi.ULOG_SEQ)),
        field(abi.ULOG_TYPE, 4, "request_type", `${type & 0xff}: ${typeName}`),
        field(abi.ULOG_DATA_SIZE, 4, "data_size", `${u32(abi.ULOG_DATA_SIZE)} bytes of payload`),
      ],
    },
    payload(abi, bytes, type & 0xff, fromKernel, error),
  ].filter(({ fields }) => fields.length > 0);
}

function payload(abi: Abi, bytes: Uint8Array, type: number, fromKernel: boolean, error: number): FieldGroup {
  const view = viewOf(bytes);
  const size = Math.min(view.getUint32(abi.ULOG_DATA_SIZE, true), bytes.length - abi.ULOG_DATA);
  const end = abi.ULOG_DATA + size;
  const fields: Field[] = [];
  const names = error === 0 ? wordNames(abi, type, fromKernel) : [];
  if (names.length > 0 && size % 8 === 0) {
    for (let i = 0; i * 8 < size; i++) {
      const name = names[Math.min(i, names.length - 1)] ?? "";
      const value = view.getBigUint64(abi.ULOG_DATA + i * 8, true).toLocaleString("en");
      fields.push({ offset: abi.ULOG_DATA + i * 8, sizeBytes: 8, name, value });
    }
  } else if (size > 0) {
    const value =
      error === 0 ? JSON.stringify(asciiOf(bytes.subarray(abi.ULOG_DATA, end))) : "nothing: the request failed";
    fields.push({ offset: abi.ULOG_DATA, sizeBytes: size, name: "text", value });
  }
  if (end < bytes.length) {
    fields.push({ offset: end, sizeBytes: bytes.length - end, name: "padding", value: "netlink pads to 4 bytes" });
  }
  return { name: "payload", fields };
}

/** Names of the u64s of a payload; the last name also applies to all that follow. Empty if the payload is text. */
function wordNames(abi: Abi, type: number, fromKernel: boolean): string[] {
  if (fromKernel) {
    switch (type) {
      case abi.REQUEST_MARK_REGION:
      case abi.REQUEST_CLEAR_REGION:
      case abi.REQUEST_FLUSH:
      case abi.REQUEST_IS_CLEAN:
      case abi.REQUEST_IN_SYNC:
      case abi.REQUEST_IS_REMOTE_RECOVERING:
        return ["region"];
      case abi.REQUEST_SET_REGION_SYNC:
        return ["region", "in sync"];
      default:
        return [];
    }
  }
  switch (type) {
    case abi.REQUEST_GET_REGION_SIZE:
      return ["sectors"];
    case abi.REQUEST_GET_SYNC_COUNT:
      return ["regions in sync"];
    case abi.REQUEST_IS_CLEAN:
      return ["clean"];
    case abi.REQUEST_IN_SYNC:
      return ["in sync"];
    case abi.REQUEST_GET_RESYNC_WORK:
      return ["there is work", "region"];
    case abi.REQUEST_IS_REMOTE_RECOVERING:
      return ["recovering", "hint: need not ask below this region"];
    default:
      return [];
  }
}

/** Fields of an input other than a datagram. */
export function inputFields(abi: Abi, input: TraceInput): FieldGroup[] {
  const { payload: bytes } = input;
  if (input.kind === abi.INPUT_KIND_COMPLETION && bytes.length >= abi.COMPLETION_DATA) {
    const view = viewOf(bytes);
    const isOpen = view.getUint32(abi.COMPLETION_EFFECT, true) === abi.EFFECT_KIND_OPEN;
    const named: [number, number, string, Read][] = [
      [abi.COMPLETION_EFFECT, 4, "kind of effect", (at) => view.getUint32(at, true)],
      [abi.COMPLETION_ERROR, 4, "error", (at) => view.getInt32(at, true)],
    ];
    if (isOpen && bytes.length >= abi.COMPLETION_OPEN_BYTES) {
      named.push(
        [abi.COMPLETION_DEVICE_BYTES, 8, "device bytes", (at) => view.getBigUint64(at, true)],
        [abi.COMPLETION_MAJOR, 4, "major", (at) => view.getUint32(at, true)],
        [abi.COMPLETION_MINOR, 4, "minor", (at) => view.getUint32(at, true)],
      );
    }
    const groups = [head(abi, bytes), { name: "completion", fields: named.map(asField) }];
    const known = isOpen ? abi.COMPLETION_OPEN_BYTES : abi.COMPLETION_DATA;
    if (bytes.length > known) groups.push(rest("bytes read", bytes, known));
    return groups;
  }
  if (input.kind === abi.INPUT_KIND_RESTORE && bytes.length >= abi.HEAD_BYTES) {
    return [head(abi, bytes), rest("state file", bytes, abi.HEAD_BYTES)];
  }
  return bytes.length === 0 ? [] : [rest("payload", bytes, 0)];
}

/** Fields of an effect other than a datagram. */
export function effectFields(abi: Abi, { kind, payload: bytes }: TraceEffect): FieldGroup[] {
  if (kind === abi.EFFECT_KIND_NOTICE) {
    const view = viewOf(bytes);
    const fields: [number, number, string, Read][] = [
      [0, 4, "code", (at) => view.getUint32(at, true)],
      [4, 4, "error", (at) => view.getInt32(at, true)],
      [8, 8, "detail", (at) => view.getBigUint64(at, true)],
      [16, 8, "luid", (at) => view.getBigUint64(at, true)],
    ];
    const uuid = { offset: 24, sizeBytes: bytes.length - 24, name: "uuid", value: asciiOf(bytes.subarray(24)) };
    return [{ name: "notice", fields: [...fields.map(asField), uuid] }];
  }
  if (bytes.length < abi.HEAD_BYTES) return bytes.length === 0 ? [] : [rest("payload", bytes, 0)];
  const groups = [head(abi, bytes)];
  if (bytes.length > abi.HEAD_BYTES) groups.push(rest("rest", bytes, abi.HEAD_BYTES));
  return groups;
}

function head(abi: Abi, bytes: Uint8Array): FieldGroup {
  const view = viewOf(bytes);
  const fields: [number, number, string, Read][] = [
    [abi.HEAD_HANDLE, 4, "handle", (at) => view.getUint32(at, true)],
    [abi.HEAD_SIZE, 4, "size", (at) => view.getUint32(at, true)],
    [abi.HEAD_OFFSET, 8, "offset", (at) => view.getBigUint64(at, true)],
    [abi.HEAD_TICKET, 8, "ticket", (at) => view.getBigUint64(at, true)],
  ];
  return { name: "head", fields: fields.map(asField) };
}

function asField([offset, sizeBytes, name, read]: [number, number, string, Read]): Field {
  return { offset, sizeBytes, name, value: read(offset).toLocaleString("en") };
}

function rest(name: string, bytes: Uint8Array, offset: number): FieldGroup {
  const printable = /^[\x20-\x7e]*/.exec(asciiOf(bytes.subarray(offset, offset + 256)))?.[0] ?? "";
  const value = printable.length > 3 ? printable : "";
  return { name, fields: [{ offset, sizeBytes: bytes.length - offset, name: "bytes", value }] };
}
