// SPDX-License-Identifier: GPL-2.0
//! When the machine is to be polled, and the numbers of what it waits for.

use super::action::Token;

/// When to poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Agenda {
    /// Something happened between two polls that a poll has to see before its deadline.
    poll_wanted: bool,
    deadline: Option<u64>,
    polled_at: u64,
    tokens: u32,
}

impl Agenda {
    pub(crate) const NONE: Self = Self {
        poll_wanted: false,
        deadline: None,
        polled_at: 0,
        tokens: 0,
    };

    /// When to poll at the latest, as it was found when there was nothing left to do.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Wants to be polled at this time.
    pub(crate) fn wake_at(&mut self, time: u64) {
        self.deadline = Some(self.deadline.map_or(time, |other| other.min(time)));
    }

    /// Whether `time` has come; if not, wants to be polled then.
    pub(crate) fn due(&mut self, time: u64, now: u64) -> bool {
        let due = now >= time;
        if !due {
            self.wake_at(time);
        }
        due
    }

    /// A poll is wanted before the deadline, if `wanted`.
    pub(crate) fn want_poll(&mut self, wanted: bool) {
        self.poll_wanted |= wanted;
    }

    pub(crate) fn wants_poll(&self) -> bool {
        self.poll_wanted
    }

    /// A poll begins: what it finds says when the next one is due.
    pub(crate) fn begin_poll(&mut self) {
        self.deadline = None;
    }

    /// A poll looks at everything: whoever wanted it is heard.
    pub(crate) fn look_at_all(&mut self) {
        self.poll_wanted = false;
    }

    /// When everything was looked at last.
    pub(crate) fn polled_at(&self) -> u64 {
        self.polled_at
    }

    pub(crate) fn set_polled_at(&mut self, now: u64) {
        self.polled_at = now;
    }

    /// Names the next action whose result is waited for.
    pub(crate) fn token(&mut self) -> Token {
        self.tokens = self.tokens.wrapping_add(1);
        Token(self.tokens)
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_agenda))]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_time_counts() {
        let mut agenda = Agenda::NONE;
        assert!(!agenda.due(70, 10) && !agenda.due(50, 10) && !agenda.due(60, 10));
        assert!(agenda.due(10, 10));
        assert_eq!(agenda.deadline(), Some(50));
        agenda.begin_poll();
        assert_eq!(agenda.deadline(), None);
    }

    #[test]
    fn a_poll_that_is_wanted_stays_wanted() {
        let mut agenda = Agenda::NONE;
        agenda.want_poll(false);
        assert!(!agenda.wants_poll());
        agenda.want_poll(true);
        agenda.want_poll(false);
        assert!(agenda.wants_poll());
        agenda.look_at_all();
        assert!(!agenda.wants_poll());
        assert!(agenda.token() != agenda.token());
    }
}
