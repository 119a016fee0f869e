// SPDX-License-Identifier: GPL-2.0
//! One end of one link: the handshake, the heartbeat, and the message ring of one link epoch after the other.
//!
//! Everything goes through the two windows; a doorbell is only a hint to look sooner. The handshake is a round trip
//! over the link itself, so when it is done, everything that was posted under an earlier epoch has arrived and can be
//! told from what comes later. See docs/protocol-link.md.
//!
//! # How it is driven
//!
//! [`Link::poll`] does all that is due: at a doorbell, when the carrier changes, and at [`Link::next_deadline`]. It
//! never sleeps, reads only the own window, and posts at most a HELLO and a heartbeat. One lock must cover a link.

mod drive;
mod greeting;
mod live;
mod messages;
mod pulse;
mod reason;
mod settings;
mod state;

pub use live::Contact;
pub use reason::{DownReason, LinkFault, Refusal};
pub use settings::{LinkConfig, Settings, BEAT_INTERVAL_NS};
pub use state::{LinkEvent, LinkState, LinkStep};

use crate::format::Malformed;
use crate::ids::{mix, Incarnation};
use crate::region::{Region, RegionError};
use crate::wire::hello::Hello;
use live::Live;

/// What the driver says of a link. The count is read after the state, so that a link that went down in between shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Carrier {
    /// Both ends are connected.
    pub up: bool,
    /// How often the link went down; compared for equality only.
    pub downs: u64,
}

/// One end of one link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    config: LinkConfig,
    state: LinkState,
    /// What the next nonce is made from.
    seed: u64,
    /// The nonce of this attempt. INVARIANT: drawn anew whenever an epoch ends, and never used in two.
    nonce: u64,
    /// The driver's count of downs under which this attempt began.
    downs: u64,
    /// The write counter of the last HELLO that was posted.
    hello_word: u64,
    /// When the next HELLO is due. `u64::MAX`: none is.
    hello_at: u64,
    /// The write counter of the last HELLO of the peer that was read.
    heard_word: u64,
    /// The peer's last acceptable HELLO.
    heard: Option<Hello>,
    /// `Agreed`: when to give up. `Holdoff`: when the rest is over.
    until: u64,
    /// The incarnation under which the link was up last: if it comes back under the same, it failed in between.
    acquainted: Option<Incarnation>,
    /// INVARIANT: there is one exactly in the live states.
    live: Option<Live>,
    refusal: Option<Refusal>,
    garbage: Option<Malformed>,
    down: Option<DownReason>,
    doorbell: bool,
}

impl Link {
    /// A link without a carrier yet. `seed` is random: nonces are made from it.
    ///
    /// # Errors
    ///
    /// The name of a setting that is out of its range.
    pub fn new(config: LinkConfig, seed: u64) -> Result<Self, &'static str> {
        config.settings.check()?;
        Ok(Self {
            config,
            state: LinkState::Down,
            seed,
            nonce: 0,
            downs: 0,
            hello_word: mix(!seed),
            hello_at: u64::MAX,
            heard_word: 0,
            heard: None,
            until: u64::MAX,
            acquainted: None,
            live: None,
            refusal: None,
            garbage: None,
            down: None,
            doorbell: false,
        })
    }

    /// What it was made with.
    pub const fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Where it is in its life.
    pub const fn state(&self) -> LinkState {
        self.state
    }

    /// Who is at the other end, and the epoch, once both ends are agreed and the link has proved itself.
    pub fn up(&self) -> Option<&Contact> {
        self.live
            .as_ref()
            .filter(|_| self.state == LinkState::Up)
            .map(|live| &live.contact)
    }

    /// As [`Link::up`], but on probation too: messages may be received, but are not sent.
    pub fn receiving(&self) -> Option<&Contact> {
        let agreed = matches!(self.state, LinkState::Proving | LinkState::Up);
        self.live
            .as_ref()
            .filter(|_| agreed)
            .map(|live| &live.contact)
    }

    /// Why the peer cannot be worked with. Cleared by an acceptable HELLO.
    pub const fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// What stands where the peer's HELLO should: something that is none. Cleared by a HELLO.
    pub const fn garbage(&self) -> Option<Malformed> {
        self.garbage
    }

    /// Why the link went down last.
    pub const fn last_down(&self) -> Option<DownReason> {
        self.down
    }

    /// When the newest own heartbeat was sent that the peer is known to have heard, in nanoseconds: it lived then.
    pub fn echoed_at(&self) -> Option<u64> {
        self.live.as_ref().and_then(|live| live.pulse.echoed_at())
    }

    /// An estimate of the round trip over the link, the peer's processing left out, in nanoseconds.
    pub fn round_trip_ns(&self) -> Option<u64> {
        self.live
            .as_ref()
            .and_then(|live| live.pulse.round_trip_ns())
    }

    /// Every message of the session up to this number has been received by the peer, so it said in a heartbeat.
    pub fn acked(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.pulse.last().ack)
    }

    /// Whether the peer should be woken. Asking clears it.
    pub fn take_doorbell(&mut self) -> bool {
        core::mem::take(&mut self.doorbell)
    }

    /// When [`Link::poll`] has to be called at the latest, in nanoseconds; `u64::MAX` for never. A carrier that
    /// changes and a doorbell are reasons to call it sooner.
    pub fn next_deadline(&self, now: u64) -> u64 {
        // Without a doorbell, only looking tells that a HELLO came.
        let look = now.saturating_add(self.config.settings.beat_interval_ns);
        match (self.state, &self.live) {
            (LinkState::Down | LinkState::Closed, _) => u64::MAX,
            (LinkState::Holdoff, _) => self.until.min(self.hello_at),
            (LinkState::Agreed, Some(live)) => live
                .pulse
                .next_deadline()
                .min(self.hello_at)
                .min(self.until),
            (_, Some(live)) => live.pulse.next_deadline(),
            (_, None) => self.hello_at.min(look),
        }
    }

    /// Ends the epoch: nothing sent under it counts any more at this end, and the peer is told at the next poll. The
    /// link shakes hands again after its holdoff.
    pub fn fence(&mut self, now: u64, reason: DownReason) {
        self.lose(LinkEvent::Fenced, reason, now);
    }

    /// As [`Link::fence`], because the peer cannot be worked with.
    pub fn refuse(&mut self, now: u64, refusal: Refusal) {
        self.fence(now, DownReason::Refused);
        self.refusal = Some(refusal);
    }

    /// As [`Link::fence`], because this end begins another session; the link shakes hands again at once, unless it is
    /// resting anyway. It did not fail, so it need not prove itself.
    pub fn begin_session(&mut self, now: u64, session: u64) {
        self.config.local.session = session;
        if !matches!(
            self.state,
            LinkState::Down | LinkState::Holdoff | LinkState::Closed
        ) {
            self.lose(LinkEvent::Fenced, DownReason::SessionEnded, now);
            self.until = now;
            self.acquainted = None;
        }
    }

    /// Closes the link for good and tells the peer.
    ///
    /// # Errors
    ///
    /// If the peer's window is too small to tell it. The link is closed all the same.
    pub fn close(&mut self, now: u64, peer: &impl Region) -> Result<(), RegionError> {
        let carrier = !matches!(self.state, LinkState::Down | LinkState::Closed);
        self.lose(LinkEvent::Close, DownReason::Closed, now);
        if carrier {
            self.post_hello(now, peer)?;
            self.hello_at = u64::MAX;
        }
        Ok(())
    }
}
