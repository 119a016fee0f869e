// SPDX-License-Identifier: GPL-2.0
//! What controllers do: their actions, the links and the disk.

use yoke_core::ids::{Epoch, LinkId};
use yoke_core::mirror::header::{Content, SlotHeader, HEADER_SIZE};
use yoke_core::mirror::message::Message;
use yoke_core::volume::*;

use super::{crc_of, looks, Appliance, VOLUME};

impl Appliance {
    /// One action of a controller. Says whether there was one.
    pub fn step(&mut self, n: usize) -> bool {
        let (now, takes) = (self.now, self.takes(n));
        let Some(node) = &mut self.nodes[n] else {
            return false;
        };
        let (action, looked) = looks(|| node.volume.poll_action(now));
        self.most_looks = self.most_looks.max(looked);
        if let Some(action) = action {
            self.act(n, action);
            return true;
        }
        if self.hold_destage {
            return false;
        }
        let (plan, looked) = looks(|| node.volume.next_destage(now, 4));
        self.most_looks = self.most_looks.max(looked);
        let Some(plan) = plan else {
            return false;
        };
        if self.silent == Some(n) {
            return true;
        }
        let blocks = (plan.range.block..)
            .zip(plan.sources)
            .take(plan.range.count as usize);
        let mut end = DestageEnd::Written;
        for (at, (block, source)) in (0..).zip(blocks.clone()) {
            let value = node.get(source, &self.disk, block);
            if matches!(source, Source::Adopted { crc, .. } if crc != crc_of(value)) {
                end = DestageEnd::Corrupt { at };
            }
        }
        if self.fail_writes || !takes || [self.pathless, self.unwritable].contains(&Some(n)) {
            end = DestageEnd::Failed;
        }
        if end == DestageEnd::Written {
            for (block, source) in blocks {
                let value = node.get(source, &self.disk, block);
                self.disk.insert(block, value);
            }
        }
        let ((), looked) = looks(|| node.volume.destage_finish(plan.run, end, now));
        self.most_looks = self.most_looks.max(looked);
        true
    }

    /// Whether a post of `n` arrives.
    fn arrives(&self, n: usize, to: &PostTo) -> bool {
        let wire = &self.wires[to.link.index()];
        wire.up && wire.life == to.life.get() && self.nodes[1 - n].is_some()
    }

    pub fn fence(&self, n: usize, to: &PostTo) -> FenceSample {
        let word = match &self.nodes[1 - n] {
            Some(peer) if self.arrives(n, to) => peer.windows[to.link.index()].word,
            _ => u64::MAX,
        };
        FenceSample {
            issued_ns: self.now,
            word,
            downs: self.wires[to.link.index()].downs,
        }
    }

    pub fn post(&mut self, n: usize, to: &PostTo, slot: u32, header: Option<SlotHeader>) {
        if !self.arrives(n, to) {
            return;
        }
        let value = self.node(n).log[slot as usize];
        let window = &mut self.node(1 - n).windows[to.link.index()];
        window.headers[slot as usize] = match header {
            Some(header) => {
                let mut header = header;
                if let Content::Data { crc } = &mut header.content {
                    window.data[slot as usize] = value;
                    *crc = crc_of(value);
                }
                header.encode(to.epoch)
            }
            None => [0; HEADER_SIZE],
        };
    }

    /// Does what a controller asks for; what its disk is slow with, later.
    pub fn act(&mut self, n: usize, action: Action) {
        let blocks = matches!(
            action,
            Action::ReadNodeBlocks { .. } | Action::WriteNodeBlock { .. }
        );
        if blocks && self.slow[n] > 0 {
            let life = self.node(n).incarnation;
            self.under_way
                .push((self.now + self.slow[n], n, life, action));
        } else {
            self.act_now(n, action);
        }
    }

    /// The disk is done with what has taken its time.
    pub(super) fn disk_is_done(&mut self) -> bool {
        let now = self.now;
        let Some(at) = self.under_way.iter().position(|(due, ..)| *due <= now) else {
            return false;
        };
        let (_, n, life, action) = self.under_way.remove(at);
        if self.nodes[n]
            .as_ref()
            .is_some_and(|node| node.incarnation == life)
        {
            self.act_now(n, action);
        }
        true
    }

