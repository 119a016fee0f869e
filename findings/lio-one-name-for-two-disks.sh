#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# LIO makes a disk's NAA name out of the hexadecimal digits of its serial number, and of the first 25 of them only.
#
# Guess: two disks with different serials (`vpd_unit_serial`) have different NAA names (VPD page 0x83).
# Is: everything that is no hexadecimal digit is left out, so `vol-x` and `vol-y` have one name; and digits after the 25th
# are left out, so two serials that begin with the same uuid (32 digits) have one name. Page 0x80 shows both serials
# unchanged, and nothing is said in the log.
# Why it matters: the NAA name is what a host's udev and multipath take for the identity of a disk. Two volumes that share
# one become two paths of a single disk, and each other's data is overwritten. An export's serial has to differ within its
# first 25 hexadecimal digits: a digest of appliance and volume, not a name, and not "appliance, then volume".
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12).
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
fetch() { apt-get -qq -o APT::Sandbox::User=root download user-mode-linux > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
command -v modprobe > /dev/null || apt-get -qq install -y --no-install-recommends kmod > /dev/null
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
mod brd rd_nr=5 rd_size=8192
mod target_core_iblock
mod tcm_loop
mod sd_mod
mount -t configfs c /sys/kernel/config
config=/sys/kernel/config/target
port=$config/loopback/naa.6001405000000001/tpgt_1
mkdir -p $port
echo naa.6001405000000002 > $port/nexus
lun=0
for serial in vol-x vol-y 6a3e5f0e52b14a7e9c1dbe5c0000000200000001 6a3e5f0e52b14a7e9c1dbe5c0000000200000002 \
    000000016a3e5f0e52b14a7e9c1dbe5c00000002; do
    store=$config/core/iblock_0/disk$lun
    mkdir -p $store
    echo udev_path=/dev/ram$lun > $store/control
    echo $serial > $store/wwn/vpd_unit_serial
    echo 1 > $store/enable
    mkdir $port/lun/lun_$lun
    ln -s $store $port/lun/lun_$lun/store
    name=$(cat /sys/class/scsi_device/*:*:*:$lun/device/wwid)
    echo "$serial is $name"
    eval "name$lun=$name"
    lun=$((lun + 1))
done
[ "$name0" = "$name1" ] && echo 'letters: one name'
[ "$name2" = "$name3" ] && echo 'digits after the 25th: one name'
[ "$name2" != "$name4" ] && echo 'digits before: two names'
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'letters: one name' && is 'digits after the 25th: one name' && is 'digits before: two names'; then
    echo "as found: different serials, one NAA name"
else
    echo "changed: different serials have different NAA names"
    exit 1
fi
