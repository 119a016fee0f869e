#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# `sync`, `blockdev --flushbufs` and the unmounting of a FAT or an ext2 send no flush to the disk.
#
# Guess: after `dd` to a disk and a `sync`, or after umount, the data outlive a loss of power: the kernel wrote its cache back and told
# the disk to do the same.
# Is: the kernel writes its own pages, and the disk is told nothing: sync(2), syncfs(2) and BLKFLSBUF on a raw disk end without one
# flush. So do sync, syncfs and umount of FAT and of ext2 (by its own driver). Only fsync flushes there (`sync FILE`, `dd
# conv=fsync`). ext4 flushes in all of these cases.
# Why it matters: an image, a superblock or metadata that were written to a raw disk with a volatile cache, or an EFI partition
# that was updated and unmounted, are gone with the power after a `sync` that said "done". And what a layer below counts as durable
# is what came before a flush: it never hears of these. Whoever writes to a raw disk has to fsync it (`sync /dev/DISK`), and a layer
# with a volatile cache has to treat "no flush was asked for" as usual.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), scsi_debug with its write cache on.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
fetch() { apt-get -qq -o APT::Sandbox::User=root download user-mode-linux > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
command -v modprobe > /dev/null || apt-get -qq install -y --no-install-recommends kmod > /dev/null
command -v mkfs.vfat > /dev/null || apt-get -qq install -y --no-install-recommends dosfstools > /dev/null
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
mod vfat
mod nls_cp437
mod nls_ascii
mod nls_iso8859-1
mod scsi_debug dev_size_mb=64
for try in $(seq 300); do [ -b /dev/sda ] && [ -e /sys/class/scsi_disk/0:0:0:0/cache_type ] && break; sleep 0.1; done
echo "cache: $(cat /sys/class/scsi_disk/0:0:0:0/cache_type)"
flushes() { awk '{ print $16 }' /sys/block/sda/stat; }
writes() { awk '{ print $5 }' /sys/block/sda/stat; }
fill() { dd if=/dev/urandom of="$1" bs=64k count=4 conv=notrunc 2> /dev/null || echo "$1: cannot be written"; }
# try NAME FILE COMMAND...: writes FILE, runs the command, and says whether the disk got writes and flushes until then
try() {
    name=$1
    flushed=$(flushes)
    written=$(writes)
    fill "$2"
    shift 2
    "$@" || echo "$name: failed"
    [ "$(flushes)" -gt "$flushed" ] && flushed=flushed || flushed='no flush'
    [ "$(writes)" -gt "$written" ] && written=written || written='not written'
    echo "$name: $written, $flushed"
}
try 'disk, sync' /dev/sda sync
try 'disk, sync -f' /dev/sda sync -f /dev/sda
try 'disk, blockdev --flushbufs' /dev/sda blockdev --flushbufs /dev/sda
try 'disk, sync FILE' /dev/sda sync /dev/sda
mkdir /run/m
for type in vfat ext2 ext4; do
    mkfs.$type /dev/sda > made 2>&1 || cat made
    mount -t $type /dev/sda /run/m
    : > /run/m/file
    sync /run/m/file
    try "$type, sync" /run/m/file sync
    try "$type, sync -f" /run/m/file sync -f /run/m
    try "$type, sync FILE" /run/m/file sync /run/m/file
    try "$type, umount" /run/m/file umount /run/m
done
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'cache: write back' && is 'disk, sync: written, no flush' && is 'disk, sync -f: written, no flush' &&
    is 'disk, blockdev --flushbufs: written, no flush' && is 'disk, sync FILE: written, flushed' &&
    is 'vfat, sync: written, no flush' && is 'vfat, sync -f: written, no flush' && is 'vfat, umount: written, no flush' &&
    is 'vfat, sync FILE: written, flushed' && is 'ext2, sync: written, no flush' && is 'ext2, sync -f: written, no flush' &&
    is 'ext2, umount: written, no flush' && is 'ext2, sync FILE: written, flushed' && is 'ext4, sync: written, flushed' &&
    is 'ext4, sync -f: written, flushed' && is 'ext4, umount: written, flushed'; then
    echo "as found: a sync leaves the data in the disk's cache"
else
    echo "changed: a sync flushes the disk"
    exit 1
fi
