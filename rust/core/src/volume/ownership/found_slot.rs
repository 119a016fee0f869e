// SPDX-License-Identifier: GPL-2.0
//! What a takeover makes of one slot that it finds (PROTOCOL P7.4).
//!
//! Of each block the newest version is adopted whose data has arrived. The header says which version it is, and has a CRC of
//! its own; the data is looked at where an older version would go for it, and else when it is first used
//! ([`crate::volume::log`]). So the time of a takeover hardly hangs on how full the log is: only on how many slots are found
//! after an older version of their block.

use crate::guards::Guard;
use crate::ids::{Generation, LinkId};
use crate::mirror::header::{Content, SlotHeader};
use crate::volume::action::Token;
use crate::volume::log::entry::{Entry, EntryId, NONE};
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::requests::tickets::Ticket;

/// How many slots have to be looked at for one that was found, at most: what is there of its number and of its block, and it.
pub const LOOKS_MAX: u32 = 3;

/// A slot of the volume's region of our own window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotAt {
    /// Whose window.
    pub link: LinkId,
    /// The slot.
    pub slot: u32,
}

/// A slot, and the CRC-32C of its data, as it was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotCrc {
    /// Which slot.
    pub at: SlotAt,
    /// The CRC.
    pub crc: u32,
}

/// What becomes of a slot that was found, by what is there already.
enum Found {
    /// Something newer is there.
    Older,
    /// It is adopted, and nothing goes for it.
    Alone,
    /// It is adopted, and something older goes for it.
    Newer,
    /// The data of this slot has to be looked at first.
    After(SlotAt),
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Tells of one slot of the region that is scanned ([`crate::volume::Action::ScanRegion`]): what its header says, which was
    /// decoded with the epoch of the action.
    ///
    /// Some: take the CRC of the data of this slot, which may be another one, and tell of the same header again, with that
    /// as `told`; [`LOOKS_MAX`] times at most. None: on to the next slot.
    #[must_use]
    pub fn scan_slot(
        &mut self,
        token: Token,
        header: &SlotHeader,
        told: Option<SlotCrc>,
    ) -> Option<SlotAt> {
        let link = self.scanned_link()?;
        if self.ownership.taking.token != Some(token) {
            return None;
        }
        let here = SlotAt {
            link,
            slot: header.slot,
        };
        let own = told.filter(|told| told.at == here);
        if let Some(other) = told.filter(|told| told.at != here) {
            self.resident_told(other);
        }
        match header.content {
            Content::Data { crc } => {
                let checks = self.guards.on(Guard::ScanChecks);
                if !checks && own.is_none() {
                    return Some(here);
                }
                if checks && own.is_some_and(|own| own.crc != crc) {
                    self.log.count_dropped();
                    return None;
                }
                let entry = Entry {
                    crc: own.map_or(crc, |own| own.crc),
                    unchecked: own.is_none(),
                    ..self.entry_of(header, link, 1)?
                };
                self.adopt_found(here, entry)
            }
            Content::Tombstone { op, count } => {
                let entry = self.entry_of(header, link, count)?;
                if let Found::After(other) = self.weigh(here, &entry, true) {
                    return Some(other);
                }
                self.adopt_tomb(header.slot, entry, op, count);
                None
            }
        }
    }

    /// The entry of a slot that may be adopted at all.
    fn entry_of(&self, header: &SlotHeader, link: LinkId, count: u64) -> Option<Entry> {
        let observed = self.ownership.taking.observed;
        let old = observed.map_or(Generation::NONE, |top| top.record.generation);
        if self.check_range(header.block, count).is_err() || header.generation > old {
            return None;
        }
        Some(Entry {
            block: header.block,
            generation: header.generation.get(),
            sequence: header.sequence,
            link: link.get(),
            ..Entry::EMPTY
        })
    }

    /// A version of a block was found.
    fn adopt_found(&mut self, here: SlotAt, entry: Entry) -> Option<SlotAt> {
        match self.weigh(here, &entry, false) {
            Found::Older => (),
            Found::After(slot) => return Some(slot),
            Found::Newer if entry.unchecked && self.guards.on(Guard::CheckBeforeDrop) => {
                return Some(here);
            }
            Found::Alone | Found::Newer => {
                if self.make_way(here.slot, &entry) {
                    self.log.adopt(here.slot, entry);
                }
            }
        }
        None
    }

    /// What is there already of the same slot, or of the same block.
    fn weigh(&self, here: SlotAt, entry: &Entry, tomb: bool) -> Found {
        let newest = self.log.newest(entry.block).filter(|_| !tomb);
        let mut found = Found::Alone;
        for there in [self.log.adopted(here.slot), newest.unwrap_or(NONE)] {
            if there == NONE || !self.log.is_live(there) {
                continue;
            }
            let at = self.log.at(there);
            if at.version() < entry.version() {
                found = Found::Newer;
                continue;
            }
            let look = self.log.is_unchecked(there) && self.guards.on(Guard::CheckBeforeDrop);
            let other = self.slot_of(there).filter(|_| look);
            return other.map_or(Found::Older, Found::After);
        }
        found
    }

    fn slot_of(&self, entry: EntryId) -> Option<SlotAt> {
        Some(SlotAt {
            link: LinkId::new(self.log.at(entry).link)?,
            slot: entry.index().checked_sub(self.log.slots())?,
        })
    }

    /// The data of a slot that was adopted was looked at.
    fn resident_told(&mut self, told: SlotCrc) {
        let entry = self.log.adopted(told.at.slot);
        if self.log.at(entry).crc == told.crc {
            self.log.checked(told.at.slot);
        } else {
            self.log.found_bad(entry);
        }
    }
}
