// SPDX-License-Identifier: GPL-2.0
//! Stores that controllers post into each other's windows, and reads through links.

use yoke_core::mirror::header::{Content, SlotHeader, HEADER_SIZE};
use yoke_core::volume::PostTo;

use super::World;
use crate::disk::Block;
use crate::event::Event;
use crate::memory::{Header, Store};

/// The checksum of a block, of the bytes that the simulator keeps of it.
pub(super) fn block_crc(block: Block) -> u32 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&block[0].to_le_bytes());
    bytes[8..].copy_from_slice(&block[1].to_le_bytes());
    yoke_core::crc::crc32c(&bytes)
}

impl World {
    /// Stores posted at one end of a link arrive at the other.
    pub(super) fn arrive(&mut self, link: u8, at: u8, count: u8) {
        for _ in 0..count {
            let Some(store) = self.links[link as usize].arrive(at as usize) else {
                return;
            };
            if let Some(live) = &mut self.controllers[1 - at as usize].live {
                live.memory[link as usize].store(&store);
            }
        }
    }

    /// All of them do.
    pub(super) fn arrive_all(&mut self, link: u8, at: u8) {
        while self.links[link as usize].under_way(at as usize) > 0 {
            self.arrive(link, at, u8::MAX);
        }
    }

    /// Whether this end's link layer still counts the life that `to` is for.
    fn current(&self, at: u8, to: &PostTo) -> bool {
        let live = self.controllers[at as usize].live.as_ref();
        let life = live.and_then(|l| l.lives.get(to.link.index()).copied().flatten());
        life.is_some_and(|life| life.epoch == to.life)
    }

    fn post(&mut self, at: u8, to: &PostTo, store: Store) {
        if self.current(at, to) {
            self.links[to.link.index()].post(at as usize, store);
        }
    }

    /// Posts half of the data of a slot.
    pub(super) fn post_half(&mut self, at: u8, to: &PostTo, slot: u32, half: u8) {
        let data = self.controllers[at as usize]
            .live
            .as_ref()
            .map(|l| l.log[slot as usize]);
        if let (Some(offset), Some(data)) = (to.place.data_at(slot), data) {
            let value = data[half as usize & 1];
            self.post(
                at,
                to,
                Store::Half {
                    at: offset,
                    half,
                    value,
                },
            );
        }
    }

    /// Posts the header of a slot.
    pub(super) fn post_header(&mut self, at: u8, to: &PostTo, mut header: SlotHeader) {
        let slot = header.slot;
        let data = self.controllers[at as usize]
            .live
            .as_ref()
            .map(|l| l.log[slot as usize]);
        if let (Some(offset), Some(data)) = (to.place.header_at(slot), data) {
            if let Content::Data { crc } = &mut header.content {
                *crc = block_crc(data);
            }
            self.post(
                at,
                to,
                Store::Header {
                    at: offset,
                    bytes: header.encode(to.epoch),
                },
            );
            self.on_the_way(at, to);
        }
    }

    /// Posts a header of zeroes.
    pub(super) fn post_invalid(&mut self, at: u8, to: &PostTo, slot: u32) {
        const INVALID: Header = [0; HEADER_SIZE];
        if let Some(offset) = to.place.header_at(slot) {
            self.post(
                at,
                to,
                Store::Header {
                    at: offset,
                    bytes: INVALID,
                },
            );
            self.on_the_way(at, to);
        }
    }

    fn on_the_way(&mut self, at: u8, to: &PostTo) {
        let link = to.link.get();
        let count = self.links[link as usize].under_way(at as usize) as u8;
        if count > 0 {
            self.soon(Event::Arrive { link, at, count });
        }
    }

    /// Reads the partner's epoch word through the link: every earlier post has
    /// arrived when it is answered. All ones if it is not.
    pub(super) fn read_word(&mut self, at: u8, to: &PostTo) -> u64 {
        let link = to.link.index();
        if !self.current(at, to) || !self.links[link].answers(at as usize) {
            return u64::MAX;
        }
        self.arrive_all(to.link.get(), at);
        let partner = self.controllers[1 - at as usize].live.as_ref();
        partner.map_or(u64::MAX, |live| {
            live.memory[link].epoch(to.place.epoch_word)
        })
    }

    /// This end's count of downs of a link.
    pub(super) fn downs(&self, at: u8, to: &PostTo) -> u64 {
        self.links[to.link.index()].downs(at as usize)
    }
}
