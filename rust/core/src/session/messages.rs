// SPDX-License-Identifier: GPL-2.0
//! The messages of a session: in order, exactly once, over whatever link is up.

use core::ops::DerefMut;

use super::outbox::{Kept, SendError};
use super::slot::Slot;
use super::Session;
use crate::ids::LinkId;
use crate::link::{DownReason, LinkFault};
use crate::region::Region;
use crate::wire::message::{Header, Port, MESSAGE_MAX};

/// After how many messages received in a row the peer is woken to hear of it, so that it does not run out of room.
const WAKE_AFTER: u32 = 16;

/// A message that arrived: it is the first `len` bytes of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Received {
    /// The client that it is for.
    pub port: Port,
    /// Its length in bytes.
    pub len: usize,
}

impl<L, S> Session<L, S>
where
    L: DerefMut<Target = [Slot]>,
    S: DerefMut<Target = [Kept]>,
{
    /// Keeps a message for the partner; [`Session::poll`] the active link to send it.
    ///
    /// # Errors
    ///
    /// If there is no partner, the message is too long, or the partner is too far behind. It never waits. A partner that is
    /// too far behind would miss this message, so the session ends with the next [`Session::tick`]: the clients of both ends
    /// begin anew, and nobody has to reckon with one that is left out. [`Session::room`] tells before.
    pub fn send(&mut self, port: Port, message: &[u8]) -> Result<(), SendError> {
        if !self.state.has_partner() {
            return Err(SendError::NoPartner);
        }
        self.outbox.keep(port, message).map(|_| ())
    }

    /// Takes the next message that arrived over a link into `buffer`. When there is none, the peer is told how far was
    /// read: so call it until it gives nothing.
    pub fn receive(
        &mut self,
        id: LinkId,
        now: u64,
        own: &impl Region,
        peer: &impl Region,
        buffer: &mut [u8; MESSAGE_MAX],
    ) -> Option<Received> {
        if !self.actions.is_empty() {
            return None;
        }
        // What was received before comes again after a change of links: at most a ring full.
        loop {
            let slot = self.links.get_mut(id.index())?;
            slot.joined?;
            let Some(header) = slot.link.as_mut()?.pop(now, own, buffer) else {
                break;
            };
            match self.take(id, &header) {
                Ok(true) => {
                    return Some(Received {
                        port: header.port,
                        len: usize::from(header.len),
                    })
                }
                Ok(false) => {}
                Err(what) => {
                    self.fence(id, now, DownReason::Fault(LinkFault::Session(what)));
                    break;
                }
            }
        }
        self.settle(id, now);
        self.acknowledge(id, now, peer);
        None
    }

    /// Judges the number of a message: `true` if it is the next, `false` if it came before.
    fn take(&mut self, id: LinkId, header: &Header) -> Result<bool, &'static str> {
        let joined = self
            .links
            .get_mut(id.index())
            .and_then(|slot| slot.joined.as_mut());
        let joined = joined.ok_or("a message came over a link that is not in the session")?;
        let next = self.received.wrapping_add(1);
        let in_order = if joined.last == 0 {
            header.seq <= next
        } else {
            header.seq == joined.last.wrapping_add(1)
        };
        if !in_order || header.seq > next {
            return Err("a message of the session is missing on this link");
        }
        joined.last = header.seq;
        if !self.outbox.acknowledge(header.ack) {
            return Err("the peer acknowledges messages that were never sent");
        }
        if header.seq < next {
            return Ok(false);
        }
        self.received = next;
        self.unannounced = self.unannounced.saturating_add(1);
        Ok(true)
    }

    /// Tells the peer how far was read and received.
    fn acknowledge(&mut self, id: LinkId, now: u64, peer: &impl Region) {
        let Some(slot) = self.links.get_mut(id.index()) else {
            return;
        };
        let (Some(link), true) = (&mut slot.link, slot.joined.is_some()) else {
            return;
        };
        if !link.tell_consumed(now, peer) {
            return;
        }
        let wake = self.unannounced >= WAKE_AFTER;
        if wake {
            self.unannounced = 0;
        }
        link.acknowledge(now, self.received, wake, peer);
        self.settle(id, now);
    }

    /// Puts what is waiting into the ring of the link, if it is the active one.
    pub(super) fn transmit(&mut self, id: LinkId, now: u64, own: &impl Region, peer: &impl Region) {
        if self.active() != Some(id) || self.outbox.next().is_none() {
            return;
        }
        let Some(link) = self
            .links
            .get_mut(id.index())
            .and_then(|slot| slot.link.as_mut())
        else {
            return;
        };
        let mut room = link.room(now, own);
        while let (true, Some((seq, kept))) = (room > 0, self.outbox.next()) {
            let message = kept.message();
            let header = Header {
                seq,
                ack: self.received,
                port: kept.port(),
                len: message.len() as u16,
            };
            if !link.push(now, &header, message, peer) {
                break;
            }
            self.outbox.advance();
            room -= 1;
        }
        self.settle(id, now);
    }
}
