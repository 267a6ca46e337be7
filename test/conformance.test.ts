// The conformance kit: its frames, what it says of programs that are no hosts, and a few cases and mistakes. All cases with both
// hosts, and every mistake: npm run test:conformance.

import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  DATAGRAM,
  decodeCall,
  encodeDatagram,
  encodeDone,
  encodeFrame,
  encodeStart,
  encodeStop,
  encodeTime,
  FRAME_HEAD_BYTES,
  type Frame,
  FrameReader,
  IDLE,
  INPUT,
  OPEN,
  READ,
  READY,
  START,
  STOP,
  WRITE,
} from "../src/common/conformance/frames.ts";
import { runCase } from "../src/common/conformance/kit.ts";
import { RULES } from "../src/common/conformance/mistake.ts";
import { Engine } from "../src/common/engine.ts";
import { buildHost, caseOf, run, sentenceOf } from "./conformance/build.ts";
import { FOUND } from "./conformance/found.ts";
import { MISTAKES } from "./conformance/mistakes.ts";
import { releaseWasm, seeded, seedFor, words } from "./harness.ts";

const PROGRAMS = 300;
/** What a program has written is shown in part. */
const SENTENCE_MAX = 500;

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dm-ulog-host-"));
const host = buildHost(folder);

function conformance(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, "conformance", ...words], { encoding: "utf8" });
}

test("frames that come in any pieces are the frames that were written", () => {
  const stream = Buffer.concat([
    encodeFrame(READY, new Uint8Array(8)),
    encodeFrame(WRITE, Uint8Array.of(7, 0, 0, 0, 1, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 9, 8)),
    encodeFrame(IDLE, new Uint8Array(8)),
  ]);
  for (let cut = 0; cut <= stream.length; cut++) {
    const reader = new FrameReader();
    const kinds: number[] = [];
    for (const piece of [stream.subarray(0, cut), stream.subarray(cut)]) {
      reader.add(piece);
      for (let frame = reader.next(); frame !== null; frame = reader.next()) {
        if (typeof frame === "string") throw new Error(frame);
        kinds.push(frame.kind);
        if (frame.kind !== WRITE) continue;
        const { number, device, offsetBytes, sizeBytes, bytes } = decodeCall(frame);
        assert.equal([number, device, offsetBytes, sizeBytes, ...bytes], [7, 1, 4096, 2, 9, 8]);
      }
    }
    assert.equal(kinds, [READY, WRITE, IDLE], `cut at ${cut}`);
  }
});

test("what is no frame is named, and a payload has its least and its largest size", () => {
  const problemOf = (kind: number, payloadBytes: number) => {
    const reader = new FrameReader();
    reader.add(new Uint8Array(Uint32Array.of(kind, payloadBytes).buffer));
    return reader.next();
  };
  assert.is(problemOf(START, 16), "there is no frame 1");
  assert.is(problemOf(26, 0), "there is no frame 26");
  assert.is(problemOf(READ, 19), "READ has a payload of 19 bytes, and needs 20");
  assert.is(problemOf(READ, 20), null, "it is not all there yet");
  assert.is(problemOf(OPEN, 1 << 20), null);
  assert.is(problemOf(OPEN, (1 << 20) + 1), "OPEN has a payload of 1048577 bytes");
});

