// SPDX-License-Identifier: GPL-2.0
//! Who has a volume's disk open, and in which ownership.
//!
//! What an opener has read in one ownership it may hold in memory: a page cache, a mounted file system. Another
//! controller may have written since. So with the ownership its openers die for good, even if this controller owns the
//! volume again: they hang on one block device, and whoever comes later gets another one. Openers that keep no state
//! (a target's export) live on.
//!
//! ```text
//!         open, or seen as owner           not the owner, or of another generation, and still open
//! fresh ------------------------> in use ---------------------------------------------------------> dead
//!   ^                                |                                                                |
//!   |<-------- the last close -------|                       Openers::replaced: another device        |
//!   |<------------------------------------------------------------------------------------------------'
//! ```

use crate::ids::Generation;

/// What this controller is to the volume, as far as openers are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tenure {
    /// It is not known yet. Nothing is answered.
    Unknown,
    /// This controller does not own the volume, or must not act as if it did any more.
    None,
    /// It owns the volume in this generation.
    Owner {
        /// The generation.
        generation: Generation,
        /// It is about to give the volume up on purpose.
        leaving: bool,
    },
}

impl Tenure {
    fn generation(self) -> Option<Generation> {
        match self {
            Self::Owner { generation, .. } => Some(generation),
            Self::Unknown | Self::None => None,
        }
    }
}

/// Why the disk cannot be opened now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// This device belongs to an ownership that is over; there will be another one in a moment.
    Dead,
    /// The volume is being given up on purpose.
    Leaving,
}

/// What has become of the openers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// They live.
    Live,
    /// Their ownership is over: their device is to be declared dead and another one made.
    Dead,
    /// Their ownership is over, and they keep no state: what the kernel cached for them is to be dropped.
    Moved,
}

/// Who has the disk open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Openers {
    stateless: bool,
    /// The number of the block device that counts.
    device: u64,
    count: u32,
    /// The ownership in which these openers may have read.
    tenure: Option<Generation>,
}

impl Openers {
    /// Nobody has device 1 open. `stateless`: openers keep nothing of what they read.
    pub const fn new(stateless: bool) -> Self {
        Self {
            stateless,
            device: 1,
            count: 0,
            tenure: None,
        }
    }

    /// The number of the block device that counts.
    pub const fn device(&self) -> u64 {
        self.device
    }

    /// Whether openers keep no state.
    pub const fn is_stateless(&self) -> bool {
        self.stateless
    }

    /// How many have it open.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether somebody would lose something if the ownership went.
    pub const fn is_held(&self) -> bool {
        self.count > 0 && !self.stateless
    }

    /// The ownership in which the openers are is this one, if they are in none yet.
    fn settle(&mut self, tenure: Tenure) {
        if self.count == 0 {
            self.tenure = None;
        } else if self.tenure.is_none() {
            self.tenure = tenure.generation();
        }
    }

    fn is_over(&self, tenure: Tenure) -> bool {
        match tenure {
            Tenure::Unknown => false,
            Tenure::None => self.tenure.is_some(),
            Tenure::Owner { generation, .. } => self.tenure.is_some_and(|mine| mine != generation),
        }
    }

    /// Somebody opens a device.
    ///
    /// # Errors
    ///
    /// Why not; then nothing has changed.
    pub fn open(&mut self, device: u64, tenure: Tenure) -> Result<(), Refused> {
        let mut next = *self;
        next.settle(tenure);
        if !self.stateless && (device != self.device || next.is_over(tenure)) {
            return Err(Refused::Dead);
        }
        let leaving = matches!(tenure, Tenure::Owner { leaving: true, .. });
        if leaving && !self.stateless {
            return Err(Refused::Leaving);
        }
        next.count = next.count.saturating_add(1);
        next.settle(tenure);
        *self = next;
        Ok(())
    }

    /// Somebody has closed a device. With the last one nothing is cached any more.
    pub fn close(&mut self, device: u64) {
        if device == self.device {
            self.count = self.count.saturating_sub(1);
            self.settle(Tenure::Unknown);
        }
    }

    /// Whether I/O that came through a device may be begun. It is asked in the same hold of the lock in which the I/O
    /// is begun: otherwise a whole ownership may pass in between.
    pub fn admits(&mut self, device: u64, tenure: Tenure) -> bool {
        if self.stateless {
            return true;
        }
        self.settle(tenure);
        device == self.device && !self.is_over(tenure)
    }

    /// What has become of the openers. The answer stays until [`Openers::replaced`], [`Openers::moved`] or the last
    /// close.
    pub fn fate(&mut self, tenure: Tenure) -> Fate {
        self.settle(tenure);
        match (self.is_over(tenure), self.stateless) {
            (false, _) => Fate::Live,
            (true, false) => Fate::Dead,
            (true, true) => Fate::Moved,
        }
    }

