// SPDX-License-Identifier: GPL-2.0

//! The control thread of a volume: carries out what the machine asks for, in the order in which it asks.
//!
//! It keeps the leases, so it waits for nothing: what it submits is handed to the disk by threads of the backing device,
//! since a disk may not take it for long; I/O that it began ends in [`super::ends::Ends`], which wakes it; and what
//! takes its time is the worker's.

use super::{
    blocks::NodeBlocks,
    ends::Ends,
    front::Front,
    lanes::Posting,
    shared::{Inner, Own, Shared},
};
use crate::link::{Manager, Outlet};
use kernel::{prelude::*, sync::Arc};
use yoke_core::{
    ids::LINK_COUNT,
    mirror::{
        header::{Content, SlotHeader},
        proof::{nothing_proved, Batch, Post},
    },
    volume::{desk::Polled, Action, Input, PostTo, Token},
};
use yoke_sys::{
    backing::{BackingDev, IoOp},
    bio::Flags,
    thread,
    time::boottime_ns,
};

/// The longest sleep.
const IDLE_NS: u64 = 1_000_000_000;

/// Actions of the machine that are carried out before other things are looked at: whether the thread is to stop, and what
/// own I/O has ended. A machine that always has another one holds up none of that.
const TURN: u32 = 1024;

/// What the thread owns.
pub(super) struct Control {
    pub(super) shared: Arc<Shared>,
    pub(super) front: Arc<Front>,
    pub(super) dev: Arc<BackingDev<Ends>>,
    pub(super) manager: Arc<Manager>,
    pub(super) blocks: NodeBlocks,
    /// What was posted and not fenced yet, by the number of the link.
    pub(super) posts: KVec<Batch>,
}

impl Control {
    /// Until the thread is asked to stop.
    pub(super) fn run(mut self) {
        thread::set_realtime();
        // The volume may be a swap device: memory waits for this thread, so this thread must not wait for memory.
        let _no_io = thread::NoIo::enter();
        while !thread::should_stop() {
            self.ends();
            let held_ns = self.blocks.write_held(&self.dev, &self.shared);
            let more = self.actions();
            self.shared.let_go();
            self.shared.refresh();
            // The worker is told here, so that writers in a hurry wake one thread and not two.
            if self.shared.with(|inner, now| inner.core.wants_destage(now)) {
                self.shared.work.set();
            }
            if more {
                continue;
            }
            let now = boottime_ns();
            let deadline = self
                .shared
                .inner
                .lock()
                .core
                .next_deadline()
                .unwrap_or(u64::MAX)
                .min(held_ns.unwrap_or(u64::MAX));
            self.shared
                .wake
                .wait(Some(deadline.min(now.saturating_add(IDLE_NS))));
        }
    }

    /// No posts yet. Errors: `ENOMEM`.
    // Not inlined: a batch on the way to its place takes some KiB of the stack.
    #[inline(never)]
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
                // These end elsewhere.
                Own::Destage(_) | Own::Pass(_) => (),
            }
        }
    }

    /// Carries out what the machine wants, [`TURN`] actions at most. Whether there may be more.
    fn actions(&mut self) -> bool {
        for _ in 0..TURN {
            let polled = self.shared.with(|inner, now| {
                let Inner { core, desk, .. } = inner;
                desk.poll(core, now)
            });
            match polled {
                Some(Polled::Do(action)) => self.carry_out(action),
                Some(Polled::Job(job)) => self.shared.settle(job),
                None => return false,
            }
        }
        true
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
                let lane = self.shared.inner.lock().lane_of(link);
                if let Some(lane) = lane {
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
            Action::Reserve { token, errand } => {
                self.shared.inner.lock().asked = Some((token, errand));
                self.shared.errands.set();
            }
            Action::PassDown {
                pass,
                ticket,
                op,
                range,
            } => self.front.pass_down(pass, ticket, op, range),
            Action::Send(message) => {
                let bytes = message.encode(&self.shared.identity.volume);
                self.manager.send(super::client::PORT, &bytes);
            }
            // The desk has taken these.
            Action::Complete(_) | Action::Fail(..) | Action::Wake => (),
            // The lock was let go of when the action was taken.
            Action::Yield => (),
            Action::Notify(role) => self.shared.announce(role),
        }
    }

    fn lane(&self, to: &PostTo) -> Option<super::lanes::Lane> {
        self.shared.inner.lock().lane(to)
    }

    fn poster(&self, to: &PostTo) -> Option<super::poster::Poster> {
        self.shared.inner.lock().poster(to)
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

    /// Posts. To a region that is lost it comes to nothing, and so does the fence.
    fn post(&mut self, to: &PostTo, post: Post) {
        let (poster, batch) = (self.poster(to), self.posts.get_mut(to.link.index()));
        if let (Some(poster), Some(batch)) = (&poster, batch) {
            let (lane, log) = (poster.lane(), &*self.shared.log);
            batch.post(&Posting { lane, log }, to, post);
        }
    }

    fn fence(&mut self, token: Token, to: &PostTo) {
        let (poster, batch) = (self.poster(to), self.posts.get_mut(to.link.index()));
        let sample = match (&poster, batch) {
            (Some(poster), Some(batch)) => {
                let (lane, log) = (poster.lane(), &*self.shared.log);
                batch.fence(&Posting { lane, log }, to)
            }
            // It only asks: of a region that is new, or whether all has arrived in one that is lost.
            _ => {
                let lane = self.lane(to);
                lane.map_or_else(|| nothing_proved(boottime_ns()), |lane| lane.fence(to))
            }
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
}
