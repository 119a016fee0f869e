// SPDX-License-Identifier: GPL-2.0
//! The machine's memory, and the small tools that every part of it uses.

use super::action::Token;
use super::config::Config;
use super::copying::Copying;
use super::cycle::Cycle;
use super::freeing::Freeing;
use super::leaving::{Leaving, LeavingEvent};
use super::outbid::Outbid;
use super::pass::Passes;
use super::plan::RunId;
use super::regions::{Held, Lent, Link, Question};
use super::states::RoleEvent;
use super::status::{Reason, Role};
use super::taking::Taking;
use super::tickets::{Ticket, Tickets};
use crate::disk::node_block::NodeBlock;
use crate::guards::Guards;
use crate::ids::{mix, Generation, Incarnation, LinkId, NodeId, LINK_COUNT};
use crate::mirror::entry::{Entry, NONE};
use crate::mirror::log::{Log, Slab};
use crate::mirror::message::Message;
use crate::mirror::standing::Standing;
use crate::owner::survey::Survey;
use crate::terms::Terms;

/// Destage runs that can be in flight at a time.
pub const RUNS_MAX: usize = 16;

/// Entries that are looked at in one call where all have to be: the lock is let go of in between.
pub(crate) const PIECE: u32 = 1024;

/// A destage in flight: its entries hang together by `ready_next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub(crate) serial: u32,
    pub(crate) first: u32,
    pub(crate) active: bool,
}

/// The flushes of the disk's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flushes {
    pub(crate) token: Option<Token>,
    /// Number of the flush that is, or was last, in flight.
    pub(crate) number: u64,
    /// `done_no` when it was issued.
    pub(crate) covers: u64,
    /// Entries that were done up to here are on the disk for good.
    pub(crate) safe_upto: u64,
    /// Number of the last flush that succeeded.
    pub(crate) finished: u64,
    /// Not before, after one that failed.
    pub(crate) not_before: u64,
    /// Nor, while nobody is in a hurry, before this.
    pub(crate) idle_until: u64,
}

/// The most messages that wait to be sent at a time: one question and one answer for each link, and three more.
const OUTBOX_MAX: usize = 2 * LINK_COUNT + 4;

/// Messages that wait to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Outbox {
    queue: [Option<Message>; OUTBOX_MAX],
}

impl Outbox {
    /// Queues a message; `false`: the queue is full, and it is not sent. Nothing rests on one message: whoever waits
    /// for what it brings about says it again.
    pub(crate) fn push(&mut self, message: Message) -> bool {
        let place = self.queue.iter_mut().find(|place| place.is_none());
        place.is_some_and(|place| {
            *place = Some(message);
            true
        })
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let first = self.queue.first_mut()?.take()?;
        self.queue.rotate_left(1);
        Some(first)
    }

    pub(crate) fn clear(&mut self) {
        self.queue = [None; OUTBOX_MAX];
    }
}