    /// What was cached for openers without state is about to be dropped. While their ownership lasts this changes nothing:
    /// its end is still to be seen.
    pub fn moved(&mut self, tenure: Tenure) {
        if self.stateless && self.is_over(tenure) {
            self.tenure = None;
        }
    }

    /// The device is dead for everybody who has it open: another one counts from now on, of this number.
    pub fn replaced(&mut self) -> u64 {
        self.device = self.device.saturating_add(1);
        self.count = 0;
        self.tenure = None;
        self.device
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_openers))]
mod tests {
    use super::*;

    fn owner(number: u64) -> Tenure {
        Tenure::Owner {
            generation: Generation::new(number),
            leaving: false,
        }
    }

    #[test]
    fn an_opener_dies_with_its_ownership_and_stays_dead() {
        let mut openers = Openers::new(false);
        assert!(openers.open(1, owner(1)) == Ok(()));
        assert!(openers.admits(1, owner(1)));
        assert!(openers.fate(owner(1)) == Fate::Live);
        assert!(openers.fate(Tenure::None) == Fate::Dead);
        assert!(openers.fate(Tenure::None) == Fate::Dead);
        // It waits for no takeover.
        assert!(!openers.admits(1, Tenure::None));
        // Owner again before anybody has looked: the old I/O does not get in, the new opener neither.
        assert!(!openers.admits(1, owner(3)));
        assert!(openers.open(1, owner(3)) == Err(Refused::Dead));
        assert!(openers.replaced() == 2);
        assert!(openers.count() == 0);
        assert!(!openers.admits(1, owner(3)));
        assert!(openers.open(1, owner(3)) == Err(Refused::Dead));
        assert!(openers.open(2, owner(3)) == Ok(()));
        assert!(openers.admits(2, owner(3)));
        // The old ones go at last, and are not counted for others.
        openers.close(1);
        assert!(openers.count() == 1);
    }

    #[test]
    fn an_opener_that_did_nothing_yet_dies_too() {
        let mut openers = Openers::new(false);
        assert!(openers.open(1, Tenure::Unknown) == Ok(()));
        assert!(openers.fate(owner(1)) == Fate::Live);
        assert!(openers.fate(owner(2)) == Fate::Dead);
    }

    #[test]
    fn who_opened_before_there_was_an_ownership_lives_into_it() {
        let mut openers = Openers::new(false);
        assert!(openers.open(1, Tenure::None) == Ok(()));
        assert!(openers.fate(Tenure::None) == Fate::Live);
        assert!(openers.admits(1, Tenure::None));
        assert!(openers.admits(1, owner(4)));
        assert!(openers.fate(owner(4)) == Fate::Live);
        assert!(openers.fate(Tenure::None) == Fate::Dead);
    }

    #[test]
    fn a_device_that_nobody_has_open_serves_again() {
        let mut openers = Openers::new(false);
        assert!(openers.open(1, owner(1)) == Ok(()));
        openers.close(1);
        assert!(!openers.is_held());
        assert!(openers.fate(Tenure::None) == Fate::Live);
        assert!(openers.open(1, owner(2)) == Ok(()));
        assert!(openers.admits(1, owner(2)));
        openers.close(1);
        openers.close(1);
        assert!(openers.count() == 0);
    }

    #[test]
    fn nobody_opens_what_is_being_given_back() {
        let leaving = Tenure::Owner {
            generation: Generation::new(1),
            leaving: true,
        };
        let mut openers = Openers::new(false);
        assert!(openers.open(1, leaving) == Err(Refused::Leaving));
        assert!(openers.count() == 0);
        assert!(Openers::new(true).open(1, leaving) == Ok(()));
    }

    #[test]
    fn an_opener_without_state_lives_and_its_cache_goes_once() {
        let mut openers = Openers::new(true);
        assert!(openers.open(1, owner(1)) == Ok(()));
        assert!(!openers.is_held());
        assert!(openers.fate(Tenure::None) == Fate::Moved);
        assert!(openers.fate(Tenure::None) == Fate::Moved);
        openers.moved(Tenure::None);
        assert!(openers.fate(Tenure::None) == Fate::Live);
        assert!(openers.admits(1, Tenure::None));
        assert!(openers.fate(owner(3)) == Fate::Live);
        assert!(openers.admits(1, owner(3)));
        assert!(openers.fate(owner(5)) == Fate::Moved);
        openers.moved(owner(5));
        assert!(openers.fate(owner(5)) == Fate::Live);
        openers.moved(owner(5));
        assert!(openers.fate(Tenure::None) == Fate::Moved);
    }
}
