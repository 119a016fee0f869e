#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# An NVMe volume that no controller can serve keeps its hosts waiting without an end, whatever time-outs they have set.
#
# Guess: a host gives up after its `fast_io_fail_tmo` or its `ctrl_loss_tmo`, at the latest when the command's own time-out is over; and
# a volume in the ANA state "persistent loss" is an error at once.
# Is: those times run only while a controller cannot be reached. One that answers, and says that the volume is inaccessible, lost
# for good, or changing, leaves the volume's I/O where no time counts: not sent, not in flight, not failed. A state "change"
# that goes on has the host reset its controllers again and again, and wait on. When the target's ports are taken away, the times run.
# Why it matters: if neither controller can take a volume over, its hosts hang until somebody comes, also those that would rather
# have an error (a cluster, a RAID over two appliances). Whoever exports volumes decides how long that may last, and
# ends it himself: takes the namespace or the port away, or answers with errors.
# Tried: the kernels of Debian 12 (6.1) and 13 (6.12) in QEMU, nvmet over TCP on the loopback interface, multipath as it is by default.
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
mkdir -p root/bin root/proc root/sys root/dev root/modules
cp "$(find tools -path '*bin/busybox')" root/bin/
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
mod brd 'rd_nr=1 rd_size=32768'
mod nvmet-tcp
mod nvme-tcp
cat > root/init << 'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc p /proc
mount -t sysfs s /sys
mount -t devtmpfs d /dev
. /load
mount -t configfs c /sys/kernel/config
ip link set lo up
. /job > /dev/ttyS0 2>&1
poweroff -f
END
chmod +x root/init

cat > root/job << 'END'
config=/sys/kernel/config/nvmet
system=$config/subsystems/nqn.2000-01.example:disks
mkdir $system
echo 1 > $system/attr_allow_any_host
space=$system/namespaces/1
mkdir $space
echo /dev/ram0 > $space/device_path
echo 00000000-0000-0000-0000-000000000001 > $space/device_uuid
echo 1 > $space/enable
host=hostnqn=nqn.2000-01.example:host,hostid=00000000-0000-0000-0000-00000000000f
times=reconnect_delay=1,fast_io_fail_tmo=2,ctrl_loss_tmo=4
for port in 1 2; do
    mkdir $config/ports/$port
    echo tcp > $config/ports/$port/addr_trtype
    echo ipv4 > $config/ports/$port/addr_adrfam
    echo 127.0.0.1 > $config/ports/$port/addr_traddr
    echo 442$port > $config/ports/$port/addr_trsvcid
    ln -s $system $config/ports/$port/subsystems/disks
    echo "transport=tcp,traddr=127.0.0.1,trsvcid=442$port,nqn=nqn.2000-01.example:disks,$host,$times" > /dev/nvme-fabrics
done
disk=/dev/nvme0n1
for try in $(seq 300); do [ -b $disk ] && [ -d /sys/block/nvme0c1n1 ] && break; sleep 0.1; done
now() { cut -d . -f 1 /proc/uptime; }
# state ANA: of the volume at both ports
state() { for port in 1 2; do echo "$1" > $config/ports/$port/ana_groups/1/ana_state; done; }
write() { dd if=/dev/zero of=$disk bs=4096 count=1 oflag=direct conv=notrunc 2> /dev/null && echo good || echo failed; }
# paths: their states, and those of the controllers
paths() { echo $(cat /sys/block/nvme0c*n1/ana_state) $(cat /sys/class/nvme/nvme*/state); }
words() { cat answer 2> /dev/null || echo waits; }
cd /sys/class/nvme/nvme0
command=$(cat /sys/module/nvme_core/parameters/io_timeout)
echo "times: fast_io_fail $(cat fast_io_fail_tmo), ctrl_loss $(cat ctrl_loss_tmo), a command $command"
cd /
echo "at first: $(paths): write $(write)"
state inaccessible
sleep 1
{ write > words; mv words answer; } &
sleep 45
echo "after 45 s: $(paths): write $(words), in flight $(awk '{ print $1 + $2 }' /sys/block/nvme0n1/inflight)"
state persistent-loss
sleep 20
echo "after 20 s more: $(paths): write $(words)"
state change
sleep 45
echo "after 45 s more: $(cat /sys/block/nvme0c*n1/ana_state | sort -u): write $(words)"
echo "resets by the host because of that: $(dmesg | grep -c 'ANATT timeout')"
state inaccessible
for try in $(seq 300); do [ "$(paths)" = 'inaccessible inaccessible live live' ] && break; sleep 0.1; done
echo "then: $(paths): write $(words)"
for port in 1 2; do rm $config/ports/$port/subsystems/disks; done
start=$(now)
for try in $(seq 300); do [ -e answer ] && break; sleep 0.1; done
echo "the ports are gone: write $(words)"
echo "after $(($(now) - start)) s"
echo end
END
(cd root && find . | cpio -o -H newc --quiet) > initrd
timeout -k 5 900 qemu-system-x86_64 -accel tcg -m 512 -nodefaults -display none -serial file:said -no-reboot \
    -kernel kernel/boot/vmlinuz-* -initrd initrd -append 'console=ttyS0 quiet loglevel=1 panic=-1' < /dev/null > console 2>&1 || true
tr -d '\r' < said | sed '/^end$/q' > result
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'times: fast_io_fail 2, ctrl_loss 4, a command 30' && is 'at first: optimized optimized live live: write good' &&
    is 'after 45 s: inaccessible inaccessible live live: write waits, in flight 0' &&
    is 'after 20 s more: persistent-loss persistent-loss live live: write waits' && is 'after 45 s more: change: write waits' &&
    is 'then: inaccessible inaccessible live live: write waits' && is 'the ports are gone: write failed'; then
    echo "as found: a volume that nobody serves has no time-out"
else
    echo "changed: a volume that nobody serves is an error"
    exit 1
fi
