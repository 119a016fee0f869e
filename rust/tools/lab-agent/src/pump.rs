// SPDX-License-Identifier: GPL-2.0
//! Moves bytes between a command and its client until the command has ended.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::event::{poll, PollFd, PollFlags};
use rustix::io::{ioctl_fionbio, ioctl_fionread, Errno};
use rustix::process::{kill_process_group, pidfd_open, Pid, PidfdFlags, Signal};

use crate::frame::{Channel, Kind, CHUNK};
use crate::spawn::Running;

/// Runs a command to its end. If the client goes first, the command's group is killed.
pub(crate) fn run(mut running: Running, channel: &mut Channel) -> io::Result<()> {
    let moved = move_bytes(&mut running, channel);
    if moved.is_err() {
        // It may have ended by itself meanwhile.
        let _ = kill_process_group(Pid::from_child(&running.child), Signal::KILL);
    }
    let status = running.child.wait()?;
    moved?;
    channel.send(Kind::Exit, exit_text(status).as_bytes())
}

fn exit_text(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("{{\"code\": {code}}}"),
        None => format!("{{\"signal\": {}}}", status.signal().unwrap_or(0)),
    }
}

/// Input that the command has not taken yet.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    end: bool,
}

/// Returns when the command has ended and all that it wrote has been sent.
fn move_bytes(running: &mut Running, channel: &mut Channel) -> io::Result<()> {
    for fd in running
        .outputs
        .iter()
        .map(|(fd, _)| fd)
        .chain(&running.input)
    {
        ioctl_fionbio(fd, true)?;
    }
    // From here on the connection may be silent for as long as the command runs.
    channel.stream().set_read_timeout(None)?;
    let ended = pidfd_open(Pid::from_child(&running.child), PidfdFlags::empty())?;
    let mut pending = Pending::default();
    loop {
        feed(&mut running.input, channel, &mut pending)?;
        let news = wait(running, channel, &ended, &pending)?;
        for index in news.outputs.into_iter().rev() {
            let (fd, kind) = &running.outputs[index];
            if forward(fd, *kind, channel)? == Some(0) {
                running.outputs.remove(index);
            }
        }
        if news.ended {
            break;
        }
        if news.channel {
            channel.receive()?;
        }
        if news.input_closed {
            running.input = None;
        }
    }
    drain(running, channel)
}

/// What a wait has found.
struct News {
    /// Indices of outputs to read.
    outputs: Vec<usize>,
    ended: bool,
    channel: bool,
    input_closed: bool,
}

fn wait(
    running: &Running,
    channel: &Channel,
    ended: &OwnedFd,
    pending: &Pending,
) -> io::Result<News> {
    let mut fds: Vec<PollFd<'_>> = running
        .outputs
        .iter()
        .map(|(fd, _)| PollFd::new(fd, PollFlags::IN))
        .collect();
    let outputs = fds.len();
    fds.push(PollFd::new(ended, PollFlags::IN));
    let listen = if channel.has_room() {
        PollFlags::IN
    } else {
        PollFlags::empty()
    };
    fds.push(PollFd::new(channel.stream(), listen));
    let write = if pending.bytes.is_empty() {
        PollFlags::empty()
    } else {
        PollFlags::OUT
    };
    fds.extend(running.input.iter().map(|fd| PollFd::new(fd, write)));
    loop {
        match poll(&mut fds, None) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let hears = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
    Ok(News {
        outputs: (0..outputs).filter(|&index| hears(index)).collect(),
        ended: hears(outputs),
        channel: hears(outputs + 1),
        // Asked for nothing and answered: nobody reads it any more.
        input_closed: write.is_empty() && hears(outputs + 2),
    })
}

/// Gives the command as much of the received input as it takes.
fn feed(
    input: &mut Option<OwnedFd>,
    channel: &mut Channel,
    pending: &mut Pending,
) -> io::Result<()> {
    loop {
        let Some(fd) = input.as_ref() else {
            pending.bytes.clear();
            return discard(channel);
        };
        if !pending.bytes.is_empty() {
            match rustix::io::write(fd, &pending.bytes) {
                Ok(count) => drop(pending.bytes.drain(..count)),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(_) => *input = None,
            }
        } else if pending.end {
            *input = None;
        } else {
            match channel.next()? {
                Some((Kind::Input, bytes)) => pending.bytes = bytes,
                Some((Kind::InputEnd, _)) => pending.end = true,
                Some(_) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "unexpected kind of frame",
                    ))
                }
                None => return Ok(()),
            }
        }
    }
}

fn discard(channel: &mut Channel) -> io::Result<()> {
    while channel.next()?.is_some() {}
    Ok(())
}

/// Sends what an output holds: how much, 0 at its end, `None` when it is empty for now.
fn forward(fd: impl AsFd, kind: Kind, channel: &mut Channel) -> io::Result<Option<usize>> {
    let mut chunk = [0; CHUNK];
    match rustix::io::read(fd, &mut chunk) {
        Ok(0) => Ok(Some(0)),
        Ok(count) => {
            channel.send(kind, &chunk[..count])?;
            Ok(Some(count))
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        // A terminal says so when its last user has gone.
        Err(_) => Ok(Some(0)),
    }
}

/// The command has ended: what its pipes hold now is all that it wrote. Something that it
/// left in the background may hold them open and write on: that is not waited for.
fn drain(running: &Running, channel: &mut Channel) -> io::Result<()> {
    for (fd, kind) in &running.outputs {
        let mut left = ioctl_fionread(fd)?;
        while left > 0 {
            match forward(fd, *kind, channel)? {
                Some(0) | None => break,
                Some(count) => left = left.saturating_sub(count as u64),
            }
        }
    }
    Ok(())
}
