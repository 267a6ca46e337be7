// The bytes of a message against the C headers, and the memory map against itself.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import * as format from "../src/common/log-format.ts";
import { debugWasm, releaseWasm, smallWasm } from "./harness.ts";

const { abi } = new Engine(new WebAssembly.Module(releaseWasm));

/** C expressions, and what a compiler with the headers of Linux 6.1 made of them on x86-64. */
const EXPRESSIONS: [expression: string, recorded: number, ours: number][] = [
  ["offsetof(struct nlmsghdr, nlmsg_len)", 0, abi.NLMSG_LEN],
  ["offsetof(struct nlmsghdr, nlmsg_type)", 4, abi.NLMSG_TYPE],
  ["offsetof(struct nlmsghdr, nlmsg_flags)", 6, abi.NLMSG_FLAGS],
  ["offsetof(struct nlmsghdr, nlmsg_seq)", 8, abi.NLMSG_SEQ],
  ["offsetof(struct nlmsghdr, nlmsg_pid)", 12, abi.NLMSG_PID],
  ["NLMSG_HDRLEN", 16, abi.NLMSG_HEADER_BYTES],
  ["NLMSG_DONE", 3, abi.NLMSG_TYPE_DONE],
  ["NLMSG_HDRLEN + offsetof(struct cn_msg, id.idx)", 16, abi.CN_IDX],
  ["NLMSG_HDRLEN + offsetof(struct cn_msg, id.val)", 20, abi.CN_VAL],
  ["NLMSG_HDRLEN + offsetof(struct cn_msg, seq)", 24, abi.CN_SEQ],
  ["NLMSG_HDRLEN + offsetof(struct cn_msg, ack)", 28, abi.CN_ACK],
  ["NLMSG_HDRLEN + offsetof(struct cn_msg, len)", 32, abi.CN_LEN],
  ["NLMSG_HDRLEN + offsetof(struct cn_msg, flags)", 34, abi.CN_FLAGS],
  ["CN_IDX_DM", 7, abi.CN_IDX_DM],
  ["CN_VAL_DM_USERSPACE_LOG", 1, abi.CN_VAL_DM_USERSPACE_LOG],
  ["ULOG + offsetof(struct dm_ulog_request, luid)", 36, abi.ULOG_LUID],
  ["ULOG + offsetof(struct dm_ulog_request, uuid)", 44, abi.ULOG_UUID],
  ["ULOG + offsetof(struct dm_ulog_request, version)", 176, abi.ULOG_VERSION],
  ["ULOG + offsetof(struct dm_ulog_request, error)", 180, abi.ULOG_ERROR],
  ["ULOG + offsetof(struct dm_ulog_request, seq)", 184, abi.ULOG_SEQ],
  ["ULOG + offsetof(struct dm_ulog_request, request_type)", 188, abi.ULOG_TYPE],
  ["ULOG + offsetof(struct dm_ulog_request, data_size)", 192, abi.ULOG_DATA_SIZE],
  ["ULOG + offsetof(struct dm_ulog_request, data)", 196, abi.ULOG_DATA],
  ["sizeof(struct dm_ulog_request)", 160, abi.ULOG_HEADER_BYTES],
  ["DM_UUID_LEN", 129, abi.UUID_BYTES],
  ["DM_ULOG_CTR", 1, abi.REQUEST_CTR],
  ["DM_ULOG_DTR", 2, abi.REQUEST_DTR],
  ["DM_ULOG_PRESUSPEND", 3, abi.REQUEST_PRESUSPEND],
  ["DM_ULOG_POSTSUSPEND", 4, abi.REQUEST_POSTSUSPEND],
  ["DM_ULOG_RESUME", 5, abi.REQUEST_RESUME],
  ["DM_ULOG_GET_REGION_SIZE", 6, abi.REQUEST_GET_REGION_SIZE],
  ["DM_ULOG_IS_CLEAN", 7, abi.REQUEST_IS_CLEAN],
  ["DM_ULOG_IN_SYNC", 8, abi.REQUEST_IN_SYNC],
  ["DM_ULOG_FLUSH", 9, abi.REQUEST_FLUSH],
  ["DM_ULOG_MARK_REGION", 10, abi.REQUEST_MARK_REGION],
  ["DM_ULOG_CLEAR_REGION", 11, abi.REQUEST_CLEAR_REGION],
  ["DM_ULOG_GET_RESYNC_WORK", 12, abi.REQUEST_GET_RESYNC_WORK],
  ["DM_ULOG_SET_REGION_SYNC", 13, abi.REQUEST_SET_REGION_SYNC],
  ["DM_ULOG_GET_SYNC_COUNT", 14, abi.REQUEST_GET_SYNC_COUNT],
  ["DM_ULOG_STATUS_INFO", 15, abi.REQUEST_STATUS_INFO],
  ["DM_ULOG_STATUS_TABLE", 16, abi.REQUEST_STATUS_TABLE],
  ["DM_ULOG_IS_REMOTE_RECOVERING", 17, abi.REQUEST_IS_REMOTE_RECOVERING],
  ["DM_ULOG_REQUEST_TYPE(0xabcdef11)", 17, abi.REQUEST_TYPE_MAX],
  ["DM_ULOG_REQUEST_VERSION", 3, abi.REQUEST_VERSION_MAX],
  ["ESRCH", 3, abi.ESRCH],
  ["ENOMEM", 12, abi.ENOMEM],
  ["EINVAL", 22, abi.EINVAL],
];

