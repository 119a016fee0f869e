// SPDX-License-Identifier: GPL-2.0
//! Issuing the permit and the obligations: what this controller may do now, and what it owes, follows from its record,
//! its leases, and what it has.

use super::obligations::{Evidence, Obligations};
use super::permit::{LeaseEnd, Permit};
use super::Ownership;
use crate::disk::node_block::{Record, RecordState};
use crate::guards::{Guard, Guards};
use crate::terms::Terms;
use crate::volume::config::Config;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::mirror::regions::Lent;
use crate::volume::partner::Partner;
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::{Mode, Reason, Role};

impl Ownership {
    pub(crate) fn mode(&self) -> Option<Mode> {
        match self.role {
            Role::Owner(mode) => Some(mode),
            _ => None,
        }
    }

    /// The times that both controllers agree on, as far as this one knows.
    pub(crate) fn agreed(&self, config: &Config, partner: &Partner) -> Terms {
        let mine = config.terms();
        mine.longer(partner.terms().unwrap_or_else(|| {
            // Until the two have met, what they agreed on last counts: it stands in the record.
            let top = self.survey.as_ref().and_then(|survey| survey.top.as_ref());
            top.map_or(Terms::NONE, |top| top.record.terms)
        }))
    }

    /// Why this controller, in its role, serves nothing.
    pub(crate) fn not_owner(&self) -> Reason {
        match self.role {
            Role::Opening => Reason::Opening,
            Role::Closed => Reason::Leaving,
            Role::Stopped => self.reason.unwrap_or(Reason::NotOwner),
            _ => Reason::NotOwner,
        }
    }

    /// Whether a record names a shadow at the partner.
    pub(crate) fn names_partner(&self, config: &Config, record: &Record) -> bool {
        matches!(record.state, RecordState::Shadow(shadow) if shadow.holder == config.partner)
    }

    /// The one place where it is decided what this controller may do.
    #[inline]
    pub(crate) fn permit(
        &self,
        config: &Config,
        guards: Guards,
        proved_at_ns: Option<u64>,
    ) -> Permit {
        let mode = self.mode().ok_or_else(|| self.not_owner());
        let lease = self.lease_end(config, proved_at_ns);
        let unclaimed = match self.claimant {
            Some(claimant) => Err(Reason::ClaimPending(claimant)),
            None => Ok(()),
        };
        let holds = mode == Ok(Mode::Holding);
        let held_back = guards.on(Guard::HoldWhileAlone);
        let answers_until = if holds && !held_back {
            Ok(LeaseEnd::ALWAYS)
        } else {
            unclaimed.map(|()| lease)
        };
        let commands_until = if self.reservation.holds_commands() {
            Err(Reason::Registering)
        } else if !guards.on(Guard::LeaseForIo) {
            Ok(LeaseEnd::ALWAYS)
        } else if holds {
            unclaimed.map(|()| self.alone_end())
        } else {
            unclaimed.map(|()| lease)
        };
        Permit {
            generation: self.cycle.mine.record.generation,
            mode,
            leaving: self.leaving,
            claimant: self.claimant,
            recording: !self.cycle.confirmed && guards.on(Guard::QuietWhileRecording),
            open: !(holds && held_back),
            answers_from_ns: self.serve_from_ns,
            answers_until,
            commands_from_ns: self.write_from_ns,
            commands_until,
        }
    }

    /// The lease that stands behind everything in this mode. Under a record that names the partner it is the link
    /// lease, whatever the disk lease says: the partner does not look at that one.
    #[inline]
    fn lease_end(&self, config: &Config, proved_at_ns: Option<u64>) -> LeaseEnd {
        match self.mode() {
            Some(Mode::Mirrored) => LeaseEnd {
                link: self.link_lease_until_ns(proved_at_ns),
                disk: u64::MAX,
            },
            Some(Mode::Solo | Mode::Joining | Mode::Degraded) => LeaseEnd {
                link: if self.partner_may_take(config) {
                    self.link_lease_until_ns(proved_at_ns)
                } else {
                    u64::MAX
                },
                disk: self.lease_until_ns.unwrap_or(0),
            },
            Some(Mode::Holding) | None => LeaseEnd::NEVER,
        }
    }

