#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# COMPARE AND WRITE of LIO writes over a write that came between its compare and its write.
#
# Guess: it is atomic. Another host's WRITE of the block is before it, and then it miscompares, or after it, and then stays.
# Is: LIO reads, compares and writes in three steps, and keeps out (by its source) only other COMPARE AND WRITEs of that disk. A
# plain WRITE that comes in between is answered GOOD and is gone then: the compare has succeeded with data that were no longer there.
# Why it matters: hosts that lock with this command are safe only while nothing else writes those blocks, and all come through one
# target: two controllers that export one disk keep out nothing of each other's. A volume that offers the command itself must hold up
# all writes of its blocks, on its owner; what two controllers export by LIO at a time needs `emulate_caw` set to 0.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), tcm_loop, iblock on a scsi_debug whose answers take 3 s (it
# reads and writes its memory when a command comes, and answers later).
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
fetch() { apt-get -qq -o APT::Sandbox::User=root download user-mode-linux > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
command -v modprobe > /dev/null || apt-get -qq install -y --no-install-recommends kmod > /dev/null
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
now_ms() { awk '{ printf "%d\n", \$1 * 1000 }' /proc/uptime; }
cd $T
. ./job > result 2>&1
echo o > /proc/sysrq-trigger
sleep 60
END
chmod +x init

cat > job << 'END'
mod target_core_iblock
mod tcm_loop
mod sd_mod
mod sg
mod scsi_debug dev_size_mb=16
mount -t configfs c /sys/kernel/config
config=/sys/kernel/config/target
disk_is() { for try in $(seq 300); do [ -b "$1" ] && break; sleep 0.1; done; }
disk_is /dev/sda
store=$config/core/iblock_0/disk
mkdir -p $store
echo udev_path=/dev/sda > $store/control
echo 1 > $store/wwn/vpd_unit_serial
echo 1 > $store/enable
echo "emulate_caw: $(cat $store/attrib/emulate_caw)"
port=$config/loopback/naa.6001405000000001/tpgt_1
mkdir -p $port
echo naa.6001405000000002 > $port/nexus
mkdir $port/lun/lun_0
ln -s $store $port/lun/lun_0/store
disk_is /dev/sdb
sg_turs /dev/sdb
for letter in A B C; do tr '\0' $letter < /dev/zero | head -c 512 > $letter; done
cat A B > A-to-B
# A write of block 0, and a COMPARE AND WRITE of it: what the disk answers.
write() { sg_raw -s 512 -i "$1" /dev/sdb 2a 00 00 00 00 00 00 00 01 00 > /dev/null 2>&1 && echo good || echo failed; }
swap() {
    sg_compare_and_write --in=A-to-B --lba=0 --num=1 --xferlen=1024 /dev/sdb > /dev/null 2>&1
    case $? in 0) echo good ;; 14) echo miscompare ;; *) echo failed ;; esac
}
letter() { dd if=/dev/sda bs=512 count=1 iflag=direct 2> /dev/null | head -c 1; }
echo "write A: $(write A)"
echo "compare A, write B: $(swap), the disk has $(letter)"
echo "once more: $(swap)"
echo "write A again: $(write A)"
# From now on the disk does at once what it is told, and says so three seconds (300 ticks) later.
echo 300 > /sys/bus/pseudo/drivers/scsi_debug/delay
start=$(now_ms)
{ echo "slow: compare A, write B: $(swap)"; echo "it took $(($(now_ms) - start)) ms"; } > swapped &
sleep 1
echo "slow: write C, a second later: $(write C)"
echo "it was answered at $(($(now_ms) - start)) ms"
wait
cat swapped
echo 0 > /sys/bus/pseudo/drivers/scsi_debug/delay
echo "slow: in the end the disk has $(letter)"
echo 0 > $store/attrib/emulate_caw
echo "emulate_caw 0: compare A, write B: $(swap)"
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'emulate_caw: 1' && is 'compare A, write B: good, the disk has B' && is 'once more: miscompare' && is 'write A again: good' &&
    is 'slow: write C, a second later: good' && is 'slow: compare A, write B: good' && is 'slow: in the end the disk has B' &&
    is 'emulate_caw 0: compare A, write B: failed'; then
    echo "as found: a write that came between compare and write is lost"
else
    echo "changed: compare and write are one"
    exit 1
fi
