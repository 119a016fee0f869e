// SPDX-License-Identifier: GPL-2.0
//! Volumes of one appliance beside each other: what they share, and how each of them hears of it.
//!
//! Every volume is a world of its own: its machines, its disk, its clients and its checkers. Controllers with their
//! lives, clocks and windows, links with what is under way on them, and the session are one for all: they stand in the
//! world that takes a step, and are handed over to the next one. What happens to them happens in the first world; the
//! others are told.

use std::mem::swap;

use yoke_core::disk::Identity;
use yoke_core::ids::{LinkEpoch, LinkId, Uuid};
use yoke_core::volume::Input;
use yoke_core::window::{Carver, Layout, Place, PAGE};

use super::{World, CONTROLLERS};
use crate::controller::Notice;
use crate::event::Event;

/// Volumes of an appliance, at most.
pub const VOLUMES_MAX: u8 = 3;

/// Where the region of a volume stands in every window that is its alone.
const ALONE_AT: u64 = 16 * PAGE;

/// Entries of the message ring in a window that several volumes share.
const RING_ENTRIES: u32 = 128;

/// A volume's place in the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Room {
    /// The volume: 0 if there is only one.
    pub volume: u8,
    /// Its region, in every window.
    pub place: Place,
    /// Where the regions of all volumes begin, in bytes.
    pub base: u64,
    /// How many pages they take.
    pub pages: usize,
}

impl Room {
    /// The place of the only volume.
    pub fn alone(slots: u32) -> Self {
        let place = Place {
            epoch_word: 0,
            offset: ALONE_AT,
            slots,
        };
        Room {
            volume: 0,
            place,
            base: ALONE_AT,
            pages: (place.size() / PAGE) as usize,
        }
    }

    /// The places of `volumes` volumes with as many slots each, carved from one window as the module does it.
    pub fn carve(slots: u32, volumes: u8) -> Vec<Self> {
        if volumes < 2 {
            return vec![Self::alone(slots)];
        }
        let size = u64::from(volumes) * Self::alone(slots).place.size();
        let pages = (size / PAGE) as usize;
        let small = Layout::new(1 << 30, RING_ENTRIES).map_or(0, |layout| layout.regions_at());
        let Some(layout) = Layout::new(small + size, RING_ENTRIES) else {
            unreachable!("a window that is large enough");
        };
        let mut carver: Carver = Carver::new(layout);
        let places = (0..volumes).map_while(|_| carver.carve(slots));
        (0..)
            .zip(places)
            .map(|(volume, place)| Room {
                volume,
                place,
                base: layout.regions_at(),
                pages,
            })
            .collect()
    }

    /// The appliance, and the volume.
    pub const fn identity(&self) -> Identity {
        Identity {
            appliance: Uuid::from_bytes([0xa1; 16]),
            volume: Uuid::from_bytes([0xb0 + self.volume; 16]),
        }
    }
}

/// What has happened to links and sessions, for every volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A link lives.
    Up {
        /// At which end.
        at: u8,
        /// Which.
        link: u8,
        /// Its life.
        life: LinkEpoch,
    },
    /// A life of a link is over.
    Down {
        /// At which end.
        at: u8,
        /// Which.
        link: u8,
    },
    /// Both controllers are in one session.
    Met,
    /// One of them has left it.
    Left {
        /// Which.
        at: u8,
    },
}

impl World {
    /// Whether there are other volumes.
    fn has_others(&self) -> bool {
        self.setting.scenario.volumes > 1
    }

    /// Something has happened to a link or to the session: this volume hears it, and the others are told later.
    pub(super) fn announce(&mut self, news: News) {
        if self.has_others() {
            self.news.push(news);
        }
        self.hear(news);
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Up { at, link, life } => self.notice(at, Notice::LinkUp { link, life }),
            News::Down { at, link } => self.notice(at, Notice::LinkDown { link }),
            News::Left { at } => {
                let session = self.session.number;
                self.notice(at, Notice::SessionGone { session });
            }
            News::Met => self.hear_of_session(),
        }
    }

    fn hear_of_session(&mut self) {
        self.session.number += 1;
        let session = self.session.number;
        for at in 0..CONTROLLERS as u8 {
            let partner = self.controllers[1 - at as usize].live.as_ref();
            let Some(incarnation) = partner.map(|l| l.incarnation) else {
                continue;
            };
            let up = Notice::SessionUp {
                session,
                incarnation,
            };
            self.notice(at, up);
        }
    }

    /// Hands what all volumes share over to the world that takes the next step.
    pub fn hand_over(&mut self, next: &mut World) {
        next.now_ns = self.now_ns;
        next.lossy = self.lossy;
        next.session.open = self.session.open;
        swap(&mut self.links, &mut next.links);
        swap(&mut self.trace, &mut next.trace);
        next.trace.volume = Some(next.setting.room.volume);
        for (from, to) in self.controllers.iter_mut().zip(&mut next.controllers) {
            (to.life, to.paused, to.clock) = (from.life, from.paused, from.clock);
            if let (Some(from), Some(to)) = (&mut from.live, &mut to.live) {
                swap(&mut from.memory, &mut to.memory);
                swap(&mut from.lives, &mut to.lives);
            }
        }
    }

    /// A controller has started in the first world, `lead`: the volume is opened there, too. Its window comes with the
    /// first hand-over.
    pub fn start_beside(&mut self, at: u8, lead: &World) {
        let index = at as usize;
        let started = &lead.controllers[index];
        let Some(live) = &started.live else { return };
        if self.controllers[index].live.is_some() {
            return;
        }
        let mine = &mut self.controllers[index];
        (mine.life, mine.paused, mine.clock) = (started.life, started.paused, started.clock);
        self.now_ns = lead.now_ns;
        let seed = self.number(at);
        self.boot(at, live.incarnation, seed, (Vec::new(), Vec::new()));
        let place = Some(self.place());
        for link in (0..lead.links.len() as u8).filter_map(LinkId::new) {
            self.tell_machine(at, |machine, now| {
                machine.handle(Input::Room { link, place }, now);
            });
        }
    }

    /// An event that all volumes share has happened in the first world, and has brought this news.
    pub fn take_beside(&mut self, event: Event, news: &[News]) {
        match event {
            Event::Crash { at, .. } => self.die_beside(at),
            Event::Start { at } => self.drain(at),
            Event::PowerLoss { pick } => {
                for at in 0..CONTROLLERS as u8 {
                    self.die_beside(at);
                }
                self.power_is_gone(pick);
            }
            _ => {}
        }
        for piece in news {
            self.hear(*piece);
        }
        if news.iter().any(|piece| matches!(piece, News::Up { .. })) {
            self.bring_waiting();
        }
    }

    fn die_beside(&mut self, at: u8) {
        if self.forget(at) {
            self.note_lost_memory(self.shadow_is_lost());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_have_regions_and_names_of_their_own() {
        for slots in 1..9 {
            let rooms = Room::carve(slots, VOLUMES_MAX);
            assert_eq!(rooms.len(), VOLUMES_MAX.into());
            let end = rooms[0].base + rooms[0].pages as u64 * PAGE;
            for room in &rooms {
                let place = room.place;
                assert!(place.offset >= room.base && place.offset + place.size() <= end);
                for other in rooms.iter().filter(|other| other.volume != room.volume) {
                    let (a, b) = (place, other.place);
                    assert!(a.offset + a.size() <= b.offset || b.offset + b.size() <= a.offset);
                    assert_ne!(a.epoch_word, b.epoch_word);
                    assert_ne!(room.identity().volume, other.identity().volume);
                }
            }
        }
    }
}
