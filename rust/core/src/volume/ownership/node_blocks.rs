// SPDX-License-Identifier: GPL-2.0
//! The node blocks on the shared disk: the cycle of writing the own one and reading all (PROTOCOL P1, P3).

use crate::disk::node_block::{Lease, NodeBlock, Record, RecordState};
use crate::guards::{Guard, Guards};
use crate::ids::{Epoch, Generation, NodeId};
use crate::owner::survey::Survey;
use crate::volume::action::{Action, Token};
use crate::volume::config::Config;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::ownership::cycle::{CycleEvent, Phase};
use crate::volume::ownership::Ownership;
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::{Reason, Role};

impl Ownership {
    /// Whether the record that stands, or may stand, on the disk names an epoch.
    pub(crate) fn may_be_named(&self, epoch: Epoch) -> bool {
        self.cycle.possible().iter().any(|record| {
            matches!(&record.state, RecordState::Shadow(shadow)
                if shadow.epochs().any(|named| named == epoch))
        })
    }

    /// Whether the record that certainly stands on the disk names an epoch.
    pub(crate) fn is_named(&self, epoch: Epoch) -> bool {
        matches!(&self.cycle.mine.record.state, RecordState::Shadow(shadow)
            if shadow.epochs().any(|named| named == epoch))
    }

    /// Whether the record of the owner, as it was last seen, names the region of this epoch.
    pub(crate) fn is_seen_named(&self, epoch: Epoch) -> bool {
        let survey = self.survey.as_ref();
        survey.is_some_and(|survey| survey.names(epoch))
    }

    /// Whether a write of the own block is under way.
    pub(crate) fn is_writing_block(&self) -> bool {
        self.cycle.phase() == Phase::Writing
    }

    /// When the write or read of node blocks was issued that is under way.
    pub(crate) fn block_asked_ns(&self) -> Option<u64> {
        match self.cycle.phase() {
            Phase::Writing => Some(self.cycle.issued_ns),
            Phase::Reading => Some(self.cycle.read_issued_ns),
            Phase::Idle | Phase::ToWrite | Phase::ToRead => None,
        }
    }

    /// Whether the own block may be written: while the volume is opened not before it was tried to register.
    fn may_write_block(&self) -> bool {
        self.role != Role::Opening || self.reservation.may_open()
    }

    /// Whether commands of an earlier life of this controller may be alive. A target knows controllers, not lives: it would let
    /// them in again.
    pub(super) fn may_be_haunted(&self) -> bool {
        self.role == Role::Opening && self.cycle.phase() != Phase::ToWrite
    }

    /// When the last read of all blocks was issued.
    pub(crate) fn read_issued_ns(&self) -> u64 {
        self.cycle.read_issued_ns
    }

    /// All blocks are to be read soon, by one that stands by.
    pub(crate) fn survey_soon(&mut self) {
        self.surveyed_at_ns = None;
    }

    /// The highest generation that was seen on the disk.
    pub(crate) fn known_generation(&self) -> Generation {
        self.survey
            .as_ref()
            .map_or(Generation::NONE, Survey::generation)
    }

    /// Begins to write the own block: this record, as an owner, with the next lease.
    pub(crate) fn write_record(
        &mut self,
        config: &Config,
        guards: Guards,
        record: Record,
        now_ns: u64,
    ) {
        let expiry_ms = u32::try_from(self.lease_ns / 1_000_000).unwrap_or(u32::MAX);
        let lease = Lease {
            counter: self.cycle.mine.lease.counter.wrapping_add(1),
            expiry_ms,
        };
        self.write_block(config, guards, record, lease, None, now_ns);
    }

    /// Begins to write the own block as it stands, with this claim, or without the one that is in it.
    pub(crate) fn write_claim(
        &mut self,
        config: &Config,
        guards: Guards,
        claim: Option<Generation>,
        now_ns: u64,
    ) {
        let NodeBlock { record, lease, .. } = self.cycle.mine;
        self.write_block(config, guards, record, lease, claim, now_ns);
    }

    /// Begins to write the own block.
    pub(crate) fn write_block(
        &mut self,
        config: &Config,
        guards: Guards,
        record: Record,
        lease: Lease,
        claim: Option<Generation>,
        now_ns: u64,
    ) {
        let block = NodeBlock {
            node: self.own_place(config, guards),
            incarnation: Some(config.incarnation),
            sequence: 0,
            lease,
            record,
            claim,
        };
        self.cycle.write(block, now_ns);
    }

