// SPDX-License-Identifier: GPL-2.0
//! The message ring: one producer at one end of a link, one consumer at the other, nobody else.
//!
//! The entries stand in the consumer's window, so the producer posts and the consumer reads its own memory. How far
//! the consumer has read is one word in the producer's window, posted the other way. Nothing is ever read through the
//! link, and nobody waits: a full ring is an error, and the caller comes back.
//!
//! | field                        | written by | read by  |
//! |------------------------------|------------|----------|
//! | entries, consumer's window   | producer   | consumer |
//! | consumed, producer's window  | consumer   | producer |
//!
//! An entry is taken when its first word is the link epoch plus its position. Whatever another life of the link left
//! behind has another word there, so a ring needs no clearing.

use core::fmt;

use crate::format::Malformed;
use crate::ids::LinkEpoch;
use crate::region::{Region, RegionError};
use crate::window::{Layout, CONSUMED_AT, RING_AT};
use crate::wire::message::{self, Header, ENTRY_SIZE, HEADER_SIZE, MESSAGE_MAX};

/// What is wrong with a ring. The link has to be fenced: its peer, or the way to it, is out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RingFault {
    /// An entry says that it is there, and is not what was written.
    Entry(Malformed),
    /// The peer says that it put in more messages than have arrived, and what it said them with came later.
    Lost,
    /// The peer says that it has taken out what was never put in, or puts back what it took.
    Consumed,
    /// The window is smaller than agreed.
    Window(RegionError),
}

impl From<RegionError> for RingFault {
    fn from(error: RegionError) -> Self {
        Self::Window(error)
    }
}

impl fmt::Display for RingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(reason) => write!(f, "a message in the ring is malformed: {reason}"),
            Self::Lost => {
                f.write_str("a message that was sent has not arrived, and a later heartbeat has")
            }
            Self::Consumed => {
                f.write_str("the peer says that it has read messages that were never sent")
            }
            Self::Window(error) => write!(f, "the window is smaller than agreed: {error}"),
        }
    }
}

/// Why a message could not be put into the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PushError {
    /// All entries are in use: the peer has to read first.
    Full,
    /// The message is longer than [`MESSAGE_MAX`], or not as long as its header says.
    Length,
    /// The window is smaller than agreed.
    Window(RegionError),
}

impl From<RegionError> for PushError {
    fn from(error: RegionError) -> Self {
        Self::Window(error)
    }
}

/// Where a ring stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ring {
    entries_at: u64,
    entries: u32,
    consumed_at: u64,
}

impl Ring {
    /// The ring in windows of this layout.
    pub const fn of(window: &Layout) -> Self {
        Self {
            entries_at: RING_AT,
            entries: window.ring_entries(),
            consumed_at: CONSUMED_AT,
        }
    }

    /// A ring of `entries` entries at `entries_at`, whose consumer posts to `consumed_at` of the other window. For
    /// tests of the ring alone.
    pub const fn at(entries_at: u64, entries: u32, consumed_at: u64) -> Self {
        Self {
            entries_at,
            entries,
            consumed_at,
        }
    }

    #[inline]
    fn entry_at(&self, position: u64) -> u64 {
        // A ring without entries is never made; 0 would give its first entry.
        let index = position.checked_rem(u64::from(self.entries)).unwrap_or(0);
        self.entries_at + index * ENTRY_SIZE as u64
    }
}

/// The end that puts messages in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Producer {
    ring: Ring,
    epoch: LinkEpoch,
    produced: u64,
    consumed: u64,
}

impl Producer {
    /// An empty ring, at the beginning of a link epoch.
    pub const fn new(ring: Ring, epoch: LinkEpoch) -> Self {
        Self {
            ring,
            epoch,
            produced: 0,
            consumed: 0,
        }
    }

    /// How many messages were put in so far.
    #[inline]
    pub const fn produced(&self) -> u64 {
        self.produced
    }

    /// How many more can be put in, as far as is known here.
    #[inline]
    pub const fn room(&self) -> u64 {
        let used = self.produced.wrapping_sub(self.consumed);
        (self.ring.entries as u64).saturating_sub(used)
    }

