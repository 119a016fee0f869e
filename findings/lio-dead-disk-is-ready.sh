#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# LIO answers TEST UNIT READY and SYNCHRONIZE CACHE with GOOD for a block device that fails every read and write.
#
# Guess: a dead disk behind the target shows as such: MEDIUM ERROR for reads, NOT READY for TEST UNIT READY.
# Is: reads and writes get NOT READY, logical unit communication failure (02/08/00); TEST UNIT READY is GOOD, and so is
# SYNCHRONIZE CACHE where the device below announces no volatile cache.
# Why it matters: a path checker that asks TEST UNIT READY (multipath's `tur`) cannot see that a volume does not serve here. The
# ALUA state of its port group has to say so; errors of reads and writes do not. And a cache flush that
# succeeded proves nothing of the disk.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), iblock on device-mapper's `error`, tcm_loop.
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
now_ms() { awk '{ printf "%d\n", \$1 * 1000 }' /proc/uptime; }
cd $T
. ./job > result 2>&1
echo o > /proc/sysrq-trigger
sleep 60
END
chmod +x init

cat > job << 'END'
mod brd rd_nr=1 rd_size=65536
mod target_core_iblock
mod tcm_loop
mod sd_mod
mod sg
mod dm_mod
mount -t configfs c /sys/kernel/config
config=/sys/kernel/config/target
size=$(blockdev --getsz /dev/ram0)
dmsetup create volume --table "0 $((size / 2)) linear /dev/ram0 0"
table() { dmsetup suspend --noflush volume; dmsetup reload volume --table "$1"; dmsetup resume volume; }
store=$config/core/iblock_0/disk
mkdir -p $store
echo udev_path=/dev/mapper/volume > $store/control
echo 1 > $store/wwn/vpd_unit_serial
echo 1 > $store/enable
port=$config/loopback/naa.6001405000000001/tpgt_1
mkdir -p $port
echo naa.6001405000000002 > $port/nexus
mkdir $port/lun/lun_0
ln -s $store $port/lun/lun_0/store
until [ -b /dev/sda ]; do sleep 0.1; done
sg_turs /dev/sda

table "0 $((size / 2)) error"
sg_raw -r 4096 /dev/sda 28 00 00 00 00 00 00 00 08 00 > read 2>&1 || echo "read: $(grep -o 'communication failure' read)"
sg_raw /dev/sda 00 00 00 00 00 00 > /dev/null 2>&1 && echo 'test unit ready: good'
sg_raw /dev/sda 35 00 00 00 00 00 00 00 00 00 > /dev/null 2>&1 && echo 'synchronize cache: good'
cat read
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'read: communication failure' && is 'test unit ready: good' && is 'synchronize cache: good'; then
    echo "as found: a dead disk is ready"
else
    echo "changed: a dead disk is not ready, or says another thing"
    exit 1
fi
