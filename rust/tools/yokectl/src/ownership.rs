// SPDX-License-Identifier: GPL-2.0
//! `yokectl takeover` and `giveback`: change the owner, or say whether it would work.

use crate::abort;
use crate::attr::{self, Roots};
use crate::cli::{GivebackArgs, OwnershipArgs};
use crate::holders;
use crate::output::{self, Failure};
use crate::volume::{self, Volume};
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often the state is read while a change is under way; sysfs has no way to sleep until a value is reached.
pub(crate) const POLL: Duration = Duration::from_millis(50);
/// Progress is said when a change takes longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct DryRun<'a> {
    volume: &'a str,
    possible: bool,
    reason: &'a str,
}

/// Become the owner of a volume.
pub(crate) fn takeover(
    roots: &Roots,
    args: &OwnershipArgs,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let volume = find(roots, &args.name)?;
    let verdict = takeover_verdict(&volume);
    if args.dry_run {
        return Ok(dry_run(&args.name, "takeover", verdict, json));
    }
    verdict.map_err(|reason| refused("takeover", &args.name, &reason))?;
    command(roots, args, "takeover", "takeover", &volume, json)
}

/// Let the partner own a volume.
pub(crate) fn giveback(roots: &Roots, args: &GivebackArgs, json: bool) -> anyhow::Result<ExitCode> {
    if args.abort {
        return abort::abort(roots, &args.ownership, json);
    }
    let (force, args) = (args.force, &args.ownership);
    let volume = find(roots, &args.name)?;
    let verdict = giveback_verdict(&volume);
    let held = || match force || volume.stateless {
        true => Ok(()),
        false => unheld(roots, &volume),
    };
    if args.dry_run {
        let verdict = verdict.and_then(|()| held());
        return Ok(dry_run(&args.name, "giveback", verdict, json));
    }
    verdict.map_err(|reason| refused("giveback", &args.name, &reason))?;
    let word = if force { "force-giveback" } else { "giveback" };
    command(roots, args, "giveback", word, &volume, json).map_err(|error| match held() {
        // The kernel has the last word, and knows only how many there are.
        Err(holders) if find(roots, &args.name).is_ok_and(|now| now.role == "owner") => {
            Failure::refused(
                format!("giveback of {} was refused: {holders}", args.name),
                "unmount or close it; with --force they get errors from then on, for good",
            )
            .into()
        }
        _ => error,
    })
}

/// Whether nobody holds the disk whom user space can name; else who does.
fn unheld(roots: &Roots, volume: &Volume) -> Result<(), String> {
    let holders = holders::of(roots, &volume.disk);
    if holders.is_empty() {
        return Ok(());
    }
    Err(format!(
        "/dev/{} is held: {}",
        volume.disk,
        holders.join(", ")
    ))
}

/// The open volume of this name. Errors: a name that is none; it is not open.
pub(crate) fn find(roots: &Roots, name: &str) -> Result<Volume, Failure> {
    roots.yoke()?;
    attr::check_name(name)?;
    roots
        .volume(name)
        .map(|dir| volume::from_dir(&dir))
        .ok_or_else(|| {
            Failure::refused(
                format!("volume {name} is not open here"),
                "yokectl volume list shows the open ones",
            )
        })
}

fn takeover_verdict(volume: &Volume) -> Result<(), String> {
    match volume.role.as_str() {
        "owner" => Err("this controller owns it already".into()),
        _ if volume.takeover_possible => Ok(()),
        _ => Err(volume.takeover_reason.clone()),
    }
}

fn giveback_verdict(volume: &Volume) -> Result<(), String> {
    match volume.role.as_str() {
        "owner" if volume.takeover_possible => Ok(()),
        "owner" => Err(format!(
            "the partner could not take over: {}",
            volume.takeover_reason
        )),
        _ => Err("this controller does not own it".into()),
    }
}

fn refused(verb: &str, name: &str, reason: &str) -> Failure {
    Failure::refused(
        format!("{verb} of {name} is not possible now: {reason}"),
        "mend what the reason names and try again; nothing was changed",
    )
}

fn dry_run(name: &str, verb: &str, verdict: Result<(), String>, json: bool) -> ExitCode {
    let reason = verdict.as_ref().err().map(String::as_str).unwrap_or("");
    if json {
        output::print_json(&DryRun {
            volume: name,
            possible: verdict.is_ok(),
            reason,
        });
    } else if verdict.is_ok() {
        println!("{verb} of {name} would work now");
    } else {
        println!("{verb} of {name} would not work now: {reason}");
    }
    ExitCode::from(u8::from(verdict.is_err()))
}

fn command(
    roots: &Roots,
    args: &OwnershipArgs,
    verb: &str,
    word: &str,
    before: &Volume,
    json: bool,
) -> anyhow::Result<ExitCode> {
    attr::write(&roots.item("volumes", &args.name)?, "command", word)?;
    let started = Instant::now();
    let mut told = Instant::now();
    loop {
        let volume = find(roots, &args.name)?;
        if is_done(verb, before, &volume) {
            let took = started.elapsed().as_millis();
            let text = format!(
                "{verb} of {}: node {} owns it, generation {}, after {took} ms",
                args.name, volume.owner, volume.generation
            );
            return Ok(output::done(&text, json));
        }
        if started.elapsed() > Duration::from_secs(args.timeout) {
            // No write is begun while a giveback is under way: one that does not come to an end must not be left so.
            let taken_back = verb == "giveback" && abort::send(roots, &args.name).is_ok();
            return Err(Failure::refused(
                format!(
                    "{verb} of {} is not done after {} s: {} ({})",
                    args.name, args.timeout, volume.state, volume.reason
                ),
                if taken_back {
                    "it was taken back: this controller serves on; mend what the reason names and try again"
                } else {
                    "it may still happen: yokectl status shows where it is"
                },
            )
            .into());
        }
        if told.elapsed() > PATIENCE {
            eprintln!(
                "{verb} of {}: {}, {} dirty blocks {}",
                args.name, volume.state, volume.dirty_blocks, volume.reason
            );
            told = Instant::now();
        }
        std::thread::sleep(POLL);
    }
}

/// A takeover is done when this controller owns the volume, a giveback when somebody else does.
fn is_done(verb: &str, before: &Volume, now: &Volume) -> bool {
    match verb {
        "takeover" => now.role == "owner",
        _ => now.role != "owner" && now.owner != before.owner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(role: &str, owner: &str) -> Volume {
        let mut volume = volume::from_dir(std::path::Path::new("/nonexistent"));
        (volume.role, volume.owner) = (role.into(), owner.into());
        volume
    }

    #[test]
    fn a_giveback_is_done_when_the_partner_owns_and_not_when_nobody_does() {
        let before = volume("owner", "1");
        assert!(!is_done("giveback", &before, &volume("owner", "1")));
        assert!(!is_done("giveback", &before, &volume("standby", "1")));
        assert!(is_done("giveback", &before, &volume("standby", "0")));
    }

    #[test]
    fn a_takeover_is_done_when_this_controller_owns() {
        let before = volume("standby", "0");
        assert!(!is_done("takeover", &before, &volume("standby", "0")));
        assert!(is_done("takeover", &before, &volume("owner", "1")));
    }
}
