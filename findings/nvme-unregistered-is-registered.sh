#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Who unregisters from an NVMe disk by the kernel's ioctl stays registered, with the key 0, and keeps its reservation.
#
# Guess: IOC_PR_REGISTER with `new_key` 0 takes this host's registration away, and with it the reservation that it holds, as it does
# on an SCSI disk and as Documentation/block/pr.rst has it: "If the new_key argument is 0 it unregisters the existing reservation
# passed in old_key". It returns 0 for that. PR_FL_IGNORE_KEY registers a new key whatever the old one was.
# Is: the NVMe driver never sends "unregister": with an `old_key` it sends "replace", else "register", with the new key 0. The kernel's
# own target takes that for a key. It returns 0, the host is registered and the holder, its key is 0, and the others stay shut out:
#     SCSI: host a unregistered: keys 22, not reserved: writes good, good, good
#     NVMe: host a unregistered: keys 0 22, type 3 of key 0: writes good, good, Invalid exchange
#     NVMe: to nvme-cli: 1 0 a 0 16 b
# The holder can then neither release it by ioctl (key 0 is EINVAL) nor register as if it were new (24, a conflict).
# PR_FL_IGNORE_KEY with `old_key` 0 is 24, a conflict, to who has another key, and 0 with any other `old_key`. An SCSI disk takes both.
# `nvme resv-register --rrega=1` does unregister, and frees the disk.
# Why it matters: a node that leaves by ioctl keeps the others out. On NVMe send "unregister" itself, or clear by ioctl with a key that
# is not 0, before leaving; and believe the report, not the returned 0.
# Tried: the kernel of Debian 13's backports (7.3.4) in QEMU, which has the target's `resv_enable`: 6.12 has none. Three hosts of one
# nvmet over TCP on the loopback interface, without native multipath; the SCSI disk is LIO's iblock, three initiators of tcm_loop.
# nvme-cli 2.3. Other targets may differ: SPDK's, by its source, refuses a new key 0, so there it is an error.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
fetch() { apt-get -qq -o APT::Sandbox::User=root download busybox-static > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
# need COMMAND PACKAGE
need() { command -v "$1" > /dev/null || apt-get -qq install -y --no-install-recommends "$2" > /dev/null; }
need qemu-system-x86_64 qemu-system-x86
need nvme nvme-cli
need modprobe kmod
need cpio cpio
need xz xz-utils
# The kernel is that of Debian 13's backports, whatever Debian this is: from the archive that this machine has its own from, with package
# lists of our own.
. /etc/os-release
mkdir -p apt/lists/partial apt/cache/archives/partial apt/none
apt-get indextargets --format "\$(CODENAME) \$(REPO_URI)" 'Created-By: Packages' 'Component: main' > archives
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $keys ] && keys="[signed-by=$keys]" || keys=''
echo "deb $keys $(sed -n "s/^$VERSION_CODENAME //p" archives | head -n 1) trixie-backports main" > apt/sources
cat > apt/conf << END
Dir::Etc::sourcelist "$T/apt/sources";
Dir::Etc::sourceparts "$T/apt/none";
Dir::State::lists "$T/apt/lists";
Dir::Cache "$T/apt/cache";
APT::Sandbox::User "root";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END
apt-get -qq -c apt/conf update
depends() { apt-cache -c apt/conf depends "$1" | sed -n "s/.*Depends: \(linux-$2\)/\1/p"; }
image=$(depends linux-image-cloud-amd64 'image-[^ ]*')
# Its parts are packages of their own since Linux 7.
{ echo "$image" && depends "$image" "[a-z]*-${image#linux-image-}"; } | xargs apt-get -qq -c apt/conf download > /dev/null
for package in linux-*.deb; do dpkg-deb -x "$package" kernel; done
dpkg-deb -x busybox-static*.deb tools
[ -d kernel/lib ] || ln -s usr/lib kernel/lib
version=$(ls kernel/lib/modules)
echo "linux-image-cloud-amd64 $(dpkg-deb -f linux-image*.deb Version), kernel $version, $(nvme version | head -n 1)"

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
tool nvme
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
mod brd 'rd_nr=2 rd_size=16384'
mod nvmet-tcp
mod nvme-tcp
mod target_core_iblock
mod tcm_loop
mod sd_mod
# Three hosts in one machine: without this, and `nvme_core.multipath` below if it is no module, they would see paths of one disk.
sed -i 's/nvme-core\.ko *$/& multipath=N/' root/load
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

