// SPDX-License-Identifier: GPL-2.0
//! When something is done to the disk's reservation, and what follows from it (PROTOCOL P7.5).

use super::errands::Needs;
use super::registration::Registration;
use super::reservation::Holder;
use crate::disk::key::Key;
use crate::disk::node_block::{Lease, NodeBlock};
use crate::guards::Guard;
use crate::volume::action::{Action, Token, Told};
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::{Reason, Role};

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// The next thing that is to be done to the reservation.
    pub(crate) fn next_reservation(&mut self, now_ns: u64) -> Option<Action> {
        let needs = self.reservation_needs();
        let reservation = &mut self.ownership.reservation;
        match reservation.next(&self.config, needs, now_ns) {
            Ok(errand) => {
                let token = self.agenda.token();
                reservation.issue(errand, token, now_ns);
                Some(Action::Reserve { token, errand })
            }
            Err(next_ns) => {
                if let Some(next_ns) = next_ns {
                    self.agenda.wake_at(next_ns);
                }
                None
            }
        }
    }

    fn reservation_needs(&self) -> Needs {
        let owns = self.ownership.mode().is_some() && !self.ownership.is_releasing();
        let keeps = self.guards.on(Guard::KeepReservation);
        if !self.guards.on(Guard::RegisterWhenQuiet) {
            return Needs {
                owns,
                keeps,
                commands_until_ns: 0,
                doubts_until_ns: 0,
                life_ns: self.command_life_ns(),
            };
        }
        let life_ns = self.command_life_ns();
        let issued_ns = self.last_command_ns();
        Needs {
            owns,
            keeps,
            commands_until_ns: issued_ns.map_or(0, |at| at.saturating_add(life_ns)),
            doubts_until_ns: if self.ownership.may_be_haunted() {
                u64::MAX
            } else {
                let left_ns = self.ownership.reservation.left_until_ns();
                self.log.doubts().until_ns().max(left_ns)
            },
            life_ns,
        }
    }

    /// When the last command to the disk's data was issued of those that are under way.
    fn last_command_ns(&self) -> Option<u64> {
        self.log
            .runs()
            .last_issued_ns()
            .max(self.requests.last_command_ns())
    }

    /// What became of it.
    pub(crate) fn reservation_told(&mut self, token: Token, told: Option<Told>, now_ns: u64) {
        let life_ns = self.command_life_ns();
        let reservation = &mut self.ownership.reservation;
        let held = reservation.holds_commands();
        if reservation.told(&self.config, token, told, life_ns, now_ns) {
            self.old_commands_ended(now_ns);
        }
        let strange = self.ownership.reservation.is_strangers(&self.config);
        self.ownership.say_while(Reason::Reserved, strange);
        if held && !self.ownership.reservation.holds_commands() {
            self.requests.retry_all();
        }
        self.agenda.wake_at(now_ns);
    }

    /// Nothing that the owner before us has sent lands any more.
    fn old_commands_ended(&mut self, now_ns: u64) {
        match self.ownership.role() {
            Role::Taking => self.ownership.taking.cut_off = true,
            Role::Owner(_) => {
                // What an earlier ownership of this controller has left in the disk's queue nobody has cut off.
                let left_ns = self.ownership.reservation.left_until_ns();
                let until_ns = self.log.doubts().until_ns().max(left_ns);
                self.ownership.write_from_ns = self.ownership.write_from_ns.min(until_ns);
                self.ownership.serve_from_ns = self.ownership.serve_from_ns.min(until_ns);
                self.requests.retry_all();
                self.agenda.wake_at(now_ns);
            }
            _ => (),
        }
    }

    /// A registration that is new is no harm when all blocks were read since: an owner reads them at once.
    pub(crate) fn prove_registration(&mut self, now_ns: u64) {
        let Some(from_ns) = self.ownership.reservation.proof_from_ns() else {
            return;
        };
        let owner = self.ownership.mode().is_some();
        if owner && self.ownership.cycle.is_idle() && self.agenda.due(from_ns, now_ns) {
            self.ownership.cycle.read(now_ns);
        }
    }

    /// The record stands: from now on the old owner's commands can be cut off. Nothing waits for that but what has to wait
    /// for their end, and that at most for T_io.
    pub(super) fn cut_off_victim(&mut self) {
        // Of a node that was started again the block names the new life, which has sent nothing.
        let alive = |old: &NodeBlock| old.lease != Lease::NONE;
        let victim = self.ownership.victim().filter(alive).and_then(|old| {
            let life = old.incarnation?;
            Some(Key::of(&self.config.volume, old.node, life))
        });
        if let Some(victim) = victim.filter(|victim| *victim != self.own_key()) {
            self.ownership.reservation.cut_off(victim);
        }
    }

    fn own_key(&self) -> Key {
        Key::of(
            &self.config.volume,
            self.config.node,
            self.config.incarnation,
        )
    }

    /// Whether a volume that is closed may give its registration back, and what it holds with it. If not, both stay until
    /// another controller sees to them.
    pub fn may_leave_disk(&self, now_ns: u64) -> bool {
        self.ownership.role() == Role::Closed && self.ownership.reservation.may_go(now_ns)
    }

    /// How long whoever took over now would not write, where nothing else proves that the commands of the owner before are
    /// over.
    pub fn old_commands_wait_ns(&self) -> u64 {
        let agreed = self.ownership.agreed(&self.config, &self.partner);
        self.command_life_ns()
            .saturating_add(self.config.stretch(agreed.link_lease_ns()))
    }

    /// Whether the owner, as far as this controller knows, holds the reservation, and this one is registered: then a takeover
    /// moves it.
    pub fn owner_holds(&self) -> bool {
        let holder = self.reservation_holder();
        self.registration().is_there()
            && match self.ownership.role() {
                Role::Owner(_) => holder == Some(Holder::Me),
                _ => {
                    let top = self.ownership.survey().and_then(|survey| survey.top);
                    top.is_some_and(|top| holder == Some(Holder::Member(top.node)))
                }
            }
    }

    /// Whether this controller is registered, as far as it is known.
    pub fn registration(&self) -> Registration {
        self.ownership.reservation.registration()
    }

    /// Who holds the reservation, as it was last seen; `None`: the disk has none, or nobody has looked.
    pub fn reservation_holder(&self) -> Option<Holder> {
        let reservation = &self.ownership.reservation;
        match reservation.registration() {
            Registration::Off | Registration::Unknown => return None,
            _ => (),
        }
        Some(match reservation.holder() {
            None => Holder::Nobody,
            Some(key) if key == self.own_key() => Holder::Me,
            Some(key) => match key.node(&self.config.volume) {
                Some(node) => Holder::Member(node),
                None => Holder::Stranger(key),
            },
        })
    }
}
