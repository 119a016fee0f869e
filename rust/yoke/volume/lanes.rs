// SPDX-License-Identifier: GPL-2.0

//! The links that carry a volume, and the volume's region in the own window of each.

use super::shared::Shared;
use crate::link::Hold;
use kernel::prelude::*;
use yoke_core::{
    ids::{Epoch, LinkEpoch},
    mirror::{
        header::{Content, SlotHeader, HEADER_SIZE},
        posters::Phase,
        proof::{nothing_proved, Post, Way},
    },
    volume::{FenceSample, Input, PostTo, SlotAt, SlotCrc, Token, LOOKS_MAX},
    window::{epoch_word_at, Layout, Place, SLOT_DATA},
};
use yoke_sys::{crc::crc32c, pages::Pages, time::boottime_ns, BLOCK};

/// How much is zeroed at once: it holds the CPU.
const ZERO_AT_ONCE: u64 = 32 << 10;

/// A link, as one volume uses it. It may be cloned and dropped in any context.
#[derive(Clone)]
pub(crate) struct Lane {
    pub(crate) port: Hold,
    /// The volume's region in the own window.
    pub(crate) place: Option<Place>,
    /// The life of the link; `None` while it carries nothing.
    pub(crate) life: Option<LinkEpoch>,
    /// The memory of the own window when the link came up: with another one, or none, the region is gone.
    pub(crate) memory: Option<u16>,
    /// What the partner's window is like.
    pub(crate) peer_window: Layout,
    /// The link was disabled: the lane goes as soon as nothing in the own window is needed.
    pub(crate) going: bool,
    /// The last question that was answered, and who was posting when the answer came first.
    pub(crate) answered: Option<(u64, Phase)>,
}

impl Lane {
    /// Whether the answer to a question counts: all who were posting when it came first have left. Otherwise it is asked
    /// again, and answered again.
    pub(crate) fn is_settled(&mut self, number: u64) -> bool {
        let known = self.answered.filter(|(asked, _)| *asked == number);
        let (_, mark) = *self
            .answered
            .insert(known.unwrap_or_else(|| (number, self.port.mark())));
        self.port.have_left(mark)
    }

    /// Posts one slot: data, then header. A tombstone is a header alone.
    ///
    /// # Errors
    ///
    /// Not all of it was posted: no fence may count for it. So for [`Self::withdraw`].
    pub(crate) fn post(&self, to: &PostTo, log: &Pages, slot: u32, header: &SlotHeader) -> Result {
        let link = self.port.link();
        let at = to.place.header_at(slot).ok_or(ERANGE)?;
        if matches!(header.content, Content::Data { .. }) {
            let data = to.place.data_at(slot).ok_or(ERANGE)?;
            link.post_block(data, log, slot)?;
            link.barrier();
            self.port.posted_bytes.add(SLOT_DATA);
        }
        link.post(at, &header.encode(to.epoch))?;
        self.port.posted_bytes.add(HEADER_SIZE as u64);
        Ok(())
    }

    /// Posts a header of zeroes.
    pub(crate) fn withdraw(&self, to: &PostTo, slot: u32) -> Result {
        let at = to.place.header_at(slot).ok_or(ERANGE)?;
        self.port.link().post(at, &[0; HEADER_SIZE])?;
        self.port.posted_bytes.add(HEADER_SIZE as u64);
        Ok(())
    }

    /// Reads the epoch word through the link, after everything that this CPU has posted.
    pub(crate) fn fence(&self, to: &PostTo) -> FenceSample {
        let link = self.port.link();
        self.port.fences.add(1);
        link.barrier();
        let issued_ns = boottime_ns();
        let Some(at) = epoch_word_at(to.place.epoch_word) else {
            return nothing_proved(issued_ns);
        };
        let sample = link.fence(at);
        FenceSample {
            issued_ns,
            word: sample.word,
            downs: sample.generation,
        }
    }

    /// Stores the epoch word of the volume's region in the own window.
    pub(crate) fn set_word(&self, word: u64) {
        let at = self.place.and_then(|place| epoch_word_at(place.epoch_word));
        if let Some(at) = at {
            let _ = self.port.link().store64(at, word);
        }
    }

    /// Gives the region in the own window back. Context: task.
    pub(crate) fn retire(self) {
        self.set_word(0);
        if let Some(place) = self.place {
            self.port.give_back(place);
        }
    }

    /// Zeroes all slot headers of the volume's region in the own window.
    pub(crate) fn clear(&self) {
        let Some(place) = self.place else { return };
        let Some(mut at) = place.header_at(0) else {
            return;
        };
        let end = at.saturating_add(u64::from(place.slots).saturating_mul(HEADER_SIZE as u64));
        while at < end {
            let len = (end - at).min(ZERO_AT_ONCE);
            let _ = self.port.link().zero(at, len as usize);
            at += len;
        }
    }

