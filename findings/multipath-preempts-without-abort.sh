#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Through device-mapper, "preempt and abort" is sent to the disk as "preempt": it aborts nothing, and waits for nothing.
#
# Guess: IOC_PR_PREEMPT_ABORT on a dm-linear or dm-multipath device does what it does on the disk below.
# Is: an SCSI disk is sent PREEMPT AND ABORT (PERSISTENT RESERVE OUT, 5f 05). Through device-mapper it is sent PREEMPT (5f 04), as by
# IOC_PR_PREEMPT, with success: dm_pr_preempt() drops its argument `abort`. A write of the old holder that is under way is not aborted:
# it lands seconds after the ioctl has returned 0, and is good to him.
#     sda preempt_abort: raw=5f 05
#     mapper/multi0 preempt_abort: raw=5f 04
#     multi2: preempt_abort: raw=5f 04, returned 0: landed no
#     multi2: later: landed yes, to host 1 it is good
# Why it matters: after a takeover that preempts through device-mapper the other one's last writes may still come, and nothing tells
# when they no longer can. Preempt on a path, an SCSI disk, or let the disk drain by other means before the first write.
# Tried: the kernels of Debian 12 (6.1) and 13 (6.12) in QEMU; 7.3.4 has it by its source. What is sent, by the trace event
# scsi_dispatch_cmd_start, to a disk of scsi_debug, which refuses it; that writes land late, with LIO's iblock over a `delay` and two
# initiators of tcm_loop. Not tried: that 5f 05 would wait for that write, which takes another way to LIO than tcm_loop.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
image() { apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p'; }
fetch() { apt-get -qq -o APT::Sandbox::User=root download "$(image)" busybox-static > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
# need COMMAND PACKAGE
need() { command -v "$1" > /dev/null || apt-get -qq install -y --no-install-recommends "$2" > /dev/null; }
need qemu-system-x86_64 qemu-system-x86
need modprobe kmod
need dmsetup dmsetup
need cpio cpio
need xz xz-utils
dpkg-deb -x linux-image*.deb kernel
dpkg-deb -x busybox-static*.deb tools
[ -d kernel/lib ] || ln -s usr/lib kernel/lib
version=$(ls kernel/lib/modules)
echo "linux-image-cloud-amd64 $(dpkg-deb -f linux-image*.deb Version), kernel $version"

# A machine without disks, emulated: its first process is busybox, which loads the modules and runs the job. What that says
# comes out of the serial port.
depmod -b kernel "$version"
mkdir -p root/bin root/proc root/sys root/dev root/modules root/run/target/pr
cp "$(find tools -path '*bin/busybox')" root/bin/
# tool NAME: the machine has this one's program, with its libraries
tool() {
    cp "$(command -v "$1")" root/bin/
    ldd "root/bin/$1" | grep -o '/[^ ]*' | while read -r path; do mkdir -p "root$(dirname "$path")" && cp -L "$path" "root$path"; done
}
tool perl
tool dmsetup
# mod NAME OPTIONS: the machine loads that module, after those that it needs
mod() {
    modprobe -d "$T/kernel" -S "$version" --show-depends "$1" | sed -n 's/^insmod //p' | tr -d ' ' > needed
    while read -r path; do
        name=$(basename "$path" .xz)
        [ ! -e "root/modules/$name" ] || continue
        case $path in *.xz) xz -dc "$path" > "root/modules/$name" ;; *) cp "$path" root/modules/ ;; esac
        last="insmod /modules/$name"
        echo "$last" >> root/load
    done < needed
    sed -i "\$s/\$/ ${2:-}/" root/load
}
mod brd 'rd_nr=1 rd_size=16384'
mod dm-delay
mod dm-multipath
mod dm-round-robin
mod target_core_iblock
mod tcm_loop
mod sd_mod
mod scsi_debug
cat > root/init << 'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin DM_DISABLE_UDEV=1
mount -t proc p /proc
mount -t sysfs s /sys
mount -t devtmpfs d /dev
. /load
mount -t configfs c /sys/kernel/config
mount -t tracefs t /sys/kernel/tracing
. /job > /dev/ttyS0 2>&1
poweroff -f
END
chmod +x root/init

# call.pl DISK OPERATION ARGUMENT...: one call of the kernel's interface for persistent reservations (linux/pr.h), and what it returned.
cat > root/call.pl << 'END'
my ($disk, $name, @arguments) = @ARGV;
my %calls = (register => [0x401870c8, 'QQLx4'], reserve => [0x401070c9, 'QLL'], preempt => [0x401870cb, 'QQLL'],
    preempt_abort => [0x401870cc, 'QQLL'], clear => [0x401070cd, 'QLx4']);
open(my $file, '+<', $disk) or die "$disk: $!\n";
my $got = ioctl($file, $calls{$name}[0], pack($calls{$name}[1], @arguments));
print defined $got ? $got + 0 : "errno $!", "\n";
END