test("the frames of docs/conformance.md are as the kit writes and reads them", () => {
  const [, example = ""] = /```frames\n([\s\S]*?)```/.exec(read("docs/conformance.md")) ?? [];
  const frames: { isOfKit: boolean; bytes: number[] }[] = [];
  for (const line of example.trimEnd().split("\n")) {
    const bytes = [...(/^. ?((?: *[0-9a-f]{2}\b)+)/.exec(line)?.[1] ?? "").matchAll(/[0-9a-f]{2}/g)];
    if (line.startsWith(" ")) frames.at(-1)?.bytes.push(...bytes.map(([byte]) => Number.parseInt(byte, 16)));
    else frames.push({ isOfKit: line.startsWith(">"), bytes: bytes.map(([byte]) => Number.parseInt(byte, 16)) });
  }
  const datagram = Uint8Array.of(16, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  assert.equal(
    frames.filter(({ isOfKit }) => isOfKit).map(({ bytes }) => bytes),
    [encodeStart(1_000_000_016, 1), encodeDatagram(1_000_000_032, 0, datagram), encodeStop(1_000_000_048)].map(
      (frame) => [...frame],
    ),
  );
  const reader = new FrameReader();
  reader.add(Uint8Array.from(frames.filter(({ isOfKit }) => !isOfKit).flatMap(({ bytes }) => bytes)));
  const kinds: unknown[] = [];
  for (let frame = reader.next(); frame !== null && typeof frame !== "string"; frame = reader.next()) {
    kinds.push(frame.kind);
    if (frame.kind === INPUT) assert.equal([...frame.payload.subarray(24)], [...datagram]);
  }
  assert.equal(kinds, [READY, IDLE, INPUT, IDLE]);
  assert.is(reader.left.length, 0);
});

test("what the kit writes begins with the time", () => {
  for (const frame of [
    encodeStart(5e15, 2),
    encodeTime(5e15),
    encodeDone(5e15, 3, -5, Uint8Array.of(1)),
    encodeStop(5e15),
  ]) {
    assert.is(new DataView(frame.buffer).getBigUint64(FRAME_HEAD_BYTES, true), 5_000_000_000_000_000n);
  }
  assert.equal([START, DATAGRAM, STOP].length, 3);
});

test("each rule stands in the document that it names, word for word", () => {
  const plain = (text: string) => text.replace(/\s+/g, " ");
  for (const { document, words } of Object.values(RULES)) assert.ok(plain(read(document)).includes(words), words);
});

test("whatever a program writes, what comes of it is a mistake of the program", async () => {
  const { below, bits } = seeded(seedFor("conformance"));
  const module = new WebAssembly.Module(releaseWasm);
  const core = { module, console: words, abi: new Engine(module).abi };
  const { ABI_VERSION, INPUT_PAYLOAD_BYTES_MAX } = core.abi;
  const randomBytes = (size: number) => Uint8Array.from({ length: size }, () => (below(3) === 0 ? bits() : 0));
  const rules = new Set<string>();
  for (let i = 0; i < PROGRAMS; i++) {
    let frames = 0;
    const read = (): Frame => {
      if (++frames === 1) return { kind: READY, payload: new Uint8Array(Uint32Array.of(1, ABI_VERSION).buffer) };
      const kind = below(2) === 0 ? INPUT : READY + below(IDLE - READY + 1);
      const payload = randomBytes(24 + below(below(20) === 0 ? INPUT_PAYLOAD_BYTES_MAX : 300));
      // Often an input that might be one.
      if (kind === INPUT && below(8) > 0) {
        const size = payload.length - 24;
        payload.set(new Uint8Array(Uint32Array.of(1 + below(6), size, 1000, 0, below(2), 0).buffer));
      }
      return { kind, payload };
    };
    const host = { start: () => ({ read, write: () => {}, kill: () => {} }) };
    const { mistake } = runCase(caseOf(i % 2 === 0 ? "start" : "disk-log"), core, host, i);
    assert.ok(mistake !== null, `program ${i} has made no mistake`);
    assert.ok(mistake.expected.length > 0 && mistake.came.length < SENTENCE_MAX, mistake.came.slice(0, SENTENCE_MAX));
    rules.add(mistake.rule.words);
  }
  assert.ok(rules.size > 8, `${rules.size} rules: ${[...rules].join(" | ")}`);
});

test("the command says what is wrong with a program that is no host", () => {
  const script = join(folder, "script");
  writeFileSync(script, "#!/bin/sh\n");
  chmodSync(script, 0o644);
  const cases: [words: string[], said: RegExp][] = [
    [["/nowhere/at/all"], /came +the program cannot be started: there is no such program/],
    [[script], /came +the program cannot be started: it is not executable/],
    [["true"], /expected +READY\n +came +the program has ended with status 0\n/],
    [["sh", "-c", "echo too bad >&2; exit 3"], /the program has ended with status 3; its last words: “too bad”/],
    [["sh", "-c", "kill -SEGV $$"], /the program was ended by SIGSEGV/],
    [
      ["echo", "hello, I am a host"],
      /has written what is no frame: there is no frame \d+; it begins with "hello, I am/,
    ],
    [["sh", "-c", "printf '\\020'"], /has ended with status 0, 1 bytes into a frame/],
    [["sh", "-c", "sleep 100"], /expected +READY\n +came +the program has written nothing more for 1 s/],
    [["sh", "-c", "exec >&-; sleep 100"], /the program has closed its standard output/],
  ];
  for (const [words, said] of cases) {
    const { status, stdout } = conformance("--only", "start", "--time-limit", "1", "--", ...words);
    assert.is(status, 1, `${words}: ${stdout}`);
    assert.match(stdout, said);
    assert.match(stdout, /^FAILED {2}start .*\(--seed 1\)$/m);
    assert.match(stdout, /\n0 passed, 1 failed\n$/);
  }
});

test("the command says what it cannot do", () => {
  assert.match(conformance("--list").stdout, /^slow-write +a WRITE is not answered for a while/m);
  const told = (...words: string[]) => {
    const { status, stderr } = conformance(...words);
    assert.is(status, 2, stderr);
    return stderr;
  };
  assert.match(told(), /^dm-ulog: Name the program to drive\./);
  assert.match(told("--only", "no-such", "--", "true"), /^dm-ulog: There is no case no-such\./);
  assert.match(told("--core", "/nowhere", "true"), /^dm-ulog: \/nowhere cannot be used as a core: /);
});

test("as JSON it says the same", () => {
  const { status, stdout } = conformance("--json", "--only", "start", "--", "true");
  assert.is(status, 1);
  const { passed, cases } = JSON.parse(stdout);
  assert.is(passed, 0);
  assert.is(cases[0].name, "start");
  assert.is(cases[0].mistake.came, "the program has ended with status 0");
  assert.is(cases[0].mistake.rule.document, "docs/conformance.md");
});

for (const name of ["start", "disk-log", "several-writes", "killed"]) {
  test(`the library's host passes ${name}`, () => {
    const verdict = run(caseOf(name), host);
    assert.is(sentenceOf(verdict), "");
    assert.ok(verdict.frames > 0 && verdict.answers > 0);
  });
}

test("the same seed gives the same frames", () => {
  const [one, other] = [1, 1].map((seed) => run(caseOf("damaged-datagrams"), host, seed));
  assert.equal(one, other);
});

test("each mistake has a case that finds it", () => {
  assert.equal(Object.keys(FOUND).sort(), Object.keys(MISTAKES).sort());
});

for (const mistake of ["flush-dropped", "answers-reversed", "state-not-kept"]) {
  const [name, words] = FOUND[mistake] as (typeof FOUND)[string];
  test(`the mistake ${mistake} is found by ${name}`, () => {
    assert.match(sentenceOf(run(caseOf(name), [...host, "--mistake", mistake])), words);
  });
}

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
