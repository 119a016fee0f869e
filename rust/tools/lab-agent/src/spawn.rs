// SPDX-License-Identifier: GPL-2.0
//! Starts a command, on pipes or on a terminal of its own.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::pty::{grantpt, openpt, ptsname, unlockpt, OpenptFlags};
use rustix::termios::{tcsetwinsize, Winsize};

use crate::frame::{Hello, Kind};

/// A command that runs, in a process group of its own.
pub(crate) struct Running {
    /// The process; its id is also that of its group.
    pub(crate) child: Child,
    /// Its standard input.
    pub(crate) input: Option<OwnedFd>,
    /// Its outputs, and the kind of frame each makes.
    pub(crate) outputs: Vec<(OwnedFd, Kind)>,
}

/// Starts it.
pub(crate) fn start(hello: &Hello, environment: &[(String, String)]) -> io::Result<Running> {
    let Some((program, arguments)) = hello.argv.split_first() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "there is no command",
        ));
    };
    match hello.terminal {
        None => {
            let mut command = Command::new(program);
            command.args(arguments).process_group(0);
            prepare(&mut command, hello, environment);
            on_pipes(&mut command)
        }
        Some((rows, columns)) => {
            // A session with the terminal as its own takes code between fork and exec: setsid(1) has it.
            let mut command = Command::new("setsid");
            command.arg("--ctty").arg("--").args(&hello.argv);
            prepare(&mut command, hello, environment);
            on_terminal(&mut command, rows, columns)
        }
    }
}

fn prepare(command: &mut Command, hello: &Hello, environment: &[(String, String)]) {
    command
        .env_clear()
        .envs(environment.iter().cloned())
        .envs(&hello.env);
    if let Some(directory) = &hello.cwd {
        command.current_dir(directory);
    }
}

fn on_pipes(command: &mut Command) -> io::Result<Running> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut outputs = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        outputs.push((pipe.into(), Kind::Output));
    }
    if let Some(pipe) = child.stderr.take() {
        outputs.push((pipe.into(), Kind::Error));
    }
    let input = child.stdin.take().map(OwnedFd::from);
    Ok(Running {
        child,
        input,
        outputs,
    })
}

fn on_terminal(command: &mut Command, rows: u16, columns: u16) -> io::Result<Running> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    tcsetwinsize(
        &ours,
        Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )?;
    let path = ptsname(&ours, Vec::new())?;
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(path.to_string_lossy().as_ref())?;
    let child = command
        .stdin(theirs.try_clone()?)
        .stdout(theirs.try_clone()?)
        .stderr(theirs)
        .spawn()?;
    // The command keeps what it was started with: without this the terminal would never hang up.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(Running {
        child,
        input: Some(ours.try_clone()?),
        outputs: vec![(ours, Kind::Output)],
    })
}
