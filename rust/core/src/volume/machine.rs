// SPDX-License-Identifier: GPL-2.0
//! The machine's memory, and the small tools that every part of it uses.

use super::agenda::Agenda;
use super::config::Config;
use super::health::Health;
use super::log::entry::Entry;
use super::log::{Log, Slab};
use super::mirror::Mirror;
use super::ownership::Ownership;
use super::partner::Partner;
use super::requests::Requests;
use super::states::RoleEvent;
use super::status::{Reason, Role};
use crate::guards::Guards;
use crate::ids::{mix, LinkId};
use crate::volume::requests::tickets::{Ticket, NO_TICKET};

/// Entries that are looked at in one call where all have to be: the lock is let go of in between.
pub(crate) const PIECE: u32 = 1024;

/// One volume on one controller. See the module's documentation for how it is driven.
///
/// `Clone`, `Eq` and `Hash` where the storage is: a simulator can copy it, compare it, and go back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Volume<E, B, T> {
    pub(crate) config: Config,
    pub(crate) guards: Guards,
    pub(crate) ownership: Ownership,
    pub(crate) mirror: Mirror,
    pub(crate) log: Log<E, B>,
    pub(crate) requests: Requests<T>,
    pub(crate) partner: Partner,
    pub(crate) agenda: Agenda,
    pub(crate) health: Health,
    /// What people were told last.
    pub(crate) notified: Option<(Role, Option<Reason>)>,
    randoms: u64,
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Opens a volume. The storage is overwritten: `entries` has `2 * slots` places, `buckets` a power of two (at
    /// least `2 * slots`, better [`super::log::buckets_for`]; one half is the index of the log, the other counts reads),
    /// `tickets` one for each write, flush or discard that may be known at a time.
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
        now_ns: u64,
    ) -> Result<Self, &'static str> {
        Self::check(&config, &entries, &buckets, &tickets)?;
        Ok(Self::make(
            config, guards, entries, buckets, tickets, now_ns,
        ))
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
        if tickets.is_empty() || tickets.len() >= NO_TICKET.get() {
            return Err("at least one ticket is needed");
        }
        Ok(())
    }

    /// As [`Self::new`], of what [`Self::check`] has found to be right. It takes kilobytes, and a kernel's stack has few:
    /// there it is made where it is wanted, inlined and without a `Result` around it: each would be one more of it.
    #[inline]
    pub fn make(
        config: Config,
        guards: Guards,
        entries: E,
        buckets: B,
        tickets: T,
        now_ns: u64,
    ) -> Self {
        Self {
            config,
            guards,
            ownership: Ownership::new(&config, now_ns),
            mirror: Mirror::NONE,
            log: Log::new(entries, buckets, config.slots, guards, mix(!config.seed)),
            requests: Requests::new(tickets),
            partner: Partner::NONE,
            agenda: Agenda::NONE,
            health: Health::NONE,
            notified: None,
            randoms: 0,
        }
    }

    /// What it was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What this controller is to the volume right now.
    pub fn role(&self) -> Role {
        self.ownership.role()
    }

    /// Whether this controller is one that may answer reads and writes sooner or later without another takeover.
    pub fn is_owner(&self) -> bool {
        self.ownership.mode().is_some() && !self.ownership.is_releasing()
    }

    /// When `poll_action` is to be called at the latest, as it was when it returned `None` last.
    pub fn next_deadline(&self) -> Option<u64> {
        self.agenda.deadline_ns()
    }

    /// Whether there is something to poll for before `next_deadline`. To be looked at, under the lock, after every call
    /// that is no poll: whoever polls is to be woken then.
    pub fn wants_poll(&self) -> bool {
        self.requests.wants_poll() || self.agenda.wants_poll()
    }

    /// A random number: different for each call of each life of a controller.
    pub(crate) fn random(&mut self) -> u64 {
        self.randoms = self.randoms.wrapping_add(1);
        mix(self.config.seed.wrapping_add(mix(self.randoms)))
    }

    /// Stops for good: a fault that only a person can mend. The record stays, so the partner can take over; the log and
    /// what was adopted stay, too: they may be the only copy.
    pub(crate) fn stop(&mut self, reason: Reason) {
        self.end_term(Reason::Deposed);
        self.ownership.role_event(RoleEvent::Fault);
        self.ownership.say(reason);
        // Nothing new is granted.
        self.mirror.forget_questions();
    }
}

/// The bit of a link in a mask.
pub(crate) const fn bit(link: LinkId) -> u8 {
    1 << link.get()
}
