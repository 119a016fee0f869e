#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The file discard_alignment of a whole disk in sysfs does not show the alignment of discards.
#
# Guess: /sys/block/DISK/discard_alignment, from which lsblk -D takes DISC-ALN, says by how much the first granule of
# discards is shifted: a disk whose granules of 1 MiB begin at 512 KiB shows 524288.
# Is: it shows the alignment of ordinary I/O, 0 here. The kernel knows better, and obeys: a partition of that disk shows
# its own alignment of discards, which is made from the right one.
# Why it matters: a volume whose data begins 1 MiB into its disk has such a shift wherever granules are larger. Neither a
# test nor an administrator can read it off the volume; what tells is what a whole discard leaves.
# Tried: user-mode-linux of Debian 12 (kernel 6.1), scsi_debug. In the source of 7.3.4 the function is the same.
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
mod scsi_debug dev_size_mb=64 lbpu=1 lbpws=1 unmap_granularity=2048 unmap_alignment=1024
for i in $(seq 100); do
    disk=$(grep -l scsi_debug /sys/block/sd*/device/model 2> /dev/null | cut -d/ -f4) && [ -b "/dev/$disk" ] && break
    sleep 0.1
done
# A partition of the kernel's own, without a table: number, first byte, bytes.
addpart "/dev/$disk" 1 4096 8192
echo "granularity: $(cat "/sys/block/$disk/queue/discard_granularity")"
echo "of I/O: $(cat "/sys/block/$disk/alignment_offset")"
echo "of discards, it says: $(cat "/sys/block/$disk/discard_alignment")"
echo "of a partition at 2 MiB: $(cat "/sys/block/$disk/${disk}1/discard_alignment")"
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'granularity: 1048576' && is 'of I/O: 0' && is 'of discards, it says: 0' && is 'of a partition at 2 MiB: 524288'; then
    echo "as found: discard_alignment of a disk shows another alignment"
else
    echo "changed: discard_alignment of a disk is that of discards, or a partition's is not"
    exit 1
fi
