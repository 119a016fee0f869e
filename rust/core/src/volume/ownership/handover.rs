// SPDX-License-Identifier: GPL-2.0
//! Handover from `shadow`: an owner whose disk does nothing any more can neither empty its log nor write a record that
//! releases the volume (PROTOCOL P12). Its partner has all that it acknowledged, and may have another path to the disk.
//!
//! So it does what it would do if all links were gone: it holds, and answers nothing (P8). Then it says so. What the
//! partner does about that is a takeover like any other, by P7: nothing rests on what is said here, neither on that the
//! owner holds nor on that its disk is ill. Only the owner takes its partner's word, for what it cannot see. An owner that
//! nobody takes over from goes on when its disk is well again.

use super::leaving::Leaving;
use super::{Ownership, Wanted};
use crate::ids::Generation;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::{Mode, Role};

impl Ownership {
    /// The owner has stopped, or offers the volume: its partner takes over, if it stands by and wants nothing else. To ask
    /// for the volume, as a person wants, would be in vain.
    pub(crate) fn rescue(&mut self) {
        let asks = matches!(self.wanted, None | Some(Wanted::TakeOver { .. }));
        if self.role == Role::Standby && asks {
            (self.wanted, self.surveyed_at_ns) = (Some(Wanted::Rescue), None);
        }
    }

    /// What the partner said in a session that is over counts no more: by the next one it may have been opened anew, and
    /// own the volume well. So does what it said before it served again.
    pub(crate) fn forget_rescue(&mut self) {
        if self.wanted == Some(Wanted::Rescue) {
            self.wanted = None;
        }
    }

    /// Whether a record with this generation is above whatever this controller has written, or may have. Where it has
    /// claimed a higher one the disk has to tell.
    fn is_outranked_by(&self, generation: Generation) -> bool {
        let claims = [self.cycle.mine.claim, self.cycle.block.claim];
        self.generation() < generation && claims == [None; 2]
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// A mirrored owner asks nothing of the disk but to take its log: where that comes to nothing it asks for the node blocks,
    /// before it blames the disk for what one command, one block, or nobody's asking has brought about.
    pub(super) fn ask_doubted_disk(&mut self, now_ns: u64) {
        let Some(from_ns) = self.doubted_from_ns().filter(|_| self.config.hands_over()) else {
            return;
        };
        if self.agenda.due(from_ns, now_ns) && self.ownership.cycle.is_idle() {
            self.ownership.cycle.read(now_ns);
        }
    }

    /// Whether a mirrored owner does without its mirror, for its partner to take over.
    pub(super) fn hands_over(&mut self, now_ns: u64) -> bool {
        self.disk_is_given_up(now_ns) && self.partner_is_ready().is_ok()
    }

    /// Whether an owner offers the volume to its partner: it answers nothing, and its disk does nothing. One that has let go of
    /// its mirror goes on with it when the disk is well again: what has failed is in doubt for as long as a command
    /// lives, and the partner is quicker.
    pub(crate) fn offers(&mut self, mode: Mode, now_ns: u64) -> bool {
        let elsewhere = match mode {
            Mode::Holding | Mode::Solo | Mode::Joining => true,
            // A mirrored one holds first. What a survivor has adopted is here alone.
            Mode::Mirrored | Mode::Degraded => false,
        };
        // Whoever is closing the volume, with nothing left to do but to say so on the disk, wants nobody to have it.
        let gone = self.ownership.leaving == Leaving::ReleasingToNobody;
        let silent = elsewhere && !gone && self.permit().may_acknowledge(now_ns).is_err();
        silent && (self.ownership.lets_go || self.disk_is_given_up(now_ns))
    }

    /// The partner says that it owns the volume by a record of this generation, which certainly stands. An owner that has
    /// offered it cannot read the disk, and would learn it in no other way; any other goes by the disk alone.
    pub(crate) fn partner_owns(&mut self, generation: Generation, now_ns: u64) {
        let Role::Owner(mode) = self.ownership.role else {
            return;
        };
        if self.offers(mode, now_ns) && self.ownership.is_outranked_by(generation) {
            // Whatever it read last is from before.
            self.ownership.survey = None;
            self.depose(now_ns);
        }
    }
}
