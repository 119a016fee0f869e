// SPDX-License-Identifier: GPL-2.0
//! Actions of the machine, carried out.

use yoke_core::ids::LinkId;
use yoke_core::mirror::header::{Content, SlotHeader};
use yoke_core::volume::{
    Action, FenceSample, Input, LongRange, PassOp, PostTo, SlotCrc, Token, LOOKS_MAX,
};

use super::{node_blocks, posts::block_crc, World};
use crate::check::owner::Actor;
use crate::check::Kind;
use crate::disk::{Cell, Cookie, Place, Verb};
use crate::event::Event;

/// Whether the simulated disk zeroes a block on this operation. It obeys write-zeroes, and a discard of every other
/// block; the discards of the others it ignores, as a disk may.
pub(super) fn zeroes(op: PassOp, block: u32) -> bool {
    op == PassOp::WriteZeroes || block % 2 == 0
}

impl World {
    /// Carries out the next action of a lane: the first for a link, or any of the others.
    pub(super) fn act(&mut self, at: u8, lane: u8) {
        if !self.controllers[at as usize].runs() {
            return;
        }
        let links = self.links.len();
        let Some(live) = &mut self.controllers[at as usize].live else {
            return;
        };
        let lane = lane as usize;
        if lane < links && !self.setting.scenario.fine {
            return self.act_all(at, lane);
        }
        let action = if lane < links {
            live.lanes[lane].pop_front()
        } else if live.loose.0.is_empty() {
            None
        } else {
            let index = (lane - links) % live.loose.0.len();
            Some(live.loose.0.remove(index))
        };
        let Some(action) = action else { return };
        self.trace
            .line(self.now_ns, || format!("controller {at} does {action:?}"));
        self.carry_out(at, &action);
    }

    /// All that a link is to do, up to the first fence: between that and what follows anything may happen.
    fn act_all(&mut self, at: u8, lane: usize) {
        loop {
            let live = self.controllers[at as usize].live.as_mut();
            let Some(action) = live.and_then(|l| l.lanes[lane].pop_front()) else {
                return;
            };
            self.trace
                .line(self.now_ns, || format!("controller {at} does {action:?}"));
            self.carry_out(at, &action);
            let live = self.controllers[at as usize].live.as_ref();
            let left = live.is_some_and(|l| !l.lanes[lane].is_empty());
            if left && !matches!(action, Action::PostSlot { .. } | Action::PostInvalid { .. }) {
                let lane = lane as u8;
                return self.soon(Event::Act { at, lane });
            }
        }
    }

