#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# One bad sector under LIO takes all paths of a multipath host.
#
# Guess: a sector that cannot be read under an export is a MEDIUM ERROR to the host, as it is on a disk of its own: that one read
# fails, the paths stay, all other sectors can be read.
# Is: LIO answers it as it answers for a dead disk: NOT READY, "logical unit communication failure" (02/08/00). To the host that is a
# failure of the path: dm-multipath fails the path, tries the next one, and fails that too. Then nothing can be read any more; with
# queue_if_no_path even reads of good sectors wait for ever. On the disk itself the read ends with ENODATA and the path stays.
# Why it matters: TEST UNIT READY is good, so a path checker brings the paths back and the same read takes them again: a bad sector
# under one volume, or an error that a volume returns by intent (its time is over), makes the host swing between the controllers
# instead of telling the application. A volume that is exported should return an error only where another path may do
# better, and retry or mend (from the mirror) what it can; hosts should have a limited no_path_retry.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), scsi_debug with a medium error at sectors 4660 to 4669, LIO's iblock, two
# initiators of tcm_loop.
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
mod dm_multipath
mod dm_round_robin
mod target_core_iblock
mount -t configfs c /sys/kernel/config
config=/sys/kernel/config/target
mkdir -p /run/target/pr
echo /run/target > $config/dbroot
mod tcm_loop
disk_is() { for try in $(seq 300); do [ -b "$1" ] && sg_turs "$1" > /dev/null 2>&1 && break; sleep 0.1; done; }
# 2: reads of some sectors from 4660 on fail
mod scsi_debug dev_size_mb=16 opts=2
disk_is /dev/sda
size=$(blockdev --getsz /dev/sda)
bad=4660
good=8
# read_of DISK SECTOR: how a read of it ends
read_of() {
    LC_ALL=C dd if="$1" of=/dev/null bs=512 skip="$2" count=1 iflag=direct 2> "words.$2" && echo good ||
        sed -n 's/.*error reading [^:]*: //p' "words.$2"
}
# sense_of DISK: what the disk says to a READ(10) of the bad sector
sense_of() {
    sg_raw -r 512 -o /dev/null "$1" 28 00 00 00 12 34 00 00 01 00 2>&1 |
        sed -n 's/.*Sense key: //p; s/.*Additional sense: //p' | paste -s -d ,
}
# The disk itself, with one path.
dmsetup create multi --table "0 $size multipath 0 0 1 1 round-robin 0 1 1 /dev/sda 1"
echo "disk: sense $(sense_of /dev/sda)"
echo "disk, multipath: bad sector: $(read_of /dev/mapper/multi $bad)"
echo "disk, multipath: good sector: $(read_of /dev/mapper/multi $good)"
echo "disk, multipath: failed paths: $(dmsetup status multi | grep -o ' F ' | wc -l)"
dmsetup remove multi
# The same disk exported, with two paths.
store=$config/core/iblock_0/disk
mkdir -p $store
echo udev_path=/dev/sda > $store/control
echo 1 > $store/wwn/vpd_unit_serial
echo 1 > $store/enable
for n in 1 2; do
    port=$config/loopback/naa.600140500000000$n/tpgt_1
    mkdir -p $port
    echo naa.600140500000001$n > $port/nexus
    mkdir $port/lun/lun_0
    ln -s $store $port/lun/lun_0/store
    disk_is /dev/sd$(echo $n | tr 12 bc)
done
echo "export: sense $(sense_of /dev/sdb)"
table="2 1 round-robin 0 1 1 /dev/sdb 1 round-robin 0 1 1 /dev/sdc 1"
dmsetup create multi --table "0 $size multipath 0 0 $table"
echo "export, multipath: good sector: $(read_of /dev/mapper/multi $good)"
echo "export, multipath: bad sector: $(read_of /dev/mapper/multi $bad)"
echo "export, multipath: failed paths: $(dmsetup status multi | grep -o ' F ' | wc -l)"
echo "export, multipath: good sector afterwards: $(read_of /dev/mapper/multi $good)"
sg_turs /dev/sdb && sg_turs /dev/sdc && echo 'export: both paths are ready'
dmsetup remove multi
dmsetup create multi --table "0 $size multipath 1 queue_if_no_path 0 $table"
for sector in $bad $good; do
    read_of /dev/mapper/multi $sector > "read.$sector" &
    sleep 3
done
echo "export, queue_if_no_path: answered after 3 s: $(cat read.$bad read.$good | wc -l)"
dmsetup message multi 0 fail_if_no_path
wait
echo "export, told to fail: bad sector: $(cat read.$bad), good sector: $(cat read.$good)"
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'disk: sense Medium Error,Unrecovered read error' && is 'disk, multipath: bad sector: No data available' &&
    is 'disk, multipath: good sector: good' && is 'disk, multipath: failed paths: 0' &&
    is 'export: sense Not Ready,Logical unit communication failure' && is 'export, multipath: good sector: good' &&
    is 'export, multipath: bad sector: Input/output error' && is 'export, multipath: failed paths: 2' &&
    is 'export, multipath: good sector afterwards: Input/output error' && is 'export: both paths are ready' &&
    is 'export, queue_if_no_path: answered after 3 s: 0'; then
    echo "as found: a bad sector is a failure of the paths"
else
    echo "changed: a bad sector is an error of its own"
    exit 1
fi
