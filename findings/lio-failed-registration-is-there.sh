#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A registration with LIO that fails is there all the same, and as Debian sets LIO up each one from a Linux host fails.
#
# Guess: "persist through power loss" is offered, so it works; and a PERSISTENT RESERVE OUT that fails has changed nothing.
# Is: the kernel writes the registrations to a file in the directory `pr` below its `dbroot`. Debian's targetcli points
# `dbroot` to /etc/rtslib-fb-target, and neither package makes `pr` there. So a REGISTER that asks for persistence gets
# NOT READY (02/08/00), and is in force: its key is listed, it can reserve, and others are refused then. The kernel's IOC_PR_REGISTER
# always asks for it; sg_persist only with --param-aptpl.
# Why it matters: whoever takes the failure for "not registered" leaves a key behind that nobody owns, or tries for ever; whoever
# ignores it loses the reservation with the target's power. An appliance that exports through LIO makes `pr` in its
# dbroot, before the first host comes, and keeps it where it outlives a restart.
# Tried: user-mode-linux of Debian 12 (kernel 6.1; rtslib-fb 2.1.75, targetcli-fb 2.1.53) and 13 (6.12; 2.1.76, 2.1.53), tcm_loop.
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
[ -x /usr/bin/python3 ] || apt-get -qq install -y --no-install-recommends python3 > /dev/null
apt-get -qq -o APT::Sandbox::User=root download targetcli-fb python3-rtslib-fb python3-pyudev python3-six > /dev/null
for package in targetcli-fb*.deb python3-*.deb; do dpkg-deb -x "$package" packages; done
dpkg-deb -x user-mode-linux*.deb .
mkdir lib && ln -s ../usr/lib/uml/modules lib/modules
echo "user-mode-linux $(dpkg-deb -f user-mode-linux*.deb Version), kernel $(ls lib/modules)"
echo "rtslib-fb $(dpkg-deb -f python3-rtslib-fb*.deb Version), targetcli-fb $(dpkg-deb -f targetcli-fb*.deb Version)"

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

cat > export.py << 'END'
from rtslib_fb import LUN, TPG, BlockStorageObject, FabricModule, RTSRoot, Target

print("dbroot:", RTSRoot().dbroot)
disk = BlockStorageObject("disk", "/dev/ram0", wwn="12345678")
LUN(TPG(Target(FabricModule("loopback")), 1), 0, disk)
END

cat > job << 'END'
mod brd rd_nr=1 rd_size=65536
mod target_core_iblock
mount -t configfs c /sys/kernel/config
# What the packages have in /etc, and nothing else.
mount -t tmpfs e /etc
cp -R packages/etc/. /etc
export PYTHONPATH=packages/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1
mod target_core_mod
mod tcm_loop
mod sd_mod
mod sg
timeout 120 /usr/bin/python3 export.py
for try in $(seq 300); do [ -b /dev/sda ] && break; sleep 0.1; done
sg_turs /dev/sda > /dev/null 2>&1
keys() { sg_persist -n -i -k /dev/sda | grep -o '0x[0-9a-f]*$'; }
call() { perl call.pl /dev/sda "$@"; }
only_registrants=3
sg_persist -n -i -c /dev/sda | grep -o '(PTPL_C): 1'
ls -R /etc/rtslib-fb-target
[ "$(call register 0 26 0)" = 0 ] || echo 'register: fails'
dmesg | grep -o 'filp_open(.* failed'
echo "keys: $(keys)"
[ "$(call reserve 26 $only_registrants 0)" = 0 ] && echo 'reserve: good'
grep -o 'Initiator: naa' /sys/kernel/config/target/core/*/disk/pr/res_holder
mkdir /etc/rtslib-fb-target/pr
[ "$(call register 26 27 0)" = 0 ] && echo 'with the directory, register: good'
echo "with the directory, keys: $(keys)"
ls /etc/rtslib-fb-target/pr
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'dbroot: /etc/rtslib-fb-target' && is '(PTPL_C): 1' && is 'register: fails' && is 'keys: 0x1a' && is 'reserve: good' &&
    is 'Initiator: naa' && is 'with the directory, register: good' && is 'with the directory, keys: 0x1b' && is aptpl_12345678; then
    echo "as found: a registration that failed is there"
else
    echo "changed: a registration that failed is not there, or does not fail"
    exit 1
fi
