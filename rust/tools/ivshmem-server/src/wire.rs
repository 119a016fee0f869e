// SPDX-License-Identifier: GPL-2.0
//! Messages of the ivshmem server protocol: 8-byte little-endian values, each
//! with at most one file descriptor, on a Unix stream socket.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::net::{sendmsg, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// Version of the protocol, the first message to every machine.
pub const PROTOCOL_VERSION: i64 = 0;
/// The value that comes with the shared memory's file.
pub const MEMORY: i64 = -1;

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// The value: version, a peer id, or [`MEMORY`].
    pub value: i64,
    /// What is sent along.
    pub fd: Option<Rc<OwnedFd>>,
}

/// Messages that wait for the machine to take them. A paused machine takes none,
/// so the queue has a bound; whoever meets it gives the machine up.
#[derive(Debug)]
pub struct Outbox {
    waiting: VecDeque<Message>,
    /// Bytes of the first message that have gone out already (its descriptor went with them).
    sent: usize,
    limit: usize,
}

/// The machine has not taken its messages for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What is left after a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing.
    All,
    /// Something: try again when the socket can be written.
    Blocked,
}

impl Outbox {
    /// An empty outbox that holds at most `limit` messages.
    pub fn new(limit: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            sent: 0,
            limit,
        }
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// [`Full`] at the bound.
    pub fn push(&mut self, value: i64, fd: Option<Rc<OwnedFd>>) -> Result<(), Full> {
        if self.waiting.len() >= self.limit {
            return Err(Full);
        }
        self.waiting.push_back(Message { value, fd });
        Ok(())
    }

    /// Sends as much as the socket takes.
    ///
    /// # Errors
    ///
    /// What the socket says, other than that it is full.
    pub fn flush(&mut self, socket: impl AsFd) -> Result<Flushed, Errno> {
        while let Some(message) = self.waiting.front() {
            match send(&socket, message, self.sent) {
                Ok(count) => {
                    self.sent += count;
                    if self.sent >= size_of::<i64>() {
                        self.waiting.pop_front();
                        self.sent = 0;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Flushed::Blocked),
                Err(error) => return Err(error),
            }
        }
        Ok(Flushed::All)
    }
}

/// Sends the rest of a message from byte `sent` on; the descriptor goes with the first byte.
fn send(socket: impl AsFd, message: &Message, sent: usize) -> Result<usize, Errno> {
    let bytes = message.value.to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = message.fd.as_ref().map(|fd| [fd.as_fd()]);
    if let (0, Some(fds)) = (sent, &fds) {
        let fits = ancillary.push(SendAncillaryMessage::ScmRights(fds));
        assert!(fits, "the buffer is made for one descriptor");
    }
    let rest = bytes.get(sent..).unwrap_or_default();
    sendmsg(
        socket,
        &[IoSlice::new(rest)],
        &mut ancillary,
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn values_are_little_endian_and_in_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut outbox = Outbox::new(8);
        outbox.push(PROTOCOL_VERSION, None).unwrap();
        outbox.push(MEMORY, None).unwrap();
        outbox.push(0x0102, None).unwrap();
        assert_eq!(outbox.flush(&ours), Ok(Flushed::All));
        let mut bytes = [0; 24];
        theirs.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes[..16], [[0u8; 8], [0xff; 8]].concat());
        assert_eq!(bytes[16..], [2, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_machine_that_takes_nothing_meets_the_bound() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut outbox = Outbox::new(4);
        let mut pushed = 0u64;
        let blocked = loop {
            outbox.push(1, None).unwrap();
            pushed += 1;
            match outbox.flush(&ours).unwrap() {
                Flushed::All => assert!(pushed < 1_000_000, "the socket has no bound"),
                Flushed::Blocked => break pushed,
            }
        };
        assert!(blocked > 1);
        for _ in 0..3 {
            outbox.push(1, None).unwrap();
        }
        assert_eq!(outbox.push(1, None), Err(Full));
        drop(theirs);
        assert!(outbox.flush(&ours).is_err());
    }
}