/// One volume on one controller. See the module's documentation for how it is driven.
///
/// `Clone`, `Eq` and `Hash` where the storage is: a simulator can copy it, compare it, and go back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Volume<E, B, T> {
    pub(crate) config: Config,
    pub(crate) guards: Guards,
    pub(crate) log: Log<E, B>,
    pub(crate) tickets: Tickets<T>,
    pub(crate) links: [Link; LINK_COUNT],
    pub(crate) held: [Held; LINK_COUNT],
    pub(crate) lent: [Lent; LINK_COUNT],
    /// Questions for lives of links that are not up at our end.
    pub(crate) early: [Option<Question>; LINK_COUNT],
    pub(crate) peer: Option<Incarnation>,
    /// What the partner said last that it would promise.
    pub(crate) partner_terms: Option<Terms>,
    /// How it said last that it stands, in this session.
    pub(crate) partner_standing: Option<Standing>,
    /// When it said anything last, in this session.
    pub(crate) heard_at: Option<u64>,
    /// What this controller said last of itself in this session, and when.
    pub(crate) said: Option<(Standing, u64)>,
    pub(crate) outbox: Outbox,
    pub(crate) cycle: Cycle,
    pub(crate) survey: Option<Survey>,
    pub(crate) role: Role,
    /// Owner: the generation in which this ownership began. The one of its record is higher where a claim was outbid.
    pub(crate) began: Generation,
    /// Counts changes of the right to serve: what was begun in another term is not finished in this one.
    pub(crate) term: u32,
    pub(crate) taking: Taking,
    /// A claim above the own record: nothing is answered or thrown away until it is gone or has won.
    pub(crate) claimant: Option<NodeId>,
    /// What is done about a claim.
    pub(crate) outbid: Outbid,
    /// When the newest good fence was issued, on any region of the partner.
    pub(crate) good_at: Option<u64>,
    /// When the last read of all blocks was issued that showed nothing above the own record.
    pub(crate) clean_at: Option<u64>,
    /// How long the next disk lease is to be: a whole number of milliseconds.
    pub(crate) lease_ns: u64,
    /// Until when the disk lease lasts.
    pub(crate) lease_until: Option<u64>,
    /// Nothing is answered before.
    pub(crate) serve_from: u64,
    /// The disk is not written before.
    pub(crate) write_from: u64,
    /// Whether it gives the volume away on purpose.
    pub(crate) leaving: Leaving,
    /// When this controller released the volume, or was offered it.
    pub(crate) released_at: Option<u64>,
    pub(crate) offered: bool,
    pub(crate) wanted: Option<Wanted>,
    /// When the blocks were read last for want of anything else to do.
    pub(crate) looked_at: Option<u64>,
    /// When the blocks were read for the first time.
    pub(crate) opened_at: Option<u64>,
    pub(crate) passes: Passes,
    pub(crate) copying: Copying,
    pub(crate) freeing: Freeing,
    pub(crate) runs: [Run; RUNS_MAX],
    pub(crate) flushes: Flushes,
    /// How long destaging rests after a failure; 0 after one that went well.
    pub(crate) destage_rest_ns: u64,
    /// No destage before, after one that failed.
    pub(crate) destage_from: u64,
    /// Reads that were begun on either side of the last flip.
    pub(crate) reads: [u32; 2],
    pub(crate) read_side: u8,
    pub(crate) adopted_total: u32,
    pub(crate) parked: bool,
    pub(crate) wake: bool,
    /// Something happened between two polls that a poll has to see before its deadline.
    pub(crate) poke: bool,
    pub(crate) told: Option<(Role, Option<Reason>)>,
    pub(crate) reason: Option<Reason>,
    pub(crate) deadline: Option<u64>,
    /// When it was polled last.
    pub(crate) ticked_at: u64,
    tokens: u32,
    randoms: u64,
    pub(crate) questions: u64,
}

