// SPDX-License-Identifier: GPL-2.0

//! The link handshake: when both sides say "up", and what each has to do for it.
//!
//! Pure: no kernel, no clock, no memory. The words come in as a [`View`], time as a number of
//! nanoseconds, and what is to be done goes out as a [`Step`]. So the tests below can walk through
//! every interleaving of two sides, of the server and of time (`make test-ntb` runs them on the
//! host).
//!
//! ```text
//!             the view is up: tell the clients "up"
//!   CLOSED ─────────────────────────────────────────▶ OPEN
//!   (until, ◀──────────────────────────────────────── │
//!    settled)   the view is not up: tell the clients "down",
//!      │        accept nothing for GUARD_NS
//!      │        the client disables the link itself: the same, and it is not told
//!      ├─ both sides enabled, not cut, guard over: wait until the clients' work has run
//!      └─ and then: accept the peer's LSEQ
//! ```
//!
//! The link is up by a pure function of the shared words ([`View::is_up`]), so both sides see it
//! turn at the same store. It cannot come up without a store of *each* side that was made after
//! this side told its clients "down" and waited [`GUARD_NS`]: that is the latch that PROTOCOL P2
//! demands, and the reason why no client ever misses a "down".
//!
//! Nor does a client's answer to "down" meet the next "up". ntb_transport answers with a work item
//! that cancels what a following "up" queues, and clears its scratchpads; where it runs late, the
//! transport never comes back. So before it accepts, a side waits until whatever stood on the
//! system's work queues has run ([`Step::Settle`]).

/// How long a side accepts nothing after it was enabled, or after it told its clients "down".
///
/// Clients enable the link and ask for its state afterwards: by then it must not be up. It is also
/// the shortest time that a link stays down.
pub(crate) const GUARD_NS: i64 = 100_000_000;

/// An LSEQ says that its side is enabled when it is odd.
pub(crate) const fn enabled(lseq: u32) -> bool {
    lseq % 2 == 1
}

/// The first LSEQ after `lseq` that says "disabled".
pub(crate) const fn next_disabled(lseq: u32) -> u32 {
    lseq.wrapping_add(if enabled(lseq) { 1 } else { 2 })
}

/// The ACK word that accepts a peer at `lseq` while the server has counted `down_count` cuts.
///
/// Never 0 for an LSEQ that is enabled, so 0 accepts nobody.
pub(crate) const fn ack(lseq: u32, down_count: u32) -> u64 {
    ((down_count as u64) << 32) | lseq as u64
}

/// The words that decide on the link, as one side read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) own_lseq: u32,
    pub(crate) own_ack: u64,
    pub(crate) peer_lseq: u32,
    pub(crate) peer_ack: u64,
    /// Low half of the server's count of cuts.
    pub(crate) down_count: u32,
    pub(crate) cut: bool,
    /// A word that a "down" changes differed between the start and the end of the reading: the
    /// link was down at some moment in between.
    pub(crate) torn: bool,
}

impl View {
    /// Whether the link is up. The same on both sides.
    pub(crate) const fn is_up(&self) -> bool {
        self.is_possible()
            && self.own_ack == ack(self.peer_lseq, self.down_count)
            && self.peer_ack == ack(self.own_lseq, self.down_count)
    }

    /// Whether nothing but a missing acknowledgement keeps the link down.
    const fn is_possible(&self) -> bool {
        !self.torn && !self.cut && enabled(self.own_lseq) && enabled(self.peer_lseq)
    }

    /// The acknowledgement that this side owes, if any.
    const fn owed_ack(&self) -> Option<u64> {
        let want = ack(self.peer_lseq, self.down_count);
        if self.is_possible() && self.own_ack != want {
            Some(want)
        } else {
            None
        }
    }
}

/// What this side has told its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The clients believe "down". Nothing is accepted before `until` (nanoseconds), nor before it
    /// is `settled`: whatever the clients queued when they were told has run.
    Closed { until: i64, settled: bool },
    /// The clients believe "up", and are told as soon as that is wrong.
    Open,
}

/// What a side has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Idle,
    /// Wait until the clients' work has run, then call [`Handshake::settled`] with this ticket.
    Settle(i64),
    /// Store this ACK, ring the peer, and look again.
    Accept(u64),
    /// Tell the clients that the link is up (true) or down, and look again.
    Report(bool),
}

/// One side's part in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    state: State,
}

impl Handshake {
    /// A side that was never enabled.
    pub(crate) const fn new() -> Self {
        Handshake {
            state: State::Closed {
                until: 0,
                settled: false,
            },
        }
    }

