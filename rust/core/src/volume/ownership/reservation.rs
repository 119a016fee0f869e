// SPDX-License-Identifier: GPL-2.0
//! The persistent reservation of the shared disk: write exclusive for registrants, held by the owner.
//!
//! All controllers write the disk, each its own block, so all are registered. The owner holds the reservation: there are
//! targets that end the commands of one whose key is preempted only if that one is the holder. A takeover moves it.
//!
//! Nothing that decides who owns the volume rests on it. What it is for is P7.5: the end of waiting for the old owner's
//! commands.

use super::registration::{Registration, RegistrationEvent};
use crate::disk::key::Key;
use crate::ids::NodeId;
use crate::volume::action::{Errand, Token, Told};
use crate::volume::config::Config;
use crate::volume::status::Reason;

/// After how many failures in a row the wait between them does not get longer any more: it doubles with each.
const FAILURES_MAX: u32 = 4;

/// What is known of the reservation, and what is being done to it: one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reservation {
    pub(super) registration: Registration,
    /// Who held it when it was last looked at.
    pub(super) holder: Option<Key>,
    /// Since when that one was seen.
    pub(super) holder_since_ns: u64,
    /// What is being done.
    pub(super) under_way: Option<(Errand, Token)>,
    /// When that was issued.
    pub(super) issued_ns: u64,
    /// Nothing is done before: after something that came to nothing.
    pub(super) not_before_ns: u64,
    /// When it was last looked at.
    pub(super) looked_at_ns: Option<u64>,
    /// How often, one after the other, the disk did not do what it was asked. The own block of a volume that is opened is
    /// written all the same then.
    failures: u32,
    /// Since when the registration is there.
    since_ns: u64,
    /// A registration that failed may come to be there until then.
    unsure_until_ns: u64,
    /// Whose commands are to be cut off.
    pub(super) victim: Option<Key>,
    /// What is being done was begun for a victim, or an ownership, before the present one.
    stale: bool,
    /// What an ownership that is over has passed down past the log may land until then.
    left_until_ns: u64,
    /// Whose commands were cut off, and until when they are alive: they are refused for as long as the disk is reserved.
    kept: Option<Kept>,
}

/// Whose commands were cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kept {
    node: NodeId,
    /// Until when they are alive.
    until_ns: u64,
    /// No key of that controller was there any more: one that is there later is of a registration since.
    gone: bool,
}

