// SPDX-License-Identifier: GPL-2.0
//! The heartbeat of one link epoch: sends beats, hears the peer's, tells when it fell silent, and how long a round
//! trip takes.
//!
//! Silence is judged only after the own window was read, and the times are fixed, so the silence of a peer is told
//! within a known time, whatever happened before. When *this* controller was stalled, its first look may come before
//! the peer's beats that are under way: it then looks once more, two intervals later, before it judges. It does so
//! once in a silence, so stalls do not add up.

use super::reason::LinkFault;
use super::settings::NS_PER_US;
use crate::ids::LinkEpoch;
use crate::region::{Region, RegionError};
use crate::window::beat_at;
use crate::wire::heartbeat::{self, Heartbeat, SIZE};

/// The times of this many beats are kept, to know when the one was sent that comes back as an echo.
const KEPT: usize = 8;

/// How far ahead a beat's number may be. Words of other epochs look like arbitrary numbers: few come close.
const AHEAD_MAX: u64 = 1 << 32;

/// Both directions of the heartbeat in one link epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pulse {
    epoch: LinkEpoch,
    interval_ns: u64,
    silence_ns: u64,
    sent: u64,
    sent_at: [u64; KEPT],
    next_at: u64,
    last: Heartbeat,
    heard_at: u64,
    looked_at: u64,
    judge_at: u64,
    spared: bool,
    echoed_at: Option<u64>,
    round_trip_ns: Option<u64>,
}

impl Pulse {
    /// The first beat is due now. The peer sends one every `peer_interval_ns`.
    pub(super) fn new(
        epoch: LinkEpoch,
        now: u64,
        interval_ns: u64,
        peer_interval_ns: u64,
        missed: u32,
    ) -> Self {
        let silence_ns = interval_ns
            .max(peer_interval_ns)
            .saturating_mul(u64::from(missed));
        Self {
            epoch,
            interval_ns,
            silence_ns,
            sent: 0,
            sent_at: [0; KEPT],
            next_at: now,
            last: Heartbeat {
                number: 0,
                echo: 0,
                echo_age_us: 0,
                produced: 0,
                ack: 0,
            },
            heard_at: now,
            looked_at: now,
            judge_at: now.saturating_add(silence_ns),
            spared: false,
            echoed_at: None,
            round_trip_ns: None,
        }
    }

    /// How long the peer may be silent, in nanoseconds.
    pub(super) const fn silence_ns(&self) -> u64 {
        self.silence_ns
    }

    /// The newest beat that was heard; number 0 before the first.
    pub(super) const fn last(&self) -> &Heartbeat {
        &self.last
    }

    /// When the newest of the own beats was sent whose echo came back: the peer lived at that time, or later.
    pub(super) const fn echoed_at(&self) -> Option<u64> {
        self.echoed_at
    }

    /// A smoothed estimate of the round trip, in nanoseconds.
    pub(super) const fn round_trip_ns(&self) -> Option<u64> {
        self.round_trip_ns
    }

    /// How many beats went both ways.
    pub(super) const fn shown(&self) -> u64 {
        if self.last.number < self.last.echo {
            self.last.number
        } else {
            self.last.echo
        }
    }

    /// When something is due: a beat, or a judgement.
    pub(super) fn next_deadline(&self) -> u64 {
        self.next_at.min(self.judge_at)
    }

    /// Makes a beat due now.
    pub(super) fn hasten(&mut self, now: u64) {
        self.next_at = now;
    }

    /// Whether a beat is due.
    pub(super) const fn is_due(&self, now: u64) -> bool {
        now >= self.next_at
    }

    /// Posts a beat.
    pub(super) fn beat(
        &mut self,
        now: u64,
        produced: u64,
        ack: u64,
        peer: &impl Region,
    ) -> Result<(), RegionError> {
        let number = self.sent.wrapping_add(1);
        let echo_age = now.saturating_sub(self.heard_at) / NS_PER_US;
        let echo_age_us = u32::try_from(echo_age).unwrap_or(u32::MAX);
        let beat = Heartbeat {
            number,
            echo: self.last.number,
            echo_age_us,
            produced,
            ack,
        };
        let bytes = beat.encode(self.epoch);
        let (_word, body) = bytes.split_at(8);
        peer.copy_in(beat_at(number) + 8, body)?;
        peer.store_release_u64(beat_at(number), heartbeat::word(self.epoch, number))?;
        self.sent = number;
        if let Some(sent_at) = self.sent_at.get_mut(number as usize % KEPT) {
            *sent_at = now;
        }
        self.next_at = now.saturating_add(self.interval_ns);
        Ok(())
    }

    /// Looks for a new beat of the peer in the own window. `ring_room` is the most that the peer can have put into
    /// the ring so far.
    pub(super) fn hear(
        &mut self,
        now: u64,
        ring_room: u64,
        own: &impl Region,
    ) -> Result<bool, LinkFault> {
        let Some(beat) = self.newest_beat(own)? else {
            return Ok(false);
        };
        if beat.echo > self.sent || beat.echo < self.last.echo {
            return Err(LinkFault::Beat("echo"));
        }
        if beat.produced < self.last.produced || beat.produced > ring_room {
            return Err(LinkFault::Beat("messages sent"));
        }
        if beat.ack < self.last.ack {
            return Err(LinkFault::Beat("messages received"));
        }
        if beat.echo > self.last.echo {
            self.measure(now, &beat);
        }
        self.last = beat;
        self.heard_at = now;
        self.judge_at = now.saturating_add(self.silence_ns);
        self.spared = false;
        Ok(true)
    }

