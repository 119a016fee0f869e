// SPDX-License-Identifier: GPL-2.0
//! `yokectl giveback --abort`: take back a giveback, or a close, that is not done yet.

use crate::attr::{self, Roots};
use crate::cli::OwnershipArgs;
use crate::errno::EALREADY;
use crate::output::{self, Failure};
use crate::ownership::{find, POLL};
use crate::volume::Volume;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Take it back, and wait until this controller owns the volume again, if it has released it already.
pub(crate) fn abort(roots: &Roots, args: &OwnershipArgs, json: bool) -> anyhow::Result<ExitCode> {
    let name = &args.name;
    let (before, here) = (find(roots, name)?, attr::read(&roots.yoke()?, "node"));
    send(roots, name)?;
    let started = Instant::now();
    loop {
        let now = find(roots, name)?;
        match outcome(&here, &before, &now) {
            Outcome::Done => {
                let text = format!(
                    "{name} is not given back or closed any more: node {} owns it, generation {}",
                    now.owner, now.generation
                );
                return Ok(output::done(&text, json));
            }
            Outcome::TooLate => {
                return Err(Failure::refused(
                    format!("it was too late: node {} owns {name}", now.owner),
                    "yokectl giveback there, or yokectl takeover here, brings it back",
                )
                .into());
            }
            Outcome::Waits if started.elapsed() > Duration::from_secs(args.timeout) => {
                return Err(Failure::refused(
                    format!(
                        "{name} is not owned again after {} s: {} ({})",
                        args.timeout, now.state, now.reason
                    ),
                    "it may still happen: yokectl status shows where it is",
                )
                .into());
            }
            Outcome::Waits => std::thread::sleep(POLL),
        }
    }
}

/// Tell the kernel.
pub(crate) fn send(roots: &Roots, name: &str) -> Result<(), Failure> {
    let dir = roots.item("volumes", name)?;
    attr::try_write(&dir, "command", "abort-giveback").map_err(|error| match error.raw_os_error() {
        Some(EALREADY) => Failure::refused(
            format!("there is nothing to take back: {name} is neither being given back nor closed here"),
            "nothing was changed; yokectl status shows who owns it",
        ),
        _ => Failure::refused(
            format!("the giveback of {name} cannot be taken back now: {error}"),
            "the kernel log (dmesg | grep yoke) says why; nothing was changed; try again in a moment",
        ),
    })
}

/// What has become of it.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It is taken back.
    Done,
    /// Another controller owns the volume that this one has released.
    TooLate,
    /// This controller has released the volume, and nobody has claimed it yet.
    Waits,
}

/// `here`: the number of this controller.
fn outcome(here: &str, before: &Volume, now: &Volume) -> Outcome {
    if now.role == "owner" || before.owner != here {
        // Where another one owned it before, it was a close, and there is nothing to wait for.
        Outcome::Done
    } else if now.owner != here {
        Outcome::TooLate
    } else {
        Outcome::Waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(role: &str, owner: &str) -> Volume {
        let mut volume = crate::volume::from_dir(std::path::Path::new("/nonexistent"));
        (volume.role, volume.owner) = (role.into(), owner.into());
        volume
    }

    #[test]
    fn it_is_taken_back_when_this_controller_owns_or_owns_again() {
        let (owner, released) = (volume("owner", "1"), volume("standby", "1"));
        assert_eq!(outcome("1", &owner, &owner), Outcome::Done);
        assert_eq!(outcome("1", &released, &released), Outcome::Waits);
        assert_eq!(outcome("1", &released, &owner), Outcome::Done);
        assert_eq!(
            outcome("1", &released, &volume("standby", "0")),
            Outcome::TooLate
        );
    }

    #[test]
    fn a_close_beside_an_owner_is_taken_back_at_once() {
        let standby = volume("standby", "0");
        assert_eq!(outcome("1", &standby, &standby), Outcome::Done);
    }
}
