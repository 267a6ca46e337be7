// Memory for logs: runs of 4 KiB granules in pages of linear memory that the arena itself has grown.
//
// Invariants: free runs are listed by ascending address, never touch each other, and never overlap a log. What is
// freed merges with its neighbours, so making and removing the same logs for years needs the memory of one round.
// Linear memory grows when a log is made and at no other time.
//
//   free run  +0 bytes u32   +4 address of the next free run u32, 0 at the end

import { core } from "./core";

const GRANULE: usize = 4096;
const WASM_PAGE: usize = 65536;
/** Linear memory ends below 4 GiB, and so does what one log may take. */
const BYTES_MAX: u64 = 0xffff_0000;

@unmanaged
class FreeRun {
  bytes: usize;
  next: usize;
}

function granules(bytes: u64): usize {
  return <usize>((bytes + (GRANULE - 1)) & ~(<u64>GRANULE - 1));
}

/** Reserves `bytes`, their content undefined. Returns their address, or 0 where linear memory cannot hold them. */
export function arenaAllocate(bytes: u64): usize {
  if (bytes > BYTES_MAX) return 0;
  const wanted = granules(bytes);
  let run = takeFirstFit(wanted);
  if (run == 0 && growFor(wanted)) run = takeFirstFit(wanted);
  return run;
}

/** Gives back what `arenaAllocate(bytes)` reserved at `address`. */
export function arenaFree(address: usize, bytes: u64): void {
  insertRun(address, granules(bytes));
}

/** Whether the free list keeps its invariants. */
export function arenaIsSound(): bool {
  let end: usize = 0;
  for (let at: usize = core.freeRuns; at != 0; at = changetype<FreeRun>(at).next) {
    const bytes = changetype<FreeRun>(at).bytes;
    if (at <= end || bytes == 0 || (at | bytes) & (GRANULE - 1)) return false;
    end = at + bytes;
    if (end > <usize>memory.size() * WASM_PAGE) return false;
  }
  return true;
}

function takeFirstFit(wanted: usize): usize {
  let before: usize = 0;
  for (let at: usize = core.freeRuns; at != 0; at = changetype<FreeRun>(at).next) {
    const run = changetype<FreeRun>(at);
    if (run.bytes >= wanted) {
      let rest: usize = run.next;
      if (run.bytes > wanted) {
        rest = at + wanted;
        changetype<FreeRun>(rest).bytes = run.bytes - wanted;
        changetype<FreeRun>(rest).next = run.next;
      }
      if (before == 0) core.freeRuns = rest;
      else changetype<FreeRun>(before).next = rest;
      return at;
    }
    before = at;
  }
  return 0;
}

function growFor(wanted: usize): bool {
  const pages = (wanted + WASM_PAGE - 1) / WASM_PAGE;
  const pagesBefore = memory.grow(<i32>pages);
  if (pagesBefore < 0) return false;
  insertRun(<usize>pagesBefore * WASM_PAGE, pages * WASM_PAGE);
  return true;
}

function insertRun(address: usize, bytes: usize): void {
  let before: usize = 0;
  let after: usize = core.freeRuns;
  while (after != 0 && after < address) {
    before = after;
    after = changetype<FreeRun>(after).next;
  }
  const run = changetype<FreeRun>(address);
  run.bytes = bytes;
  run.next = after;
  if (after != 0 && address + bytes == after) {
    run.bytes += changetype<FreeRun>(after).bytes;
    run.next = changetype<FreeRun>(after).next;
  }
  if (before == 0) {
    core.freeRuns = address;
  } else if (before + changetype<FreeRun>(before).bytes == address) {
    changetype<FreeRun>(before).bytes += run.bytes;
    changetype<FreeRun>(before).next = run.next;
  } else {
    changetype<FreeRun>(before).next = address;
  }
}