/// What a person wants of a controller that does not own the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wanted {
    TakeOver {
        /// Until when a live owner is asked for the volume.
        until: Option<u64>,
    },
    /// The owner has stopped, and said so.
    Rescue,
    Force,
    Close {
        /// When the last of its words was changed: none that was changed for an earlier wish counts.
        voided_at: Option<u64>,
    },
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Opens a volume. The storage is overwritten: `entries` has `2 * slots` places, `buckets` a power of two (at
    /// least `2 * slots`), `tickets` one for each write, flush or discard that may be known at a time.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings or the storage.
    pub fn new(
        config: Config,
        guards: Guards,
        entries: E,
        buckets: B,
        tickets: T,
        now: u64,
    ) -> Result<Self, &'static str> {
        Self::check(&config, &entries, &buckets, &tickets)?;
        Ok(Self::make(config, guards, entries, buckets, tickets, now))
    }

    /// Whether these settings and this storage can make a machine.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings or the storage.
    pub fn check(
        config: &Config,
        entries: &E,
        buckets: &B,
        tickets: &T,
    ) -> Result<(), &'static str> {
        config.check()?;
        if entries.len() != config.slots as usize * 2 {
            return Err("storage for two entries a slot is needed");
        }
        if !buckets.len().is_power_of_two() || buckets.len() < entries.len() {
            return Err("the number of buckets is a power of two and at least that of entries");
        }
        if tickets.is_empty() || tickets.len() >= NONE as usize {
            return Err("at least one ticket is needed");
        }
        Ok(())
    }

    /// As [`Self::new`], of what [`Self::check`] has found to be right. It takes kilobytes, and a kernel's stack has few:
    /// there it is made where it is wanted, without a `Result` around it that would be one more of it.
    #[inline(never)]
    pub fn make(
        config: Config,
        guards: Guards,
        entries: E,
        buckets: B,
        tickets: T,
        now: u64,
    ) -> Self {
        let block = NodeBlock::blank(config.node, 0);
        let mut cycle = Cycle::new(block);
        cycle.read(now);
        Self {
            config,
            guards,
            log: Log::new(entries, buckets, config.slots, guards, mix(!config.seed)),
            tickets: Tickets::new(tickets),
            links: [Link::NONE; LINK_COUNT],
            held: [Held::NONE; LINK_COUNT],
            lent: [Lent::NONE; LINK_COUNT],
            early: [None; LINK_COUNT],
            peer: None,
            partner_terms: None,
            partner_standing: None,
            heard_at: None,
            said: None,
            outbox: Outbox {
                queue: [None; OUTBOX_MAX],
            },
            cycle,
            survey: None,
            role: Role::Opening,
            began: Generation::NONE,
            term: 0,
            taking: Taking::NONE,
            claimant: None,
            outbid: Outbid::None,
            good_at: None,
            clean_at: None,
            lease_ns: config.disk_lease_ns,
            lease_until: None,
            serve_from: 0,
            write_from: 0,
            leaving: Leaving::Stays,
            released_at: None,
            offered: false,
            wanted: None,
            looked_at: None,
            opened_at: None,
            passes: Passes::NONE,
            copying: Copying::NONE,
            freeing: Freeing::NONE,
            runs: [Run {
                serial: 0,
                first: NONE,
                active: false,
            }; RUNS_MAX],
            flushes: Flushes {
                token: None,
                number: 0,
                covers: 0,
                safe_upto: 0,
                finished: 0,
                not_before: 0,
                idle_until: 0,
            },
            destage_rest_ns: 0,
            destage_from: 0,
            reads: [0; 2],
            read_side: 0,
            adopted_total: 0,
            parked: false,
            wake: false,
            poke: false,
            told: None,
            reason: None,
            deadline: None,
            ticked_at: 0,
            tokens: 0,
            randoms: 0,
            questions: 0,
        }
    }

    /// What it was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What this controller is to the volume right now.
    pub fn role(&self) -> Role {
        self.role
    }

    /// When `poll_action` is to be called at the latest, as it was when it returned `None` last.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Whether there is something to poll for before `next_deadline`. To be looked at, under the lock, after every call
    /// that is no poll: whoever polls is to be woken then.
    pub fn wants_poll(&self) -> bool {
        self.wake || self.poke || self.tickets.is_queued()
    }

    pub(crate) fn token(&mut self) -> Token {
        self.tokens = self.tokens.wrapping_add(1);
        Token(self.tokens)
    }

    /// A random number: different for each call of each life of a controller.
    pub(crate) fn random(&mut self) -> u64 {
        self.randoms = self.randoms.wrapping_add(1);
        mix(self.config.seed.wrapping_add(mix(self.randoms)))
    }

    /// Wants to be polled at this time.
    pub(crate) fn at(&mut self, time: u64) {
        self.deadline = Some(self.deadline.map_or(time, |other| other.min(time)));
    }

    /// Whether `time` has come; if not, wants to be polled then.
    pub(crate) fn due(&mut self, time: u64, now: u64) -> bool {
        let due = now >= time;
        if !due {
            self.at(time);
        }
        due
    }

    /// Something got better: parked I/O may be begun again.
    pub(crate) fn stir(&mut self) {
        if self.parked {
            self.parked = false;
            self.wake = true;
        }
    }

    /// Everything that waits is to be looked at again.
    pub(crate) fn stir_all(&mut self) {
        self.tickets.queue_all();
        self.stir();
    }

    pub(crate) fn held(&self, link: LinkId) -> &Held {
        self.held.get(link.index()).unwrap_or(&Held::NONE)
    }

    pub(crate) fn link(&self, link: LinkId) -> &Link {
        self.links.get(link.index()).unwrap_or(&Link::NONE)
    }

    pub(crate) fn lent(&self, link: LinkId) -> &Lent {
        self.lent.get(link.index()).unwrap_or(&Lent::NONE)
    }

    /// The one place where the role changes.
    pub(crate) fn go(&mut self, event: RoleEvent) {
        self.role = self.role.on(event).after(self.role);
    }

    /// The one place where it changes whether this controller gives the volume away.
    pub(crate) fn leave(&mut self, event: LeavingEvent) {
        self.leaving = self.leaving.on(event).after(self.leaving);
    }

    pub(crate) fn edit_held(&mut self, link: LinkId, edit: impl FnOnce(&mut Held)) {
        if let Some(held) = self.held.get_mut(link.index()) {
            edit(held);
        }
    }

    pub(crate) fn edit_lent(&mut self, link: LinkId, edit: impl FnOnce(&mut Lent)) {
        if let Some(lent) = self.lent.get_mut(link.index()) {
            edit(lent);
        }
    }

    pub(crate) fn run(&self, id: RunId) -> Option<Run> {
        let run = self.runs.get(usize::from(id.index))?;
        (run.active && run.serial == id.serial).then_some(*run)
    }

    /// Stops for good: a fault that only a person can mend. The record stays, so the partner can take over; the log and
    /// what was adopted stay, too: they may be the only copy.
    pub(crate) fn stop(&mut self, reason: Reason) {
        self.end_term(Reason::Deposed);
        self.go(RoleEvent::Fault);
        self.reason = Some(reason);
    }
}

/// The bit of a link in a mask.
pub(crate) const fn bit(link: LinkId) -> u8 {
    1 << link.get()
}
