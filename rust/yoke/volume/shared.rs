// SPDX-License-Identifier: GPL-2.0

//! What the front, the control thread and the ends of I/O share: the machine of a volume, and who waits for it.

use super::{face::News, front::Front, lanes::Lane};
use kernel::{
    prelude::*,
    str::CString,
    sync::{Arc, Mutex, SpinLockIrq, SpinLockIrqGuard},
};
use yoke_core::{
    disk::Identity,
    ids::{LinkId, LINK_COUNT},
    mirror::entry::Entry,
    openers::{Fate, Openers, Tenure},
    volume::{
        self, DestageEnd, PassEnd, PassId, PostTo, Range, ReadEnd, ReadPlan, ReadTicket, Reason,
        RunId, Source, Ticket, TicketId, Token, BLOCKS_MAX,
    },
};
use yoke_sys::{
    backing::IoClient,
    bio::Bio,
    bio_list::BioList,
    disk::{CurrentTask, Disk},
    event::Event,
    pages::Pages,
    status::{BlkStatus, IoResult},
    time::boottime_ns,
};

/// The machine with its memory.
pub(crate) type Machine = volume::Volume<KVVec<Entry>, KVVec<u32>, KVVec<Ticket>>;

/// I/O of the control thread that is under way at once, at most.
pub(crate) const UNITS: u16 = 32;
/// Bios that have a ticket, at most. The machine parks those for which none is left.
pub(crate) const TICKETS: usize = 1024;

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
    /// Zeroes that the machine wants.
    Zero(PassId),
}

/// What a bio that was passed on to the disk waits for.
pub(crate) enum Passed {
    /// A read, all of it from the disk.
    Read(ReadTicket, Range),
    /// What goes past the log.
    Long(PassId, TicketId),
}

/// What became of the attempt to get the data of a read.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sampled {
    /// It is there.
    Good,
    /// The disk did not give it.
    Unreadable,
    /// An adopted slot is not what was adopted.
    Corrupt,
}

/// A bio that waits for a ticket, and what is to be done with it then.
pub(crate) struct Waiting {
    pub(crate) ticket: TicketId,
    pub(crate) bio: Bio,
    pub(crate) then: Then,
}

/// What follows when a ticket is complete.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Then {
    /// The bio is done.
    End,
    /// The flush before a write is done: now the write.
    Write,
    /// The write is done: now the flush after it.
    Flush,
}

/// Guarded by [`Shared::inner`].
pub(crate) struct Inner {
    pub(crate) core: KBox<Machine>,
    /// Bios to be begun again when something changes.
    pub(crate) parked: BioList,
    /// Reads that the control thread puts together from several places.
    pub(crate) pieced: BioList,
    waiting: KVec<Waiting>,
    /// Own I/O that ended, for the control thread.
    ended: KVec<(Own, bool)>,
    pub(crate) lanes: [Option<Lane>; LINK_COUNT],
    /// No bio is kept any more.
    pub(crate) closing: bool,
    /// Who has the disk open.
    pub(crate) openers: Openers,
    /// Who opened it last.
    pub(crate) last_opener: CurrentTask,
    /// They are to make way: for the keeper.
    pub(crate) evict: bool,
    /// A page of the kernel's cache was to be written while this controller does not own the volume: it may say what no
    /// disk has. For the keeper.
    pub(crate) spoilt: bool,
    /// What people are to be told: for the keeper.
    pub(crate) news: News,
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
    /// The data of the log's slots.
    pub(crate) log: Arc<Pages>,
    pub(crate) stats: super::face::Stats,
}

impl Inner {
    pub(crate) fn new(core: KBox<Machine>, stateless: bool) -> Result<Self> {
        Ok(Inner {
            core,
            parked: BioList::new(),
            pieced: BioList::new(),
            // One for each ticket, and for the one that the machine gave back in the action that is being carried out.
            waiting: KVec::with_capacity(TICKETS + 1, GFP_KERNEL)?,
            ended: KVec::with_capacity(usize::from(UNITS), GFP_KERNEL)?,
            lanes: [const { None }; LINK_COUNT],
            closing: false,
            openers: Openers::new(stateless),
            last_opener: CurrentTask::default(),
            evict: false,
            spoilt: false,
            news: News::new(),
        })
    }

    /// Whether a bio may be begun now; one of an ownership that is over may not, ever.
    pub(crate) fn admits(&mut self, bio: &Bio) -> bool {
        let tenure = self.core.tenure();
        if !matches!(tenure, Tenure::Owner { .. }) && bio.is_cached() {
            self.spoilt = true;
        }
        self.openers.admits(bio.disk_tag(), tenure)
    }

    /// What has become of the openers.
    pub(crate) fn fate(&mut self) -> Fate {
        self.openers.look(self.core.tenure())
    }

    /// The link to post over, if it still lives the life that is meant.
    pub(crate) fn lane(&self, to: &PostTo) -> Option<Lane> {
        let lane = self.lanes.get(to.link.index())?.as_ref()?;
        (lane.life == Some(to.life)).then(|| lane.clone())
    }

    /// The link of this number.
    pub(crate) fn lane_of(&self, link: LinkId) -> Option<Lane> {
        self.lanes.get(link.index())?.clone()
    }

    /// Keeps a bio until its ticket is complete.
    pub(crate) fn wait(&mut self, waiting: Waiting) {
        // Within the capacity, so nothing is allocated. Were there no room, the bio would end with an error.
        if let Err(error) = self.waiting.push_within_capacity(waiting) {
            drop(error);
        }
    }

