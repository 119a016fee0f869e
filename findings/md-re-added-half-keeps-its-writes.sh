#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A mirror of md whose halves ran apart is "whole" again after a re-add, and its halves still differ.
#
# Guess: when both halves of a RAID1 were run and written alone, the one that is added to the other is copied anew, or is refused.
# Is: assembling both is refused, with a message ("ignoring ... as it reports ... as failed"). But `mdadm --add`, the next thing
# that one does, says "re-added" if there is a bitmap, and copies only what the running half wrote while it was alone. What the
# other one wrote stays on it: [UU], "clean", recovery done, and a block that has two contents. Reads may take either disk; when
# the running half fails, data come up that had been given up. Only a `check` counts the mismatches. Without a bitmap all is copied.
# By its manual mdadm makes a bitmap of itself for arrays of more than 100 GB.
# Why it matters: a backing disk that is an md mirror which two controllers took apart (each saw its own half) is not healed so:
# `mdadm --zero-superblock` on the half that is given up, then --add. And a mirror of one's own has to copy what stands in either
# side's list of what was written alone.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), mdadm 4.2, RAID1 with an internal bitmap and without.
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
now_ms() { awk '{ printf "%d\n", \$1 * 1000 }' /proc/uptime; }
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
put() { tr '\0' "$1" < /dev/zero | dd of=/dev/md0 bs=4096 seek="$2" count=1 iflag=fullblock oflag=direct conv=notrunc 2> /dev/null; }
# get DISK BLOCK: the letter that stands there
get() { dd if="$1" bs=4096 skip="$2" count=1 iflag=direct 2> /dev/null | head -c 1; }
quietly() { "$@" > said 2>&1 || { cat said; echo "failed: $*"; }; }
# alone DISK LETTER BLOCK: that half runs without the other, and the letter is written
alone() {
    quietly mdadm --assemble /dev/md0 --run "/dev/mapper/$1"
    put "$2" "$3"
    sleep 1
    quietly mdadm --stop /dev/md0
}
for bitmap in internal none; do
    chunk=
    [ $bitmap = none ] || chunk=--bitmap-chunk=64
    quietly mdadm --create /dev/md0 --run --assume-clean --level=1 --raid-devices=2 --metadata=1.2 --bitmap=$bitmap $chunk \
        /dev/mapper/v0 /dev/mapper/v1
    put o 1000
    put o 9000
    quietly mdadm --stop /dev/md0
    alone v0 A 1000
    alone v1 B 9000
    mdadm --assemble /dev/md0 --run /dev/mapper/v0 /dev/mapper/v1 > said 2>&1 || true
    echo "bitmap $bitmap: both: $(grep -c 'ignoring .* as failed' said) refused, $(grep -o '\[[U_]*\]' /proc/mdstat)"
    mdadm --readwrite /dev/md0 > said 2>&1 || true
    mdadm /dev/md0 --add /dev/mapper/v1 > said 2>&1
    echo "bitmap $bitmap: --add: $(grep -o -e 're-added' -e '^mdadm: added' said)"
    for try in $(seq 60); do grep -q '\[UU\]' /proc/mdstat && break; sleep 1; done
    state=$(mdadm --detail /dev/md0 | sed -n 's/^ *State : \(.*[a-z]\) *$/\1/p')
    echo "bitmap $bitmap: after it: $(grep -o '\[[U_]*\]' /proc/mdstat), $state"
    first=$(($(cat /sys/block/md0/md/dev-dm-0/offset) / 8))
    for block in 1000 9000; do
        echo "bitmap $bitmap: block $block: $(get /dev/mapper/v0 $((first + block))) and $(get /dev/mapper/v1 $((first + block)))"
    done
    echo check > /sys/block/md0/md/sync_action
    for try in $(seq 60); do sleep 1; grep -q idle /sys/block/md0/md/sync_action && break; done
    differ=$(cat /sys/block/md0/md/mismatch_cnt)
    echo "bitmap $bitmap: a check finds that sectors differ: $differ"
    [ "$differ" -gt 0 ] && echo "bitmap $bitmap: the halves differ"
    quietly mdadm /dev/md0 --fail /dev/mapper/v0
    echo "bitmap $bitmap: block 9000 when the first half has failed: $(get /dev/md0 9000)"
    quietly mdadm --stop /dev/md0
    quietly mdadm --zero-superblock /dev/mapper/v0 /dev/mapper/v1
done
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'bitmap internal: both: 1 refused, [U_]' && is 'bitmap internal: --add: re-added' && is 'bitmap internal: after it: [UU], clean' &&
    is 'bitmap internal: block 1000: A and A' && is 'bitmap internal: block 9000: o and B' && is 'bitmap internal: the halves differ' &&
    is 'bitmap internal: block 9000 when the first half has failed: B' && is 'bitmap none: block 1000: A and A' &&
    is 'bitmap none: block 9000: o and o' && is 'bitmap none: a check finds that sectors differ: 0'; then
    echo "as found: a half that was re-added keeps what it wrote alone"
else
    echo "changed: a half that ran alone is copied anew, or refused"
    exit 1
fi