# call.pl DISK OPERATION ARGUMENT...: one call of the kernel's interface for persistent reservations (linux/pr.h), and what it returned.
# call.pl DISK report: the keys that are registered, and of the reservation its type and its holder's key
cat > root/call.pl << 'END'
my ($disk, $name, @arguments) = @ARGV;
my %calls = (register => [0x401870c8, 'QQLx4'], reserve => [0x401070c9, 'QLL'], release => [0x401070ca, 'QLL'],
    preempt => [0x401870cb, 'QQLL'], clear => [0x401070cd, 'QLx4']);
open(my $file, '+<', $disk) or die "$disk: $!\n";
if ($name eq 'report') {
    my $keys = "\0" x 64;
    my $list = pack('LLP', 0, 8, $keys);
    defined ioctl($file, 0xc01070ce, $list) or die "read keys: $!\n";
    my (undef, $count) = unpack('LL', $list);
    my $held = "\0" x 16;
    defined ioctl($file, 0x801070cf, $held) or die "read reservation: $!\n";
    my ($key, undef, $type) = unpack('QLL', $held);
    print "keys ", join(' ', (unpack('Q8', $keys))[0 .. $count - 1]), ", ", $type ? "type $type of key $key" : "not reserved", "\n";
    exit;
}
my $got = ioctl($file, $calls{$name}[0], pack($calls{$name}[1], @arguments));
print defined $got ? $got + 0 : "errno $!", "\n";
END

cat > root/job << 'END'
only_registrants=3
ignore_key=1
pr() { perl /call.pl "$@"; }
await() { for try in $(seq 300); do [ -b $1 ] && break; sleep 0.1; done; }
# writes A B C: one of each
writes() {
    for disk; do dd if=$disk bs=4096 count=1 iflag=direct of=/dev/null 2> /dev/null; done
    for disk; do
        if dd if=/dev/zero of=$disk bs=4096 count=1 oflag=direct conv=notrunc 2> /words; then echo good; else sed -n 's/.*: //p' /words; fi
    done | paste -s -d , | sed 's/,/, /g'
}
# hosts DISK: of each one registered whether it is the holder, its key, its identity
hosts() { nvme resv-report $1 -n 1 --eds | sed -n 's/^ *\(rcsts\|rkey\|hostid\) *: *0*\(.\)/\2/p' | paste -s -d ' '; }

# An NVMe disk that three hosts see
config=/sys/kernel/config/nvmet
system=$config/subsystems/nqn.2000-01.example:disks
mkdir $system
echo 1 > $system/attr_allow_any_host
space=$system/namespaces/1
mkdir $space
echo /dev/ram0 > $space/device_path
echo 1 > $space/resv_enable
echo 1 > $space/enable
port=$config/ports/1
mkdir $port
echo tcp > $port/addr_trtype
echo ipv4 > $port/addr_adrfam
echo 127.0.0.1 > $port/addr_traddr
echo 4420 > $port/addr_trsvcid
ln -s $system $port/subsystems/disks
for host in a b c; do
    id=hostnqn=nqn.2000-01.example:host-$host,hostid=00000000-0000-0000-0000-00000000000$host
    echo "transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=nqn.2000-01.example:disks,$id" > /dev/nvme-fabrics
done
for disk in 0 1 2; do await /dev/nvme${disk}n1; done

# An SCSI disk that three hosts see
config=/sys/kernel/config/target
echo /run/target > $config/dbroot
store=$config/core/iblock_0/disk
mkdir -p $store
echo udev_path=/dev/ram1 > $store/control
echo 1 > $store/wwn/vpd_unit_serial
echo 1 > $store/enable
for host in a b c; do
    port=$config/loopback/naa.600140500000000$host/tpgt_1
    mkdir -p $port
    echo naa.600140500000001$host > $port/nexus
    mkdir $port/lun/lun_0
    ln -s $store $port/lun/lun_0/store
    case $host in a) await /dev/sda ;; b) await /dev/sdb ;; c) await /dev/sdc ;; esac
done