    /// Parks a bio until something changes; the bio comes back when nothing is kept any more.
    ///
    /// To be called in the same hold of the lock in which it was found out that the bio has to wait. Otherwise what it
    /// waits for may come in between: the list is begun again without it, and nobody does so a second time.
    #[must_use]
    pub(crate) fn park(&mut self, bio: Bio) -> Option<Bio> {
        if self.closing {
            return Some(bio);
        }
        self.parked.push_back(bio);
        None
    }

    /// Takes out the bio of a ticket.
    pub(crate) fn take(&mut self, ticket: TicketId) -> Option<Waiting> {
        let at = self
            .waiting
            .iter()
            .position(|waiting| waiting.ticket == ticket)?;
        self.waiting.remove(at).ok()
    }

    /// Any bio that waits under a ticket.
    pub(crate) fn take_any(&mut self) -> Option<Bio> {
        self.waiting.pop().map(|waiting| waiting.bio)
    }

    /// Own I/O that ended.
    pub(crate) fn take_ended(&mut self) -> Option<(Own, bool)> {
        self.ended.pop()
    }
}

/// The status of a bio that cannot be served.
pub(crate) fn status(reason: Reason) -> BlkStatus {
    if reason.is_retryable() {
        BlkStatus::TRANSPORT
    } else {
        BlkStatus::IOERR
    }
}

impl Shared {
    /// Ends a bio that [`Inner::admits`] does not admit.
    pub(crate) fn refuse(inner: SpinLockIrqGuard<'_, Inner>, bio: Bio) {
        drop(inner);
        bio.complete(Err(BlkStatus::IOERR));
    }

    /// Parks a bio, lets go of the lock, and ends the bio if nothing is kept any more.
    pub(crate) fn park(mut inner: SpinLockIrqGuard<'_, Inner>, bio: Bio) {
        let refused = inner.park(bio);
        drop(inner);
        if let Some(bio) = refused {
            bio.complete(Err(BlkStatus::OFFLINE));
        }
    }

    /// What becomes of a read whose data was sampled, or could not be. Context: any.
    pub(crate) fn end_read(&self, bio: Bio, plan: &ReadPlan, sampled: Sampled) {
        let mut inner = self.inner.lock();
        let now = boottime_ns();
        let end = match sampled {
            Sampled::Good => inner.core.read_finish(plan, now),
            Sampled::Unreadable => inner.core.read_failed(plan, false, now),
            Sampled::Corrupt => inner.core.read_failed(plan, true, now),
        };
        match end {
            ReadEnd::Complete => {
                drop(inner);
                bio.complete(Ok(()));
            }
            ReadEnd::Fail(reason) => {
                drop(inner);
                self.stats.io_errors.add(1);
                bio.complete(Err(status(reason)));
            }
            ReadEnd::Park => Shared::park(inner, bio),
            ReadEnd::Again => {
                Shared::park(inner, bio);
                self.restart();
            }
        }
    }

    /// A bio that was passed down has come back. It waits for its answer, or ends here if the machine has given it
    /// already: the ownership ended while the bio was below. Context: any.
    pub(crate) fn end_pass(&self, bio: Bio, pass: PassId, ticket: TicketId, end: PassEnd) {
        let mut inner = self.inner.lock();
        let input = volume::Input::PassedDown { pass, end };
        inner.core.handle(input, boottime_ns());
        if !inner.core.waits(ticket) {
            drop(inner);
            return bio.complete(Err(status(Reason::Deposed)));
        }
        let then = Then::End;
        inner.wait(Waiting { ticket, bio, then });
        drop(inner);
        self.wake.set();
    }

    /// Has the control thread begin parked bios again.
    pub(crate) fn restart(&self) {
        self.stats.restart.set();
        self.wake.set();
    }
}

/// The ends of I/O on the backing disk. Context of its calls: any.
pub(crate) struct Ends(pub(crate) Arc<Shared>);

impl IoClient for Ends {
    type Ctx = Own;
    type Forward = Passed;

    fn io_done(&self, own: Own, result: IoResult) {
        let mut inner = self.0.inner.lock();
        // One place for each unit, so there is room.
        let _ = inner.ended.push_within_capacity((own, result.is_ok()));
        drop(inner);
        self.0.wake.set();
    }

    fn forward_done(&self, bio: Bio, passed: Passed, result: IoResult) {
        match passed {
            Passed::Read(ticket, range) => {
                let sampled = if result.is_ok() {
                    Sampled::Good
                } else {
                    Sampled::Unreadable
                };
                let sources = [Source::Disk; BLOCKS_MAX];
                self.0.end_read(
                    bio,
                    &ReadPlan {
                        ticket,
                        range,
                        sources,
                    },
                    sampled,
                );
            }
            Passed::Long(pass, ticket) => {
                let end = match result {
                    Ok(()) => PassEnd::Done,
                    Err(BlkStatus::NOTSUPP) => PassEnd::Refused,
                    Err(_) => PassEnd::Failed,
                };
                self.0.end_pass(bio, pass, ticket, end);
            }
        }
    }
}

/// The outcome of a destage write.
pub(crate) fn destage_end(good: bool) -> DestageEnd {
    if good {
        DestageEnd::Written
    } else {
        DestageEnd::Failed
    }
}
