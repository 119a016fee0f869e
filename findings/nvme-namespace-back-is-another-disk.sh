#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# An NVMe namespace that is disabled for a moment comes back to its hosts as another disk, and the one they use is dead.
#
# Guess: a namespace that is disabled and enabled again, with the same number, UUID and data, is the same disk: who has it open or
# mounted gets errors, or waits, for that while, and goes on then, as when its ANA state is inaccessible for a while.
# Is: what is open is dead for good. Reads find the end of the disk (0 bytes, and no error), writes find it full, a mounted file
# system has errors until it is unmounted, and the disk that comes has another name. Only a disk that nobody used comes back as it was.
# Why it matters: an export that is moved by "disable here, enable there" kills what its hosts have open; so does all that nvmet
# wants a disabled namespace for (another `device_path` or UUID). ANA states move it without harm. By its source a host drops the disk
# with its last path, so a namespace that has to be disabled stays enabled at the other controller meanwhile.
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
mod ext4
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
port=$config/ports/1
mkdir $port
echo tcp > $port/addr_trtype
echo ipv4 > $port/addr_adrfam
echo 127.0.0.1 > $port/addr_traddr
echo 4420 > $port/addr_trsvcid
ln -s $system $port/subsystems/disks
host=hostnqn=nqn.2000-01.example:host,hostid=00000000-0000-0000-0000-00000000000f
echo "transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=nqn.2000-01.example:disks,$host" > /dev/nvme-fabrics
# disks: those that a host sees (nvme0c0n1 is a path)
disks() { for disk in /sys/block/nvme*n*; do [ -d "$disk" ] && basename "$disk"; done | grep -v c | paste -s -d ' '; }
# again: the namespace is disabled, its disk goes, it is enabled, a disk comes
again() {
    echo 0 > $space/enable
    for try in $(seq 300); do [ -z "$(disks)" ] && break; sleep 0.1; done
    sleep 1
    echo "disabled: disks: $(disks)"
    echo 1 > $space/enable
    for try in $(seq 300); do [ -n "$(disks)" ] && break; sleep 0.1; done
    sleep 1
}
read_held() { dd of=/block bs=4096 count=1 <&3 2> words && echo "$(wc -c < /block) bytes" || echo failed; }
write_held() { dd if=/dev/zero bs=4096 count=1 >&3 2> words && echo good || { echo "failed, $(sed -n 's/.*: //p' words)"; }; }
for try in $(seq 300); do [ -b /dev/nvme0n1 ] && break; sleep 0.1; done
echo "at first: disks: $(disks)"
again
echo "enabled, not in use: disks: $(disks)"
mke2fs /dev/nvme0n1 > words 2>&1 || cat words
mkdir /mounted
mount -t ext4 /dev/nvme0n1 /mounted
file() { { echo "$1" > "/mounted/$1" && sync -f "/mounted/$1" && echo good; } 2> /dev/null || echo failed; }
exec 3<> /dev/nvme0n1
echo "in use: disks: $(disks): file $(file one), read $(read_held)"
echo inaccessible > $port/ana_groups/1/ana_state
sleep 2
echo optimized > $port/ana_groups/1/ana_state
sleep 1
echo "inaccessible for a while: disks: $(disks): file $(file two), read $(read_held)"
again
echo "enabled, in use: disks: $(disks)"
sleep 10
echo "enabled, in use: file $(file three), read $(read_held), write $(write_held)"
umount /mounted
exec 3>&-
mount -t ext4 "/dev/$(disks)" /mounted
echo "the new one mounted: file one has: $(cat /mounted/one)"
echo "the new one mounted: file $(file three)"
echo end
END
(cd root && find . | cpio -o -H newc --quiet) > initrd
timeout -k 5 900 qemu-system-x86_64 -accel tcg -m 512 -nodefaults -display none -serial file:said -no-reboot \
    -kernel kernel/boot/vmlinuz-* -initrd initrd -append 'console=ttyS0 quiet loglevel=1 panic=-1' < /dev/null > console 2>&1 || true
tr -d '\r' < said | sed '/^end$/q' > result
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'at first: disks: nvme0n1' && is 'enabled, not in use: disks: nvme0n1' &&
    is 'in use: disks: nvme0n1: file good, read 4096 bytes' && is 'inaccessible for a while: disks: nvme0n1: file good, read 4096 bytes' &&
    is 'enabled, in use: disks: nvme0n2' && is 'enabled, in use: file failed, read 0 bytes, write failed, No space left on device' &&
    is 'the new one mounted: file one has: one' && is 'the new one mounted: file good'; then
    echo "as found: a namespace that comes back is another disk"
else
    echo "changed: a namespace that comes back is the same disk"
    exit 1
fi
