// SPDX-License-Identifier: GPL-2.0
//! One connected machine: its socket, the eventfds it listens to, and those it rings.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use rustix::event::{eventfd, EventfdFlags};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;

use crate::wire::{Flushed, Full, Outbox};

/// One eventfd a vector.
pub type Vectors = Vec<Rc<OwnedFd>>;

/// Makes one eventfd a vector.
///
/// # Errors
///
/// What the kernel says, as a rule that there are no descriptors left.
pub fn new_vectors(count: u16) -> Result<Vectors, Errno> {
    (0..count)
        .map(|_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Rc::new))
        .collect()
}

/// Rings an eventfd.
pub fn ring(eventfd: impl AsFd) {
    // It can only be "would block": then it has been rung 2^64 - 2 times already.
    let _ = rustix::io::write(eventfd, &1u64.to_ne_bytes());
}

/// Takes the ring of an eventfd, if it has been rung since the last time.
pub fn take_ring(eventfd: impl AsFd) -> bool {
    let mut count = [0; 8];
    rustix::io::read(eventfd, &mut count) == Ok(8)
}

/// A machine. Everything in here is new with each connection, so that whatever an
/// earlier machine on the same socket still holds rings nobody.
#[derive(Debug)]
pub struct Peer {
    /// The connection.
    pub stream: UnixStream,
    /// Messages for it.
    pub outbox: Outbox,
    /// What it listens to: only the server and itself ring these.
    pub ears: Vectors,
    /// What it rings, by the side it means: only the server listens to these.
    pub bells: BTreeMap<u16, Vectors>,
    /// Whether epoll is asked to tell when the socket can be written.
    pub asks_to_write: bool,
}

impl Peer {
    /// A machine on a non-blocking stream.
    ///
    /// # Errors
    ///
    /// See [`new_vectors`].
    pub fn new(stream: UnixStream, vectors: u16, outbox_limit: usize) -> Result<Self, Errno> {
        Ok(Self {
            stream,
            outbox: Outbox::new(outbox_limit),
            ears: new_vectors(vectors)?,
            bells: BTreeMap::new(),
            asks_to_write: false,
        })
    }

    /// Process id of the machine.
    pub fn pid(&self) -> Option<i32> {
        socket_peercred(&self.stream)
            .ok()
            .map(|credentials| credentials.pid.as_raw_nonzero().get())
    }

    /// Tells this machine of a side that it can ring.
    ///
    /// # Errors
    ///
    /// [`Full`]: see [`Outbox::push`].
    pub fn tell_vectors(&mut self, side: u16, vectors: &Vectors) -> Result<(), Full> {
        vectors
            .iter()
            .try_for_each(|fd| self.outbox.push(i64::from(side), Some(fd.clone())))
    }

    /// Sends what the socket takes.
    ///
    /// # Errors
    ///
    /// Why the machine has to be given up.
    pub fn flush(&mut self) -> Result<Flushed, Errno> {
        self.outbox.flush(&self.stream)
    }

    /// Why the connection is over, if it is. A machine has nothing to say on it.
    pub fn ended(&mut self) -> Option<String> {
        match self.stream.read(&mut [0; 64]) {
            Ok(0) => Some("closed".into()),
            Ok(_) => Some("sent data, which is not in the protocol".into()),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_coalesce_and_are_taken_once() {
        let vectors = new_vectors(1).unwrap();
        assert!(!take_ring(&vectors[0]));
        ring(&vectors[0]);
        ring(&vectors[0]);
        assert!(take_ring(&vectors[0]));
        assert!(!take_ring(&vectors[0]));
    }
}
