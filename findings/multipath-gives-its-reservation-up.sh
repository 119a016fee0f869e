#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Registering again, with the same key, on a multipath device of which one path is dead gives the reservation up.
#
# Guess: IOC_PR_REGISTER on a dm-multipath device registers on the paths that work, and to register a key that is registered already
# (PR_FL_IGNORE_KEY) changes nothing.
# Is: if one path fails, the whole call fails, and the key is taken away from all the others: also when it had been there before. If the
# reservation was held through one of those, it is gone, and every host may write.
# Why it matters: "register once more to be sure" at start, at a takeover or when a path has died is when paths are dead. It ends the
# fence that it was to confirm. Register path by path, not through device-mapper, or only when no key of one's own is there; and
# read back who holds the reservation after a registration that failed.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), two paths and a stranger as initiators of tcm_loop, LIO's iblock.
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
host 3 /dev/sdc
mod dm_multipath
mod dm_round_robin
pr() { perl call.pl "$@"; }
write() { dd if=/dev/zero of="$1" bs=4096 count=1 oflag=direct conv=notrunc 2> /dev/null && echo good || echo refused; }
size=$(blockdev --getsz /dev/sda)
dmsetup create both --table "0 $size multipath 0 0 1 1 round-robin 0 2 1 /dev/sda 1 /dev/sdb 1"
only_registrants=3 ignore_key=1
echo "registered: $(pr /dev/mapper/both register 0 1 $ignore_key)"
echo "reserved: $(pr /dev/mapper/both reserve 1 $only_registrants 0)"
echo "registered again: $(pr /dev/mapper/both register 0 1 $ignore_key)"
cat $store/pr/res_holder
echo "before: a stranger's write is $(write /dev/sdc)"
echo offline > /sys/block/sdb/device/state
echo "one path dead: a write is $(write /dev/mapper/both)"
echo "one path dead: a stranger's write is $(write /dev/sdc)"
code=$(pr /dev/mapper/both register 0 1 $ignore_key)
echo "registered again, one path dead: $code"
[ "$code" != 0 ] && echo 'registered again, one path dead: fails'
cat $store/pr/res_holder
echo "after: a stranger's write is $(write /dev/sdc)"
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'registered: 0' && is 'reserved: 0' && is 'registered again: 0' && is "before: a stranger's write is refused" &&
    is 'one path dead: a write is good' && is "one path dead: a stranger's write is refused" &&
    is 'registered again, one path dead: fails' && is 'No SPC-3 Reservation holder' && is "after: a stranger's write is good"; then
    echo "as found: a registration that one path fails gives the reservation up"
else
    echo "changed: a registration that one path fails leaves the reservation alone"
    exit 1
fi
