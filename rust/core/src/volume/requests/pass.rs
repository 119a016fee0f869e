// SPDX-License-Identifier: GPL-2.0
//! One discard or write-zeroes on its way past the log, and the table of them (PROTOCOL P10, P12). How one goes on
//! stands in `passing.rs`.

mod stage;

pub use stage::{PassEvent, PassStage};

use crate::ids::LinkId;
use crate::volume::action::{LongRange, Token};
use crate::volume::log::entry::{EntryId, NONE};
use crate::volume::plan::{PassOp, TicketId};
use crate::volume::status::Reason;

/// How many are known at a time; what more is asked for waits.
pub(crate) const PASSING_MAX: usize = 4;

/// Names one. Stale ones are told from current ones by the serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PassId {
    index: u8,
    serial: u32,
}

/// How a command that was passed down ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassEnd {
    /// It was done.
    Done,
    /// It failed: some of it may have been done, and the rest may be, until T_io has passed since its issue.
    Failed,
    /// The disk does not know it, or it was never issued: nothing more will be done. Zeroes that were asked for are written.
    Refused,
    /// It was never issued, since [`crate::volume::Volume::issue_pass`] said no: it is tried again when it may be.
    NotIssued,
}

/// One that is not gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pass {
    serial: u32,
    pub(crate) op: PassOp,
    pub(crate) range: LongRange,
    /// The client that waits for it: none if it was adopted, or is answered.
    pub(crate) ticket: Option<TicketId>,
    pub(crate) stage: PassStage,
    /// Clearing: how much was looked at. Adopted: how many blocks are zeroes on the disk.
    pub(crate) next: u64,
    /// The tombstone's entry in the log, once there is one.
    pub(crate) entry: EntryId,
    /// When its last command was issued.
    pub(crate) issued_ns: u64,
    /// How many blocks that command is for.
    pub(crate) piece: u64,
    /// Its client is to be told that it failed, and why.
    pub(crate) failed: Option<Reason>,
    /// The disk has refused to write zeroes by itself: they are written to it.
    pub(crate) by_writes: bool,
    /// The disk's cache was lost while its command was under way.
    pub(crate) lost: bool,
    /// It was done, and perhaps answered, and lost with the disk's cache: it is tried until it is done.
    pub(crate) again: bool,
}

impl Pass {
    /// Whether one of its commands may land on the disk.
    pub(crate) fn may_land(&self) -> bool {
        matches!(self.stage, PassStage::Passing | PassStage::Doubtful)
    }
}

/// Those that are not gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Passes {
    table: [Option<Pass>; PASSING_MAX],
    serial: u32,
    /// The region to which the tombstone of one is being posted.
    pub(crate) post: Option<(LinkId, PassId)>,
    /// The fence after that.
    pub(crate) fence: Option<Token>,
}

impl Passes {
    pub(crate) const NONE: Self = Self {
        table: [None; PASSING_MAX],
        serial: 0,
        post: None,
        fence: None,
    };

    fn all(&self) -> impl Iterator<Item = &Pass> {
        self.table.iter().flatten()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.table.iter().all(Option::is_some)
    }

    pub(crate) fn any(&self, which: impl FnMut(&Pass) -> bool) -> bool {
        self.all().any(which)
    }

    /// When the first command was issued of those that are under way.
    pub(crate) fn first_command_ns(&self) -> Option<u64> {
        let passing = self.all().filter(|pass| pass.stage == PassStage::Passing);
        passing.map(|pass| pass.issued_ns).min()
    }

    /// When the last one was issued of those that may land.
    pub(crate) fn last_command_ns(&self) -> Option<u64> {
        let landing = self.all().filter(|pass| pass.may_land());
        landing.map(|pass| pass.issued_ns).max()
    }

    pub(crate) fn is_used(&self, index: usize) -> bool {
        self.table.get(index).is_some_and(Option::is_some)
    }

    pub(crate) fn at(&self, index: usize) -> Option<Pass> {
        self.table.get(index).copied().flatten()
    }

    pub(crate) fn at_mut(&mut self, index: usize) -> Option<&mut Pass> {
        self.table.get_mut(index)?.as_mut()
    }

    /// Puts one in; `None`: there is no room.
    pub(crate) fn add(
        &mut self,
        op: PassOp,
        range: LongRange,
        ticket: Option<TicketId>,
        stage: PassStage,
        entry: EntryId,
    ) -> Option<()> {
        let place = self.table.iter_mut().find(|place| place.is_none())?;
        self.serial = self.serial.wrapping_add(1);
        *place = Some(Pass {
            serial: self.serial,
            op,
            range,
            ticket,
            stage,
            next: 0,
            entry,
            issued_ns: 0,
            piece: 0,
            failed: None,
            by_writes: false,
            lost: false,
            again: false,
        });
        Some(())
    }

    pub(crate) fn id(&self, index: usize) -> PassId {
        PassId {
            index: index as u8,
            serial: self.at(index).map_or(0, |pass| pass.serial),
        }
    }

    /// The place of one, if it is not gone.
    pub(crate) fn find(&self, id: PassId) -> Option<usize> {
        let index = usize::from(id.index);
        (self.at(index)?.serial == id.serial).then_some(index)
    }

    /// The place of the one whose tombstone is this entry of the log.
    pub(crate) fn of_entry(&self, entry: EntryId) -> Option<usize> {
        let mine = |pass: &Option<Pass>| pass.is_some_and(|pass| pass.entry == entry);
        (entry != NONE)
            .then(|| self.table.iter().position(mine))
            .flatten()
    }

    /// The disk's cache is lost, and with it the pieces that were done of adopted ones.
    pub(crate) fn cache_lost(&mut self) {
        use PassStage::{Doubtful, Logged, Passing, Posted};
        for pass in self.table.iter_mut().flatten() {
            if matches!(pass.stage, Logged | Posted | Passing | Doubtful) {
                (pass.next, pass.lost) = (0, true);
            }
        }
    }

    /// Whether the one whose tombstone is this entry, which is done, is to be done again: then it is begun.
    pub(crate) fn redo(&mut self, entry: EntryId) -> bool {
        let Some(index) = self.of_entry(entry) else {
            return false;
        };
        let Some(pass) = self.at_mut(index) else {
            return false;
        };
        if pass.stage != PassStage::Done || pass.failed.is_some() {
            return false;
        }
        (pass.next, pass.again) = (0, true);
        self.on(index, PassEvent::Lost);
        true
    }

    pub(crate) fn take(&mut self, index: usize) -> Option<Pass> {
        self.table.get_mut(index)?.take()
    }

    /// Something happens to one.
    pub(crate) fn on(&mut self, index: usize, event: PassEvent) {
        if let Some(pass) = self.at_mut(index) {
            pass.stage = pass.stage.on(event).after(pass.stage);
        }
    }

    /// Forgets all. A fence that is in flight is waited for.
    pub(crate) fn clear(&mut self) {
        self.table = [None; PASSING_MAX];
        if self.fence.is_none() {
            self.post = None;
        }
    }

    /// Whether a tombstone is being posted to the region of a link.
    pub(crate) fn waits_for(&self, link: LinkId) -> bool {
        self.post.is_some_and(|(to, _)| to == link)
    }

    /// Whether one waits for a slot of the log: it gets the next.
    pub(crate) fn wants_slot(&self) -> bool {
        self.any(|pass| pass.stage == PassStage::Logging)
    }

    pub(crate) fn overlaps(&self, range: LongRange) -> bool {
        self.any(|pass| pass.range.overlaps(range))
    }
}
