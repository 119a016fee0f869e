// SPDX-License-Identifier: GPL-2.0
//! The messages of a session that the partner has not acknowledged yet, oldest first. Whatever link they went over,
//! they are kept here until the partner has them.

use core::ops::DerefMut;

use crate::wire::message::{Port, MESSAGE_MAX};

/// Room for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    port: Port,
    len: u16,
    bytes: [u8; MESSAGE_MAX],
}

impl Kept {
    /// Room without a message.
    pub const EMPTY: Self = Self {
        port: Port(0),
        len: 0,
        bytes: [0; MESSAGE_MAX],
    };

    /// The client that the message is for.
    pub(super) const fn port(&self) -> Port {
        self.port
    }

    /// The message.
    pub(super) fn message(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendError {
    /// There is no partner.
    NoPartner,
    /// It is longer than [`MESSAGE_MAX`].
    TooLong,
    /// As many messages as fit are not acknowledged yet. One is missing, so the session ends, with all that is kept.
    Full,
}

impl core::fmt::Display for SendError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoPartner => f.write_str("there is no partner to send to"),
            Self::TooLong => write!(f, "a message has at most {MESSAGE_MAX} bytes"),
            Self::Full => f.write_str("the partner has not yet received what was sent before"),
        }
    }
}

/// The messages that are kept. Their number is bounded by the room that was passed in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outbox<S> {
    room: S,
    /// The highest number that the partner has acknowledged.
    acked: u64,
    /// The highest number that was put into the ring of the link in use. INVARIANT: `acked <= posted <= newest`.
    posted: u64,
    /// The highest number that was ever put into a ring. INVARIANT: `posted <= ever_posted <= newest`.
    ever_posted: u64,
    /// The highest number that was given out. INVARIANT: `newest - acked <= room.len()`.
    newest: u64,
    /// There was no room for a message.
    overrun: bool,
}

impl<S: DerefMut<Target = [Kept]>> Outbox<S> {
    pub(super) const fn new(room: S) -> Self {
        Self {
            room,
            acked: 0,
            posted: 0,
            ever_posted: 0,
            newest: 0,
            overrun: false,
        }
    }

    fn index(&self, seq: u64) -> usize {
        seq.checked_rem(self.room.len() as u64).unwrap_or(0) as usize
    }

    /// Forgets everything: the session is over.
    pub(super) fn clear(&mut self) {
        self.room.fill(Kept::EMPTY);
        (self.acked, self.posted, self.ever_posted, self.newest) = (0, 0, 0, 0);
        self.overrun = false;
    }

    /// How many messages are not acknowledged.
    pub(super) const fn len(&self) -> u64 {
        self.newest.saturating_sub(self.acked)
    }

    /// Whether there was no room for a message: what the partner receives is not all any more.
    pub(super) const fn is_overrun(&self) -> bool {
        self.overrun
    }

    /// How many more messages fit.
    pub(super) fn free(&self) -> u64 {
        (self.room.len() as u64).saturating_sub(self.len())
    }

    /// Keeps a message and gives it its number.
    pub(super) fn keep(&mut self, port: Port, message: &[u8]) -> Result<u64, SendError> {
        if message.len() > MESSAGE_MAX {
            return Err(SendError::TooLong);
        }
        if self.free() == 0 {
            self.overrun = true;
            return Err(SendError::Full);
        }
        let seq = self.newest.wrapping_add(1);
        let index = self.index(seq);
        let kept = self.room.get_mut(index).ok_or(SendError::Full)?;
        kept.port = port;
        kept.len = message.len() as u16;
        if let Some(bytes) = kept.bytes.get_mut(..message.len()) {
            bytes.copy_from_slice(message);
        }
        self.newest = seq;
        Ok(seq)
    }

    /// The partner has received every message up to `seq`. `false` if it cannot have.
    pub(super) fn acknowledge(&mut self, seq: u64) -> bool {
        if seq > self.ever_posted {
            return false;
        }
        while self.acked < seq {
            self.acked = self.acked.wrapping_add(1);
            let index = self.index(self.acked);
            if let Some(kept) = self.room.get_mut(index) {
                // Two sessions with the same messages kept are equal: nothing of old ones stays.
                let len = usize::from(kept.len);
                kept.bytes.get_mut(..len).unwrap_or(&mut []).fill(0);
                (kept.len, kept.port) = (0, Port(0));
            }
        }
        self.posted = self.posted.max(self.acked);
        true
    }

    /// The next message goes over another link: begins again with the oldest that is not acknowledged.
    pub(super) fn rewind(&mut self) {
        self.posted = self.acked;
    }

    /// The oldest message that was not put into the ring of the link in use, and its number.
    pub(super) fn next(&self) -> Option<(u64, &Kept)> {
        let seq = self.posted.wrapping_add(1);
        if self.posted >= self.newest {
            return None;
        }
        self.room.get(self.index(seq)).map(|kept| (seq, kept))
    }

    /// What [`Outbox::next`] gave was put into the ring.
    pub(super) fn advance(&mut self) {
        if self.posted < self.newest {
            self.posted = self.posted.wrapping_add(1);
            self.ever_posted = self.ever_posted.max(self.posted);
        }
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_outbox))]
mod tests {
    use super::*;

    const PORT: Port = Port(1);

    #[test]
    fn it_is_bounded_and_gives_room_as_messages_are_acknowledged() {
        let mut room = [Kept::EMPTY; 2];
        let mut outbox = Outbox::new(&mut room[..]);
        assert_eq!(outbox.keep(PORT, &[1]), Ok(1));
        assert_eq!(outbox.keep(PORT, &[2]), Ok(2));
        assert!(!outbox.is_overrun());
        assert_eq!(outbox.keep(PORT, &[3]), Err(SendError::Full));
        assert!(outbox.is_overrun());
        assert_eq!(
            outbox.keep(PORT, &[0; MESSAGE_MAX + 1]),
            Err(SendError::TooLong)
        );
        outbox.advance();
        assert!(outbox.acknowledge(1));
        assert_eq!(outbox.keep(PORT, &[3]), Ok(3));
        assert_eq!(
            outbox
                .next()
                .map(|(seq, kept)| (seq, kept.message() == [2])),
            Some((2, true))
        );
    }

    #[test]
    fn nothing_is_acknowledged_that_was_not_posted() {
        let mut room = [Kept::EMPTY; 3];
        let mut outbox = Outbox::new(&mut room[..]);
        let _ = (outbox.keep(PORT, &[1]), outbox.keep(PORT, &[2]));
        assert!(!outbox.acknowledge(1));
        outbox.advance();
        assert!(outbox.acknowledge(1));
        assert!(!outbox.acknowledge(2));
        assert!(outbox.acknowledge(0));
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn over_another_link_it_begins_with_the_oldest_not_acknowledged() {
        let mut room = [Kept::EMPTY; 3];
        let mut outbox = Outbox::new(&mut room[..]);
        for byte in 1..=3 {
            let _ = outbox.keep(PORT, &[byte]);
            outbox.advance();
        }
        assert!(outbox.next().is_none());
        assert!(outbox.acknowledge(1));
        outbox.rewind();
        assert_eq!(outbox.next().map(|(seq, _)| seq), Some(2));
        // The acknowledgement of what went over the old link may still come.
        assert!(outbox.acknowledge(3));
        assert!(outbox.next().is_none());
        outbox.clear();
        assert_eq!(outbox.free(), 3);
    }
}
