#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A persistent reservation that the disk refuses is no error of the kernel's ioctl: it returns a positive number.
#
# Guess: IOC_PR_REGISTER, IOC_PR_RESERVE and the others return -1 and set errno (EBADE, as a refused write does) when the disk refuses.
# Is: they return what became of the SCSI command, a positive number: 24 (RESERVATION CONFLICT), on Linux 6.1 280, which no header
# names. -1 is only for what the kernel itself refuses. And LIO tells a host that reserves after its key was taken
# away, when nobody else has the reservation, not of a conflict but of a unit that is not ready: 2, like any disk that fails.
# Why it matters: whoever compares with -1, as for any other ioctl (libraries that turn -1 into an error and all else into success
# do it for him), takes "another one has it" for "I have it" and writes. Only 0 is success. And 2 may mean "you are fenced".
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), LIO's iblock on a RAM disk, two initiators of tcm_loop.
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
cd $T
. ./job > result 2>&1
echo o > /proc/sysrq-trigger
sleep 60
END
chmod +x init

# call.pl DISK OPERATION ARGUMENT...: one call of the kernel's interface for persistent reservations (linux/pr.h), and what it returned.
cat > call.pl << 'END'
my ($disk, $name, @arguments) = @ARGV;
my %calls = (register => [0x401870c8, 'QQLx4'], reserve => [0x401070c9, 'QLL'], preempt => [0x401870cb, 'QQLL'],
    clear => [0x401070cd, 'QLx4']);
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
only_registrants=3
# call NAME DISK OPERATION ARGUMENT...
call() {
    name=$1; shift
    code=$(perl call.pl "$@")
    echo "$name: returned $code"
    case $code in 0) echo "$name: done" ;; errno*) echo "$name: error" ;; *) echo "$name: no error" ;; esac
}
call 'host 1 registers' /dev/sda register 0 1 0
call 'host 2 registers' /dev/sdb register 0 2 0
call 'host 1 reserves' /dev/sda reserve 1 $only_registrants 0
call 'host 2 reserves what host 1 has' /dev/sdb reserve 2 $only_registrants 0
call 'host 2 changes a key that it has not' /dev/sdb register 7 9 0
call 'host 2 preempts a key that nobody has' /dev/sdb preempt 2 9 $only_registrants 0
call 'host 1 preempts host 2' /dev/sda preempt 1 2 $only_registrants 0
sg_turs /dev/sdb > /dev/null 2>&1
call 'host 2, fenced, reserves' /dev/sdb reserve 2 $only_registrants 0
echo "holder: $(grep -o 'naa.*' $store/pr/res_holder)"
dd if=/dev/zero of=/dev/sdb bs=4096 count=1 oflag=direct conv=notrunc 2>&1 | grep -o 'Invalid exchange'
call 'host 1 clears' /dev/sda clear 1 0
call 'host 2, whose key is gone, reserves' /dev/sdb reserve 2 $only_registrants 0
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'host 1 registers: done' && is 'host 2 registers: done' && is 'host 1 reserves: done' && is 'host 1 preempts host 2: done' &&
    is 'host 2 reserves what host 1 has: no error' && is 'host 2 changes a key that it has not: no error' &&
    is 'host 2 preempts a key that nobody has: no error' && is 'host 2, fenced, reserves: no error' &&
    is 'host 2, whose key is gone, reserves: returned 2' && is 'host 1 clears: done' &&
    is 'holder: naa.6001405000000011' && is 'Invalid exchange'; then
    echo "as found: a refused reservation returns a positive number"
else
    echo "changed: a refused reservation is told otherwise"
    exit 1
fi
