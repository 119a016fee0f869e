// SPDX-License-Identifier: GPL-2.0

//! What the front, the threads and the ends of I/O share: the machine of a volume, and the desk where its bios wait.

use super::{destage::Runs, front::Front, lanes::Lane, news::News, poster::Poster};
use kernel::{
    prelude::*,
    str::CString,
    sync::{Arc, Mutex, SpinLockIrq},
};
use yoke_core::{
    disk::Identity,
    ids::{LinkId, LINK_COUNT},
    openers::{Fate, Openers},
    volume::log::entry::Entry,
    volume::{
        self,
        desk::{self, Ask, Io, Job, Line, Seat},
        Command, Errand, LongRange, PassId, PassOp, PostTo, Range, ReadTicket, Reason, RunId,
        Ticket, Token,
    },
};
use yoke_sys::{
    bio::{Bio, Flags, Op},
    bio_list::BioList,
    disk::{CurrentTask, Disk},
    event::Event,
    pages::Pages,
    status::BlkStatus,
    time::boottime_ns,
};

/// The machine with its memory.
pub(crate) type Machine = volume::Volume<KVVec<Entry>, KVVec<u32>, KVVec<Ticket>>;
/// The desk with its memory.
pub(crate) type Desk = desk::Desk<Caller, KVVec<Seat<Caller>>, Row>;

/// Own I/O that is under way at once, at most.
pub(crate) const UNITS: u16 = 32;
/// Bios that have a ticket, at most. The machine parks those for which none is left.
pub(crate) const TICKETS: usize = 1024;
/// Reads that wait for the worker to lay adopted slots over them, at most. More begin again.
const LAID: usize = 64;
/// The age of a bio is known to this, at best.
const TICK_NS: u64 = 20_000_000;

/// A bio that somebody waits for.
pub(crate) struct Caller(pub(crate) Bio);

impl Io for Caller {
    fn ask(&self) -> Ask {
        let bio = &self.0;
        let block = bio.first_block();
        let (count, flags) = (bio.blocks(), bio.flags());
        let long = LongRange {
            block,
            count: count.into(),
        };
        match bio.op() {
            Op::Read => Ask::Read(Range { block, count }),
            Op::Write => Ask::Write {
                range: Range { block, count },
                preflush: flags.has(Flags::PREFLUSH),
                fua: flags.has(Flags::FUA),
            },
            Op::Flush => Ask::Flush,
            Op::Discard => Ask::Pass(PassOp::Discard, long),
            Op::WriteZeroes => Ask::Pass(PassOp::WriteZeroes, long),
        }
    }

    fn age_ns(&self, _now: u64) -> u64 {
        self.0.age_ns()
    }
}

/// Bios in a row.
#[derive(Default)]
pub(crate) struct Row(BioList);

impl Line<Caller> for Row {
    fn push(&mut self, io: Caller) {
        self.0.push_back(io.0);
    }

