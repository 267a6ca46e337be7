// A random life: whatever a kernel, devices, a clock and a power switch may do, in any order.

import { asciiBytes, type RequestName } from "../kernel-frames.ts";
import { MILLISECOND_NS, SECOND_NS } from "../sim/clock.ts";
import type { Random } from "../sim/random.ts";
import type { Mirror } from "./mirror.ts";
import { coreLog, diskLog, REGIONS_PER_BLOCK, type Scene } from "./scene.ts";
import type { CallKind } from "./stage.ts";

const STEPS = 150;
const REGIONS = 4 * REGIONS_PER_BLOCK;
const KINDS: readonly CallKind[] = ["OPEN", "READ", "WRITE", "FLUSH", "FLUSH_LEGS"];
const ERRNOS = [5, 19, 28];
const SECTOR_BYTES = 512;
const REQUESTS: readonly RequestName[] = [
  ...(["MARK_REGION", "MARK_REGION", "FLUSH", "FLUSH", "CLEAR_REGION", "CLEAR_REGION"] as const),
  ...(["GET_RESYNC_WORK", "SET_REGION_SYNC", "IS_CLEAN", "IN_SYNC", "GET_SYNC_COUNT", "STATUS_INFO"] as const),
];

export function randomLife(scene: Scene): void {
  const { stage } = scene;
  const { random } = stage;
  const mirrors = () => [scene.mirror("LVM-core"), scene.mirror("LVM-file"), scene.mirror("LVM-block")];
  const constructors = [coreLog(REGIONS), diskLog(scene.file, REGIONS), diskLog(scene.block, REGIONS)];
  const make = (made: readonly Mirror[]) => {
    for (const [i, mirror] of made.entries()) {
      mirror.ask("CTR", asciiBytes(constructors[i] as string));
      mirror.ask("RESUME");
    }
  };
  stage.start();
  let alive = mirrors();
  make(alive);
  for (let step = 0; step < STEPS; step++) {
    const draw = random.below(100);
    if (draw < 70) request(random.pick(alive), random);
    else if (draw < 76) stage.hold(random.pick(KINDS));
    else if (draw < 82) stage.release(random.oneIn(2));
    else if (draw < 85) troubleSome(scene);
    else if (draw < 93) stage.advance(random.pick([MILLISECOND_NS, SECOND_NS, 4 * SECOND_NS, 15 * SECOND_NS]));
    else if (draw < 95) stage.deliver(scene.request("DTR").slice(random.below(200)));
    else if (draw < 97) {
      stage.killAfterSends(1);
      request(random.pick(alive), random);
      if (stage.isRunning) stage.kill();
      goOn(scene, alive);
    } else if (draw < 98) {
      stage.stop();
      goOn(scene, alive);
    } else if (draw < 99) {
      stage.cutPower();
      stage.release();
      stage.start();
      alive = mirrors();
      make(alive);
    } else suspend(random.pick(alive));
  }
  stage.release();
  stage.advance(15 * SECOND_NS);
  stage.stop();
}

function request(mirror: Mirror, random: Random): void {
  const type = random.pick(REQUESTS);
  const region = random.pick([random.below(4), random.below(REGIONS), REGIONS - 1]);
  if (type === "SET_REGION_SYNC") mirror.ask(type, [region, random.below(2)]);
  else if (type === "IS_CLEAN" || type === "IN_SYNC") mirror.ask(type, [region]);
  else if (type === "MARK_REGION" || type === "CLEAR_REGION" || (type === "FLUSH" && random.oneIn(2))) {
    mirror.ask(
      type,
      Array.from({ length: random.between(1, 5) }, (_, i) => (region + i) % REGIONS),
    );
  } else mirror.ask(type);
}

function troubleSome({ stage }: Scene): void {
  const { random } = stage;
  const kind = random.pick(KINDS);
  const isShort = (kind === "READ" || kind === "WRITE") && random.oneIn(2);
  stage.trouble(kind, isShort ? { bytes: SECTOR_BYTES * random.below(4) } : { errno: random.pick(ERRNOS) });
}

function goOn(scene: Scene, alive: readonly Mirror[]): void {
  scene.stage.release();
  scene.stage.start();
  for (const mirror of alive) mirror.repeat();
}

function suspend(mirror: Mirror): void {
  for (const type of ["PRESUSPEND", "POSTSUSPEND", "RESUME"] as const) mirror.ask(type);
}
