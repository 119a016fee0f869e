#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The time-out of a SCSI disk does not bound how long a write lives: it is sent again, and lands long after.
#
# Guess: with /sys/block/sdX/device/timeout at 1 s, a write is over, one way or the other, within little more than that.
# Is: a time-out (noticed up to a second late) aborts the command and sends it again, five times; twice, where the default of
# max_medium_access_timeouts then takes the disk off-line (scsi-disk-never-comes-back.sh; raised here). A write whose first
# commands got lost lands several time-outs after it was submitted, and is answered with success.
# Why it matters: "longer than the usual time-out of a command" (30 s) does not bound the life of a write that an owner
# has submitted while the owner's kernel lives, as it does when the owner was paused or cut off and not killed: six times
# the time-out and its recovery does. The bound T_io has to be taken from that product, or the time-out lowered.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), scsi_debug, which loses commands here on purpose.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
fetch() { apt-get -qq -o APT::Sandbox::User=root download user-mode-linux > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
command -v modprobe > /dev/null || apt-get -qq install -y --no-install-recommends kmod > /dev/null
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
mod sd_mod
mod scsi_debug dev_size_mb=16 statistics=1
until [ -b /dev/sda ]; do sleep 0.1; done
echo 1 > /sys/block/sda/device/timeout
debug=/sys/bus/pseudo/drivers/scsi_debug
lose() { echo 128 > $debug/opts; echo 1 > $debug/every_nth; }
heal() { echo 0 > $debug/every_nth; echo 0 > $debug/opts; }
write() { tr '\0' "$1" < /dev/zero | dd of=/dev/sda bs=4096 count=1 iflag=fullblock oflag=direct conv=notrunc 2> /dev/null; }

echo "time-out $(cat /sys/block/sda/device/timeout) s"
echo 1000 > "$(echo /sys/class/scsi_disk/*/max_medium_access_timeouts)"
lose
start=$(now_ms)
{ sleep 5; heal; } &
write Y && echo 'write: success'
took=$(($(now_ms) - start))
wait
echo "answered after $took ms"
[ $took -gt 4000 ] && echo 'later than four time-outs'
dd if=/dev/sda bs=4096 count=1 iflag=direct 2> /dev/null | grep -q YYYY && echo 'the disk has it'
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'write: success' && is 'later than four time-outs' && is 'the disk has it'; then
    echo "as found: a write lands more than four time-outs after it was submitted"
else
    echo "changed: the time-out bounds the life of a write"
    exit 1
fi
