// SPDX-License-Identifier: GPL-2.0
//! What is to be done to the disk's reservation next.

use super::registration::{Registration, RegistrationEvent};
use super::reservation::Reservation;
use crate::disk::key::Key;
use crate::volume::action::Errand;
use crate::volume::config::Config;

/// How many poll times pass between two looks for want of anything else to do.
const LOOK_POLLS: u64 = 16;

/// What the rest of the volume says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// This controller owns the volume.
    pub(super) owns: bool,
    /// What it has cut off stays cut off.
    pub(super) keeps: bool,
    /// By then every command of ours to the disk's data that is under way is over, whatever becomes of it. 0: there is none.
    pub(super) commands_until_ns: u64,
    /// By then everything has landed that failed.
    pub(super) doubts_until_ns: u64,
    /// How long a command lives.
    pub(super) life_ns: u64,
}

impl Reservation {
    /// What is to be done next; `Err`: nothing before this time, if there is one.
    pub(super) fn next(
        &mut self,
        config: &Config,
        needs: Needs,
        now_ns: u64,
    ) -> Result<Errand, Option<u64>> {
        if self.registration == Registration::Off {
            return Err(None);
        }
        if self.under_way.is_some() {
            return Err(self.give_up_waiting(needs, now_ns));
        }
        if now_ns < self.not_before_ns {
            return Err(Some(self.not_before_ns));
        }
        let free = !self.is_strangers(config);
        if self.registration == Registration::Absent && free && now_ns >= needs.doubts_until_ns {
            self.on(RegistrationEvent::Wanted);
        }
        if self.registration == Registration::Quieting {
            if now_ns < needs.commands_until_ns {
                return Err(Some(needs.commands_until_ns));
            }
            self.on(RegistrationEvent::Quiet);
        }
        match self.registration {
            Registration::Registering => return Ok(Errand::Register),
            Registration::Proving | Registration::Registered => {
                if let Some(errand) = self.as_registrant(config, needs, now_ns) {
                    return Ok(errand);
                }
            }
            _ => (),
        }
        let period = config.poll_ns.saturating_mul(LOOK_POLLS);
        match self.looked_at_ns.map(|at| at.saturating_add(period)) {
            Some(due_ns) if now_ns < due_ns => Err(Some(due_ns)),
            _ => Ok(Errand::Look),
        }
    }

    /// A registration that hangs holds commands back for as long as a command lives: then it is done without, for now. When
    /// to look at that again.
    fn give_up_waiting(&mut self, needs: Needs, now_ns: u64) -> Option<u64> {
        if self.registration != Registration::Registering {
            return None;
        }
        let until_ns = self.issued_ns.saturating_add(needs.life_ns);
        if now_ns < until_ns {
            return Some(until_ns);
        }
        self.on(RegistrationEvent::Missing);
        None
    }

    /// What one that is registered does.
    fn as_registrant(&self, config: &Config, needs: Needs, now_ns: u64) -> Option<Errand> {
        let mine = Key::of(&config.volume, config.node, config.incarnation);
        if let Some(victim) = self.victim {
            return Some(Errand::CutOff { victim });
        }
        match self.holder {
            None if needs.owns => Some(Errand::Reserve),
            Some(holder) if holder == mine && !needs.owns => {
                (!needs.keeps || self.may_go(now_ns)).then_some(Errand::Release)
            }
            Some(holder) if holder != mine && needs.owns => {
                // An earlier life of this controller is dead for certain. Another controller, if it lives, gives the
                // reservation up by itself when it may.
                let node = holder.node(&config.volume)?;
                let patience_ns = config.poll_ns.saturating_mul(2 * LOOK_POLLS);
                let until_ns = self
                    .holder_since_ns
                    .saturating_add(needs.life_ns.saturating_mul(2))
                    .saturating_add(patience_ns);
                let dead = node == config.node || now_ns >= until_ns;
                dead.then_some(Errand::CutOff { victim: holder })
            }
            _ => None,
        }
    }
}