    /// The own LSEQ has just become odd.
    pub(crate) fn enable(&mut self, now: i64) {
        // A stale OPEN stays: "down" must still be told, and that sets the guard.
        if let State::Closed { until, settled } = &mut self.state {
            *until = (*until).max(now.saturating_add(GUARD_NS));
            *settled = false;
        }
    }

    /// The own LSEQ has just become even, by the client's own wish: it is not told. Whether it
    /// believed "up".
    pub(crate) fn disable(&mut self, now: i64) -> bool {
        let was_open = self.state == State::Open;
        self.state = State::Closed {
            until: now.saturating_add(GUARD_NS),
            settled: false,
        };
        was_open
    }

    /// The clients' work has run, since [`Step::Settle`] gave this ticket. A ticket from before the
    /// last "down" or enable is worth nothing.
    pub(crate) fn settled(&mut self, ticket: i64) {
        if let State::Closed { until, settled } = &mut self.state {
            *settled |= *until == ticket;
        }
    }

    /// What is to be done, without doing it.
    pub(crate) fn peek(&self, view: &View, now: i64) -> Step {
        match self.state {
            State::Open if !view.is_up() => Step::Report(false),
            State::Open => Step::Idle,
            State::Closed { .. } if view.is_up() => Step::Report(true),
            State::Closed { until, .. } if now < until => Step::Idle,
            State::Closed { until, settled } => match view.owed_ack() {
                None => Step::Idle,
                Some(_) if !settled => Step::Settle(until),
                Some(ack) => Step::Accept(ack),
            },
        }
    }

    /// The only transition: takes the step that [`Self::peek`] names. The caller performs it.
    pub(crate) fn step(&mut self, view: &View, now: i64) -> Step {
        let step = self.peek(view, now);
        match step {
            Step::Report(true) => self.state = State::Open,
            Step::Report(false) => {
                self.state = State::Closed {
                    until: now.saturating_add(GUARD_NS),
                    settled: false,
                }
            }
            Step::Accept(_) | Step::Settle(_) | Step::Idle => {}
        }
        step
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod walk;

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(ntb_hw_ivshmem_link))]
mod tests {
    use super::*;

    const UP: View = View {
        own_lseq: 1,
        own_ack: ack(3, 2),
        peer_lseq: 3,
        peer_ack: ack(1, 2),
        down_count: 2,
        cut: false,
        torn: false,
    };

    #[test]
    fn each_word_alone_takes_the_link_down() {
        assert!(UP.is_up());
        assert!(!View { own_lseq: 2, ..UP }.is_up());
        assert!(!View { own_ack: 0, ..UP }.is_up());
        assert!(!View { peer_lseq: 5, ..UP }.is_up());
        assert!(!View {
            peer_ack: ack(1, 1),
            ..UP
        }
        .is_up());
        assert!(!View {
            down_count: 3,
            ..UP
        }
        .is_up());
        assert!(!View { cut: true, ..UP }.is_up());
        assert!(!View { torn: true, ..UP }.is_up());
    }

    #[test]
    fn down_is_told_and_then_sat_out() {
        let mut handshake = Handshake::new();
        assert_eq!(handshake.step(&UP, 0), Step::Report(true));
        assert_eq!(handshake.step(&UP, 0), Step::Idle);
        let other = View { peer_lseq: 5, ..UP };
        assert_eq!(handshake.step(&other, 7), Step::Report(false));
        let over = 7 + GUARD_NS;
        assert_eq!(handshake.step(&other, over - 1), Step::Idle);
        assert_eq!(handshake.step(&other, over), Step::Settle(over));
        handshake.settled(0);
        assert_eq!(handshake.step(&other, over), Step::Settle(over));
        handshake.settled(over);
        assert_eq!(handshake.step(&other, over), Step::Accept(ack(5, 2)));
    }

    #[test]
    fn garbage_is_not_up_and_is_answered_once() {
        let garbage = View {
            own_lseq: 5,
            own_ack: 0,
            peer_lseq: u32::MAX,
            peer_ack: u64::MAX,
            down_count: u32::MAX,
            cut: false,
            torn: false,
        };
        assert!(!garbage.is_up());
        let mut handshake = Handshake::new();
        handshake.settled(0);
        assert_eq!(handshake.step(&garbage, 0), Step::Accept(u64::MAX));
        let answered = View {
            own_ack: u64::MAX,
            ..garbage
        };
        assert_eq!(handshake.step(&answered, 0), Step::Idle);
    }

    #[test]
    fn sequences_only_grow() {
        assert_eq!(next_disabled(0), 2);
        assert_eq!(next_disabled(1), 2);
        assert_eq!(next_disabled(2), 4);
        assert_eq!(next_disabled(u32::MAX), 0);
    }
}
