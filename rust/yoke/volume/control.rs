// SPDX-License-Identifier: GPL-2.0

//! The control thread of a volume: carries out what the machine asks for, in the order in which it asks.
//!
//! It never waits for the disk, pieced reads of a survivor apart: I/O that it began ends in [`super::shared::Ends`],
//! which wakes it.

use super::{
    blocks::NodeBlocks,
    destage::Bounce,
    front::Front,
    lanes::Posting,
    shared::{destage_end, Ends, Own, Shared, UNITS},
};
use crate::link::{Manager, Outlet};
use kernel::{prelude::*, sync::Arc};
use yoke_core::{
    ids::LINK_COUNT,
    mirror::{
        header::{Content, SlotHeader},
        proof::{nothing_proved, Batch, Post},
    },
    volume::{Action, Input, LongRange, PassEnd, PassId, PostTo, Token, BLOCKS_MAX},
};
use yoke_sys::{
    backing::{BackingDev, IoOp},
    bio::Flags,
    bio_list::BioList,
    pages::Pages,
    thread,
    time::boottime_ns,
};

/// The longest sleep.
const IDLE_NS: u64 = 1_000_000_000;
/// Runs on their way to the disk at once, at most: the rest of the units is for node blocks.
const RUNS: u32 = UNITS as u32 - 8;

/// What the thread owns.
pub(super) struct Control {
    pub(super) shared: Arc<Shared>,
    pub(super) front: Arc<Front>,
    pub(super) dev: Arc<BackingDev<Ends>>,
    pub(super) manager: Arc<Manager>,
    pub(super) blocks: NodeBlocks,
    pub(super) bounce: Bounce,
    /// One block for pieced reads.
    pub(super) piece: Arc<Pages>,
    pub(super) runs: u32,
    /// What was posted and not fenced yet, by the number of the link.
    pub(super) posts: KVec<Batch>,
}

impl Control {
    /// Until the thread is asked to stop.
    pub(super) fn run(mut self) {
        thread::set_realtime();
        while !thread::should_stop() {
            self.ends();
            self.actions();
            self.restart();
            self.pieces();
            self.destage();
            self.actions();
            self.shared.refresh();
            let now = boottime_ns();
            let deadline = self
                .shared
                .inner
                .lock()
                .core
                .next_deadline()
                .unwrap_or(u64::MAX);
            self.shared
                .wake
                .wait(Some(deadline.min(now.saturating_add(IDLE_NS))));
        }
    }

    /// No posts yet. Errors: `ENOMEM`.
    pub(super) fn batches() -> Result<KVec<Batch>> {
        let mut batches = KVec::with_capacity(LINK_COUNT, GFP_KERNEL)?;
        for _ in 0..LINK_COUNT {
            batches.push(Batch::new(), GFP_KERNEL)?;
        }
        Ok(batches)
    }

    fn handle(&self, input: Input<'_>) {
        self.shared.inner.lock().core.handle(input, boottime_ns());
    }

    /// Tells the machine of the ends of own I/O.
    fn ends(&mut self) {
        loop {
            let ended = self.shared.inner.lock().take_ended();
            let Some((own, ok)) = ended else { return };
            match own {
                Own::ReadBlocks(token) => self.blocks.tell(&self.shared, token, ok),
                Own::WriteBlock(token) => self.handle(Input::NodeBlockWritten { token, ok }),
                Own::Flush(token) => self.handle(Input::DiskFlushed { token, ok }),
                Own::Zero(pass) => {
                    let end = if ok { PassEnd::Done } else { PassEnd::Failed };
                    self.handle(Input::PassedDown { pass, end });
                }
                Own::Destage(run) => {
                    self.runs = self.runs.saturating_sub(1);
                    self.bounce.release(run);
                    if !ok {
                        self.shared.stats.io_errors.add(1);
                    }
                    let mut inner = self.shared.inner.lock();
                    inner
                        .core
                        .destage_finish(run, destage_end(ok), boottime_ns());
                }
            }
        }
    }