cat > root/job << 'END'
only_registrants=3
trace=/sys/kernel/tracing
echo 1 > $trace/events/scsi/scsi_dispatch_cmd_start/enable
pr() { perl /call.pl "$@"; }
await() { for try in $(seq 300); do [ -b $1 ] && break; sleep 0.1; done; }
read() { dd if=$1 bs=4096 count=1 iflag=direct 2> /dev/null; }
# linear DISK, multi DISK: that device-mapper device over it
linear() { dmsetup create "$1" --table "0 $(blockdev --getsz $2) linear $2 0"; }
multi() { dmsetup create "$1" --table "0 $(blockdev --getsz $2) multipath 0 0 1 1 round-robin 0 1 1 $2 1"; }
# sent: the persistent reservation commands that were sent to SCSI disks since the trace was cleared
sent() { echo $(grep -o 'raw=5f 0.' $trace/trace); }

# What is sent: to a disk of scsi_debug, which knows no reservations and refuses it.
await /dev/sda
read /dev/sda > /dev/null
linear linear0 /dev/sda
multi multi0 /dev/sda
for disk in sda mapper/linear0 mapper/multi0; do
    for operation in preempt preempt_abort; do
        echo > $trace/trace
        pr /dev/$disk $operation 2 1 $only_registrants 0 > /dev/null
        echo "$disk $operation: $(sent)"
    done
done

# What it means: a disk of LIO that two hosts see, of which each write takes ten seconds to land.
config=/sys/kernel/config/target
echo /run/target > $config/dbroot
dmsetup create slow --table "0 $(blockdev --getsz /dev/ram0) delay /dev/ram0 0 0 /dev/ram0 0 10000"
store=$config/core/iblock_0/disk
mkdir -p $store
echo udev_path=/dev/mapper/slow > $store/control
echo 1 > $store/wwn/vpd_unit_serial
echo 1 > $store/enable
# host NUMBER DISK: an initiator of its own, which sees the same disk as DISK
host() {
    port=$config/loopback/naa.600140500000000$1/tpgt_1
    mkdir -p $port
    echo naa.600140500000001$1 > $port/nexus
    mkdir $port/lun/lun_0
    ln -s $store $port/lun/lun_0/store
    await $2
}
host 1 /dev/sdb
host 2 /dev/sdc
linear linear2 /dev/sdc
multi multi2 /dev/sdc
landed() { read /dev/ram0 | grep -q "$letter$letter" && echo yes || echo no; }
now_ms() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }
# trial DISK LETTER: host 1 has the reservation and writes; host 2 preempts and aborts it meanwhile.
trial() {
    disk=/dev/mapper/$1 letter=$2
    for each in /dev/sdb /dev/sdc; do read $each > /dev/null; done
    echo "$1: registered: $(pr /dev/sdb register 0 1 0) $(pr $disk register 0 2 0), reserved: $(pr /dev/sdb reserve 1 $only_registrants 0)"
    tr '\0' $letter < /dev/zero | dd of=/block bs=4096 count=1 iflag=fullblock 2> /dev/null
    { dd if=/block of=/dev/sdb bs=4096 count=1 oflag=direct conv=notrunc 2> /dev/null && echo good || echo failed; } > /words &
    for try in $(seq 300); do grep -q ' 1$' /sys/block/sdb/inflight && break; sleep 0.1; done
    sleep 1
    echo "$1: under way: landed $(landed)"
    echo > $trace/trace
    start=$(now_ms)
    code=$(pr $disk preempt_abort 2 1 $only_registrants 0)
    landed=$(landed)
    took=$(($(now_ms) - start))
    echo "$1: preempt_abort: $(sent), returned $code: landed $landed"
    echo "$1: holder: $(grep -o 'naa.*' $store/pr/res_holder | sed 's/naa.600140500000001/host /')"
    echo "$1: that took $took ms"
    wait
    echo "$1: later: landed $(landed), to host 1 it is $(cat /words)"
    pr /dev/sdc clear 2 0 > /dev/null
}
trial linear2 A
trial multi2 B
echo end
END
(cd root && find . | cpio -o -H newc --quiet) > initrd
timeout -k 5 300 qemu-system-x86_64 -accel tcg -m 512 -nodefaults -display none -serial file:said -no-reboot \
    -kernel kernel/boot/vmlinuz-* -initrd initrd -append 'console=ttyS0 quiet loglevel=1 panic=-1' < /dev/null > console 2>&1 || true
tr -d '\r' < said | sed '/^end$/q' > result
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
good=1
is 'sda preempt: raw=5f 04' && is 'sda preempt_abort: raw=5f 05' || good=0
for disk in mapper/linear0 mapper/multi0; do is "$disk preempt: raw=5f 04" && is "$disk preempt_abort: raw=5f 04" || good=0; done
for disk in linear2 multi2; do
    is "$disk: registered: 0 0, reserved: 0" && is "$disk: under way: landed no" && is "$disk: holder: host 2" &&
        is "$disk: preempt_abort: raw=5f 04, returned 0: landed no" && is "$disk: later: landed yes, to host 1 it is good" || good=0
done
if [ $good = 1 ]; then
    echo "as found: device-mapper preempts without abort"
else
    echo "changed: device-mapper does otherwise with preempt and abort"
    exit 1
fi
