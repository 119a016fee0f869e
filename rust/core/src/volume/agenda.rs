// SPDX-License-Identifier: GPL-2.0
//! When the machine is to be polled, and the numbers of what it waits for.

use super::action::Token;

/// When to poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Agenda {
    /// Something happened between two polls that a poll has to see before its deadline.
    poll_wanted: bool,
    deadline_ns: Option<u64>,
    polled_at_ns: u64,
    tokens: u32,
}

impl Agenda {
    pub(crate) const NONE: Self = Self {
        poll_wanted: false,
        deadline_ns: None,
        polled_at_ns: 0,
        tokens: 0,
    };

    /// When to poll at the latest, as it was found when there was nothing left to do.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        self.deadline_ns
    }

    /// Wants to be polled at this time.
    pub(crate) fn wake_at(&mut self, time_ns: u64) {
        self.deadline_ns = Some(self.deadline_ns.map_or(time_ns, |other| other.min(time_ns)));
    }

    /// Whether `time_ns` has come; if not, wants to be polled then.
    pub(crate) fn due(&mut self, time_ns: u64, now_ns: u64) -> bool {
        let due = now_ns >= time_ns;
        if !due {
            self.wake_at(time_ns);
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
        self.deadline_ns = None;
    }

    /// A poll looks at everything: whoever wanted it is heard.
    pub(crate) fn look_at_all(&mut self) {
        self.poll_wanted = false;
    }

    /// When everything was looked at last.
    pub(crate) fn polled_at_ns(&self) -> u64 {
        self.polled_at_ns
    }

    pub(crate) fn set_polled_at(&mut self, now_ns: u64) {
        self.polled_at_ns = now_ns;
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
        assert_eq!(agenda.deadline_ns(), Some(50));
        agenda.begin_poll();
        assert_eq!(agenda.deadline_ns(), None);
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