/** The values as this machine's compiler sees them, or the reason why it cannot say. */
function compiled(): number[] | string {
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-layout-"));
  try {
    const source = `
      #include <errno.h>
      #include <stddef.h>
      #include <stdio.h>
      #include <linux/netlink.h>
      #include <linux/connector.h>
      #include <linux/dm-log-userspace.h>
      #define ULOG (NLMSG_HDRLEN + sizeof(struct cn_msg))
      int main(void) {
        ${EXPRESSIONS.map(([expression]) => `printf("%lld\\n", (long long)(${expression}));`).join("\n")}
        return 0;
      }`;
    writeFileSync(join(folder, "layout.c"), source);
    const compiler = spawnSync("cc", ["-o", join(folder, "layout"), join(folder, "layout.c")], { encoding: "utf8" });
    if (compiler.error !== undefined) return "there is no C compiler (cc)";
    if (/linux\/[a-z-]+\.h: No such file/.test(compiler.stderr)) return "there are no Linux headers";
    assert.is(compiler.status, 0, compiler.stderr);
    return spawnSync(join(folder, "layout"), { encoding: "utf8" }).stdout.trim().split("\n").map(Number);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("the core's offsets and numbers are the recorded ones", () => {
  for (const [expression, recorded, ours] of EXPRESSIONS) assert.is(ours, recorded, expression);
});

test("the recorded numbers are those of this machine's C headers, where it has a compiler", () => {
  const values = compiled();
  if (typeof values === "string") {
    console.log(`Compared with the recorded numbers alone: ${values}.`);
    return;
  }
  assert.is(values.length, EXPRESSIONS.length);
  for (const [i, [expression, recorded]] of EXPRESSIONS.entries()) assert.is(values[i], recorded, expression);
});

test("the areas of the memory map follow each other and end below the compiler's data", () => {
  for (const wasm of [releaseWasm, smallWasm]) checkAreas(wasm);
});

function checkAreas(wasm: Buffer<ArrayBuffer>): void {
  const exports = new WebAssembly.Instance(new WebAssembly.Module(wasm), {}).exports;
  const value = (name: string) => (exports[name] as unknown as { value: number }).value;
  const areas: [string, number][] = [
    ["CORE", value("CORE_BYTES")],
    ["LOG_BUCKETS", value("BUCKETS_BYTES")],
    ["MIRROR_BUCKETS", value("BUCKETS_BYTES")],
    ["DEVICE_BUCKETS", value("BUCKETS_BYTES")],
    ["HANDLES", value("HANDLES_BYTES")],
    ["FREE_HANDLES", value("FREE_HANDLES_BYTES")],
    ["DEADLINES", value("DEADLINES_BYTES")],
    ["MIRRORS", value("MIRRORS_BYTES")],
    ["HELD", value("HELD_BYTES")],
    ["INPUT", value("INPUT_PAYLOAD") + value("INPUT_PAYLOAD_BYTES_MAX") - value("INPUT")],
    ["EFFECTS", value("EFFECTS_BYTES_MAX")],
    ["REPLY_DATA", value("REPLY_DATA_BYTES")],
    ["CONSTRUCTOR", value("CONSTRUCTOR_BYTES")],
  ];
  for (const [i, [name, bytes]] of areas.entries()) {
    const next = areas[i + 1];
    assert.is(value(name) + bytes, next === undefined ? value("AREAS_END") : value(next[0]), name);
    assert.is(value(name) % 8, 0, `${name} is aligned`);
  }
  assert.ok(value("CORE") > 0, "no area begins at address 0");
  assert.ok(value("AREAS_END") <= value("__rtti_base"), "static data begins behind the areas");
}

test("who reads log devices without the core has the core's numbers", () => {
  const exports = new WebAssembly.Instance(new WebAssembly.Module(releaseWasm), {}).exports;
  const value = (name: string) => (exports[name] as unknown as { value: number }).value;
  assert.is(format.LOG_MAGIC, value("DISK_MAGIC"));
  assert.is(format.LOG_MAGIC_OFFSET, value("DISK_MAGIC_AT"));
  assert.equal(format.LOG_VERSIONS, [value("DISK_VERSION_OLD"), value("DISK_VERSION")]);
  assert.is(format.LOG_VERSION_OFFSET, value("DISK_VERSION_AT"));
  assert.is(format.LOG_REGION_COUNT_OFFSET, value("DISK_REGIONS_AT"));
  assert.is(format.LOG_BITS_OFFSET, value("BITS_OFFSET"));
});

test("no core imports anything", () => {
  for (const wasm of [releaseWasm, debugWasm, smallWasm])
    assert.equal(WebAssembly.Module.imports(new WebAssembly.Module(wasm)), []);
});

test("the sizes of what a host puts into an input", () => {
  assert.equal(
    [abi.HEAD_BYTES, abi.COMPLETION_OPEN_BYTES, abi.CONFIGURE_BYTES, abi.FORGET_UUID + 136, abi.CORE_BYTES],
    [24, 64, 24, 168, 1024],
  );
});

/** Fields of the core's records in order, with their types, as the sources declare them. */
function recordsOfSources(): string {
  const folder = new URL("../assembly/", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith(".ts"));
  const records = files.sort().flatMap((name) => {
    const source = readFileSync(new URL(name, folder), "utf8");
    return [...source.matchAll(/^@unmanaged\n(?:export )?class (\w+).*?\{\n(.*?)^\}/gms)].map(
      ([, record, body = ""]) => {
        const fields = [...body.matchAll(/^ {2}(\w+): (\w+);/gm)].map(([, field, type]) => `${field}: ${type}`);
        return `${record} { ${fields.join(", ")} }`;
      },
    );
  });
  return records.join("\n");
}

/** Numbers of the core that say how much it does at once, and nothing of where things are. */
const AMOUNTS = new Set(["RESTORE_BYTES", "READ_BYTES_MAX", "EXTENTS_MAX", "MARK_WAITERS_MAX", "SLICE_WORDS"]);

test("whoever moves a field of a record or an area raises ABI_VERSION: snapshots and hosts go by it", () => {
  const records = recordsOfSources();
  assert.match(records, /^Log \{ .*luid: u64, .* \}$/m);
  assert.match(records, /^Core \{ /m);
  const numbers = Object.entries(abi).filter(([name]) => !AMOUNTS.has(name));
  const layout = createHash("sha256")
    .update(`${records}\n${JSON.stringify(numbers)}`)
    .digest("hex")
    .slice(0, 16);
  // Where this fails the layout has changed: raise ABI_VERSION in assembly/layout.ts, and write both here.
  assert.equal({ version: abi.ABI_VERSION, layout }, { version: 5, layout: "4b9e57f52417813d" });
});

test.run();
