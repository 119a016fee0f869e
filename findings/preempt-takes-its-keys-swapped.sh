#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The kernel's IOC_PR_PREEMPT takes its two keys the other way round than its documentation says.
#
# Guess: as Documentation/block/pr.rst and blkpr(8) have it: the reservation that `old_key` refers to is released and replaced by one
# for `new_key`. So the key of the host that is to be fenced goes into `old_key`, and one's own into `new_key`.
# Is: `old_key` is the caller's own key, and `new_key` that of the host that is to be fenced. Called as documented it is refused, nobody
# is fenced, and the refusal is no error of the ioctl: it returns a positive number. IOC_PR_PREEMPT_ABORT is refused alike. (NVMe too, by
# the source of Linux 7.3.4: nvme_pr_preempt() takes `old_key` for CRKEY, the caller's.)
# Why it matters: a takeover that preempts a dead owner's reservation as documented fences nobody, and if it takes whatever is
# not -1 for success, it writes to a disk that the other one may still write to. Before the first write read back who holds the
# reservation.
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
pr() { perl call.pl "$@"; }
holder() { grep -o 'naa.*' $store/pr/res_holder | sed 's/naa.600140500000001/host /'; }
write() { dd if=/dev/zero of="$1" bs=4096 count=1 oflag=direct conv=notrunc 2> /dev/null && echo good || echo refused; }
only_registrants=3
# Host 1 has key 1, host 2 has key 2.
pr /dev/sda register 0 1 0 > /dev/null
pr /dev/sdb register 0 2 0 > /dev/null
pr /dev/sda reserve 1 $only_registrants 0 > /dev/null
echo "reserved: $(holder)"
code=$(pr /dev/sdb preempt 1 2 $only_registrants 0)
echo "host 2, old_key 1, new_key 2: returned $code"
[ "$code" -gt 0 ] && echo 'as documented: refused'
echo "as documented: $(holder)"
echo "as documented: a write of host 1 is $(write /dev/sda)"
echo "host 2, old_key 2, new_key 1: returned $(pr /dev/sdb preempt 2 1 $only_registrants 0)"
echo "other way round: $(holder)"
sg_turs /dev/sda > /dev/null 2>&1
echo "other way round: a write of host 1 is $(write /dev/sda)"
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'reserved: host 1' && is 'as documented: refused' && is 'as documented: host 1' && is 'as documented: a write of host 1 is good' &&
    is 'host 2, old_key 2, new_key 1: returned 0' && is 'other way round: host 2' &&
    is 'other way round: a write of host 1 is refused'; then
    echo "as found: old_key is one's own key"
else
    echo "changed: the keys of IOC_PR_PREEMPT are not what they were"
    exit 1
fi
