#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A superblock at the end of a volume is found on the disk below it, though the volume begins 1 MiB into that disk.
#
# Guess: what somebody puts on a volume that starts at an offset of its disk is not recognised on the disk: all is shifted.
# Is: formats that keep their superblock at the end of a device are found from the end, and a volume that reaches to the end
# of its disk ends where the disk ends. So libblkid calls the disk (with a header of another format in its first block, here
# eight letters) a DRBD disk when DRBD's internal metadata is on the volume, and a nilfs2 when a nilfs2 is: the second copy of
# its superblock suffices. A file system at the front of the volume does not show.
# Why it matters: udev, mount and mkfs act on what libblkid says of the *backing* disk. A disk of an appliance then looks
# like somebody else's, or is mounted or taken into service below the volume. Space kept free behind the data, as in front of it, ends that.
# Tried: util-linux 2.38.1 and 2.41.5, drbd-utils 9.22.0, nilfs-tools 2.2.9 and 2.2.11 (Debian 12, 13).
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
fetch() { apt-get -qq -o APT::Sandbox::User=root download drbd-utils nilfs-tools > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
for package in *.deb; do
    dpkg-deb -x "$package" .
    dpkg-deb -f "$package" Package Version | paste -s -d ' '
done
blkid -V
PATH=$PATH:$T/usr/sbin:$T/sbin

# Prints what is found on a disk that has the volume from 1 MiB to its end; $1 MiB more are free behind it.
on_disk() {
    truncate -s 1M disk
    printf OTHERFMT | dd of=disk conv=notrunc 2> /dev/null
    cat volume >> disk
    truncate -s "+$1M" disk
    blkid -p -o value -s TYPE disk || echo nothing
    rm disk
}
: > seen
try() {
    echo "$1: $(on_disk 0)" | tee -a seen
    echo "$1, 1 MiB behind it: $(on_disk 1)" | tee -a seen
    rm volume
}
truncate -s 256M volume
mkfs.nilfs2 -f -q volume
try nilfs2
truncate -s 256M volume
drbdmeta --force 1 v08 "$T/volume" internal create-md 1 > drbd.log 2>&1 || { cat drbd.log; exit 1; }
try drbd
truncate -s 256M volume
mkfs.ext4 -q volume
try ext4
if printf '%s\n' 'nilfs2: nilfs2' 'nilfs2, 1 MiB behind it: nothing' 'drbd: drbd' 'drbd, 1 MiB behind it: nothing' \
    'ext4: nothing' 'ext4, 1 MiB behind it: nothing' | cmp - seen; then
    echo "as found: the disk below looks like what its last blocks say"
else
    echo "changed"
    exit 1
fi
