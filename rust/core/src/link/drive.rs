// SPDX-License-Identifier: GPL-2.0
//! What a link does when it is polled, and how it moves from state to state.

use super::live::Live;
use super::{settings, Carrier, DownReason, Link, LinkEvent, LinkFault, LinkState, LinkStep};
use crate::ids::mix;
use crate::region::Region;

impl Link {
    /// Does all that is due at `now`. `own` is the own window, `peer` the peer's as seen through the link; `ack` goes
    /// out with heartbeats: every message of the session up to this number has been received.
    pub fn poll(
        &mut self,
        now: u64,
        carrier: Carrier,
        ack: u64,
        own: &impl Region,
        peer: &impl Region,
    ) {
        self.follow(now, carrier);
        match self.state {
            LinkState::Down | LinkState::Closed => return,
            LinkState::Holdoff if now >= self.until => self.step(LinkEvent::HoldoffOver, now),
            LinkState::Holdoff => {}
            _ => self.read_hello(now, own, peer.size()),
        }
        if self.live.is_some() {
            self.read_beats(now, own);
            self.judge(now);
        }
        self.post(now, ack, peer);
    }

    /// Follows the carrier. A link that was down for any length lost its epoch, even if it is up again.
    fn follow(&mut self, now: u64, carrier: Carrier) {
        if self.state != LinkState::Down && (!carrier.up || carrier.downs != self.downs) {
            self.lose(LinkEvent::CarrierDown, DownReason::Carrier, now);
        }
        if self.state == LinkState::Down && carrier.up {
            self.downs = carrier.downs;
            self.step(LinkEvent::CarrierUp, now);
        }
    }

    fn read_beats(&mut self, now: u64, own: &impl Region) {
        let Some(live) = &mut self.live else { return };
        match live.hear(now, own) {
            Ok(false) => {}
            Ok(true) => {
                self.step(LinkEvent::BeatHeard, now);
                let known = self
                    .live
                    .as_ref()
                    .is_some_and(|live| self.acquainted == Some(live.contact.peer.incarnation));
                let needed = if known {
                    self.config.settings.prove_beats
                } else {
                    0
                };
                let shown = self.live.as_ref().map_or(0, |live| live.pulse.shown());
                if self.state == LinkState::Proving && shown >= u64::from(needed) {
                    self.step(LinkEvent::Proved, now);
                }
            }
            Err(fault) => self.fence(now, DownReason::Fault(fault)),
        }
    }

    /// Judges silence, after the window was read.
    fn judge(&mut self, now: u64) {
        let Some(live) = &mut self.live else { return };
        let silent = live.pulse.silent(now);
        match (self.state, silent) {
            (LinkState::Agreed, _) if now >= self.until => {
                self.lose(LinkEvent::NoAnswer, DownReason::NoAnswer, now)
            }
            (LinkState::Proving | LinkState::Up, Some(ns)) => {
                self.lose(
                    LinkEvent::Silent,
                    DownReason::Silent(ns / settings::NS_PER_US),
                    now,
                );
            }
            _ => {}
        }
    }

    /// Posts what is due: a HELLO, a heartbeat. An own window of the wrong size is the only thing that can go wrong.
    fn post(&mut self, now: u64, ack: u64, peer: &impl Region) {
        if now >= self.hello_at {
            if let Err(error) = self.post_hello(now, peer) {
                return self.fence(now, DownReason::Fault(LinkFault::Ring(error.into())));
            }
        }
        self.beat(now, ack, peer);
    }

    /// Posts a heartbeat if one is due.
    pub(super) fn beat(&mut self, now: u64, ack: u64, peer: &impl Region) {
        let Some(live) = &mut self.live else { return };
        if let Err(fault) = live.beat(now, ack, peer) {
            self.fence(now, DownReason::Fault(fault.into()));
        }
    }

    /// A step that ends a live state, if the link is in one, for `reason`.
    pub(super) fn lose(&mut self, event: LinkEvent, reason: DownReason, now: u64) {
        if self.state.is_live() {
            self.down = Some(reason);
        }
        self.step(event, now);
    }

    pub(super) fn step(&mut self, event: LinkEvent, now: u64) {
        match self.state.on(event) {
            LinkStep::To(state) => self.enter(state, now),
            LinkStep::NoOp => {}
            LinkStep::Invalid => {
                debug_assert!(false, "{event:?} cannot happen in {:?}", self.state)
            }
        }
    }

    /// Enters a state: the only place where it changes.
    fn enter(&mut self, state: LinkState, now: u64) {
        let was_live = self.state.is_live();
        self.state = state;
        if !state.is_live() {
            self.live = None;
        }
        match state {
            LinkState::Down => self.hello_at = u64::MAX,
            LinkState::Greeting => self.greet(now),
            LinkState::Holdoff => {
                self.greet(now);
                self.until = now.saturating_add(self.config.settings.holdoff_ns);
            }
            LinkState::Refused | LinkState::Closed if was_live => self.greet(now),
            LinkState::Refused | LinkState::Closed => self.hello_at = now,
            LinkState::Agreed => self.agree(now),
            LinkState::Proving => self.hello_at = u64::MAX,
            LinkState::Up => {
                self.acquainted = self.live.as_ref().map(|live| live.contact.peer.incarnation)
            }
        }
    }

    /// Begins an attempt: a nonce never used before, and a HELLO due now. INVARIANT: an epoch never ends without it.
    fn greet(&mut self, now: u64) {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.nonce = mix(self.seed).max(1);
        self.hello_at = now;
    }

    /// Forms the epoch. The HELLO that answers the peer's goes out before the first heartbeat.
    fn agree(&mut self, now: u64) {
        let Some(hello) = &self.heard else { return };
        let live = Live::new(&self.config, self.nonce, hello, self.downs, now);
        self.until = now.saturating_add(live.pulse.silence_ns());
        self.until = self
            .until
            .max(now.saturating_add(self.config.settings.hello_interval_ns.saturating_mul(4)));
        self.hello_at = now;
        self.refusal = None;
        self.live = Some(live);
    }
}
