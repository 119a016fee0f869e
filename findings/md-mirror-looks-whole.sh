#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A mirror of md that could not write to one disk says that it is whole, and loses the data with the other disk.
#
# Guess: a write that fails on one disk of a RAID1 throws the disk out: [U_], degraded 1, and somebody is told.
# Is: with a list of bad blocks (mdadm's default) md writes down that this disk does not have these blocks, and answers the write with
# success. The array stays [UU], degraded is 0, `mdadm --detail` says "clean" and two working devices, md logs nothing. Only
# `md/dev-NAME/bad_blocks` and `state` (write_error, want_replacement) tell. When the other disk fails then, reads of these blocks
# fail, of an array that was whole until that moment.
# Why it matters: a backing disk that is an md mirror has single copies that nobody counts, and whoever trusts "[UU]" before he lets
# another copy go loses acknowledged data. Watch `bad_blocks`, or assemble without the list (`--update=no-bbl`, while it is
# empty). A mirror of one's own must not take a write that failed on one side for done without saying so in its state.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), mdadm 4.2, RAID1 over `linear` and `error`.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
fetch() { apt-get -qq -o APT::Sandbox::User=root download user-mode-linux mdadm > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
command -v modprobe > /dev/null || apt-get -qq install -y --no-install-recommends kmod > /dev/null
command -v dmsetup > /dev/null || apt-get -qq install -y --no-install-recommends dmsetup > /dev/null
dpkg-deb -x mdadm*.deb tools
echo "mdadm $(dpkg-deb -f mdadm*.deb Version)"
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
export PATH=$PWD/tools/sbin:$PWD/tools/usr/sbin:$PATH
mod brd rd_nr=2 rd_size=65536
mod dm_mod
mod md_mod
mod raid1
for disk in 0 1; do dmsetup create v$disk --table "0 131072 linear /dev/ram$disk 0"; done
# table DISK LINES: what that disk is from now on
table() {
    dmsetup suspend "$1"
    printf '%s\n' "$2" | dmsetup load "$1"
    dmsetup resume "$1"
}
write() { dd if=/dev/urandom of=/dev/md0 bs=4096 seek="$1" count=1 oflag=direct conv=notrunc 2> /dev/null && echo good || echo failed; }
read_of() { dd if=/dev/md0 of=/dev/null bs=4096 skip="$1" count=1 iflag=direct 2> /dev/null && echo good || echo failed; }
state() {
    detail=$(mdadm --detail /dev/md0 | sed -n 's/^ *State : //p; s/^ *\(Working Devices\) : /\1 /p' | sed 's/ *$//' | paste -s -d ,)
    echo "$1: $(grep -o '\[U*_*U*\]' /proc/mdstat), degraded $(cat /sys/block/md0/md/degraded), $detail"
}
mdadm --create /dev/md0 --run --assume-clean --level=1 --raid-devices=2 --metadata=1.2 /dev/mapper/v0 /dev/mapper/v1 > made 2>&1 || cat made
before=12000
after=1000
echo "whole: write $(write $before)"
# From its middle on, the second disk fails.
table v1 "0 65536 linear /dev/ram1 0
65536 65536 error"
dmesg -c > /dev/null
echo "half of a disk fails: write $(write $before)"
echo "half of a disk fails: lines of md in the kernel's log: $(dmesg | grep -c -e md -e raid)"
sleep 1
state 'half of a disk fails'
member=/sys/block/md0/md/dev-dm-1
echo "half of a disk fails: bad blocks $(wc -l < $member/bad_blocks), $(cat $member/state)"
echo "half of a disk fails: read $(read_of $before)"
# Then the other one fails altogether.
mdadm /dev/md0 --fail /dev/mapper/v0 > failed 2>&1 || cat failed
state 'the other disk is gone'
echo "the other disk is gone: what was written then: read $(read_of $before)"
echo "the other disk is gone: elsewhere: read $(read_of $after)"
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'whole: write good' && is 'half of a disk fails: write good' &&
    is 'half of a disk fails: [UU], degraded 0, clean,Working Devices 2' &&
    is "half of a disk fails: bad blocks 1, in_sync,write_error,want_replacement" && is 'half of a disk fails: read good' &&
    is 'the other disk is gone: what was written then: read failed' && is 'the other disk is gone: elsewhere: read good'; then
    echo "as found: a mirror that lost a write says that it is whole"
else
    echo "changed: a mirror that lost a write says so"
    exit 1
fi
