#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# LIO reports the new size of a block device that has grown, and tells no host of it.
#
# Guess: after the device has grown, the next command of each host gets UNIT ATTENTION, capacity data has changed (2A/09), and
# the host looks again.
# Is: READ CAPACITY tells the new size at once, and no UNIT ATTENTION is raised: nobody asks. A host keeps the old size until it
# rescans. The other way round a host would go on beyond the end of a device that had become smaller.
# Why it matters: "hosts see that a volume grew" does not follow from resizing it on all members: an initiator has to rescan
# (documentation), or the export is taken away and brought back, which loses its reservations (lio-export-back-without-reservation).
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), iblock on device-mapper's `linear`, tcm_loop.
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

echo "before: $(sg_readcap /dev/sda | grep -o 'logical blocks=.*')"
table "0 $size linear /dev/ram0 0"
sg_raw /dev/sda 00 00 00 00 00 00 > /dev/null 2>&1 && echo 'test unit ready: good'
sg_raw -r 4096 /dev/sda 28 00 00 00 00 00 00 00 08 00 > /dev/null 2>&1 && echo 'read: good'
echo "after: $(sg_readcap /dev/sda | grep -o 'logical blocks=.*')"
[ "$(blockdev --getsz /dev/sda)" = $((size / 2)) ] && echo 'host: old size'
echo 1 > /sys/block/sda/device/rescan
[ "$(blockdev --getsz /dev/sda)" = "$size" ] && echo 'host after a rescan: new size'
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'test unit ready: good' && is 'read: good' && is 'after: logical blocks=131072' && is 'host: old size' &&
    is 'host after a rescan: new size'; then
    echo "as found: a disk that has grown raises no unit attention"
else
    echo "changed: a disk that has grown tells its hosts"
    exit 1
fi
