#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Two hosts announce one name by DNS-SD: who came second does not see the first.
#
# Guess: the second `register` fails, or its service gets another name; each of the two then sees both.
# Is: `register` returns Ok. On the network the newcomer becomes "name (2)", which is told by monitor() alone; on its own
# loopback, where nobody objects, it keeps the name. A browser does not keep the two apart: on the newcomer's own machine both names
# are the newcomer, and the first one is not listed at all. The first host sees both, rightly. Without the loopback interface
# (disable_interface) the second sees both too.
# Why it matters: two appliances from one image have one host name. One of them then believes that it is alone while the other one sees it:
# what a controller knows of its partner must not hang on a name. Announce a unique instance name (a serial number, a UUID), take
# the loopback out where one's own machine is not looked for, and treat a name change as an alarm.
# Tried: crate mdns-sd 0.21.7, two network namespaces joined by a veth pair.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
command -v ip > /dev/null || apt-get -qq install -y --no-install-recommends iproute2 > /dev/null
mkdir src
cat > Cargo.toml << 'END'
[package]
name = "finding_mdns_sd"
version = "0.0.0"
edition = "2021"

[dependencies]
mdns-sd = { version = "=0.21.7", default-features = false }
END
cat > src/main.rs << 'END'
use mdns_sd::{DaemonEvent, IfKind, ServiceDaemon, ServiceEvent, ServiceInfo};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const KIND: &str = "_example._tcp.local.";

/// A host that announces "appliance" and looks who else is there: `HOST SECONDS with|without` its loopback interface.
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (host, seconds) = (&arguments[1], arguments[2].parse().unwrap());
    let daemon = ServiceDaemon::new().unwrap();
    if arguments[3] == "without" {
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6]).unwrap();
    }
    let changes = daemon.monitor().unwrap();
    let properties: [(&str, &str); 0] = [];
    let service = ServiceInfo::new(KIND, "appliance", &format!("{host}.local."), "", 1, &properties[..])
        .unwrap()
        .enable_addr_auto();
    println!("{host}: register {:?}", daemon.register(service).map_err(|error| error.to_string()));
    let browser = daemon.browse(KIND).unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut listed = BTreeMap::new();
    while Instant::now() < end {
        match browser.recv_timeout(Duration::from_millis(100)) {
            Ok(ServiceEvent::ServiceResolved(found)) => {
                listed.insert(found.fullname.clone(), found.host.clone());
            }
            Ok(ServiceEvent::ServiceRemoved(_, name)) => {
                listed.remove(&name);
            }
            _ => {}
        }
    }
    let renamed = changes.try_iter().any(|event| matches!(event, DaemonEvent::NameChange(_)));
    println!("{host}: was told of a new name: {renamed}");
    for (name, of) in listed {
        let name = name.trim_end_matches(KIND).trim_end_matches('.');
        println!("{host}: sees \"{name}\" of {}", of.trim_end_matches(".local."));
    }
}
END
cargo --version
cargo build --quiet
cat > job << 'END'
ip link set lo up
ip link add here type veth peer name there
unshare -n sleep 100 &
sleep 1
holder=$!
other() { nsenter -t "$holder" -n "$@"; }
ip link set there netns "$holder"
other ip link set lo up
ip addr add 10.0.0.1/24 dev here
other ip addr add 10.0.0.2/24 dev there
ip link set here up
other ip link set there up
sleep 3
timeout 60 target/debug/finding_mdns_sd first 28 "$1" > first &
first=$!
sleep 8
other timeout 60 target/debug/finding_mdns_sd second 12 "$1" > second
wait $first
kill "$holder"
cat first second
END
for loopback in with without; do
    unshare -n sh job $loopback 2>&1 | sed "s/^/$loopback loopback: /"
done > result
cat result
cat > expected << 'END'
with loopback: first: register Ok(())
with loopback: first: was told of a new name: false
with loopback: first: sees "appliance (2)" of second
with loopback: first: sees "appliance" of first
with loopback: second: register Ok(())
with loopback: second: was told of a new name: true
with loopback: second: sees "appliance (2)" of second
with loopback: second: sees "appliance" of second
without loopback: first: register Ok(())
without loopback: first: was told of a new name: false
without loopback: first: sees "appliance (2)" of second
without loopback: first: sees "appliance" of first
without loopback: second: register Ok(())
without loopback: second: was told of a new name: true
without loopback: second: sees "appliance (2)" of second
without loopback: second: sees "appliance" of first
END
if cmp -s expected result; then
    echo "as found: the second does not see the first"
else
    echo "changed: the second sees the first, or the first sees what is not"
    exit 1
fi
