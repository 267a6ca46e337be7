// What a host in another language goes by: the generated C header, and the bytes worked out in assembly/README.md.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest } from "../src/common/kernel-frames.ts";
import { releaseWasm } from "./harness.ts";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const header = readFileSync(join(dist, "dm-ulog.h"), "utf8");

/** The numbers that the module exports, without those of the compiler's own runtime. */
const exported = new Map(
  Object.entries(new WebAssembly.Instance(new WebAssembly.Module(releaseWasm), {}).exports as Record<string, unknown>)
    .map(([name, value]) => [name, (value as { value?: number }).value] as const)
    .filter(([name, value]) => value !== undefined && !name.startsWith("__")),
);

test("the header defines every exported number with its value, and nothing else", () => {
  const defined = [...header.matchAll(/^#define DM_ULOG_(\w+) (\d+)u?(?: |$)/gm)].map(
    ([, name, value]) => [name, Number(value)] as const,
  );
  assert.ok(defined.length > 100, "the module exports its tables");
  assert.equal(new Map(defined), exported);
});

test("the header names the functions of a host, which the module exports, and the words of each notice", () => {
  for (const name of ["initialize", "handleInput", "violatedInvariant"]) {
    assert.match(
      header,
      new RegExp(`^#define DM_ULOG_FUNCTION_\\w+ "${name}" /\\* uint32_t ${name}\\(void\\) \\*/$`, "m"),
    );
  }
  const words = [...header.matchAll(/^ {2}X\(DM_ULOG_(NOTICE_\w+), "[a-z ]+"\)/gm)].map(([, name]) => name);
  const fields = ["CODE", "ERROR", "DETAIL", "LUID", "UUID", "BYTES"].map((field) => `NOTICE_${field}`);
  const codes = [...exported.keys()].filter((name) => name.startsWith("NOTICE_") && !fields.includes(name));
  assert.ok(codes.length > 20);
  assert.equal(
    words,
    codes.sort((a, b) => Number(exported.get(a)) - Number(exported.get(b))),
  );
});

/** Compiles a program beside the kernel's own header and runs it. Returns why it cannot be, or what it printed. */
function compileAndRun(source: string): { lacking?: string; printed?: string } {
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-header-"));
  try {
    writeFileSync(join(folder, "program.c"), source);
    const words = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", `-I${dist}`, "-o", join(folder, "program")];
    const compiler = spawnSync("cc", [...words, join(folder, "program.c")], { encoding: "utf8" });
    if (compiler.error !== undefined) return { lacking: "there is no C compiler (cc)" };
    if (/linux\/[a-z-]+\.h: No such file/.test(compiler.stderr)) return { lacking: "there are no Linux headers" };
    assert.is(compiler.status, 0, compiler.stderr);
    return { printed: spawnSync(join(folder, "program"), { encoding: "utf8" }).stdout };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a C compiler takes the header, twice and beside the kernel's, and sees the same numbers", () => {
  const { lacking, printed } = compileAndRun(`
    #include "dm-ulog.h"
    #include <linux/dm-log-userspace.h>
    #include "dm-ulog.h"
    #include <stdio.h>
    #define ONE(code, words) {code, words},
    static const struct { unsigned code; const char *words; } notices[] = { DM_ULOG_NOTICES(ONE) };
    _Static_assert(DM_ULOG_REQUEST_MARK_REGION == DM_ULOG_MARK_REGION, "another MARK_REGION");
    int main(void) {
      ${[...exported.keys()].map((name) => `printf("${name} %lld\\n", (long long)DM_ULOG_${name});`).join("\n")}
      return notices[0].code != DM_ULOG_NOTICE_CREATED;
    }`);
  if (lacking !== undefined) {
    console.log(`Compared as text alone: ${lacking}.`);
    return;
  }
  const seen = (printed ?? "")
    .trim()
    .split("\n")
    .map((line) => line.split(" ") as [string, string])
    .map(([name, value]) => [name, Number(value)] as const);
  assert.equal(new Map(seen), exported);
});

/** The bytes of a block of README.md: offset, bytes, and words that count for nothing. What is not shown is zero. */
function workedBytes(block: "input" | "effects", size: number): Uint8Array {
  const readme = readFileSync(new URL("../assembly/README.md", import.meta.url), "utf8");
  const lines = readme.split(`\`\`\`${block}\n`)[1]?.split("```")[0]?.trim().split("\n") ?? [];
  const bytes = new Uint8Array(size);
  for (const line of lines) {
    const [, offset, shown] = /^([0-9a-f]{4})((?: {1,2}[0-9a-f]{2})+)(?: {3,}\S.*)?$/.exec(line) ?? [];
    assert.ok(offset !== undefined && shown !== undefined, `a line of another form: ${line}`);
    bytes.set(
      shown
        .trim()
        .split(/ +/)
        .map((byte) => Number.parseInt(byte, 16)),
      Number.parseInt(offset, 16),
    );
  }
  assert.ok(lines.length > 10);
  return bytes;
}

test("the MARK of assembly/README.md is, byte for byte, what the core takes and makes of it", () => {
  const engine = new Engine(new WebAssembly.Module(releaseWasm));
  const { abi } = engine;
  const effects: string[] = [];
  const handler = {
    send: () => effects.push("send"),
    notice: () => {},
    stateWrite: (head: { offsetBytes: number }, address: number) =>
      effects.push(`${head.offsetBytes}: ${Buffer.from(engine.read(address, 8)).toString("hex")}`),
  };
  const frame = { uuid: "mirror", luid: 0xffff_8881_03a5_c000n };
  const construct = asciiBytes("131072 clustered-core 1024");
  for (const request of [
    encodeRequest(abi, { ...frame, type: "CTR", seq: 1, data: construct }),
    encodeRequest(abi, { ...frame, type: "RESUME", seq: 2 }),
    encodeRequest(abi, { ...frame, type: "SET_REGION_SYNC", seq: 3, data: [5, 1] }),
  ]) {
    engine.deliver(request, abi.KERNEL_PORT, 1e9, handler);
  }

  const headBytes = abi.INPUT_PAYLOAD - abi.INPUT_KIND;
  const mark = encodeRequest(abi, { ...frame, type: "MARK_REGION", seq: 42, data: [5] });
  const input = workedBytes("input", headBytes + mark.length);
  assert.equal(input.subarray(headBytes), mark, "the datagram is the kernel's");
  effects.length = 0;
  engine.bytes().set(input, abi.INPUT_KIND);
  engine.datagramReceived(mark.length, abi.KERNEL_PORT, 2e9, handler);
  assert.equal(engine.read(abi.INPUT_KIND, input.length), input, "the header is that of the input");
  const worked = workedBytes("effects", 248);
  // Where in memory a log lies is none of the ABI.
  const address = abi.EFFECT_PAYLOAD + abi.HEAD_BYTES;
  worked.set(engine.read(abi.EFFECTS + address, 4), address);
  assert.equal(engine.read(abi.EFFECTS, worked.length), worked);
  assert.equal(effects, [`${0x1f0}: 2000000000000000`, `${0x220}: 2000000000000000`, "send"]);
});

test.run();