    fn pop(&mut self) -> Option<Caller> {
        self.0.pop_front().map(Caller)
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// What an own I/O was for.
#[derive(Clone, Copy)]
pub(crate) enum Own {
    /// The node blocks of everybody.
    ReadBlocks(Token),
    /// The own node block.
    WriteBlock(Token),
    /// A run of the log.
    Destage(RunId),
    /// The disk's cache.
    Flush(Token),
    /// What goes past the log. Its bio, if there is one, stays at the desk.
    Pass(PassId),
}

/// A read that was passed on to the disk, all of it.
#[derive(Clone, Copy)]
pub(crate) struct Passed {
    pub(crate) ticket: ReadTicket,
    pub(crate) range: Range,
}

/// Guarded by [`Shared::inner`].
pub(crate) struct Inner {
    pub(crate) core: KBox<Machine>,
    pub(crate) desk: Desk,
    /// Runs on their way to the disk.
    pub(crate) runs: Runs,
    /// Reads that the disk has given, and over which adopted slots are to be laid.
    laid: KVec<(Caller, Passed)>,
    /// Own I/O that ended, for the control thread.
    ended: KVec<(Own, bool)>,
    /// What the clerk is to ask of the disk's reservation: one thing at a time.
    pub(crate) asked: Option<(Token, Errand)>,
    /// The disk has refused a write for want of a registration, since the last one.
    pub(crate) refused: bool,
    pub(crate) lanes: [Option<Lane>; LINK_COUNT],
    /// A read waits since too many are with the disk.
    pub(crate) short: bool,
    /// Who has the disk open.
    pub(crate) openers: Openers,
    /// Who opened it last.
    pub(crate) last_opener: CurrentTask,
    /// They are to make way for this: for the keeper.
    pub(crate) evict: Option<Command>,
    /// There may be pages in the kernel's cache that say what no disk has: they could not be written since this controller
    /// does not own the volume, or were read when it owned the volume before. For the keeper.
    pub(crate) spoilt: bool,
    /// When this controller did not own the volume, as the control thread has seen it last.
    pub(crate) not_owner_ns: u64,
    /// What the kernel has cached for openers that stay is to be dropped before the volume is released.
    pub(crate) cache: Cache,
    /// What people are to be told: for the keeper.
    pub(crate) news: News,
}

/// A bio of the kernel's cache of the disk whose end leaves something there: a read that went well, or a write that failed.
struct Cached {
    /// Of its device.
    tag: u64,
    read: bool,
    /// Not before this it came in.
    begun_ns: u64,
}

impl Cached {
    /// None, if nothing has to be looked at.
    fn of(bio: &Bio, ok: bool) -> Option<Self> {
        let read = bio.op() == Op::Read;
        (read == ok && bio.is_cached()).then(|| Cached {
            tag: bio.disk_tag(),
            read,
            begun_ns: boottime_ns().saturating_sub(bio.age_ns() + TICK_NS),
        })
    }
}

/// How often what the kernel has cached was to be dropped, and was: another controller may own the volume as soon as the
/// record of its release lands, and nobody is to read here what was before.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cache {
    /// The keeper was asked so often. Nothing was answered any more then, so nothing new comes into the cache.
    pub(crate) asked: u32,
    /// What it was asked for up to here is done.
    pub(crate) dropped: u32,
}

/// What everybody shares.
#[pin_data]
pub(crate) struct Shared {
    pub(crate) name: CString,
    pub(crate) device: CString,
    pub(crate) identity: Identity,
    #[pin]
    pub(crate) inner: SpinLockIrq<Inner>,
    /// `/dev/yokeN`, while there is one. It belongs to the keeper.
    #[pin]
    pub(crate) disk: Mutex<Option<Disk<Front>>>,
    /// Wakes the control thread.
    pub(crate) wake: Arc<Event>,
    /// Wakes the keeper.
    pub(crate) attend: Arc<Event>,
    /// Wakes the worker.
    pub(crate) work: Arc<Event>,
    /// Wakes the clerk.
    pub(crate) errands: Arc<Event>,
    /// How long the disk may be silent before reads stop being passed on to it, in nanoseconds.
    pub(crate) silence_ns: u64,
    /// The data of the log's slots.
    pub(crate) log: Arc<Pages>,
    pub(crate) stats: super::face::Stats,
}

impl Inner {
    /// No bio waits for longer than `bound_ns`. Errors: `ENOMEM`; `EINVAL`.
    pub(crate) fn new(core: KBox<Machine>, bound_ns: u64, stateless: bool) -> Result<Self> {
        let mut seats = KVVec::with_capacity(TICKETS, GFP_KERNEL)?;
        for _ in 0..TICKETS {
            seats.push(Seat::EMPTY, GFP_KERNEL)?;
        }
        Ok(Inner {
            core,
            desk: Desk::new(seats, TICKETS, bound_ns).map_err(|_| EINVAL)?,
            runs: Runs::NONE,
            laid: KVec::with_capacity(LAID, GFP_KERNEL)?,
            ended: KVec::with_capacity(usize::from(UNITS), GFP_KERNEL)?,
            asked: None,
            refused: false,
            lanes: [const { None }; LINK_COUNT],
            short: false,
            openers: Openers::new(stateless),
            last_opener: CurrentTask::default(),
            evict: None,
            spoilt: false,
            not_owner_ns: 0,
            cache: Cache::default(),
            news: News::new(),
        })
    }

    /// Whether a bio may be begun now; one of an ownership that is over may not, ever.
    pub(crate) fn admits(&mut self, bio: &Bio) -> bool {
        self.openers.admits(bio.disk_tag(), self.core.tenure())
    }

