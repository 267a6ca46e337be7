// A new log becomes whole: its sets get their bits, and a core log its state file, before its constructor is answered.

import { Log, WORK_SETS } from "./log";
import { makeFile, makeWord } from "./log-type";
import { becomeWhole } from "./logs";
import { wordsOf } from "./region-set";
import { endWork, goOnLater, takeWords } from "./slices";

/** Makes of a new log what this input may, and goes on later. Returns whether it is whole. */
export function make(log: Log): bool {
  if (log.work == WORK_SETS && !makeSets(log)) return false;
  if (!makeFile(log)) return false;
  becomeWhole(log);
  return true;
}

function makeSets(log: Log): bool {
  const words = wordsOf(log.regionCount);
  const pending = log.pendingSet();
  const failed = log.failedSet();
  const marked = log.markedSet();
  const outOfSync: u64 = log.beginsOutOfSync != 0 ? u64.MAX_VALUE : 0;
  let word = log.workAt;
  const end = word + takeWords(words - word);
  for (; word < end; word++) {
    pending.append(word, outOfSync);
    failed.append(word, 0);
    marked.append(word, 0);
    makeWord(log, word);
  }
  log.workAt = word;
  if (word < words) goOnLater(log, WORK_SETS);
  else endWork(log);
  return word == words;
}
