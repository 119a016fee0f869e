#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# dm-multipath goes on sending writes down a path that the disk refuses, and each of them fails.
#
# Guess: a write that is refused on one path (RESERVATION CONFLICT: this path is not registered) is tried on the other one, which is; or at
# least the path is failed.
# Is: the refusal goes up at once: EBADE for a direct write, EIO from fsync for a cached one. The path stays active, with no
# failure counted, and its checker cannot see it (TEST UNIT READY is allowed to everybody). So every other write fails, for good.
# Why it matters: a path that was dead when the key was registered, or that is new, is not registered: when it comes back a volume that
# was well on one path begins to fail its writes. Register such a path before it is given to multipath (multipathd does it only
# where it has been told the key: `reservation_key`).
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), two initiators of tcm_loop as paths, LIO's iblock on a RAM disk.
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

# call.pl DISK OPERATION ARGUMENT...: one call of the kernel's interface for persistent reservations (linux/pr.h), and what it returned.
cat > call.pl << 'END'
my ($disk, $name, @arguments) = @ARGV;
my %calls = (register => [0x401870c8, 'QQLx4'], reserve => [0x401070c9, 'QLL'], preempt => [0x401870cb, 'QQLL']);
open(my $file, '+<', $disk) or die "$disk: $!\n";
my $got = ioctl($file, $calls{$name}[0], pack($calls{$name}[1], @arguments));
print defined $got ? $got + 0 : "errno $!", "\n";
END

cat > job << 'END'
mod brd rd_nr=1 rd_size=65536
mod target_core_iblock
mount -t configfs c /sys/kernel/config
config=/sys/kernel/config/target
mkdir -p /run/target/pr
echo /run/target > $config/dbroot
mod tcm_loop
mod sd_mod
mod sg
store=$config/core/iblock_0/disk
mkdir -p $store
echo udev_path=/dev/ram0 > $store/control
echo 1 > $store/wwn/vpd_unit_serial
echo 1 > $store/enable
# host NUMBER DISK: an initiator of its own, which sees the same disk as DISK
host() {
    port=$config/loopback/naa.600140500000000$1/tpgt_1
    mkdir -p $port
    echo naa.600140500000001$1 > $port/nexus
    mkdir $port/lun/lun_0
    ln -s $store $port/lun/lun_0/store
    for try in $(seq 300); do [ -b "$2" ] && break; sleep 0.1; done
    sg_turs "$2" > /dev/null 2>&1
}
host 1 /dev/sda
host 2 /dev/sdb
mod dm_multipath
mod dm_round_robin
size=$(blockdev --getsz /dev/sda)
dmsetup create both --table "0 $size multipath 0 0 1 1 round-robin 0 2 1 /dev/sda 1 /dev/sdb 1"
write() { dd if=/dev/zero of=/dev/mapper/both bs=4096 count=1 conv=notrunc"$1" ${2:+oflag=$2} 2>&1 | grep '^dd:' || echo good; }
only_registrants=3
echo offline > /sys/block/sda/device/state
dmsetup message both 0 fail_path /dev/sda
echo "registered on the path that is left: $(perl call.pl /dev/sdb register 0 1 0)"
echo "reserved: $(perl call.pl /dev/sdb reserve 1 $only_registrants 0)"
for turn in 1 2 3 4; do write '' direct; done > one
echo "one path: $(grep -c good one) of 4"
echo running > /sys/block/sda/device/state
sg_turs /dev/sda && echo 'the path that is back: ready'
dmsetup message both 0 reinstate_path /dev/sda
for turn in 1 2 3 4 5 6 7 8; do write '' direct; done > two
cat two
echo "two paths: $(grep -c good two) of 8"
grep -q 'Invalid exchange' two && echo 'direct: EBADE'
for turn in 1 2 3 4; do write ,fsync; done > three
grep -q 'Input/output error' three && echo 'fsync: EIO'
dmsetup status both
dmsetup status both | grep -q '8:0 A 1 8:16 A 0' && echo 'both paths: active, no failure but the first'
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'one path: 4 of 4' && is 'the path that is back: ready' && is 'two paths: 4 of 8' && is 'direct: EBADE' && is 'fsync: EIO' &&
    is 'both paths: active, no failure but the first'; then
    echo "as found: a path that the disk refuses is kept, and its writes fail"
else
    echo "changed: a path that the disk refuses is not used, or its writes are tried on another"
    exit 1
fi
