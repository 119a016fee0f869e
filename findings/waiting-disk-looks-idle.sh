#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A device-mapper device that lets its users wait looks like one that has nothing to do.
#
# Guess: while a disk does not answer, `inflight` and `stat` in /sys/block (where iostat looks) show what waits, and 100 % busy;
# when it goes on, the wait is in its latency.
# Is: I/O that comes to a suspended device is counted only when it is let through: none in flight, not a millisecond busy, and no wait
# afterwards, whatever its users went through. A multipath device that has lost all paths and queues (`queue_if_no_path`) has none
# in `inflight` either; Linux 6.12 counts that time as busy, 6.1 does not.
# Why it matters: who watches a backing disk on device-mapper (multipath; LVM, whose commands suspend devices), or a host that watches
# a volume through one, sees an idle disk where all wait. Count what was handed over and has not come back oneself.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), `linear`, and `multipath` over one scsi_debug.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
fetch() { apt-get -qq -o APT::Sandbox::User=root download user-mode-linux > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
command -v modprobe > /dev/null || apt-get -qq install -y --no-install-recommends kmod > /dev/null
command -v dmsetup > /dev/null || apt-get -qq install -y --no-install-recommends dmsetup > /dev/null
dpkg-deb -x user-mode-linux*.deb .
mkdir lib && ln -s ../usr/lib/uml/modules lib/modules
echo "user-mode-linux $(dpkg-deb -f user-mode-linux*.deb Version), kernel $(ls lib/modules)"

# The first process of a Linux of its own, whose root is this machine's: it runs the job, whose words end up in `result`.
cat > init << END
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DM_DISABLE_UDEV=1
mount -t proc p /proc
mount -t sysfs s /sys
grep -q ' /dev devtmpfs' /proc/mounts || mount -t devtmpfs d /dev
mount -t tmpfs t /run
mod() { modprobe -d $T "\$@"; }
now_ms() { awk '{ printf "%d\n", \$1 * 1000 }' /proc/uptime; }
cd $T
. ./job > result 2>&1
echo o > /proc/sysrq-trigger
sleep 60
END
chmod +x init

cat > job << 'END'
mod brd rd_nr=1 rd_size=65536
mod dm_mod
mod dm_multipath
mod dm_round_robin
mod sd_mod
mod scsi_debug dev_size_mb=32
# device NAME: its folder in /sys
device() { echo "/sys/block/dm-$(dmsetup info -c --noheadings -o minor "$1")"; }
inflight() { awk '{ print $1 + $2 }' "$1/inflight"; }
busy() { awk '{ print $10 }' "$1/stat"; }
# io NAME: a read and a write that are not waited for
io() {
    { dd if="/dev/mapper/$1" of=/dev/null bs=4096 count=1 iflag=direct && echo good; } > "$1.read" 2> /dev/null &
    { dd if=/dev/zero of="/dev/mapper/$1" bs=4096 count=1 oflag=direct conv=notrunc && echo good; } > "$1.written" 2> /dev/null &
}
# show NAME WHEN: what its users have, and what the counters say
show() { echo "$1: $2: answered $(cat "$1.read" "$1.written" | grep -c good) of 2, in flight $(inflight "$(device "$1")")"; }

dmsetup create suspended --table "0 131072 linear /dev/ram0 0"
at=$(device suspended)
dmsetup suspend --noflush --nolockfs suspended
start=$(now_ms)
io suspended
sleep 4
show suspended waiting
echo "suspended: waiting: busy for $(busy "$at") ms"
dmsetup resume suspended
wait
took=$(($(now_ms) - start))
show suspended done
# How long reads took, and writes, and how long the device was busy.
counted=$(awk '{ print $4 + $8 + $10 }' "$at/stat")
echo "counted: $counted ms, of $took that each of the two waited"
[ $took -ge 4000 ] && [ "$counted" -lt 1000 ] && echo "suspended: the wait is nowhere"

for try in $(seq 300); do [ -b /dev/sda ] && break; sleep 0.1; done
dmsetup create multipath --table "0 65536 multipath 1 queue_if_no_path 0 1 1 round-robin 0 1 0 /dev/sda"
at=$(device multipath)
dmsetup message multipath 0 "fail_path $(cat /sys/block/sda/dev)"
before=$(busy "$at")
io multipath
sleep 4
show multipath waiting
echo "busy for $(($(busy "$at") - before)) ms"
dmsetup message multipath 0 "reinstate_path $(cat /sys/block/sda/dev)"
wait
show multipath done
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'suspended: waiting: answered 0 of 2, in flight 0' && is 'suspended: waiting: busy for 0 ms' &&
    is 'suspended: done: answered 2 of 2, in flight 0' && is 'suspended: the wait is nowhere' &&
    is 'multipath: waiting: answered 0 of 2, in flight 0' && is 'multipath: done: answered 2 of 2, in flight 0'; then
    echo "as found: a device whose users wait looks idle"
else
    echo "changed: what waits is counted"
    exit 1
fi