    /// Copies a slot of the own window into a block of memory.
    ///
    /// # Errors
    ///
    /// `EILSEQ`: the CRC-32C of the copy is not `crc`. `EIO`: nor is the window the one that it was. `ERANGE`: there is no
    /// such slot.
    pub(crate) fn read(&self, slot: u32, memory: &Pages, block: u32, crc: u32) -> Result {
        let at = self
            .place
            .and_then(|place| place.data_at(slot))
            .ok_or(ERANGE)?;
        self.port.link().read_block(at, memory, block)?;
        if memory.crc32c(block, 0)? == crc {
            return Ok(());
        }
        Err(if self.is_same_window() { EILSEQ } else { EIO })
    }

    /// Whether the own window is the one that the slots were posted into.
    fn is_same_window(&self) -> bool {
        self.port.link().memory() == self.memory
    }

    /// Tells the machine what stands in the slots of the volume's region; or that it is gone, where the device went.
    pub(crate) fn scan(&self, shared: &Shared, token: Token, epoch: Epoch) {
        let slots = self.place.map_or(0, |place| place.slots);
        let read = (0..slots).try_for_each(|slot| self.scan_slot(shared, token, epoch, slot));
        let whole = read.is_ok() && self.place.is_some();
        let mut inner = shared.inner.lock();
        let now = boottime_ns();
        if !whole || !self.is_same_window() {
            let (link, place) = (self.port.id(), self.place);
            inner.core.handle(Input::Room { link, place }, now);
        }
        inner.core.handle(Input::Scanned { token }, now);
    }

    fn scan_slot(&self, shared: &Shared, token: Token, epoch: Epoch, slot: u32) -> Result {
        let place = self.place.ok_or(ERANGE)?;
        let mut raw = [0; HEADER_SIZE];
        self.port
            .link()
            .read(place.header_at(slot).ok_or(ERANGE)?, &mut raw)?;
        let volume = &shared.identity.volume;
        let Some(header) = SlotHeader::decode(&raw, epoch, volume, slot) else {
            return Ok(());
        };
        let mut told = None;
        for _ in 0..=LOOKS_MAX {
            let asked = shared.inner.lock().core.scan_slot(token, &header, told);
            let Some(at) = asked else { return Ok(()) };
            if at.link == self.port.id() {
                let crc = self.data_crc(at.slot)?;
                told = Some(SlotCrc { at, crc });
            } else {
                told = look_elsewhere(shared, at);
            }
        }
        Err(EIO)
    }

    /// The CRC-32C of a slot's data, copied piece by piece.
    fn data_crc(&self, slot: u32) -> Result<u32> {
        const PIECE: usize = 512;
        const _: () = assert!(BLOCK as u64 == SLOT_DATA && BLOCK % PIECE == 0);
        let at = self
            .place
            .and_then(|place| place.data_at(slot))
            .ok_or(ERANGE)?;
        let mut crc = 0;
        let mut piece = [0; PIECE];
        for offset in (0..BLOCK).step_by(PIECE) {
            self.port
                .link()
                .read(at.saturating_add(offset as u64), &mut piece)?;
            crc = crc32c(crc, &piece);
        }
        if !self.is_same_window() {
            return Err(EIO);
        }
        Ok(crc)
    }
}

/// Looks at the data of a slot in the own window of another link than the one that is scanned. Where that cannot be, the window
/// is gone, and the machine is told: it asks for nothing in it any more.
fn look_elsewhere(shared: &Shared, at: SlotAt) -> Option<SlotCrc> {
    let lane = shared.inner.lock().lane_of(at.link);
    let crc = lane.as_ref().map(|lane| lane.data_crc(at.slot));
    if let Some(Ok(crc)) = crc {
        return Some(SlotCrc { at, crc });
    }
    let (link, place) = (at.link, lane.and_then(|lane| lane.place));
    let mut inner = shared.inner.lock();
    inner
        .core
        .handle(Input::Room { link, place }, boottime_ns());
    None
}

/// A lane with the log whose slots are posted over it.
pub(crate) struct Posting<'a> {
    pub(crate) lane: &'a Lane,
    pub(crate) log: &'a Pages,
}

impl Way for Posting<'_> {
    fn now(&self) -> u64 {
        boottime_ns()
    }

    fn min_down_ns(&self) -> u64 {
        u64::from(self.lane.port.link().min_down_us()).saturating_mul(1000)
    }

    fn send(&self, to: &PostTo, post: &Post) -> bool {
        let sent = match post {
            Post::Slot(slot, header) => self.lane.post(to, self.log, *slot, header),
            Post::Invalid(slot) => self.lane.withdraw(to, *slot),
        };
        sent.is_ok()
    }

    fn fence(&self, to: &PostTo) -> FenceSample {
        self.lane.fence(to)
    }
}