    fn actions(&mut self) {
        loop {
            let action = self.shared.inner.lock().core.poll_action(boottime_ns());
            match action {
                Some(action) => self.carry_out(action),
                None => return,
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::ReadNodeBlocks { token } => self.blocks.read(&self.dev, &self.shared, token),
            Action::WriteNodeBlock { token, block } => {
                self.blocks.write(&self.dev, &self.shared, token, &block)
            }
            Action::PostSlot { to, slot, header } => self.post_slot(&to, slot, header),
            Action::PostInvalid { to, slot } => self.post(&to, Post::Invalid(slot)),
            Action::Fence { token, to } => self.fence(token, &to),
            Action::SetWord { token, link, word } => {
                if let Some(lane) = self.shared.inner.lock().lane_of(link) {
                    lane.set_word(word);
                }
                self.handle(Input::WordSet { token });
            }
            Action::ClearRegion { token, link } => {
                let lane = self.shared.inner.lock().lane_of(link);
                if let Some(lane) = lane {
                    lane.clear();
                }
                self.handle(Input::Cleared { token });
            }
            Action::ScanRegion { token, link, epoch } => {
                let lane = self.shared.inner.lock().lane_of(link);
                match lane {
                    Some(lane) => lane.scan(&self.shared, token, epoch),
                    None => self.handle(Input::Scanned { token }),
                }
            }
            Action::FlushDisk { token } => self.flush(token),
            // This disk has no reservations that the machine was told of.
            Action::Preempt { token, .. } => self.handle(Input::Preempted { token, ok: false }),
            Action::PassDown {
                pass,
                ticket,
                range,
                ..
            } => match ticket {
                Some(ticket) => self.front.pass_down(pass, ticket, range),
                None => self.zero(pass, range),
            },
            Action::Send(message) => {
                let bytes = message.encode(&self.shared.identity.volume);
                self.manager.send(super::client::PORT, &bytes);
            }
            Action::Complete(ticket) => self.front.complete(ticket),
            Action::Fail(ticket, reason) => self.front.fail(ticket, reason),
            Action::Wake => self.shared.stats.restart.set(),
            // The lock was let go of when the action was taken.
            Action::Yield => (),
            Action::Notify(role) => self.shared.announce(role),
        }
    }

    fn lane(&self, to: &PostTo) -> Option<super::lanes::Lane> {
        self.shared.inner.lock().lane(to)
    }

    fn post_slot(&mut self, to: &PostTo, slot: u32, mut header: SlotHeader) {
        if matches!(header.content, Content::Data { .. }) {
            // A slot of the log, so its data is there.
            let crc = self.shared.log.crc32c(slot, 0).unwrap_or(0);
            header.content = Content::Data { crc };
            self.shared.stats.copied.add(1);
        }
        self.post(to, Post::Slot(slot, header));
    }

    /// Posts. Over a lane that lives no more it comes to nothing, and so does the fence.
    fn post(&mut self, to: &PostTo, post: Post) {
        let (lane, batch) = (self.lane(to), self.posts.get_mut(to.link.index()));
        if let (Some(lane), Some(batch)) = (&lane, batch) {
            let log = &*self.shared.log;
            batch.post(&Posting { lane, log }, to, post);
        }
    }

    fn fence(&mut self, token: Token, to: &PostTo) {
        let (lane, batch) = (self.lane(to), self.posts.get_mut(to.link.index()));
        let log = &*self.shared.log;
        let sample = match (&lane, batch) {
            (Some(lane), Some(batch)) => batch.fence(&Posting { lane, log }, to),
            _ => nothing_proved(boottime_ns()),
        };
        self.handle(Input::Fenced { token, sample });
    }

    fn flush(&self, token: Token) {
        let begun = self.dev.take().ok_or(EBUSY).and_then(|unit| {
            unit.submit(IoOp::Flush, 0, Flags::NONE, Own::Flush(token))
                .map_err(|(_, error)| error)
        });
        if begun.is_err() {
            self.handle(Input::DiskFlushed { token, ok: false });
        }
    }

    /// Writes zeroes for the machine.
    fn zero(&self, pass: PassId, range: LongRange) {
        if self.bounce.zero(&self.dev, pass, range).is_err() {
            let end = PassEnd::Refused;
            self.handle(Input::PassedDown { pass, end });
        }
    }

    /// Begins parked bios again, when the machine has said so.
    fn restart(&mut self) {
        if !self.shared.stats.restart.take() {
            return;
        }
        let mut again: BioList = self.shared.inner.lock().parked.take();
        while let Some(bio) = again.pop_front() {
            self.front.start(bio);
        }
    }

    /// Reads that come from several places.
    fn pieces(&mut self) {
        let mut pieced: BioList = self.shared.inner.lock().pieced.take();
        while let Some(bio) = pieced.pop_front() {
            self.front.piece_together(bio, &self.piece);
        }
    }

    /// Begins as many runs as there is room for.
    fn destage(&mut self) {
        while self.runs < RUNS && self.bounce.has_room() {
            let plan = self
                .shared
                .inner
                .lock()
                .core
                .next_destage(boottime_ns(), BLOCKS_MAX as u32);
            let Some(plan) = plan else { return };
            self.runs += 1;
            self.shared.stats.destaged.add(u64::from(plan.range.count));
            if !self.bounce.begin(&self.dev, &self.shared, &plan) {
                self.runs -= 1;
            }
        }
    }
}