    pub(super) fn carry_out(&mut self, at: u8, action: &Action) {
        match *action {
            Action::ReadNodeBlocks { token } => self.read_node_blocks(at, token),
            Action::WriteNodeBlock { token, block } => {
                let node = self.controllers[at as usize].node;
                if block.node != node {
                    let words = format!("controller {at} writes the block of {}", block.node);
                    self.violated(Kind::ForeignBlock, words);
                }
                let life = self.controllers[at as usize].life;
                let author = Actor {
                    controller: at.into(),
                    life,
                };
                self.authors
                    .entry(block.record.generation.get())
                    .or_insert(author);
                let identity = self.setting.room.identity();
                let cell = node_blocks::cell(&identity, &block, self.setting.scenario.bytes);
                let cells = vec![(node_blocks::place(block.node, block.sequence), cell)];
                let verb = Verb::Write {
                    cells,
                    preflush: true,
                    fua: true,
                };
                self.issue(at, verb, Cookie::NodeWrite(token));
            }
            Action::PostSlot { to, slot, header } => {
                if matches!(header.content, Content::Data { .. }) {
                    self.post_half(at, &to, slot, 0);
                    self.post_half(at, &to, slot, 1);
                }
                self.post_header(at, &to, header);
            }
            Action::PostInvalid { to, slot } => self.post_invalid(at, &to, slot),
            Action::Fence { token, to } => self.fence(at, token, &to),
            Action::SetWord { token, link, word } => {
                let place = self.place();
                if let Some(live) = &mut self.controllers[at as usize].live {
                    live.memory[link.index()].set_epoch(place.epoch_word, word);
                }
                self.handle(at, Input::WordSet { token });
            }
            Action::ClearRegion { token, link } => {
                let place = self.place();
                if let Some(live) = &mut self.controllers[at as usize].live {
                    live.memory[link.index()].clear(&place);
                }
                self.handle(at, Input::Cleared { token });
            }
            Action::ScanRegion { token, link, epoch } => self.scan(at, token, link, epoch),
            Action::FlushDisk { token } => self.issue(at, Verb::Flush, Cookie::Flush(token)),
            Action::Reserve { token, errand } => self.reserve(at, token, errand),
            Action::PassDown {
                pass,
                ticket,
                op,
                range,
            } => {
                // What the machine wants of its own accord is written.
                let refuses = self.now_ns >= self.setting.scenario.faults.refuses_from_ns;
                let cookie = if refuses && ticket.is_some() {
                    Cookie::Refused(pass)
                } else {
                    Cookie::Pass(pass)
                };
                self.pass_down(at, cookie, op, range);
            }
            // Taken when they were polled.
            Action::Send(_)
            | Action::Complete(_)
            | Action::Fail(..)
            | Action::Wake
            | Action::Yield
            | Action::Notify(_) => {}
        }
    }

    fn fence(&mut self, at: u8, token: Token, to: &PostTo) {
        let issued_ns = self.clock(at);
        let word = self.read_word(at, to);
        self.stats.bad_fences += u64::from(word != to.epoch.get());
        let sample = FenceSample {
            issued_ns,
            word,
            downs: self.downs(at, to),
        };
        self.handle(at, Input::Fenced { token, sample });
    }

    fn scan(&mut self, at: u8, token: Token, link: LinkId, epoch: yoke_core::ids::Epoch) {
        self.stats.scans += 1;
        let place = self.place();
        for slot in 0..place.slots {
            let Some(live) = &self.controllers[at as usize].live else {
                return;
            };
            let memory = &live.memory[link.index()];
            let Some(header_at) = place.header_at(slot) else {
                continue;
            };
            let raw = memory.header(header_at);
            let volume = self.setting.room.identity().volume;
            if let Some(header) = SlotHeader::decode(&raw, epoch, &volume, slot) {
                self.scan_slot(at, token, &header);
            }
        }
        self.handle(at, Input::Scanned { token });
    }

    fn scan_slot(&mut self, at: u8, token: Token, header: &SlotHeader) {
        let mut told = None;
        for _ in 0..=LOOKS_MAX {
            let asked = self.tell_machine(at, |machine, _| machine.scan_slot(token, header, told));
            let Some(slot) = asked.flatten() else { return };
            self.stats.scanned_data += 1;
            let crc = block_crc(self.adopted_block(at, slot.link.index(), slot.slot));
            told = Some(SlotCrc { at: slot, crc });
        }
        self.violated(Kind::Endless, "a slot is looked at without an end");
    }

    /// A discard or write-zeroes goes to the disk.
    fn pass_down(&mut self, at: u8, cookie: Cookie, op: PassOp, range: LongRange) {
        let blocks = self.setting.scenario.blocks as u64;
        let end = range.block.saturating_add(range.count).min(blocks);
        let cells: Vec<_> = (range.block..end)
            .filter(|b| zeroes(op, *b as u32))
            .map(|b| (Place::Data(b as u32), Cell::Block([0; 2])))
            .collect();
        self.trace.line(self.now_ns, || {
            format!("controller {at} passes down {op:?} {range:?}")
        });
        self.issue(
            at,
            Verb::Write {
                cells,
                preflush: false,
                fua: false,
            },
            cookie,
        );
    }
}