    /// Whose block this controller writes: its own.
    pub(crate) fn own_place(&self, config: &Config, guards: Guards) -> NodeId {
        let first = NodeId::new(0).filter(|_| !guards.on(Guard::OwnBlock));
        first.unwrap_or(config.node)
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// The next write or read of node blocks.
    pub(crate) fn next_block(&mut self, now_ns: u64) -> Option<Action> {
        let phase = self.ownership.cycle.phase();
        match phase {
            Phase::ToWrite
                if self.ownership.may_write_block()
                    && self.agenda.due(self.ownership.cycle.not_before_ns, now_ns) =>
            {
                let token = self.agenda.token();
                self.ownership.cycle.issued_ns = now_ns;
                self.ownership.shorten_lease(now_ns);
                self.ownership.cycle.flushes = self.log.done_no();
                self.ownership.cycle.issue(token);
                Some(Action::WriteNodeBlock {
                    token,
                    block: self.ownership.cycle.block,
                })
            }
            Phase::ToRead if self.agenda.due(self.ownership.cycle.not_before_ns, now_ns) => {
                let token = self.agenda.token();
                self.ownership.cycle.read_issued_ns = now_ns;
                self.ownership.cycle.issue(token);
                Some(Action::ReadNodeBlocks { token })
            }
            _ => None,
        }
    }

    /// The own block was written, or perhaps not.
    pub(crate) fn block_written(&mut self, token: Token, ok: bool, now_ns: u64) {
        if !self.ownership.cycle.awaits(Phase::Writing, token) {
            return;
        }
        self.disk_told(ok, now_ns);
        if !ok {
            // It begins with a flush.
            self.lose_cache();
            // It may land for as long as a command lives. Then it is written once more, to the same copy.
            self.ownership.cycle.unsure = true;
            self.ownership.cycle.block.sequence =
                self.ownership.cycle.block.sequence.wrapping_add(2);
            let wait = self.config.poll_ns.max(
                self.ownership
                    .agreed(&self.config, &self.partner)
                    .io_life_ns(),
            );
            self.ownership
                .cycle
                .on(CycleEvent::Failed, now_ns.saturating_add(wait));
            self.ownership.reason = Some(Reason::Disk);
            self.ownership.command_failed();
            return;
        }
        self.ownership.cycle.unsure = false;
        self.ownership.reason = self.ownership.reason.filter(|why| *why != Reason::Disk);
        self.ownership.cycle.mine = self.ownership.cycle.block;
        self.ownership.cycle.on(CycleEvent::Done, now_ns);
        if !self.log.flushes().is_in_flight() {
            self.log.flushes_mut().cover(self.ownership.cycle.flushes);
        }
        if !self.guards.on(Guard::RenewByRead) && self.ownership.mode().is_some() {
            self.ownership.lease_until_ns = Some(
                self.ownership
                    .cycle
                    .issued_ns
                    .saturating_add(self.ownership.own_lease_ns()),
            );
        }
        self.landed(now_ns);
    }

    /// All blocks were read, or not.
    pub(crate) fn blocks_read(&mut self, token: Token, blocks: Option<&[NodeBlock]>, now_ns: u64) {
        if !self.ownership.cycle.awaits(Phase::Reading, token) {
            return;
        }
        let Some(blocks) = blocks else {
            self.disk_told(false, now_ns);
            // Why one has stopped stays said.
            if self.ownership.role != Role::Stopped {
                self.ownership.reason = Some(Reason::Unreadable);
            }
            let again = now_ns.saturating_add(self.config.poll_ns);
            self.ownership.cycle.on(CycleEvent::Failed, again);
            return;
        };
        self.disk_was_read(self.ownership.cycle.read_issued_ns, now_ns);
        self.ownership
            .learn_speed(&self.config, &self.partner, now_ns);
        let survey = Survey::new(blocks, self.ownership.own_place(&self.config, self.guards));
        self.ownership.say_while(Reason::Unreadable, false);
        self.ownership.cycle.on(CycleEvent::Done, now_ns);
        self.ownership.survey = Some(survey);
        let issued_ns = self.ownership.cycle.read_issued_ns;
        self.ownership.reservation.blocks_read(issued_ns);
        self.ownership.surveyed_at_ns = Some(now_ns);
        if !matches!(self.ownership.role, Role::Opening | Role::Stopped) {
            let same = survey.own == Some(self.ownership.cycle.mine);
            if !same && self.guards.on(Guard::OwnBlock) {
                return self.stop(Reason::Identity);
            }
        }
        match self.ownership.role {
            Role::Opening => self.opening_read(survey, now_ns),
            Role::Standby => self.standby_read(survey, now_ns),
            Role::Taking => self.takeover_read(survey, now_ns),
            Role::Owner(_) => self.owner_read(survey, now_ns),
            Role::Stopped => self.stopped_read(&survey),
            Role::Closed => (),
        }
    }
}
