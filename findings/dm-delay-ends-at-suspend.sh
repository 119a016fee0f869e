#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A device-mapper `delay` lets everything that it holds back land at once when the device is suspended.
#
# Guess: `dmsetup suspend` waits for the delayed writes, which is to say for the whole delay.
# Is: it returns at once, and the writes have landed: suspending, also in order to load another table, ends the delay of
# all that is under way, with and without --noflush.
# Why it matters: trials put a dead owner's writes on a `delay` so that they land late. To change the table meanwhile (to
# cut the path, or to add a fault) makes them land early: such a trial passes without having tried anything. Whoever needs
# late writes and a change of table puts the change into a device of its own, above or below.
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
command -v dmsetup > /dev/null || apt-get -qq install -y --no-install-recommends dmsetup > /dev/null
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
mod brd rd_nr=1 rd_size=8192
mod dm_delay
size=$(blockdev --getsz /dev/ram0)
for option in --nolockfs --noflush; do
    dd if=/dev/zero of=/dev/ram0 bs=4096 count=1 2> /dev/null
    sync
    blockdev --flushbufs /dev/ram0
    dmsetup create slow --table "0 $size delay /dev/ram0 0 120000"
    start=$(now_ms)
    { tr '\0' Z < /dev/zero | dd of=/dev/mapper/slow bs=4096 count=1 iflag=fullblock oflag=direct conv=notrunc 2> /dev/null; } &
    sleep 4
    echo "$option: landed before: $(dd if=/dev/ram0 bs=4096 count=1 iflag=direct 2> /dev/null | grep -c ZZZZ)"
    dmsetup suspend $option slow
    took=$(($(now_ms) - start))
    echo "suspended ${took} ms after the write began, of 120000"
    [ $took -lt 60000 ] && echo "$option: early"
    echo "$option: landed after: $(dd if=/dev/ram0 bs=4096 count=1 iflag=direct 2> /dev/null | grep -c ZZZZ)"
    dmsetup resume slow
    wait
    dmsetup remove slow
done
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
good=1
for option in --nolockfs --noflush; do
    is "$option: landed before: 0" && is "$option: early" && is "$option: landed after: 1" || good=0
done
if [ $good = 1 ]; then
    echo "as found: suspending a delay lands what it holds at once"
else
    echo "changed: suspending a delay does not land what it holds at once"
    exit 1
fi
