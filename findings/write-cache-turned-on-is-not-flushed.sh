#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A disk whose write cache is turned on while it is in use gets no flush, even from a kernel that was told.
#
# Guess: the disk says so (UNIT ATTENTION, mode parameters changed), the kernel looks again, and from then on fsync flushes it; the
# device-mapper devices above pass flushes on, since they always do.
# Is: the kernel logs "Mode parameters changed" and looks at nothing: fsync returns 0 and the disk gets no flush. After a rescan of the
# disk the kernel flushes it, but a device-mapper device above does not pass on a single flush until its table is loaded again:
# suspending and resuming it is not enough. Whether there is a cache is decided when a table is loaded.
# Why it matters: arrays change over between write-through and write-back (a battery that has been charged), and admins set WCE. What
# fsync promised is then lost with the power, in silence. Whoever samples bdev_write_cache() at open, as device-mapper does, has
# to look again or always flush. Set the cache before anything is opened above it, or rescan the disk and load the
# tables again.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), scsi_debug, `linear`.
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
command -v sg_raw > /dev/null || apt-get -qq install -y --no-install-recommends sg3-utils > /dev/null
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
cd $T
. ./job > result 2>&1
echo o > /proc/sysrq-trigger
sleep 60
END
chmod +x init

cat > job << 'END'
mod sd_mod
mod sg
mod dm_mod
mod scsi_debug dev_size_mb=16
for try in $(seq 300); do [ -b /dev/sda ] && [ -e /sys/class/scsi_disk/0:0:0:0/cache_type ] && break; sleep 0.1; done
cache=/sys/class/scsi_disk/0:0:0:0/cache_type
echo 'write through' > $cache
size=$(blockdev --getsz /dev/sda)
dmsetup create volume --table "0 $size linear /dev/sda 0"
flushes() { awk '{ print $16 }' /sys/block/sda/stat; }
# sync_of NAME DISK: writes and syncs, and says how many flushes the disk got for it
sync_of() {
    before=$(flushes)
    dd if=/dev/zero of="$2" bs=4096 count=1 conv=notrunc,fsync 2> /dev/null || echo "$1: fsync failed"
    echo "$1: $(($(flushes) - before))"
}
echo "came up as: $(cat $cache)"
# Somebody else turns the disk's cache on (WCE of the caching page): by a MODE SELECT of which the kernel knows nothing.
printf '\0\0\0\0\0\0\0\0\010\022\024\0\377\377\0\0\377\377\377\377\200\024\0\0\0\0\0\0' > page
sg_raw -s 28 -i page /dev/sda 55 10 00 00 00 00 00 00 1c 00 > /dev/null 2>&1 || echo 'mode select failed'
sync_of 'told' /dev/sda
dmesg | grep -o 'Mode parameters changed' | tail -n 1
echo "told: $(cat $cache)"
sync_of 'turned on, disk' /dev/sda
sync_of 'turned on, volume' /dev/mapper/volume
echo "on the disk: WCE is $(sg_modes -p 8 /dev/sda | grep -c '^ 00  *08 12 14')"
echo 1 > /sys/block/sda/device/rescan
echo "after a rescan: $(cat $cache)"
sync_of 'after a rescan, disk' /dev/sda
sync_of 'after a rescan, volume' /dev/mapper/volume
dmsetup suspend volume
dmsetup resume volume
sync_of 'after suspend and resume, volume' /dev/mapper/volume
dmsetup suspend volume
dmsetup reload volume --table "0 $size linear /dev/sda 0"
dmsetup resume volume
sync_of 'after a new table, volume' /dev/mapper/volume
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'came up as: write through' && is 'Mode parameters changed' && is 'told: write through' && is 'turned on, disk: 0' &&
    is 'turned on, volume: 0' && is 'on the disk: WCE is 1' && is 'after a rescan: write back' && is 'after a rescan, disk: 1' &&
    is 'after a rescan, volume: 0' && is 'after suspend and resume, volume: 0' && is 'after a new table, volume: 1' &&
    ! grep -q failed result; then
    echo "as found: a cache that is turned on is not flushed"
else
    echo "changed: a cache that is turned on is flushed"
    exit 1
fi