    /// Looks how far the peer has read: a word in the own window.
    ///
    /// # Errors
    ///
    /// [`RingFault::Consumed`] if that cannot be.
    pub fn refresh(&mut self, own: &impl Region) -> Result<(), RingFault> {
        let consumed = own
            .load_acquire_u64(self.ring.consumed_at)?
            .wrapping_sub(self.epoch.get());
        if consumed < self.consumed || consumed > self.produced {
            return Err(RingFault::Consumed);
        }
        self.consumed = consumed;
        Ok(())
    }

    /// Posts one message into the peer's window.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] if there is no room: nothing was posted, and the producer is as it was.
    pub fn push(
        &mut self,
        peer: &impl Region,
        header: &Header,
        message: &[u8],
    ) -> Result<(), PushError> {
        if message.len() > MESSAGE_MAX || message.len() != usize::from(header.len) {
            return Err(PushError::Length);
        }
        if self.room() == 0 {
            return Err(PushError::Full);
        }
        let at = self.ring.entry_at(self.produced);
        let bytes = header.encode(self.epoch, self.produced, message);
        let (_word, body) = bytes.split_at(8);
        peer.copy_in(at + 8, body)?;
        peer.copy_in(at + HEADER_SIZE as u64, message)?;
        peer.store_release_u64(at, message::word(self.epoch, self.produced))?;
        self.produced = self.produced.wrapping_add(1);
        Ok(())
    }
}

/// The end that takes messages out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Consumer {
    ring: Ring,
    epoch: LinkEpoch,
    consumed: u64,
    told: u64,
}

impl Consumer {
    /// An empty ring, at the beginning of a link epoch.
    pub const fn new(ring: Ring, epoch: LinkEpoch) -> Self {
        Self {
            ring,
            epoch,
            consumed: 0,
            told: 0,
        }
    }

    /// How many messages were taken out so far.
    #[inline]
    pub const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Whether there is a message to take out.
    ///
    /// # Errors
    ///
    /// [`RingFault::Window`] if the window is too small.
    pub fn ready(&self, own: &impl Region) -> Result<bool, RingFault> {
        let word = own.load_acquire_u64(self.ring.entry_at(self.consumed))?;
        Ok(word == message::word(self.epoch, self.consumed))
    }

    /// Takes out the next message: copied, then checked, then given. `None` if there is none.
    ///
    /// # Errors
    ///
    /// If what stands there was never written by a peer in order.
    pub fn pop<'a>(
        &mut self,
        own: &impl Region,
        buffer: &'a mut [u8; MESSAGE_MAX],
    ) -> Result<Option<(Header, &'a [u8])>, RingFault> {
        if !self.ready(own)? {
            return Ok(None);
        }
        let at = self.ring.entry_at(self.consumed);
        let mut bytes = [0; HEADER_SIZE];
        own.copy_out(at, &mut bytes)?;
        let header = Header::parse(&bytes).map_err(RingFault::Entry)?;
        let (message, _) = buffer.split_at_mut(usize::from(header.len).min(MESSAGE_MAX));
        own.copy_out(at + HEADER_SIZE as u64, message)?;
        header
            .check(self.epoch, self.consumed, &bytes, message)
            .map_err(RingFault::Entry)?;
        self.consumed = self.consumed.wrapping_add(1);
        Ok(Some((header, message)))
    }

    /// Checks what the peer says it has put in, once [`Consumer::ready`] has said that there is no more.
    ///
    /// # Errors
    ///
    /// [`RingFault::Lost`] if it says more. It said so after it had put them in, and the order of posts is kept.
    pub const fn check_produced(&self, produced: u64) -> Result<(), RingFault> {
        if produced > self.consumed {
            Err(RingFault::Lost)
        } else {
            Ok(())
        }
    }

    /// Posts how far was read, if that is news, or `always`. `true` if it was posted.
    ///
    /// # Errors
    ///
    /// [`RingFault::Window`] if the peer's window is too small.
    pub fn tell(&mut self, peer: &impl Region, always: bool) -> Result<bool, RingFault> {
        if !always && self.told == self.consumed {
            return Ok(false);
        }
        peer.store_release_u64(
            self.ring.consumed_at,
            self.epoch.get().wrapping_add(self.consumed),
        )?;
        self.told = self.consumed;
        Ok(true)
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_ring))]
mod tests {
    use core::cell::Cell;

