// SPDX-License-Identifier: GPL-2.0
//! Whether the backing disk does what it is asked, as this controller sees it through its own paths.

use super::log::entry::Entry;
use super::log::Slab;
use super::machine::Volume;
use super::requests::tickets::Ticket;
use super::status::Reason;

/// What came of the commands to the disk: those of the log, those past it, and those of the node blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Health {
    /// When one went well last.
    well_at_ns: u64,
    /// When the first one failed since.
    failed_at_ns: Option<u64>,
    /// How long the last read of all node blocks took that went well.
    pass_ns: u64,
}

impl Health {
    pub(crate) const NONE: Self = Self {
        well_at_ns: 0,
        failed_at_ns: None,
        pass_ns: 0,
    };

    /// A command has ended.
    fn ended(&mut self, well: bool, now_ns: u64) {
        if well {
            (self.well_at_ns, self.failed_at_ns) = (now_ns, None);
        } else {
            self.failed_at_ns.get_or_insert(now_ns);
        }
    }

    /// Since when nothing has gone well, though something was to be done. `asked_ns`: when the oldest of the commands
    /// that are under way was issued. One that is late among others that go well says nothing of the disk.
    fn ill_since_ns(&self, asked_ns: Option<u64>) -> Option<u64> {
        let silent_ns = asked_ns.map(|asked_ns| asked_ns.max(self.well_at_ns));
        self.failed_at_ns.into_iter().chain(silent_ns).min()
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// A command to the disk has ended.
    pub(crate) fn disk_told(&mut self, well: bool, now_ns: u64) {
        self.health.ended(well, now_ns);
    }

    /// A read of a client's that was passed on to the disk has ended there: the machine hears of it in no other way. Context: any,
    /// under the volume's lock.
    pub fn disk_read_ended(&mut self, well: bool, now_ns: u64) {
        self.disk_told(well, now_ns);
    }

    /// All node blocks were read, by a read that was issued then.
    pub(crate) fn disk_was_read(&mut self, issued_ns: u64, now_ns: u64) {
        self.health.ended(true, now_ns);
        self.health.pass_ns = now_ns.saturating_sub(issued_ns);
    }

    /// What the disk has not done until now says nothing.
    pub(crate) fn excuse_disk(&mut self, now_ns: u64) {
        self.health.ended(true, now_ns);
    }

    /// A controller that stood still sees what the disk did meanwhile only after this: for that time the disk is not blamed.
    pub(crate) fn excuse_disk_after_stillness(&mut self, now_ns: u64) {
        let still_ns = now_ns.saturating_sub(self.agenda.polled_at_ns());
        if still_ns > self.config.poll_ns.saturating_mul(2) {
            self.excuse_disk(now_ns);
        }
    }

    /// Since when the disk has done nothing of what it was asked.
    fn ill_since_ns(&self) -> Option<u64> {
        let asked = [
            self.log.runs().first_issued_ns(),
            self.log.flushes().issued_ns(),
            self.requests.first_command_ns(),
            self.ownership.block_asked_ns(),
        ];
        self.health.ill_since_ns(asked.into_iter().flatten().min())
    }

    /// From when on the disk is doubted. An owner asks it then, and its partner says that it could not take over: in less
    /// than the time after which an owner gives its disk up, so of two whose disk fails at one time, neither hands
    /// the volume to the other.
    pub(crate) fn doubted_from_ns(&self) -> Option<u64> {
        let doubt_ns = self.ownership.wanted_lease_ns() / 2;
        let slow_ns = self.health.pass_ns.saturating_mul(2);
        let since_ns = self.ill_since_ns()?;
        Some(since_ns.saturating_add(doubt_ns).saturating_add(slow_ns))
    }

    /// Whether the disk does what it is asked, to say so to a partner that may rely on it.
    pub(crate) fn disk_is_well(&self, now_ns: u64) -> Result<(), Reason> {
        match self.doubted_from_ns() {
            Some(from_ns) if now_ns >= from_ns => Err(Reason::DiskIll),
            _ => Ok(()),
        }
    }

    /// Whether the disk has done nothing for so long that the partner is to have the volume: never before a disk lease, the
    /// time in which a partner has looked at the disk several times.
    pub(crate) fn disk_is_given_up(&mut self, now_ns: u64) -> bool {
        if !self.config.hands_over() {
            return false;
        }
        let lease_ns = self.ownership.wanted_lease_ns();
        let slow_ns = self.health.pass_ns.saturating_mul(4);
        let patience_ns = self
            .config
            .handover_ns
            .max(lease_ns)
            .saturating_add(slow_ns);
        self.ill_since_ns().is_some_and(|since_ns| {
            self.agenda
                .due(since_ns.saturating_add(patience_ns), now_ns)
        })
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_health))]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_ill_since_the_first_failure_after_the_last_success() {
        let mut health = Health::NONE;
        assert_eq!(health.ill_since_ns(None), None);
        health.ended(false, 10);
        health.ended(false, 20);
        assert_eq!(health.ill_since_ns(None), Some(10));
        health.ended(true, 30);
        assert_eq!(health.ill_since_ns(None), None);
        health.ended(false, 40);
        assert_eq!(health.ill_since_ns(None), Some(40));
    }

    #[test]
    fn what_is_not_answered_counts_from_its_issue_or_the_last_success() {
        let mut health = Health::NONE;
        assert_eq!(health.ill_since_ns(Some(5)), Some(5));
        health.ended(true, 30);
        assert_eq!(health.ill_since_ns(Some(5)), Some(30));
        assert_eq!(health.ill_since_ns(Some(35)), Some(35));
        health.ended(false, 33);
        assert_eq!(health.ill_since_ns(Some(35)), Some(33));
    }
}
