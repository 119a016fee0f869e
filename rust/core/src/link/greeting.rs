// SPDX-License-Identifier: GPL-2.0
//! The HELLO: posting it, reading the peer's, judging it.

use super::settings::NS_PER_US;
use super::{DownReason, Link, LinkEvent, LinkState, Refusal, BEAT_INTERVAL_NS};
use crate::region::{Region, RegionError};
use crate::window::{Layout, HELLO_AT};
use crate::wire::hello::{Hello, Unreadable, SIZE};
use crate::wire::{FEATURES, VERSIONS};

/// How much less often a HELLO is repeated to a peer that cannot be worked with.
const REFUSED_SLOWER: u64 = 8;

impl Link {
    /// Posts the own HELLO.
    pub(super) fn post_hello(&mut self, now: u64, peer: &impl Region) -> Result<(), RegionError> {
        self.hello_word = self.hello_word.wrapping_add(1).max(1);
        let bytes = self.hello().encode(self.hello_word);
        let (_word, body) = bytes.split_at(8);
        peer.copy_in(HELLO_AT + 8, body)?;
        peer.store_release_u64(HELLO_AT, self.hello_word)?;
        let interval = self.config.settings.hello_interval_ns;
        self.hello_at = match self.state {
            LinkState::Greeting | LinkState::Agreed => now.saturating_add(interval),
            LinkState::Refused => now.saturating_add(interval.saturating_mul(REFUSED_SLOWER)),
            _ => u64::MAX,
        };
        self.doorbell = true;
        Ok(())
    }

    fn hello(&self) -> Hello {
        let config = &self.config;
        let refused = matches!(self.state, LinkState::Refused | LinkState::Holdoff);
        let beat_interval_us = config.settings.beat_interval_ns / NS_PER_US;
        Hello {
            versions: VERSIONS,
            peer: config.local,
            link: config.id,
            leaving: self.state == LinkState::Closed,
            refusal: self
                .refusal
                .filter(|_| refused)
                .map_or(0, |refusal| refusal.code()),
            appliance: config.appliance,
            nonce: self.nonce,
            echo: self.heard.map_or(0, |hello| hello.nonce),
            features: FEATURES,
            required: 0,
            window_size: config.window.size(),
            ring_entries: config.window.ring_entries(),
            // In range by Settings::check().
            beat_interval_us: u32::try_from(beat_interval_us).unwrap_or(u32::MAX),
        }
    }

    /// Reads the peer's HELLO if it is a new one. `reach` is how much of the peer's window can be reached, in bytes.
    pub(super) fn read_hello(&mut self, now: u64, own: &impl Region, reach: u64) {
        let mut bytes = [0; SIZE];
        let word = match own.load_acquire_u64(HELLO_AT) {
            Ok(word) if word == 0 || word == self.heard_word => return,
            Ok(word) => word,
            Err(_) => return,
        };
        if own.copy_out(HELLO_AT, &mut bytes).is_err() {
            return;
        }
        match Hello::parse(word, &bytes) {
            // It may be in the middle of being written: look again next time.
            Err(Unreadable::Garbage(reason)) => self.garbage = Some(reason),
            read => {
                self.heard_word = word;
                self.garbage = None;
                self.answer(now, read, reach);
            }
        }
    }

    fn answer(&mut self, now: u64, read: Result<Hello, Unreadable>, reach: u64) {
        let judged = match read {
            Ok(hello) if hello.leaving => {
                self.heard = None;
                return self.lose(LinkEvent::PeerLeft, DownReason::PeerLeft, now);
            }
            Ok(hello) => {
                let hello = Hello {
                    window_size: hello.window_size.min(reach),
                    ..hello
                };
                self.judge_hello(&hello).map(|()| hello)
            }
            Err(Unreadable::Versions(theirs)) => Err(Refusal::Version(theirs)),
            Err(Unreadable::Field(name)) => Err(Refusal::Field(name)),
            Err(Unreadable::Garbage(_)) => return,
        };
        match judged {
            Ok(hello) => self.accept(now, hello),
            Err(refusal) => {
                self.heard = None;
                self.lose(LinkEvent::HelloRefused, DownReason::Refused, now);
                if self.refusal != Some(refusal) {
                    self.refusal = Some(refusal);
                    self.hello_at = now;
                }
            }
        }
    }

    /// Takes an acceptable HELLO.
    fn accept(&mut self, now: u64, hello: Hello) {
        let news = self.heard.map_or(0, |before| before.nonce) != hello.nonce;
        self.heard = Some(hello);
        if self
            .live
            .as_ref()
            .is_some_and(|live| live.nonce != hello.nonce)
        {
            // Its echo, if it is the old nonce, is void with the epoch: the new attempt has a new one.
            return self.lose(LinkEvent::PeerReset, DownReason::PeerReset, now);
        }
        if hello.echo == self.nonce {
            self.step(LinkEvent::HelloEchoed, now);
        } else {
            self.step(LinkEvent::HelloHeard, now);
            if news && self.live.is_none() {
                self.hello_at = now;
            }
        }
        if self.state != LinkState::Refused {
            self.refusal = None;
        }
    }

    /// Judges who speaks. What this end has against the peer comes before what the peer has against it.
    fn judge_hello(&self, hello: &Hello) -> Result<(), Refusal> {
        let config = &self.config;
        if hello.appliance != config.appliance {
            return Err(Refusal::Appliance(hello.appliance));
        }
        if hello.peer.node == config.local.node {
            return Err(Refusal::SameNode(hello.peer.node));
        }
        match config.expect {
            Some(expected) if expected != hello.peer.node => {
                return Err(Refusal::OtherNode {
                    expected,
                    found: hello.peer.node,
                });
            }
            _ => {}
        }
        let missing = hello.required & !FEATURES;
        if missing != 0 {
            return Err(Refusal::Features(missing));
        }
        if !BEAT_INTERVAL_NS.contains(&(u64::from(hello.beat_interval_us) * NS_PER_US)) {
            return Err(Refusal::Field("heartbeat interval"));
        }
        if Layout::new(u64::MAX, hello.ring_entries).is_none() {
            return Err(Refusal::Field("entries of the ring"));
        }
        if Layout::new(hello.window_size, hello.ring_entries).is_none() {
            return Err(Refusal::Window(hello.window_size));
        }
        match hello.refusal {
            0 => Ok(()),
            code => Err(Refusal::ByPeer(code)),
        }
    }
}
