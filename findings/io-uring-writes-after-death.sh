#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A write that a killed process had begun with io_uring lands after the process is gone and reaped.
#
# Guess: who has killed a process and waited for it knows that its I/O is over. With pwrite() and with Linux's older asynchronous
# I/O that is so: a process whose direct write the disk does not answer stays (state D) until it does.
# Is: with io_uring it is gone at once; its ring is taken down behind it, and the write that the disk holds lands whenever the disk
# goes on. A successor that was started meanwhile finds its own data overwritten.
# What shows it: the file of the dead is open until its last I/O is over. If it was opened with O_EXCL, which is a claim of the
# disk, the successor's own O_EXCL is refused (EBUSY) for just as long.
# Why it matters: that a daemon, an agent or a user-space target has ended is no fence. What counts is that its claim of the disk
# has: open disks with O_EXCL, and take EBUSY for "the predecessor still writes".
# Tried: user-mode-linux of Debian 12 (kernel 6.1) and 13 (6.12), crate io-uring 0.7.10; the disk is device-mapper's `linear`, suspended.
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
mkdir src
cat > Cargo.toml << 'END'
[package]
name = "finding_ring"
version = "0.0.0"
edition = "2021"
resolver = "3"

[dependencies]
io-uring = "=0.7.10"
libc = "=0.2.174"
END
cat > src/main.rs << 'END'
//! `WAY DISK`: one direct write of 4096 bytes, all of them the first letter of WAY: pwrite, aio or ring. With `claim` none is written.
use std::alloc::{alloc, Layout};
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

/// What io_submit takes; operation 1 is a write.
#[repr(C)]
#[derive(Default)]
struct Command {
    data: u64,
    key: [u32; 2],
    operation: u16,
    priority: i16,
    file: u32,
    memory: u64,
    length: u64,
    offset: u64,
    rest: [u64; 2],
}

fn main() {
    let mut words = std::env::args().skip(1);
    let (way, disk) = (words.next().unwrap(), words.next().unwrap());
    let file = match OpenOptions::new().write(true).custom_flags(libc::O_DIRECT | libc::O_EXCL).open(disk) {
        Ok(file) => file,
        Err(error) => return println!("{}", if error.raw_os_error() == Some(libc::EBUSY) { "busy" } else { "failed" }),
    };
    if way == "claim" {
        return println!("free");
    }
    // SAFETY: the layout has a size, all of its bytes are written before they are read, and it is never given back.
    let page: &'static [u8] = unsafe {
        let start = alloc(Layout::from_size_align(4096, 4096).unwrap());
        start.write_bytes(way.as_bytes()[0], 4096);
        std::slice::from_raw_parts(start, 4096)
    };
    match way.as_str() {
        "pwrite" => file.write_all_at(page, 0).unwrap(),
        "aio" => {
            let command = Command {
                operation: 1,
                file: file.as_raw_fd() as u32,
                memory: page.as_ptr() as u64,
                length: 4096,
                ..Command::default()
            };
            let list = [&raw const command];
            let mut context: libc::c_ulong = 0;
            let mut event = [0_u64; 4];
            // SAFETY: everything pointed to outlives the calls.
            unsafe {
                assert_eq!(libc::syscall(libc::SYS_io_setup, 1, &raw mut context), 0);
                assert_eq!(libc::syscall(libc::SYS_io_submit, context, 1, list.as_ptr()), 1);
                libc::syscall(libc::SYS_io_getevents, context, 1, 1, event.as_mut_ptr(), 0);
            }
        }
        _ => {
            let mut ring = io_uring::IoUring::new(1).unwrap();
            let write = io_uring::opcode::Write::new(io_uring::types::Fd(file.as_raw_fd()), page.as_ptr(), 4096).build();
            // SAFETY: the page is never given back.
            unsafe { ring.submission().push(&write).unwrap() };
            ring.submit_and_wait(1).unwrap();
        }
    }
}
END
cargo --version
cargo build --quiet
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
mod brd rd_nr=1 rd_size=65536
mod dm_mod
dmsetup create disk --table "0 $(blockdev --getsz /dev/ram0) linear /dev/ram0 0"
program=$PWD/target/debug/finding_ring
letter() { dd if=/dev/ram0 bs=4096 count=1 iflag=direct 2> /dev/null | head -c 1; }
claim() { $program claim /dev/mapper/disk; }
for way in pwrite aio ring; do
    tr '\0' - < /dev/zero | dd of=/dev/ram0 bs=4096 count=1 iflag=fullblock oflag=direct conv=notrunc 2> /dev/null
    dmsetup suspend --noflush --nolockfs disk
    $program $way /dev/mapper/disk &
    process=$!
    sleep 3
    kill -9 $process
    sleep 3
    # A process that has ended is a zombie, or has no folder any more.
    case $(sed -n 's/^State:[^A-Z]*\(.\).*/\1/p' /proc/$process/status 2> /dev/null) in
        '' | Z) there=gone; wait $process ;;
        *) there=there ;;
    esac
    echo "$way: killed: it is $there, the disk has $(letter), a claim: $(claim)"
    dmsetup resume disk
    wait
    sleep 1
    echo "$way: the disk goes on: it has $(letter), a claim: $(claim)"
done
echo end
END
timeout -k 5 600 usr/bin/linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$T/init" \
    con=null con0=null,fd:1 < /dev/null > console 2>&1 || true
grep -q '^end$' result || { tail -n 20 console result; echo "the kernel did not reach the end of its job"; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'pwrite: killed: it is there, the disk has -, a claim: busy' && is 'pwrite: the disk goes on: it has p, a claim: free' &&
    is 'aio: killed: it is there, the disk has -, a claim: busy' && is 'aio: the disk goes on: it has a, a claim: free' &&
    is 'ring: killed: it is gone, the disk has -, a claim: busy' && is 'ring: the disk goes on: it has r, a claim: free'; then
    echo "as found: the write of a process that is gone lands later"
else
    echo "changed: a process is gone when its I/O is over"
    exit 1
fi
