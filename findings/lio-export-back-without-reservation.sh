#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# LIO forgets a persistent reservation when the holder's export is taken away, and it does not come back with the export.
#
# Guess: registered with "persist through power loss", and kept in a file, a reservation outlives that the disk is taken from a port of
# the target and given back to it.
# Is: key and reservation are gone as soon as the disk is unlinked from the port through which the holder came. The other hosts may
# write at once and get no UNIT ATTENTION; the file still says that it is held. Linked again, the disk has no reservation. It can
# be put back (the file's lines, joined by commas, into `pr/res_aptpl_metadata`), but only while no port at all exports
# the disk: LIO refuses it (EINVAL) until then.
# Why it matters: to take an export away and bring it back (so that hosts see a new size, or to move it) lifts the fence in between
# and afterwards. To keep it, take the disk from all ports, write the metadata back, and link it again only then. (rtslib does so
# when it makes the disk anew, not when it makes a LUN.)
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
write() { dd if=/dev/zero of="$1" bs=4096 count=1 oflag=direct conv=notrunc 2> /dev/null && echo good || echo refused; }
holder() { tail -n 1 $store/pr/res_holder; }
lun() { echo "$config/loopback/naa.600140500000000$1/tpgt_1/lun/lun_0/store"; }
disk_is() { for try in $(seq 300); do [ -b "$1" ] && break; sleep 0.1; done; }
# What is in the file, as the kernel wants it.
restore() { tr -d ' ' < file | grep -v PR_REG | paste -s -d , > line; cat line > $store/pr/res_aptpl_metadata; }
only_registrants=3
echo "registered: $(perl call.pl /dev/sda register 0 1 0)"
echo "reserved: $(perl call.pl /dev/sda reserve 1 $only_registrants 0)"
echo "before: $(holder)"
echo "before: host 2 writes: $(write /dev/sdb)"
rm "$(lun 1)"
echo "away: $(holder)"
sg_turs /dev/sdb && echo 'away: host 2 is told nothing'
echo "away: host 2 writes: $(write /dev/sdb)"
tr -d '\0' < /run/target/pr/aptpl_1 > file
echo "away: the file says $(grep -o 'res_holder=1' file)"
ln -s $store "$(lun 1)"
disk_is /dev/sda
echo "back: $(holder)"
echo "back: host 2 writes: $(write /dev/sdb)"
rm "$(lun 1)"
restore 2> /dev/null || echo 'restored, another port exports: refused'
rm "$(lun 2)"
restore && echo 'restored, no port exports: good'
ln -s $store "$(lun 1)"
disk_is /dev/sda
ln -s $store "$(lun 2)"
disk_is /dev/sdb
echo "restored: $(holder)"
sg_turs /dev/sdb > /dev/null 2>&1
echo "restored: host 2 writes: $(write /dev/sdb)"
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'before: SPC-3 Reservation: loopback Initiator: naa.6001405000000011' && is 'before: host 2 writes: refused' &&
    is 'away: No SPC-3 Reservation holder' && is 'away: host 2 is told nothing' && is 'away: host 2 writes: good' &&
    is 'away: the file says res_holder=1' && is 'back: No SPC-3 Reservation holder' && is 'back: host 2 writes: good' &&
    is 'restored, another port exports: refused' && is 'restored, no port exports: good' &&
    is 'restored: SPC-3 Reservation: loopback Initiator: naa.6001405000000011' && is 'restored: host 2 writes: refused'; then
    echo "as found: an export that was taken away comes back without its reservation"
else
    echo "changed: an export that was taken away keeps its reservation, or cannot be given it back"
    exit 1
fi