impl Reservation {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            registration: if config.reservations {
                Registration::Unknown
            } else {
                Registration::Off
            },
            holder: None,
            holder_since_ns: 0,
            under_way: None,
            issued_ns: 0,
            not_before_ns: 0,
            looked_at_ns: None,
            failures: 0,
            since_ns: 0,
            unsure_until_ns: 0,
            victim: None,
            stale: false,
            left_until_ns: 0,
            kept: None,
        }
    }

    /// The one place where it changes what is known of the registration.
    pub(super) fn on(&mut self, event: RegistrationEvent) {
        self.registration = self.registration.on(event).after(self.registration);
    }

    pub(crate) fn registration(&self) -> Registration {
        self.registration
    }

    /// Who held it when it was last looked at.
    pub(crate) fn holder(&self) -> Option<Key> {
        self.holder
    }

    /// Whether commands to the disk's data are held back for a registration.
    pub(crate) fn holds_commands(&self) -> bool {
        self.registration.holds_commands()
    }

    /// Whether the end of the own commands is waited for.
    pub(crate) fn is_quieting(&self) -> bool {
        self.registration == Registration::Quieting
    }

    /// Whether the own block may be written for the first time: whoever is not registered may be refused.
    pub(crate) fn may_open(&self) -> bool {
        match self.registration {
            Registration::Off | Registration::Proving | Registration::Registered => true,
            Registration::Unknown
            | Registration::Absent
            | Registration::Quieting
            | Registration::Registering => self.failures > 0,
        }
    }

    /// Whether the disk takes what this controller writes.
    ///
    /// # Errors
    ///
    /// [`Reason::NotRegistered`]: it is reserved, and this controller is not registered.
    pub(crate) fn lets_write(&self) -> Result<(), Reason> {
        match self.registration {
            Registration::Absent | Registration::Quieting | Registration::Registering
                if self.holder.is_some() =>
            {
                Err(Reason::NotRegistered)
            }
            _ => Ok(()),
        }
    }

    /// Whether nothing that was cut off would be let in if this controller's reservation was not there any more.
    pub(crate) fn may_go(&self, now_ns: u64) -> bool {
        self.kept.is_none_or(|kept| now_ns >= kept.until_ns)
    }

    /// Whether somebody who is no controller of this volume holds it.
    pub(crate) fn is_strangers(&self, config: &Config) -> bool {
        self.holder
            .is_some_and(|holder| holder.node(&config.volume).is_none())
    }

    /// The own record stands: the commands of this one are to be cut off.
    pub(super) fn cut_off(&mut self, victim: Key) {
        if self.registration != Registration::Off {
            (self.victim, self.not_before_ns) = (Some(victim), 0);
            self.stale = self.under_way.is_some();
        }
    }

    /// An ownership ends whose commands past the log may land until then.
    pub(super) fn left_behind(&mut self, until_ns: u64) {
        self.left_until_ns = self.left_until_ns.max(until_ns);
    }

    /// By then all of that has landed.
    pub(super) fn left_until_ns(&self) -> u64 {
        self.left_until_ns
    }

    /// An ownership, or a takeover, is over.
    pub(super) fn end_term(&mut self) {
        self.victim = None;
        self.stale = self.under_way.is_some();
        self.look_soon();
    }

    /// Something may have become of it.
    pub(crate) fn look_soon(&mut self) {
        self.looked_at_ns = None;
    }

    /// It is being done.
    pub(super) fn issue(&mut self, errand: Errand, token: Token, now_ns: u64) {
        (self.under_way, self.issued_ns) = (Some((errand, token)), now_ns);
    }

    /// What became of it: whether the commands of the victim, who is forgotten with that, have come to their end. `life_ns`:
    /// how long a command lives.
    pub(super) fn told(
        &mut self,
        config: &Config,
        token: Token,
        told: Option<Told>,
        life_ns: u64,
        now_ns: u64,
    ) -> bool {
        let Some((errand, _)) = self.under_way.filter(|(_, awaited)| *awaited == token) else {
            return false;
        };
        self.under_way = None;
        let stale = core::mem::take(&mut self.stale);
        if let Some(told) = &told {
            self.found(told, now_ns);
        }
        let mine = Key::of(&config.volume, config.node, config.incarnation);
        let done = told.is_some_and(|told| match errand {
            Errand::Look => true,
            Errand::Register => told.registered,
            Errand::Reserve => told.holder.is_some(),
            Errand::Release => told.holder != Some(mine),
            Errand::CutOff { .. } => told.holder == Some(mine),
        });
        self.failures = if done {
            0
        } else {
            (self.failures + 1).min(FAILURES_MAX)
        };
        if !done {
            let wait_ns = config.poll_ns.saturating_mul(1 << self.failures);
            self.not_before_ns = now_ns.saturating_add(wait_ns);
        }
        if errand == Errand::Register && !done {
            self.unsure_until_ns = self
                .unsure_until_ns
                .max(self.issued_ns.saturating_add(life_ns));
            self.on(RegistrationEvent::Missing);
        }
        match (errand, told) {
            (Errand::CutOff { victim }, Some(told)) => {
                if told.ended {
                    self.keep(config, victim, &told, now_ns.saturating_add(life_ns));
                }
                // Another's commands prove nothing, nor does what was begun before these were sent.
                let wanted = self.victim == Some(victim) && !stale;
                // As long as it holds nothing was done, and can be.
                let done = wanted && told.holder != Some(victim);
                self.victim = self.victim.filter(|_| !done);
                wanted && told.ended
            }
            _ => false,
        }
    }

    /// The disk was looked at.
    fn found(&mut self, told: &Told, now_ns: u64) {
        if told.holder != self.holder {
            (self.holder, self.holder_since_ns) = (told.holder, now_ns);
        }
        self.looked_at_ns = Some(now_ns);
        self.registered(told.registered, now_ns);
        // Whoever has registered since has no command alive.
        let has = |node: NodeId| told.nodes & 1 << node.get() != 0;
        self.kept = self.kept.filter(|kept| !(kept.gone && has(kept.node)));
    }

    /// The commands of this one were cut off. They are refused for as long as the disk is reserved.
    fn keep(&mut self, config: &Config, victim: Key, told: &Told, until_ns: u64) {
        self.kept = victim.node(&config.volume).map(|node| Kept {
            node,
            until_ns,
            gone: told.nodes & 1 << node.get() == 0,
        });
    }

    fn registered(&mut self, is_there: bool, now_ns: u64) {
        let was_there = self.registration.is_there();
        self.on(if is_there {
            RegistrationEvent::Present
        } else {
            RegistrationEvent::Missing
        });
        if self.registration.is_there() && !was_there {
            self.since_ns = now_ns;
        }
    }

    /// All blocks were read, by a read that was issued then.
    pub(super) fn blocks_read(&mut self, issued_ns: u64) {
        if issued_ns >= self.since_ns.max(self.unsure_until_ns) {
            self.on(RegistrationEvent::Proved);
        }
    }

    /// From when on a read of all blocks proves that a registration does no harm, if that is what is waited for.
    pub(super) fn proof_from_ns(&self) -> Option<u64> {
        (self.registration == Registration::Proving)
            .then_some(self.unsure_until_ns.max(self.since_ns))
    }
}

/// Who holds it, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// This life of this controller.
    Me,
    /// A controller of the volume, in this or an earlier life.
    Member(NodeId),
    /// Somebody else.
    Stranger(Key),
}