    /// The newest beat in the window that was not heard yet. One that is damaged does not count: it is being written,
    /// or the link is out of order and will fall silent.
    fn newest_beat(&self, own: &impl Region) -> Result<Option<Heartbeat>, LinkFault> {
        let window = |error: RegionError| LinkFault::Ring(error.into());
        let mut newest = None;
        for place in 0..2 {
            let word = own.load_acquire_u64(beat_at(place)).map_err(window)?;
            let number = heartbeat::number(self.epoch, word);
            let ahead = number.wrapping_sub(self.last.number);
            if number & 1 == place
                && ahead.wrapping_sub(1) < AHEAD_MAX
                && newest.is_none_or(|other| number > other)
            {
                newest = Some(number);
            }
        }
        let Some(number) = newest else {
            return Ok(None);
        };
        let mut bytes = [0; SIZE];
        own.copy_out(beat_at(number), &mut bytes).map_err(window)?;
        Ok(Heartbeat::parse(self.epoch, number, &bytes).ok())
    }

    fn measure(&mut self, now: u64, beat: &Heartbeat) {
        if self.sent.wrapping_sub(beat.echo) >= KEPT as u64 {
            return;
        }
        let Some(&sent_at) = self.sent_at.get(beat.echo as usize % KEPT) else {
            return;
        };
        self.echoed_at = Some(sent_at);
        let away = now.saturating_sub(sent_at);
        let sample = away.saturating_sub(u64::from(beat.echo_age_us).saturating_mul(NS_PER_US));
        self.round_trip_ns = Some(match self.round_trip_ns {
            Some(before) => before - before / 8 + sample / 8,
            None => sample,
        });
    }

    /// Whether the peer has fallen silent: for how many nanoseconds. To be asked after [`Pulse::hear`].
    pub(super) fn silent(&mut self, now: u64) -> Option<u64> {
        let stalled = now.saturating_sub(self.looked_at) > self.interval_ns.saturating_mul(2);
        self.looked_at = now;
        if now < self.judge_at {
            return None;
        }
        if stalled && !self.spared {
            self.spared = true;
            self.judge_at = now.saturating_add(self.interval_ns.saturating_mul(2));
            return None;
        }
        Some(now.saturating_sub(self.heard_at))
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_pulse))]
mod tests {
    use core::cell::Cell;

    use super::*;
    use crate::region::CellRegion;

    const MS: u64 = 1_000_000;

    /// Runs `test` with the two ends of a heartbeat, and with the windows of both: beats every 10 ms, silence of 50.
    fn with_pulses(test: impl FnOnce(&mut [Pulse; 2], &[CellRegion<'_>; 2])) -> bool {
        let (a, b) = ([const { Cell::new(0) }; 80], [const { Cell::new(0) }; 80]);
        let Some(epoch) = LinkEpoch::new(u64::MAX - 2) else {
            return false;
        };
        let pulse = Pulse::new(epoch, 0, 10 * MS, 10 * MS, 5);
        test(&mut [pulse; 2], &[CellRegion::new(&a), CellRegion::new(&b)]);
        true
    }

    #[test]
    fn beats_go_both_ways_and_a_round_trip_is_measured() {
        let mut shown = 0;
        let mut round_trip = None;
        assert!(with_pulses(|[first, second], [here, there]| {
            for turn in 0..10 {
                let now = turn * 10 * MS;
                let _ = first.beat(now, 0, 0, there);
                let _ = second.hear(now + MS, 0, there);
                let _ = second.beat(now + 4 * MS, 0, 0, here);
                let _ = first.hear(now + 6 * MS, 0, here);
            }
            shown = first.shown();
            round_trip = first.round_trip_ns();
        }));
        assert_eq!(shown, 10);
        // One millisecond to be heard and two for the answer; the three between them are the peer's.
        assert_eq!(round_trip, Some(3 * MS));
    }

    #[test]
    fn silence_is_told_in_time() {
        let mut told = [None; 3];
        assert!(with_pulses(|[first, second], [here, _]| {
            let _ = second.beat(0, 0, 0, here);
            for turn in 0..=10 {
                let _ = first.hear(turn * 5 * MS, 0, here);
                told[0] = told[0].or(first.silent(turn * 5 * MS).map(|ns| (turn, ns)));
            }
            let _ = first.hear(54 * MS, 0, here);
            told[1] = first.silent(54 * MS).map(|ns| (0, ns));
        }));
        assert_eq!(told, [Some((10, 50 * MS)), Some((0, 54 * MS)), None]);
    }

    #[test]
    fn an_own_stall_delays_the_judgement_once() {
        let mut told = [true; 4];
        assert!(with_pulses(|[first, _], [here, _]| {
            // Looks at 0, then not before 100 ms: it may be the own fault that nothing was heard.
            for (place, at) in told.iter_mut().zip([0, 100, 119, 160]) {
                let _ = first.hear(at * MS, 0, here);
                *place = first.silent(at * MS).is_some();
            }
        }));
        assert_eq!(told, [false, false, false, true]);
    }

    #[test]
    fn impossible_beats_are_faults_and_damaged_ones_are_not_there() {
        let mut heard = [Ok(true); 4];
        assert!(with_pulses(|[first, second], [here, _]| {
            let _ = second.beat(0, 3, 0, here);
            heard[0] = first.hear(0, 2, here);
            heard[1] = first.hear(0, 3, here);
            let _ = second.beat(0, 2, 0, here);
            heard[2] = first.hear(0, 3, here);
            let _ = second.beat(0, 3, 0, here);
            let _ = here.copy_in(beat_at(3) + 30, &[1]);
            heard[3] = first.hear(0, 3, here);
        }));
        let fault = Err(LinkFault::Beat("messages sent"));
        assert_eq!(heard, [fault, Ok(true), fault, Ok(false)]);
    }
}