    fn act_now(&mut self, n: usize, action: Action) {
        let lost = self.pathless == Some(n);
        match action {
            Action::ReadNodeBlocks { .. }
            | Action::WriteNodeBlock { .. }
            | Action::FlushDisk { .. }
                if self.silent == Some(n) =>
            {
                self.held.push((n, action));
            }
            Action::FlushDisk { token } if lost => {
                self.tell(n, Input::DiskFlushed { token, ok: false });
            }
            Action::FlushDisk { .. } | Action::PassDown { .. } if self.hold_disk => {
                self.held.push((n, action));
            }
            Action::ReadNodeBlocks { token } => {
                let mut blocks = self.blocks.clone();
                if self.other_writer == Some(n) {
                    blocks[n].sequence += 2;
                }
                let blocks = Some(blocks.as_slice()).filter(|_| !self.unreadable && !lost);
                self.tell(n, Input::NodeBlocks { token, blocks });
            }
            Action::WriteNodeBlock { token, .. }
                if self.fail_blocks || lost || self.unwritable == Some(n) || !self.takes(n) =>
            {
                self.tell(n, Input::NodeBlockWritten { token, ok: false });
            }
            Action::WriteNodeBlock { token, block } => {
                let old = &mut self.blocks[block.node.index()];
                assert_eq!(block.node.index(), n);
                assert!(block.sequence > old.sequence);
                *old = block;
                self.tell(n, Input::NodeBlockWritten { token, ok: true });
            }
            Action::PostSlot { to, slot, header } => {
                self.copies += 1;
                self.post(n, &to, slot, Some(header));
            }
            Action::PostInvalid { to, slot } => self.post(n, &to, slot, None),
            Action::Fence { token, to } => {
                let sample = self.fence(n, &to);
                self.tell(n, Input::Fenced { token, sample });
            }
            Action::SetWord { token, link, word } => {
                self.node(n).windows[link.index()].word = word;
                self.tell(n, Input::WordSet { token });
            }
            Action::ClearRegion { token, link } => {
                self.node(n).windows[link.index()]
                    .headers
                    .fill([0; HEADER_SIZE]);
                self.tell(n, Input::Cleared { token });
            }
            Action::ScanRegion { token, link, epoch } => self.scan(n, token, link, epoch),
            Action::FlushDisk { token } => {
                self.flushes += 1;
                self.tell(n, Input::DiskFlushed { token, ok: true });
            }
            Action::Reserve { token, errand } => self.reserve(n, token, errand),
            Action::PassDown {
                pass, op, range, ..
            } => {
                self.passed.push((op, range));
                self.queued.push((n, pass, range));
                if !self.hold_passes {
                    self.end_pass(self.queued.len() - 1, PassEnd::Done);
                }
            }
            Action::Send(message) => {
                let raw = message.encode(&VOLUME);
                let mut message = Message::decode(&raw).unwrap();
                if let (Message::Grant { epoch, .. }, Some(forged)) =
                    (&mut message, self.forge_epoch)
                {
                    *epoch = forged;
                }
                if self.lose_messages > 0 {
                    self.lose_messages -= 1;
                } else if self.session {
                    self.tell(1 - n, Input::Message(message));
                }
            }
            Action::Complete(ticket) => self.answer(n, ticket, Ok(())),
            Action::Fail(ticket, reason) => self.answer(n, ticket, Err(reason)),
            Action::Wake => self.node(n).wakes += 1,
            Action::Yield => self.yields += 1,
            Action::Notify(_) => (),
        }
    }

    /// What is in the disk's queue at this place lands.
    pub fn land_pass(&mut self, at: usize) {
        let range = self.queued[at].2;
        self.disk
            .retain(|block, _| *block < range.block || *block >= range.block + range.count);
    }

    /// What is in the disk's queue at this place ends, and is done if that is what is said.
    pub fn end_pass(&mut self, at: usize, end: PassEnd) {
        if end == PassEnd::Done {
            self.land_pass(at);
        }
        let (n, pass, _) = self.queued.remove(at);
        self.tell(n, Input::PassedDown { pass, end });
    }

    fn answer(&mut self, n: usize, ticket: TicketId, answer: Result<(), Reason>) {
        let now = self.now;
        if let (0, Some(mut ear)) = (n, self.ear.take()) {
            ear(&mut self.node(0).volume, ticket, answer, now);
            self.ear = Some(ear);
        }
        let old = self.node(n).answers.insert(format!("{ticket:?}"), answer);
        assert_eq!(old, None);
    }

    fn scan(&mut self, n: usize, token: Token, link: LinkId, epoch: Epoch) {
        let headers = self.node(n).windows[link.index()].headers.clone();
        for (slot, raw) in (0..).zip(&headers) {
            if let Some(header) = SlotHeader::decode(raw, epoch, &VOLUME, slot) {
                self.scan_slot(n, token, &header);
            }
        }
        self.tell(n, Input::Scanned { token });
    }

    fn scan_slot(&mut self, n: usize, token: Token, header: &SlotHeader) {
        let mut told = None;
        for _ in 0..=LOOKS_MAX {
            let asked = self.node(n).volume.scan_slot(token, header, told);
            let Some(at) = asked else { return };
            let data = self.node(n).windows[at.link.index()].data[at.slot as usize];
            self.looked_at += 1;
            let crc = crc_of(data);
            told = Some(SlotCrc { at, crc });
        }
        panic!("looks without an end");
    }
}
