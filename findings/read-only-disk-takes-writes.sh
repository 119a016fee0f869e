#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A disk that is set read-only goes on taking the writes of a file system that is mounted on it.
#
# Guess: after `blockdev --setro` (the kernel's set_disk_ro() does the same) the next write of a mounted ext4 fails.
# Is: the kernel says "Trying to write to read-only block-device" in its log and lets the write pass; fsync succeeds, the
# data is on the disk, and /proc/mounts still says rw. Only writes through a descriptor of the block device are refused.
# Why it matters: read-only is no fence. An owner that has lost its right to write must refuse writes in its own submit
# path; set_disk_ro() on the volume, or on the disk below it, stops new openers and nobody else.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), ext4.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
fetch() { apt-get -qq -o APT::Sandbox::User=root download user-mode-linux > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
command -v modprobe > /dev/null || apt-get -qq install -y --no-install-recommends kmod > /dev/null
command -v mkfs.ext4 > /dev/null || apt-get -qq install -y --no-install-recommends e2fsprogs > /dev/null
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
mod ext4
mkfs.ext4 -q /dev/ram0
mkdir /run/m
mount /dev/ram0 /run/m
echo before > /run/m/file
sync
blockdev --setro /dev/ram0
echo "read-only: $(blockdev --getro /dev/ram0)"
echo WRITTEN-WHILE-READ-ONLY > /run/m/file && sync /run/m/file && echo 'write and fsync: ok'
grep -q WRITTEN-WHILE-READ-ONLY /dev/ram0 && echo 'the disk has it'
dd if=/dev/zero of=/dev/ram0 bs=4096 count=1 seek=10 conv=notrunc 2> /dev/null || echo 'write through the device: refused'
grep ' /run/m ' /proc/mounts
dmesg | grep -m 1 -o 'Trying to write to read-only block-device.*'
umount /run/m
blockdev --setrw /dev/ram0
mount /dev/ram0 /run/m && echo "later: $(cat /run/m/file)"
umount /run/m
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'read-only: 1' && is 'write and fsync: ok' && is 'the disk has it' && is 'later: WRITTEN-WHILE-READ-ONLY' &&
    is 'write through the device: refused'; then
    echo "as found: a read-only disk takes a mounted file system's writes"
else
    echo "changed: a read-only disk refuses a mounted file system's writes, or descriptors are let through"
    exit 1
fi
