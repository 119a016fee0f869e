// SPDX-License-Identifier: GPL-2.0
//! What belongs to one link epoch and dies with it.

use super::pulse::Pulse;
use super::reason::LinkFault;
use super::settings::{LinkConfig, NS_PER_US};
use crate::ids::{LinkEpoch, LinkId};
use crate::region::Region;
use crate::ring::{Consumer, Producer, Ring, RingFault};
use crate::window::Layout;
use crate::wire::hello::{Hello, Peer};
use crate::wire::message::{Header, MESSAGE_MAX};
use crate::wire::{FEATURES, VERSIONS};

/// Who is at the other end of an agreed link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Contact {
    /// The name that both ends have for this life of the link.
    pub epoch: LinkEpoch,
    /// The peer.
    pub peer: Peer,
    /// The peer's number of this link.
    pub link: LinkId,
    /// The version of the protocol that both ends speak.
    pub version: u16,
    /// The features that both ends have.
    pub features: u64,
    /// The peer's window, as far as this end can reach it.
    pub window: Layout,
    /// The driver's count of downs: if it is another one now, nothing that was posted is proved.
    pub downs: u64,
}

/// What belongs to one link epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Live {
    pub(super) contact: Contact,
    /// The nonce of the peer's attempt. Another one in its HELLO: it has begun anew.
    pub(super) nonce: u64,
    pub(super) pulse: Pulse,
    pub(super) producer: Producer,
    pub(super) consumer: Consumer,
    own_entries: u32,
}

impl Live {
    /// The epoch of the own `nonce` and the peer's HELLO, which was judged acceptable.
    pub(super) fn new(
        config: &LinkConfig,
        nonce: u64,
        hello: &Hello,
        downs: u64,
        now: u64,
    ) -> Self {
        let epoch = if config.local.node < hello.peer.node {
            LinkEpoch::form(nonce, hello.nonce)
        } else {
            LinkEpoch::form(hello.nonce, nonce)
        };
        // Judged before: there is a layout, and a common version.
        let window = Layout::new(hello.window_size, hello.ring_entries).unwrap_or(config.window);
        let contact = Contact {
            epoch,
            peer: hello.peer,
            link: hello.link,
            version: hello.versions.agree(VERSIONS).unwrap_or(VERSIONS.min),
            features: hello.features & FEATURES,
            window,
            downs,
        };
        let settings = &config.settings;
        let peer_interval_ns = u64::from(hello.beat_interval_us) * NS_PER_US;
        Self {
            contact,
            nonce: hello.nonce,
            pulse: Pulse::new(
                epoch,
                now,
                settings.beat_interval_ns,
                peer_interval_ns,
                settings.beats_missed,
            ),
            producer: Producer::new(Ring::of(&window), epoch),
            consumer: Consumer::new(Ring::of(&config.window), epoch),
            own_entries: config.window.ring_entries(),
        }
    }

    /// Posts a heartbeat if one is due. How far the ring was read goes before it, news or not: so a peer that has
    /// heard a heartbeat knows it, even if that word was lost before.
    pub(super) fn beat(&mut self, now: u64, ack: u64, peer: &impl Region) -> Result<(), RingFault> {
        if self.pulse.is_due(now) {
            self.consumer.tell(peer, true)?;
            self.pulse.beat(now, self.producer.produced(), ack, peer)?;
        }
        Ok(())
    }

    /// Looks for a heartbeat of the peer, and, when it is new, how far the peer has read.
    pub(super) fn hear(&mut self, now: u64, own: &impl Region) -> Result<bool, LinkFault> {
        let room = self
            .consumer
            .consumed()
            .saturating_add(u64::from(self.own_entries));
        let heard = self.pulse.hear(now, room, own)?;
        if heard {
            self.producer.refresh(own)?;
        }
        Ok(heard)
    }

    /// Takes out the next message. If there is none, but the peer's last heartbeat said so, it was lost.
    pub(super) fn pop(
        &mut self,
        own: &impl Region,
        buffer: &mut [u8; MESSAGE_MAX],
    ) -> Result<Option<Header>, RingFault> {
        let header = self.consumer.pop(own, buffer)?.map(|(header, _)| header);
        if header.is_none() {
            self.consumer.check_produced(self.pulse.last().produced)?;
        }
        Ok(header)
    }
}
