// A program that takes the package: the same in Node.js, in a Vite build and in a plain page. What it returns must be the
// same everywhere.

import { Console, compileCore, DirtyLogEngine, decodeReply, encodeRequest, loadCore, type RequestName } from "dm-ulog";
import { findFault, runScenario } from "dm-ulog/simulation";
import { Recording, replay, Trace } from "dm-ulog/trace";
import type { Life } from "./result.js";

export async function life(): Promise<Life> {
  const core = await loadCore();
  const disk = new Uint8Array(1 << 20);
  const storage = {
    open: () => ({
      sizeBytes: disk.length,
      read: (offsetBytes: number, sizeBytes: number) => disk.slice(offsetBytes, offsetBytes + sizeBytes),
      write: (offsetBytes: number, bytes: Uint8Array) => disk.set(bytes, offsetBytes),
    }),
    flushLegs: () => {},
  };
  const replies: Uint8Array[] = [];
  const failures: string[] = [];
  let notices = 0;
  let seq = 0;
  const options = {
    core,
    transport: { send: (datagram: Uint8Array) => void replies.push(datagram) },
    storage,
    onNotice: () => void notices++,
    onFailure: (error: unknown) => void failures.push(String(error)),
  };
  const ask = async (engine: DirtyLogEngine, type: RequestName, data: Uint8Array | number[] = []) => {
    engine.receive(encodeRequest(engine.core.abi, { type, uuid: "LVM-own", luid: 1n, seq: ++seq, data }));
    await engine.settled();
    const reply = replies[replies.length - 1];
    if (reply === undefined) throw new Error(`no answer to ${type}`);
    return decodeReply(engine.core.abi, reply).error;
  };

  const engine = await DirtyLogEngine.create(options);
  const recording = new Recording(engine.core, { application: "consumer", coreSha256: "" });
  const text = Uint8Array.from("131072 clustered-disk /dev/own 1024 nosync", (character) => character.charCodeAt(0));
  const errors = [
    await ask(engine, "CTR", text),
    await ask(engine, "RESUME"),
    await ask(engine, "MARK_REGION", [5]),
    await ask(engine, "FLUSH"),
  ];
  const states = [...engine.regionStates({ uuid: "LVM-own", luid: 1n }, 4, 3)];
  const next = await DirtyLogEngine.create({ ...options, snapshot: engine.snapshot() });
  errors.push(await ask(next, "MARK_REGION", [6]), await ask(next, "FLUSH"));
  const restored = [...next.regionStates({ uuid: "LVM-own", luid: 1n }, 4, 3)];

  const module = await compileCore(core);
  const summary = replay(Trace.open(recording.finish(), engine.core.abi), module);
  const scenario = runScenario({ seed: 1, eventCount: 2000, module, console: await Console.create(core) });
  return {
    errors,
    states,
    restored,
    cleanBits: disk[1024] ?? -1,
    notices,
    failures,
    requests: next.counters().requests,
    // The time of inputs is the host's own, and in no answer.
    replayDigest: summary.digest,
    isReplayEqual: summary.isEqual,
    simulationDigest: scenario.digest,
    fault: findFault("marks-dropped").name,
  };
}
