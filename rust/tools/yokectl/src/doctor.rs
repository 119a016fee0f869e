// SPDX-License-Identifier: GPL-2.0
//! `yokectl doctor`: look for what is wrong from the ground up, and say what to do.

use crate::attr::{self, Roots};
use crate::output;
use crate::status;
use crate::volume::Volume;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// A disk that has lost a registration more often than this, since the volume was opened, does not do so by accident.
const LOSSES_MAX: u64 = 4;

/// One finding: what was looked at, how it is, and what to do about it.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    good: bool,
    detail: String,
    advice: String,
}

/// `yokectl doctor`: exit status 3 when something was found.
pub(crate) fn command(roots: &Roots, json: bool) -> anyhow::Result<ExitCode> {
    let findings = examine(roots);
    if json {
        output::print_json(&findings);
    } else {
        findings.iter().for_each(print);
    }
    let good = findings.iter().all(|finding| finding.good);
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(output::EXIT_DEGRADED)
    })
}

fn print(finding: &Finding) {
    println!(
        "{:4} {}: {}",
        if finding.good { "ok" } else { "BAD" },
        finding.check,
        finding.detail
    );
    if !finding.good && !finding.advice.is_empty() {
        println!("     -> {}", finding.advice);
    }
}

fn examine(roots: &Roots) -> Vec<Finding> {
    let mut all = vec![
        loaded(roots, "yoke", "insmod yoke.ko"),
        loaded(roots, "yoke_ntb", "insmod yoke_ntb.ko, when links are NTB"),
    ];
    let yoke = match roots.yoke() {
        Ok(yoke) => yoke,
        Err(failure) => {
            all.push(bad(
                "configfs",
                failure.to_string(),
                "mount -t configfs none /sys/kernel/config",
            ));
            return all;
        }
    };
    all.push(identity(&yoke));
    all.push(ntb_devices(roots));
    if let Ok(status) = status::gather(roots) {
        all.extend(links(&status));
        all.extend(volumes(&status));
    }
    all
}

fn ok(check: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        check,
        good: true,
        detail: detail.into(),
        advice: String::new(),
    }
}

fn bad(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding {
        check,
        good: false,
        detail: detail.into(),
        advice: advice.into(),
    }
}

fn loaded(roots: &Roots, module: &'static str, advice: &str) -> Finding {
    if roots.sys.join("module").join(module).is_dir() {
        return ok("module", format!("{module} is loaded"));
    }
    bad("module", format!("{module} is not loaded"), advice)
}

fn identity(yoke: &Path) -> Finding {
    let (appliance, node) = (attr::read(yoke, "appliance"), attr::read(yoke, "node"));
    if appliance.is_empty() || appliance.starts_with("00000000-0000-0000-0000-000000000000") {
        return bad(
            "identity",
            "the appliance is not set",
            "yokectl node --appliance UUID --node N, the same UUID on all controllers",
        );
    }
    ok("identity", format!("node {node} of {appliance}"))
}

fn ntb_devices(roots: &Roots) -> Finding {
    let dir = roots.sys.join("bus/ntb/devices");
    let found: Vec<String> = std::fs::read_dir(dir)
        .map(|all| {
            all.flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect()
        })
        .unwrap_or_default();
    if found.is_empty() {
        return bad(
            "ntb",
            "no NTB device",
            "load the NTB hardware driver of this machine, or use other interconnects",
        );
    }
    ok("ntb", format!("devices: {}", found.join(" ")))
}

fn links(status: &status::Status) -> Vec<Finding> {
    if status.links.is_empty() {
        return vec![bad(
            "link",
            "no link is configured",
            "yokectl link add NAME --device DEVICE",
        )];
    }
    let mut all: Vec<Finding> = status
        .links
        .iter()
        .map(|link| match link.state.as_str() {
            "up" => ok("link", format!("{} is up to node {}", link.name, link.peer)),
            _ => bad(
                "link",
                format!("{} is {}: {}", link.name, link.state, link.reason),
                "check the cable, the peer's power, and that its yoke has the link enabled",
            ),
        })
        .collect();
    if status
        .links
        .iter()
        .filter(|link| link.state == "up")
        .count()
        == 1
    {
        all.push(bad(
            "link",
            "one link only is up",
            "the loss of that link ends mirroring: add or mend a second one",
        ));
    }
    all
}

/// When whoever took over would write, and why then.
fn writes(volume: &Volume) -> String {
    match volume.takeover_writes.as_str() {
        "" => String::new(),
        when => format!(", and write {when}"),
    }
}

fn volumes(status: &status::Status) -> Vec<Finding> {
    let ready = status.peers.iter().any(|peer| peer.state == "ready");
    let advice = if ready {
        "open the volume on the partner too (yokectl volume open), and look at its state there"
    } else {
        "mend the links and the peer first: without a session nothing is mirrored"
    };
    let look = |v: &Volume| match v.weakness() {
        None => ok(
            "volume",
            format!(
                "{} is {}, owner {}, a takeover would work{}",
                v.name,
                v.state,
                v.owner,
                writes(v)
            ),
        ),
        Some(weakness) => bad("volume", format!("{} {weakness}", v.name), advice),
    };
    let volumes = &status.volumes;
    volumes
        .iter()
        .map(look)
        .chain(volumes.iter().filter_map(registration))
        .chain(volumes.iter().filter_map(dropped))
        .collect()
}

/// What a takeover found in this controller's memory, and could not use.
fn dropped(volume: &Volume) -> Option<Finding> {
    (volume.dropped > 0).then(|| {
        bad(
            "memory",
            format!(
                "{} has dropped {} slots of the owner that died: their data is not what their header says",
                volume.name, volume.dropped
            ),
            "over a bridge that keeps writes in order this does not happen: look for machine checks (EDAC, dmesg) of this \
             controller's memory, and check what is on the volume",
        )
    })
}

/// A disk that takes this controller's registration away again and again. What has the volume's other controllers at that disk
/// under the same name is found in no other way: each sees its own disk only.
fn registration(volume: &Volume) -> Option<Finding> {
    let lost = volume.registrations.saturating_sub(1);
    (lost > LOSSES_MAX).then(|| {
        bad(
            "reservation",
            format!(
                "{} has lost this controller's registration at {} {lost} times since it was opened",
                volume.name, volume.device
            ),
            "do two controllers have one NVMe host id (/etc/nvme/hostid), or one iSCSI initiator name, as after cloning? \
             Give each its own; or does the target start again and again, and forget?",
        )
    })
}