# start NAME A B C: host a has key 11 and the reservation, host b has key 22, host c has none
start() {
    name=$1 a=$2 b=$3 c=$4
    writes $a $b $c > /dev/null
    echo "$name: registered: $(pr $a register 0 11 0) $(pr $b register 0 22 0), reserved: $(pr $a reserve 11 $only_registrants 0)"
    echo "$name: reserved: $(pr $a report): writes $(writes $a $b $c)"
}
trial() {
    start "$@"
    echo "$name: host b registers, old key 0, new key 23, ignoring its key: returned $(pr $b register 0 23 $ignore_key)"
    echo "$name: host b registered: $(pr $a report)"
    echo "$name: host b registers, old key 1, new key 24, ignoring its key: returned $(pr $b register 1 24 $ignore_key)"
    echo "$name: host b registered again: $(pr $a report)"
    echo "$name: cleared: $(pr $a clear 11 0): $(pr $a report)"
    start "$@"
    echo "$name: host a unregisters, old key 11, new key 0: returned $(pr $a register 11 0 0)"
    echo "$name: host a unregistered: $(pr $b report): writes $(writes $a $b $c)"
    [ $name = SCSI ] || echo "NVMe: to nvme-cli: $(hosts $b)"
    echo "$name: host b reserves: returned $(pr $b reserve 22 $only_registrants 0)"
    echo "$name: host b has reserved: $(pr $b report): writes $(writes $a $b $c)"
    echo "$name: host a registers, old key 0, new key 12: returned $(pr $a register 0 12 0)"
    echo "$name: host a registered: $(pr $b report)"
}
trial SCSI /dev/sda /dev/sdb /dev/sdc
trial NVMe /dev/nvme0n1 /dev/nvme1n1 /dev/nvme2n1
echo "NVMe: host a releases key 0: returned $(pr $a release 0 $only_registrants 0)"
echo "NVMe: cleared by host b: $(pr $b clear 22 0): $(pr $b report)"
start NVMe $a $b $c
nvme resv-register $a -n 1 --crkey=11 --rrega=1 > /words && echo "NVMe: host a unregisters by nvme-cli: good"
echo "NVMe: host a unregistered by nvme-cli: $(pr $b report): writes $(writes $a $b $c)"
echo end
END
(cd root && find . | cpio -o -H newc --quiet) > initrd
timeout -k 5 600 qemu-system-x86_64 -accel tcg -m 512 -nodefaults -display none -serial file:said -no-reboot \
    -kernel "$(find kernel -name 'vmlinuz*')" -initrd initrd -append 'console=ttyS0 quiet loglevel=1 panic=-1 nvme_core.multipath=N' \
    < /dev/null > console 2>&1 || true
tr -d '\r' < said | sed '/^end$/q' > result
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
good=1
for name in SCSI NVMe; do
    is "$name: registered: 0 0, reserved: 0" && is "$name: cleared: 0: keys , not reserved" &&
        is "$name: reserved: keys 11 22, type 3 of key 11: writes good, good, Invalid exchange" &&
        is "$name: host a unregisters, old key 11, new key 0: returned 0" &&
        is "$name: host b registers, old key 1, new key 24, ignoring its key: returned 0" || good=0
done
is 'SCSI: host b registers, old key 0, new key 23, ignoring its key: returned 0' &&
    is 'SCSI: host b registered: keys 11 23, type 3 of key 11' &&
    is 'SCSI: host a unregistered: keys 22, not reserved: writes good, good, good' &&
    is 'SCSI: host b reserves: returned 0' &&
    is 'SCSI: host b has reserved: keys 22, type 3 of key 22: writes Invalid exchange, good, Invalid exchange' &&
    is 'SCSI: host a registers, old key 0, new key 12: returned 0' || good=0
is 'NVMe: host b registers, old key 0, new key 23, ignoring its key: returned 24' &&
    is 'NVMe: host b registered: keys 11 22, type 3 of key 11' &&
    is 'NVMe: host b registered again: keys 11 24, type 3 of key 11' &&
    is 'NVMe: host a unregistered: keys 0 22, type 3 of key 0: writes good, good, Invalid exchange' &&
    is 'NVMe: to nvme-cli: 1 0 a 0 16 b' && is 'NVMe: host b reserves: returned 24' &&
    is 'NVMe: host b has reserved: keys 0 22, type 3 of key 0: writes good, good, Invalid exchange' &&
    is 'NVMe: host a registers, old key 0, new key 12: returned 24' &&
    is 'NVMe: host a releases key 0: returned errno Invalid argument' &&
    is 'NVMe: cleared by host b: 0: keys , not reserved' &&
    is 'NVMe: host a unregisters by nvme-cli: good' &&
    is 'NVMe: host a unregistered by nvme-cli: keys 22, not reserved: writes good, good, good' || good=0
if [ $good = 1 ]; then
    echo "as found: to unregister from an NVMe disk is to register with key 0"
else
    echo "changed: to unregister from an NVMe disk does otherwise"
    exit 1
fi
