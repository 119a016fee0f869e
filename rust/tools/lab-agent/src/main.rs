// SPDX-License-Identifier: GPL-2.0
//! yoke-lab-agent: what runs in a controller of the lab (docs/lab.md).
//!
//! As process 1 it makes the machine usable ([`init`]) and starts itself again as
//! the agent, which runs commands for the host ([`serve`]). With the word `join` it adds
//! what the lab needs to a machine that another process 1 has made usable. A program and not a
//! script, since it is on the path of every boot and every command, in an emulated
//! CPU: a Python agent took 2.5 s to load, this one 0.05 s.
#![forbid(unsafe_code)]

mod about;
mod init;
mod pump;
mod serve;
mod spawn;

use std::process::ExitCode;

use yoke_lab_agent::frame;

fn main() -> ExitCode {
    let joins = std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == "join");
    let outcome = if std::process::id() == 1 {
        init::run()
    } else if joins {
        init::join().and_then(|()| serve::run())
    } else {
        serve::run()
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            about::log(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
