// SPDX-License-Identifier: GPL-2.0
//! Process 1 of a machine of the lab: makes the machine usable, starts the agent, takes in orphans.
//!
//! The root is the host's, read-only, through 9p. A layer in memory is put over it,
//! so that everything can be written and nothing reaches the host.

use std::ffi::CString;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use rustix::mount::{mount, mount_move, MountFlags};
use rustix::process::{chdir, chroot, wait, WaitOptions};
use rustix::system::sethostname;

use crate::about::{log, About, Card, LAB};

/// Options of every 9p mount but the root, which the kernel mounts itself.
const SHARE: &str = "trans=virtio,version=9p2000.L,msize=524288,access=any";

/// Runs for as long as the machine does.
pub(crate) fn run() -> Result<()> {
    put_layer_over_root()?;
    mount_system()?;
    furnish()?;
    keep_agent()
}

/// In a machine that another process 1 has made usable: adds what the lab needs.
pub(crate) fn join() -> Result<()> {
    let mounted = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    for (kind, target) in [
        ("debugfs", "/sys/kernel/debug"),
        ("configfs", "/sys/kernel/config"),
    ] {
        let place = format!(" {target} ");
        if !mounted.lines().any(|line| line.contains(&place)) {
            mount_at(kind, target, kind, "")?;
        }
    }
    furnish()
}

/// The lab's words, the tree, the kernel's modules, names of disks, and the network.
fn furnish() -> Result<()> {
    mount_share("lab", LAB, "cache=none")?;
    let about = About::read()?;
    // It changes under people's hands: what is opened is what stands there now.
    mount_share("tree", &about.tree, "cache=readahead")?;
    if let Err(error) = mount_share("modules", "/lib/modules", "cache=loose") {
        // A kernel without modules is a lab's good right.
        log(&format!("{error:#}"));
    }
    name_disks()?;
    set_up_network(&about)
}

fn mount_at(source: &str, target: &str, kind: &str, data: &str) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("cannot make {target}"))?;
    let data = CString::new(data)?;
    mount(
        source,
        target,
        kind,
        MountFlags::empty(),
        Some(data.as_c_str()),
    )
    .with_context(|| format!("cannot mount {kind} at {target}"))
}

fn mount_share(tag: &str, target: &str, cache: &str) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("cannot make {target}"))?;
    let data = CString::new(format!("{SHARE},{cache}"))?;
    mount(tag, target, "9p", MountFlags::RDONLY, Some(data.as_c_str()))
        .with_context(|| format!("cannot mount the share {tag} at {target}"))
}

fn put_layer_over_root() -> Result<()> {
    mount_at("tmpfs", "/run", "tmpfs", "mode=0755")?;
    for directory in ["/run/upper", "/run/work", "/run/root"] {
        fs::create_dir(directory)?;
    }
    mount_at(
        "overlay",
        "/run/root",
        "overlay",
        "lowerdir=/,upperdir=/run/upper,workdir=/run/work",
    )?;
    // The kernel has mounted devtmpfs here.
    mount_move("/dev", "/run/root/dev").context("cannot take /dev along")?;
    chdir("/run/root")?;
    mount_move(".", "/").context("cannot make the layer the root")?;
    chroot(".").context("cannot enter the layer")?;
    chdir("/")?;
    Ok(())
}

fn mount_system() -> Result<()> {
    mount_at("proc", "/proc", "proc", "")?;
    mount_at("sysfs", "/sys", "sysfs", "")?;
    mount_at("tmpfs", "/run", "tmpfs", "mode=0755")?;
    mount_at("tmpfs", "/tmp", "tmpfs", "mode=1777")?;
    mount_at("tmpfs", "/var/tmp", "tmpfs", "mode=1777")?;
    mount_at("devpts", "/dev/pts", "devpts", "mode=620,ptmxmode=666")?;
    mount_at("tmpfs", "/dev/shm", "tmpfs", "mode=1777")?;
    mount_at("debugfs", "/sys/kernel/debug", "debugfs", "")?;
    mount_at("configfs", "/sys/kernel/config", "configfs", "")?;
    if Path::new("/sys/kernel/tracing").is_dir() {
        mount_at("tracefs", "/sys/kernel/tracing", "tracefs", "")?;
    }
    fs::create_dir_all("/run/lock")?;
    for (target, link) in [
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ] {
        symlink(target, link).with_context(|| format!("cannot link {link}"))?;
    }
    Ok(())
}

/// `/dev/disk/by-id/virtio-SERIAL`, as udev would.
fn name_disks() -> Result<()> {
    let directory = Path::new("/dev/disk/by-id");
    fs::create_dir_all(directory)?;
    for entry in fs::read_dir("/sys/block")? {
        let entry = entry?;
        let serial = fs::read_to_string(entry.path().join("serial")).unwrap_or_default();
        let link = directory.join(format!("virtio-{}", serial.trim()));
        // Where there is udev it may have been here.
        if !serial.trim().is_empty() && link.symlink_metadata().is_err() {
            symlink(Path::new("/dev").join(entry.file_name()), link)?;
        }
    }
    Ok(())
}

fn set_up_network(about: &About) -> Result<()> {
    sethostname(about.name.as_bytes())?;
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    for host in &about.hosts {
        writeln!(hosts, "{} {}", host.address, host.name)?;
    }
    fs::write("/etc/hosts", hosts).context("cannot write /etc/hosts")?;
    let mut orders = "link set lo up\n".to_owned();
    for Card { mac, address } in &about.cards {
        let name = card(mac)?;
        writeln!(
            orders,
            "addr add {address}/24 dev {name}\nlink set {name} up"
        )?;
    }
    let mut ip = Command::new("/sbin/ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run ip")?;
    if let Some(mut input) = ip.stdin.take() {
        input.write_all(orders.as_bytes())?;
    }
    ensure!(ip.wait()?.success(), "ip could not set the network up");
    Ok(())
}

/// The network card of that hardware address.
fn card(mac: &str) -> Result<String> {
    for entry in fs::read_dir("/sys/class/net")? {
        let entry = entry?;
        if fs::read_to_string(entry.path().join("address"))
            .is_ok_and(|address| address.trim() == mac)
        {
            return Ok(entry.file_name().to_string_lossy().into_owned());
        }
    }
    anyhow::bail!("there is no network card {mac}")
}

/// Starts the agent, again if it should end, and reaps whatever is left to process 1.
fn keep_agent() -> Result<()> {
    loop {
        // Not its path: that may be hidden by now.
        let agent = Command::new("/proc/self/exe")
            .spawn()
            .context("cannot start the agent")?;
        loop {
            let Some((pid, status)) = wait(WaitOptions::empty())? else {
                continue;
            };
            if pid.as_raw_nonzero().get().unsigned_abs() == agent.id() {
                log(&format!("the agent ended: {status:?}"));
                break;
            }
        }
    }
}
