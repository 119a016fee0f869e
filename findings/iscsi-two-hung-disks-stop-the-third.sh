#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Two disks that hang stop all other disks of the same iSCSI target, at once and without an error.
#
# Guess: each disk has its own queue at the host (32 commands). Disks that hang fill theirs, those beside them go on.
# Is: LIO allows a session 64 commands that are not answered, over all its LUNs, and the host sends no more. With the defaults of both
# sides two busy disks that hang use them up, and no write to a third one is sent at all, long before any time-out is over.
# When one of the two answers again the third goes on.
# Why it matters: while two volumes wait for their takeover, or for a log that is full, all volumes that the host reaches by the same target
# wait with them, and what is counted as their latency is not theirs. A target for each volume, or `default_cmdsn_depth` (the
# target's attribute, at most 512) of more than the host's depth times its disks; beyond that the host's own `cmds_max`, 128, counts.
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), LIO's iblock over `linear`, open-iscsi 2.1.8, all by default.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
isns() { apt-cache depends open-iscsi | sed -n 's/.* \(libisns0.*\)/\1/p'; }
fetch() { apt-get -qq -o APT::Sandbox::User=root download user-mode-linux open-iscsi libopeniscsiusr "$(isns)" > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
command -v modprobe > /dev/null || apt-get -qq install -y --no-install-recommends kmod > /dev/null
command -v dmsetup > /dev/null || apt-get -qq install -y --no-install-recommends dmsetup > /dev/null
command -v ip > /dev/null || apt-get -qq install -y --no-install-recommends iproute2 > /dev/null
mkdir tools
for package in open-iscsi*.deb lib*.deb; do dpkg-deb -x "$package" tools; done
echo "open-iscsi $(dpkg-deb -f open-iscsi*.deb Version)"
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
export LD_LIBRARY_PATH=$(dirname "$(find "$PWD/tools" -name 'libopeniscsiusr.so*' | head -n 1)")
export PATH=$PWD/tools/sbin:$PWD/tools/usr/sbin:$PWD/tools/bin:$PWD/tools/usr/bin:$PATH
ip link set lo up
mod brd rd_nr=3 rd_size=65536
mod dm_mod
mod sd_mod
mod target_core_iblock
mount -t configfs c /sys/kernel/config
config=/sys/kernel/config/target
mkdir -p /run/target/pr
echo /run/target > $config/dbroot
mod iscsi_target_mod
mod iscsi_tcp
mkdir $config/iscsi
name=iqn.2000-01.example
group=$config/iscsi/$name:disks/tpgt_1
mkdir -p $group
mkdir $group/np/127.0.0.1:3260
for disk in 0 1 2; do
    dmsetup create v$disk --table "0 131072 linear /dev/ram$disk 0"
    store=$config/core/iblock_$disk/disk
    mkdir -p $store
    echo udev_path=/dev/mapper/v$disk > $store/control
    echo $disk > $store/wwn/vpd_unit_serial
    echo 1 > $store/enable
    mkdir $group/lun/lun_$disk
    ln -s $store $group/lun/lun_$disk/store
done
for attribute in generate_node_acls=1 cache_dynamic_acls=1 authentication=0 demo_mode_write_protect=0; do
    echo "${attribute#*=}" > $group/attrib/"${attribute%=*}"
done
echo 1 > $group/enable
echo "the target's commands a session: $(cat $group/attrib/default_cmdsn_depth)"
iscsistart -i $name:host -t $name:disks -g 1 -a 127.0.0.1 -p 3260 > words 2>&1
disk_is() { for try in $(seq 300); do [ -b "$1" ] && break; sleep 0.1; done; }
for disk in /dev/sda /dev/sdb /dev/sdc; do disk_is $disk; done
echo "the host's commands a disk: $(cat /sys/block/sdc/device/queue_depth)"
write() { dd if=/dev/zero of="$1" bs=4096 seek="$2" count=1 oflag=direct conv=notrunc 2> /dev/null; }
# fill DISK: more writes than its queue takes
fill() {
    for block in $(seq 40); do write "/dev/$1" "$block" & done
    for try in $(seq 100); do [ "$(awk '{ print $2 }' "/sys/block/$1/inflight")" -ge 32 ] && break; sleep 0.1; done
}
# quick NUMBER: a write to the third disk, for three seconds: no time-out is over then
quick() {
    { write /dev/sdc 0 && echo good > "answer.$1"; } > /dev/null &
    sleep 3
    cat "answer.$1" 2> /dev/null || echo waits
}
echo "none hangs: the third: $(quick 1)"
dmsetup suspend --noflush v0
fill sda
echo "one hangs: the third: $(quick 2)"
dmsetup suspend --noflush v1
fill sdb
echo "two hang: the third: $(quick 3)"
dmsetup resume v0
echo "one answers again: the third: $(quick 4)"
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is "the target's commands a session: 64" && is "the host's commands a disk: 32" && is 'none hangs: the third: good' &&
    is 'one hangs: the third: good' && is 'two hang: the third: waits' && is 'one answers again: the third: good'; then
    echo "as found: two disks that hang stop the third"
else
    echo "changed: disks of a target do not wait for each other"
    exit 1
fi