    /// Until when an owner that holds may issue commands. It has no lease that its partner respects. It may issue them
    /// for L after a read of all blocks that showed no claim: so they are issued at most L after a claim has landed, and a
    /// partner that takes over waits for L and T_io before it writes.
    fn alone_end(&self) -> LeaseEnd {
        let window = self.cycle.promised().link_lease_ns();
        LeaseEnd {
            link: u64::MAX,
            disk: self
                .no_claim_seen_at_ns
                .map_or(0, |at| at.saturating_add(window)),
        }
    }

    /// Until when the last good fence is a right to answer.
    pub(crate) fn link_lease_until_ns(&self, proved_at_ns: Option<u64>) -> u64 {
        proved_at_ns.map_or(0, |at| {
            at.saturating_add(self.cycle.promised().link_lease_ns())
        })
    }

    /// Whether the partner may find its name in the record now.
    fn partner_may_take(&self, config: &Config) -> bool {
        let [landed, pending] = self.cycle.possible();
        self.names_partner(config, &landed) || self.names_partner(config, &pending)
    }

    /// The one place where it is said what this controller owes.
    fn obligations(&self, config: &Config, guards: Guards, evidence: &Evidence) -> Obligations {
        let waits = guards.on(Guard::ReleaseAfterCommands);
        Obligations {
            old_commands_until_ns: if waits { self.write_from_ns } else { 0 },
            unfinished: evidence.unfinished,
            undecided: !self.is_quiet(),
            only_copy: evidence.only_copy,
            taking: self.role == Role::Taking,
            shadow: self.is_shadow_named(config) || self.is_named_for_all_it_knows(),
            holds: evidence.holds,
        }
    }

    /// Whether a record that was not seen may name a region of ours. One that has stopped looks at the disk no more until
    /// it is to be closed, and one that closes is closed as soon as it has seen that none does.
    fn is_named_for_all_it_knows(&self) -> bool {
        match self.role {
            Role::Stopped => true,
            Role::Standby => self.is_closing(),
            _ => false,
        }
    }

    /// Whether the record of the owner, as it was last seen, names a region of ours.
    pub(super) fn is_shadow_named(&self, config: &Config) -> bool {
        let top = self.survey.as_ref().and_then(|survey| survey.top.as_ref());
        matches!(top.map(|top| &top.record.state), Some(RecordState::Shadow(shadow))
            if shadow.holder == config.node
                && shadow.holder_incarnation == config.incarnation)
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// What this controller may do now.
    #[inline]
    pub(crate) fn permit(&self) -> Permit {
        let proved_at_ns = self.mirror.proved_at_ns();
        self.ownership
            .permit(&self.config, self.guards, proved_at_ns)
    }

    /// What this controller owes now.
    pub(crate) fn obligations(&self) -> Obligations {
        let evidence = Evidence {
            only_copy: self.is_only_copy(),
            unfinished: self.log.dirty() > 0
                || self.requests.in_use() > 0
                || self.log.runs().any()
                || self.log.doubts().any()
                || self.config.volatile_cache && !self.log.flushes().covers(self.log.done_no()),
            holds: self.mirror.all_lent().any(Lent::is_intact),
        };
        self.ownership
            .obligations(&self.config, self.guards, &evidence)
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_permit_issue))]
mod tests {
    use super::*;
    use crate::disk::node_block::Shadow;
    use crate::ids::{Incarnation, NodeId, Uuid};
    use crate::volume::config::PowerLoss;
    use crate::volume::ownership::leaving::Leaving;

    const LINK: u64 = 1_000_000;
    const DISK: u64 = 3_000_000;

    fn config() -> Option<Config> {
        Some(Config {
            volume: Uuid::from_bytes([1; 16]),
            node: NodeId::new(0)?,
            incarnation: Incarnation::new(7)?,
            partner: NodeId::new(1)?,
            blocks: 64,
            slots: 8,
            dirty_limit: 8,
            link_lease_ns: LINK,
            disk_lease_ns: DISK,
            io_life_ns: 5 * LINK,
            drift_ppm: 0,
            poll_ns: LINK,
            backoff_ns: LINK,
            giveback_ns: LINK,
            handover_ns: LINK,
            volatile_cache: false,
            reservations: false,
            power_loss: PowerLoss::Refuse,
            auto_takeover: false,
            waits_in_doubt: false,
            home: false,
            seed: 1,
        })
    }