    use super::*;
    use crate::region::CellRegion;
    use crate::wire::message::Port;

    /// Entries at 0, the word of the consumer at 512: a window of 65 words.
    const RING: Ring = Ring::at(0, 2, 512);
    const EPOCH: Option<LinkEpoch> = LinkEpoch::new(u64::MAX - 3);

    fn header(seq: u64, message: &[u8]) -> Header {
        Header {
            seq,
            ack: 5,
            port: Port(3),
            len: message.len() as u16,
        }
    }

    /// Runs `test` with both ends and both windows: the consumer's, and the producer's.
    fn with_ring(
        test: impl FnOnce(&mut Producer, &mut Consumer, &CellRegion<'_>, &CellRegion<'_>),
    ) -> bool {
        let (there, here) = ([const { Cell::new(0) }; 65], [const { Cell::new(0) }; 65]);
        let (there, here) = (CellRegion::new(&there), CellRegion::new(&here));
        let Some(epoch) = EPOCH else { return false };
        let (mut producer, mut consumer) = (Producer::new(RING, epoch), Consumer::new(RING, epoch));
        let told = consumer.tell(&here, true);
        test(&mut producer, &mut consumer, &there, &here);
        told == Ok(true)
    }

    #[test]
    fn messages_come_out_in_order_over_many_turns() {
        let mut good = 0;
        assert!(with_ring(|producer, consumer, there, here| {
            for seq in 1..=9_u64 {
                let message = [seq as u8; 7];
                let pushed = producer.push(there, &header(seq, &message), &message);
                let mut buffer = [0; MESSAGE_MAX];
                let popped = consumer.pop(there, &mut buffer);
                let right = popped == Ok(Some((header(seq, &message), &message[..])));
                let told = consumer.tell(here, false) == Ok(true) && producer.refresh(here).is_ok();
                good += i32::from(pushed.is_ok() && right && told && producer.room() == 2);
            }
        }));
        assert_eq!(good, 9);
    }

    #[test]
    fn a_full_ring_says_so_and_an_empty_one_gives_nothing() {
        let mut results = [Ok(()); 4];
        let mut rest = Ok(None);
        let mut buffer = [0; MESSAGE_MAX];
        assert!(with_ring(|producer, consumer, there, _| {
            results = [1, 2, 3, 4].map(|seq| producer.push(there, &header(seq, &[]), &[]));
            let _ = consumer.pop(there, &mut buffer);
            let _ = consumer.pop(there, &mut buffer);
            rest = consumer
                .pop(there, &mut buffer)
                .map(|popped| popped.map(|(header, _)| header.seq));
        }));
        assert_eq!(
            results,
            [Ok(()), Ok(()), Err(PushError::Full), Err(PushError::Full)]
        );
        assert_eq!(rest, Ok(None));
    }

    #[test]
    fn what_cannot_be_is_a_fault() {
        let mut faults = [None; 4];
        let mut buffer = [0; MESSAGE_MAX];
        assert!(with_ring(|producer, consumer, there, here| {
            let message = [1, 2, 3];
            let _ = producer.push(there, &header(1, &message), &message);
            let _ = there.copy_in(33, &[7]);
            faults[0] = consumer.pop(there, &mut buffer).err();
            let _ = there.copy_in(24, &[225]);
            faults[1] = consumer.pop(there, &mut buffer).err();
            let _ = here.store_release_u64(512, 12345);
            faults[2] = producer.refresh(here).err();
            faults[3] = consumer.check_produced(1).err();
        }));
        assert_eq!(faults[0], Some(RingFault::Entry(Malformed::Checksum)));
        assert_eq!(
            faults[1],
            Some(RingFault::Entry(Malformed::Field("length")))
        );
        assert_eq!(faults[2], Some(RingFault::Consumed));
        assert_eq!(faults[3], Some(RingFault::Lost));
    }

    #[test]
    fn what_another_life_left_behind_is_not_there() {
        let mut seen = Ok(true);
        assert!(with_ring(|producer, _, there, _| {
            let _ = producer.push(there, &header(1, &[]), &[]);
            if let Some(epoch) = LinkEpoch::new(77) {
                seen = Consumer::new(RING, epoch).ready(there);
            }
        }));
        assert_eq!(seen, Ok(false));
    }
}
