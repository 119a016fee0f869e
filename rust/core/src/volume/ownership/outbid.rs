// SPDX-License-Identifier: GPL-2.0
//! An owner under a claim that leads to nothing (PROTOCOL P3, P7.3).
//!
//! With a claim pending an owner answers nothing: the claimant may win at any moment. If it dies before it does, its
//! claim stays. The owner then outbids it, in the same way in which anybody takes a volume: it *claims* a higher
//! generation, reads all blocks with that claim on the disk, and writes its record anew in that generation. That needs
//! no proof that the claimant is dead, and no clock: a claimant that had won before is seen by the read, and one that
//! wins after sees the higher claim, and does not act. Time only decides how long a live claimant is let alone.

use crate::disk::node_block::Record;
use crate::ids::Generation;
use crate::owner::survey::Survey;
use crate::volume::config::Config;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::ownership::Ownership;
use crate::volume::partner::Partner;
use crate::volume::requests::tickets::Ticket;

/// How an owner deals with the claim of another controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outbid {
    /// No claim stands above its record.
    None,
    /// This one does, and has since this time.
    Watching { claim: Generation, since_ns: u64 },
    /// The own claim of this generation is being written, or stands; then all blocks are read.
    Claiming { generation: Generation },
}

impl Ownership {
    /// How long a claim is let alone. Where there is a session with another life of its node, the claimant is dead.
    fn claim_patience(&self, config: &Config, partner: &Partner, survey: &Survey) -> u64 {
        let claimant = survey.claim.map(|(node, _)| node);
        let by_partner = claimant == Some(config.partner);
        if by_partner && partner.life().is_some() && partner.life() != survey.claimant_life {
            return 0;
        }
        let life = self.agreed(config, partner).io_life_ns();
        config.stretch(life.saturating_add(self.lease_ns))
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// All blocks were read, and show this owner no higher record.
    pub(crate) fn answer_claim(&mut self, survey: &Survey, now_ns: u64) {
        let mine = self.ownership.cycle.mine;
        let claim = survey
            .claim
            .filter(|(_, claim)| *claim > mine.record.generation);
        if let Outbid::Claiming { generation } = self.ownership.outbid {
            return self.outbid_read(claim.map(|(_, claim)| claim), generation, now_ns);
        }
        let Some((_, claim)) = claim else {
            self.ownership.outbid = Outbid::None;
            return;
        };
        let since_ns = match self.ownership.outbid {
            Outbid::Watching {
                claim: seen,
                since_ns,
            } if seen == claim => since_ns,
            _ => now_ns,
        };
        self.ownership.outbid = Outbid::Watching { claim, since_ns };
        if now_ns
            < since_ns.saturating_add(self.ownership.claim_patience(
                &self.config,
                &self.partner,
                survey,
            ))
            || !self.ownership.cycle.is_idle()
        {
            return;
        }
        if let Some(generation) = survey.highest.next() {
            self.ownership.outbid = Outbid::Claiming { generation };
            self.ownership
                .write_claim(&self.config, self.guards, Some(generation), now_ns);
        }
    }

    /// The own claim stood on the disk when the blocks were read.
    fn outbid_read(&mut self, rival: Option<Generation>, generation: Generation, now_ns: u64) {
        let mine = self.ownership.cycle.mine;
        if mine.claim != Some(generation) {
            // This read was under way before the claim was written.
            return;
        }
        if let Some(claim) = rival.filter(|claim| *claim >= generation) {
            // The other one is at it, after all: it is let alone, and watched anew.
            let random = self.random() % self.config.backoff_ns.max(1);
            let since_ns = now_ns.saturating_add(random);
            self.ownership.outbid = Outbid::Watching { claim, since_ns };
            return self
                .ownership
                .write_claim(&self.config, self.guards, None, now_ns);
        }
        self.ownership.outbid = Outbid::None;
        let record = Record {
            generation,
            ..self
                .ownership
                .record(&self.config, &self.partner, mine.record.state)
        };
        self.ownership
            .write_record(&self.config, self.guards, record, now_ns);
    }
}