    /// An owner in this mode, by a confirmed record, with a disk lease until 50.
    fn owner(config: &Config, mode: Mode, state: RecordState) -> Ownership {
        let mut owner = Ownership::new(config, 0);
        owner.role = Role::Owner(mode);
        owner.lease_until_ns = Some(50);
        owner.cycle.mine.record = Record {
            state,
            terms: config.terms(),
            ..owner.cycle.mine.record
        };
        owner.cycle.block = owner.cycle.mine;
        owner
    }

    fn shadow(config: &Config) -> RecordState {
        RecordState::Shadow(Shadow {
            holder: config.partner,
            holder_incarnation: config.incarnation,
            epochs: [None; crate::disk::node_block::SHADOW_EPOCHS],
        })
    }

    const NOTHING_LEFT: Evidence = Evidence {
        only_copy: false,
        unfinished: false,
        holds: false,
    };

    #[test]
    fn a_mirrored_owner_has_the_link_lease_and_no_other() {
        let Some(config) = config() else { return };
        let owner = owner(&config, Mode::Mirrored, shadow(&config));
        let permit = owner.permit(&config, Guards::ALL, Some(10));
        assert_eq!(permit.may_acknowledge(9 + LINK), Ok(()));
        assert_eq!(permit.may_acknowledge(10 + LINK), Err(Reason::NoLinkLease));
        let unproved = owner.permit(&config, Guards::ALL, None);
        assert_eq!(unproved.may_read(0), Err(Reason::NoLinkLease));
    }

    #[test]
    fn alone_the_disk_lease_counts_and_the_link_lease_while_a_record_names_the_partner() {
        let Some(config) = config() else { return };
        let solo = owner(&config, Mode::Solo, RecordState::Disk);
        let permit = solo.permit(&config, Guards::ALL, None);
        assert_eq!(permit.may_read(49), Ok(()));
        assert_eq!(permit.may_command(50), Err(Reason::NoDiskLease));
        let joining = owner(&config, Mode::Joining, shadow(&config));
        let permit = joining.permit(&config, Guards::ALL, None);
        assert_eq!(permit.may_read(49), Err(Reason::NoLinkLease));
    }

    #[test]
    fn an_owner_that_holds_answers_nothing_and_issues_commands_for_l_after_a_clean_look() {
        let Some(config) = config() else { return };
        let mut holding = owner(&config, Mode::Holding, shadow(&config));
        let permit = holding.permit(&config, Guards::ALL, Some(0));
        assert_eq!(permit.may_read(1), Err(Reason::NoLinkLease));
        assert_eq!(permit.may_command(1), Err(Reason::NoDiskLease));
        assert!(!permit.may_begin_write(1));
        holding.no_claim_seen_at_ns = Some(5);
        let permit = holding.permit(&config, Guards::ALL, Some(0));
        assert_eq!(permit.may_command(4 + LINK), Ok(()));
        assert_eq!(permit.may_command(5 + LINK), Err(Reason::NoDiskLease));
    }

    #[test]
    fn a_claim_and_the_commands_of_a_dead_owner_are_obligations() {
        let Some(config) = config() else { return };
        let mut solo = owner(&config, Mode::Solo, RecordState::Disk);
        (solo.write_from_ns, solo.leaving) = (30, Leaving::Closing);
        solo.cycle.on(crate::volume::cycle::CycleEvent::Issued, 0);
        solo.cycle.on(crate::volume::cycle::CycleEvent::Done, 0);
        let permit = |solo: &Ownership| solo.permit(&config, Guards::ALL, None);
        let owed = |solo: &Ownership| solo.obligations(&config, Guards::ALL, &NOTHING_LEFT);
        assert!(owed(&solo).release(29).is_err() && owed(&solo).release(30).is_ok());
        solo.claimant = Some(config.partner);
        assert_eq!(
            permit(&solo).may_read(40),
            Err(Reason::ClaimPending(config.partner))
        );
        assert!(owed(&solo).release(40).is_err());
        solo.role = Role::Standby;
        assert_eq!(permit(&solo).may_command(40), Err(Reason::NotOwner));
    }
}