    /// What has become of the openers.
    pub(crate) fn fate(&mut self) -> Fate {
        self.openers.fate(self.core.tenure())
    }

    /// The link to post over, if it still lives the life that is meant.
    pub(crate) fn lane(&self, to: &PostTo) -> Option<Lane> {
        let lane = self.lanes.get(to.link.index())?.as_ref()?;
        (lane.life == Some(to.life)).then(|| lane.clone())
    }

    /// Somebody who posts to a region, if that is not lost. To be dropped when the lock is not held.
    pub(crate) fn poster(&self, to: &PostTo) -> Option<Poster> {
        let lane = self.lane(to).filter(|_| self.core.may_post(to))?;
        Some(Poster::enter(lane))
    }

    /// The link of this number.
    pub(crate) fn lane_of(&self, link: LinkId) -> Option<Lane> {
        self.lanes.get(link.index())?.clone()
    }

    /// Keeps a read that the disk has given for the worker; it comes back if there is no room.
    pub(crate) fn lay_later(&mut self, io: Caller, passed: Passed) -> Option<Caller> {
        if self.laid.len() >= LAID {
            return Some(io);
        }
        // Within the capacity, so nothing is allocated; were it not so, the bio would end with an error.
        let _ = self.laid.push_within_capacity((io, passed));
        None
    }

    /// A read over which adopted slots are to be laid.
    pub(crate) fn take_laid(&mut self) -> Option<(Caller, Passed)> {
        self.laid.pop()
    }

    /// Keeps an own I/O that ended for the control thread.
    pub(crate) fn push_ended(&mut self, own: Own, ok: bool) {
        // One place for each unit, so there is room.
        let _ = self.ended.push_within_capacity((own, ok));
    }

    /// Own I/O that ended.
    pub(crate) fn take_ended(&mut self) -> Option<(Own, bool)> {
        self.ended.pop()
    }
}

/// The status of a bio that cannot be served.
pub(crate) fn status(reason: Reason) -> BlkStatus {
    match reason {
        Reason::Unsupported => BlkStatus::NOTSUPP,
        reason if reason.is_retryable() => BlkStatus::TRANSPORT,
        _ => BlkStatus::IOERR,
    }
}

impl Shared {
    /// Does something with the machine and the desk, under the lock, and wakes whoever has something to do because of
    /// it. Context: any.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Inner, u64) -> R) -> R {
        let mut inner = self.inner.lock();
        let result = act(&mut inner, boottime_ns());
        let (poll, work) = (inner.core.wants_poll(), inner.desk.wants_restart());
        drop(inner);
        if poll {
            self.wake.set();
        }
        if work {
            self.work.set();
        }
        result
    }

    /// Something waits that takes the machine or the disk to go on.
    pub(crate) fn hurry(&self) {
        self.wake.set();
        self.work.set();
    }

    /// Has the worker begin parked bios again.
    pub(crate) fn restart(&self) {
        self.with(|inner, _| inner.desk.wake());
    }

    /// Answers a bio. Context: any.
    pub(crate) fn answer(&self, io: Caller, result: Result<(), Reason>) {
        if result.is_err_and(|reason| !reason.is_refusal()) {
            self.stats.io_errors.add(1);
        }
        let bio = io.0;
        let cached = Cached::of(&bio, result.is_ok());
        bio.complete(result.map_err(status));
        // Only now its pages can be dropped.
        if let Some(cached) = cached {
            self.look_at(cached);
        }
    }

    /// Something ended that fills or empties what is cached. If that may not be shown, the keeper drops it.
    fn look_at(&self, cached: Cached) {
        let mut inner = self.inner.lock();
        // A read was answered a while ago, and only now comes into the cache.
        let old = cached.read && cached.begun_ns <= inner.not_owner_ns;
        let spoilt = cached.tag == inner.openers.device() && (old || !inner.core.is_owner());
        inner.spoilt |= spoilt;
        drop(inner);
        if spoilt {
            self.attend.set();
        }
    }

    /// Does a job that is no more than an answer, or nothing. Context: any.
    pub(crate) fn settle(&self, job: Job<Caller>) {
        match job {
            Job::Kept => (),
            Job::End(io, result) => self.answer(io, result),
            // None of these comes of an end. Their bios are answered all the same, with an error, as they are dropped.
            Job::Write(..) | Job::Again(..) | Job::Read(..) => {}
        }
    }
}
