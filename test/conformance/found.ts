// By which case the kit finds each mistake, and with which words.

/** By the mistake's name: the case, and what must stand in “expected …; came …”. */
export const FOUND: Readonly<Record<string, readonly [name: string, words: RegExp]>> = {
  "write-not-awaited": [
    "slow-write",
    /no success of the WRITE .*: the device has not taken all of it yet; came a COMPLETION/,
  ],
  "flush-dropped": [
    "power-cut",
    /no success of the WRITE .*: no FLUSH came after it: a power cut loses it; came a COMPLETION/,
  ],
  "flush-not-awaited": ["slow-flush", /no success of the WRITE .*: the FLUSH is not answered yet; came/],
  "flush-beside-write": ["disk-log", /the FLUSH began before the WRITE was answered, and does not cover it; came/],
  "failed-write-taken-for-success": ["disk-full", /no success of the WRITE .*: WRITE has failed with -28; came/],
  "failed-flush-taken-for-success": ["flush-fails", /no success of the WRITE .*: FLUSH has failed with -5; came/],
  "short-write-taken-for-whole": [
    "short-write",
    /the device has taken 512 of \d+ bytes; came a COMPLETION with success/,
  ],
  "write-to-last-opened": [
    "two-logs",
    /expected the same on \/var\/lib\/mirror\/log-a; came a WRITE of \d+ bytes at 0 of 253:6/,
  ],
  "error-replaced": ["write-fails", /expected error -5, as the device has answered; came error -1 in the COMPLETION/],
  "short-read-padded": ["short-read", /no success of the READ .*: the device has answered 512 bytes; came/],
  "file-not-named": ["one-file", /file system 64769, inode 77; came .*file system 0, inode 0/],
  "device-not-closed": ["reload", /expected a CLOSE of .*, which no log uses any more; came IDLE without it/],
  "completion-without-facts": ["slow-open", /expected a COMPLETION of 64 bytes for the OPEN of .*; came one of 32/],
  "completion-too-short": ["slow-open", /expected a COMPLETION of \d+ bytes for the READ of .*; came one of/],
  "completion-twice": ["slow-write", /came a second time a COMPLETION of effect 5/],
  "error-positive": ["write-fails", /expected 0 or a negative errno; came error 5/],
  "waits-for-device": [
    "slow-write",
    /frames up to IDLE, while WRITE is not answered; came the program has written nothing more/,
  ],
  "only-first-effect": ["several-writes", /expected “FLUSH reply #\d+ .*”; came IDLE before it was sent/],
  "answers-reversed": ["several-writes", /expected first “FLUSH reply .*”; came before it “FLUSH reply/],
  "answer-twice": ["core-log", /came a second time “CTR reply #1/],
  "answer-cut": ["core-log", /expected all \d+ bytes of “.* reply .*”; came the first 192 of them/],
  "answer-invented": ["damaged-datagrams", /expected no datagram, because the core asks for none; came “/],
  "datagram-cut": ["core-log", /expected INPUT_PAYLOAD_SIZE \d+, the datagram's size; came 212/],
  "size-of-buffer": ["large-datagram", /expected INPUT_PAYLOAD_SIZE 69732, the datagram's size; came 69632/],
  "short-datagram-dropped": [
    "damaged-datagrams",
    /expected the input of the datagram that has come \(.*\); came IDLE without it/,
  ],
  "sender-not-told": ["other-sender", /expected INPUT_PORT 4711, the sender's; came 0/],
  "memory-kept-after-growth": ["growth", /came “not a dm-log-userspace message \(196 bytes\)”, byte 0: 00 00/],
  "tick-missing": ["quiet-time", /expected a TICK, whose time has come; came an IDLE without an end/],
  "never-wakes": ["two-quiet-times", /expected a TICK, whose time has come; came an IDLE without an end/],
  "wakes-in-microseconds": [
    "quiet-time",
    /ends in 3\.000 s, when the core wants a TICK; came an IDLE that ends in 3000\.000 s/,
  ],
  "time-in-microseconds": ["core-log", /came \d+ ns: the clock of the program does not run as the kit's does/],
  "legs-not-flushed": [
    "quiet-time",
    /no success of the FLUSH_LEGS of LVM-disk: no FLUSH_LEGS was begun after the core asked; came/,
  ],
  "legs-failure-ignored": ["legs-fail", /no success of the FLUSH_LEGS of LVM-disk: it has failed with -5; came/],
  "legs-of-another-log": ["quiet-time", /a FLUSH_LEGS of LVM-disk, luid \d+; came a FLUSH_LEGS of LVM-another/],
  "state-not-kept": ["killed", /the state file of log 0 as the effects before the last answer have left it, byte 0/],
  "state-first-copy-only": [
    "killed",
    /the state file of log 0 as the effects before the last answer have left it, byte 200/,
  ],
  "state-kept-late": [
    "killed-at-answers",
    /the state file of log \d+ as the effects before the last answer have left it/,
  ],
  "state-not-restored": ["killed", /expected a RESTORE of \d+ bytes of log 0's state file; came none of it/],
  "state-restored-in-part": [
    "growth-in-restore",
    /expected a RESTORE of 16384 bytes at 0 of a file of \d+; came one of 16384 bytes at 0 of a file of 65536/,
  ],
  "state-of-another-log": ["killed", /expected a RESTORE of \d+ bytes at 0 of a file of .*; came one of/],
  "state-not-removed": ["removed", /expected a RESTORE of the logs .*; came a RESTORE of log/],
  "state-of-another-boot": [
    "power-cut",
    /expected no RESTORE: no state file of this boot is left; came a RESTORE of log/,
  ],
  "ends-without-answers": ["stop", /expected the completion of the WRITE of .*; came the end of the program before it/],
  "shares-its-directory": [
    "second-program",
    /the end of a second program on the directory of one that runs, .*; came INPUT, as if it were alone/,
  ],
};
