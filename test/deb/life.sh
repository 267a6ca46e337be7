#!/bin/bash
# A package's life on a machine that systemd runs, with a mirror on its kernel: installed, upgraded while a program writes, not removed
# while the mirror is there, removed, purged. Prints a line for each step: "passed" or "FAILED", and its name.

deb=/root/dm-ulog.deb
out=$(mktemp)

# Runs a command, and says whether it did what its name says.
step() {
  local name=$1
  shift
  if "$@" >"$out" 2>&1; then echo "step passed: $name"; else
    echo "step FAILED: $name"
    grep -v mandb "$out" | sed 's/^/  | /'
  fi
}

# Of a service that was stopped and started it is another one; of one that handed over it is the same.
invocation() { systemctl show --property InvocationID --value dm-ulog; }
pid_of() { systemctl show --property MainPID --value dm-ulog; }
is_in_sync() { dm-ulog status | tee /dev/stderr | grep -q ' 100\.0 %'; }
wait_for() {
  for _ in $(seq 100); do
    if "$@"; then return 0; fi
    sleep 0.2
  done
  return 1
}

# Writes 4 KiB, again and again, each when the one before is on the disks. Counts them; ends with the first that fails.
write() {
  while [ ! -e /run/enough ]; do
    dd if=/dev/zero of=/dev/mapper/m bs=4k count=1 seek=$((RANDOM % 1000)) oflag=direct conv=notrunc status=none || return 1
    echo >>/run/written
  done
}

serves() { systemctl --quiet is-active dm-ulog && dm-ulog status; }
mirror() {
  dm-ulog create --force m /dev/ubda /dev/ubdb && [ -b /dev/mapper/m ] && systemctl is-enabled dm-ulog-mirror@m &&
    systemctl is-active dm-ulog-mirror@m && systemctl is-enabled dm-ulog-monitor && systemctl is-active dm-ulog-monitor
}
monitor_pid() { systemctl show --property MainPID --value dm-ulog-monitor; }
upgrade() {
  local before=$(pid_of) began=$(invocation) monitor=$(monitor_pid)
  write &
  local writer=$!
  sleep 1
  local writes=$(wc -l </run/written)
  dpkg -i "$deb" || return 1
  sleep 1
  [ "$(pid_of)" != "$before" ] && [ ! -e "/proc/$before" ] || { echo "process $before still serves"; return 1; }
  [ "$(invocation)" = "$began" ] || { echo "the service was stopped"; return 1; }
  [ "$(wc -l </run/written)" -gt $((writes + 10)) ] || { echo "writes do not go on"; return 1; }
  touch /run/enough
  wait $writer || { echo "a write failed"; return 1; }
  [ "$(monitor_pid)" != "$monitor" ] && systemctl is-active dm-ulog-monitor || { echo "the monitor is that of before"; return 1; }
  [ "$(systemctl show --property NRestarts --value dm-ulog)" = 0 ] && serves && is_in_sync
}
is_refused() {
  local said
  if said=$(dpkg -r dm-ulog 2>&1); then return 1; fi
  echo "$said" | grep '^  m$' && serves && [ "$(dpkg-query -W -f '${db:Status-Status}' dm-ulog)" = installed ]
}
is_removed() {
  dm-ulog down m && dpkg -r dm-ulog && ! pidof dm-ulogd && [ ! -e /usr/lib/dm-ulog ] &&
    ! systemctl --quiet is-active dm-ulog && ! systemctl --quiet is-active dm-ulog-monitor && [ -e /etc/dm-ulog/mirrors.d/m.* ]
}
is_purged() {
  dpkg -P dm-ulog && [ ! -e /run/dm-ulog ] && [ ! -e /etc/dm-ulog ] && [ -z "$(find /etc/systemd -name '*dm-ulog*')" ]
}

step "it installs, and the server serves" eval 'dpkg -i "$deb" && wait_for serves'
step "dm-ulog doctor finds nothing that does not work" eval 'dm-ulog doctor; [ $? -lt 2 ]'
step "a mirror that is declared has its unit, and resyncs" eval 'mirror && wait_for is_in_sync'
step "an upgrade takes over while a program writes" upgrade
step "it is not removed while a mirror uses the server, and says which" is_refused
step "without mirrors it is removed, and the server stops" is_removed
step "purged, it leaves no state" is_purged
echo "life ends"
systemctl --force poweroff
