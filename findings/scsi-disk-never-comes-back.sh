#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A SCSI disk that does not answer reads and writes for a few time-outs, though it answers all else, is off-line for good.
#
# Guess: a disk that hung for a while works again as soon as it answers.
# Is: after two time-outs of a read or write with a successful TEST UNIT READY between them (max_medium_access_timeouts)
# the kernel takes it off-line, though one command was all that was sent: every later open or command fails at once with
# ENXIO or EIO, however well the disk is, until somebody writes `running` to the device's `state`.
# Why it matters: "retry with back-off until the path is back" never ends on such a disk: it is the host that gave it up.
# The reason that a volume gives has to look at the state of the disk below (`offline`), and an operator needs the command;
# an appliance raises max_medium_access_timeouts.
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

echo "limit: $(cat /sys/class/scsi_disk/*/max_medium_access_timeouts)"
lose
write Y || echo 'write: failed'
heal
echo "state: $(cat /sys/block/sda/device/state)"
dmesg | grep -o 'Medium access timeout.*'
sleep 3
write Z 2> /dev/null || echo 'healthy again: still fails'
echo running > /sys/block/sda/device/state
write Z && echo 'set running: works'
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'write: failed' && is 'state: offline' && is 'healthy again: still fails' && is 'set running: works'; then
    echo "as found: a disk that hung is off-line until it is set running by hand"
else
    echo "changed: a disk that hung comes back by itself"
    exit 1
fi
