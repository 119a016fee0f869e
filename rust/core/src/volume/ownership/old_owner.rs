// SPDX-License-Identifier: GPL-2.0
//! The old owner, as a takeover sees it: its link lease passes, its disk lease is watched (PROTOCOL P7.2), and its commands
//! may be in the disk's queue.

use crate::disk::node_block::NodeBlock;
use crate::guards::{Guard, Guards};
use crate::owner::survey::Survey;
use crate::owner::verdict::Base;
use crate::terms::Terms;
use crate::volume::config::Config;
use crate::volume::ownership::Ownership;
use crate::volume::status::Reason;

/// A value of the owner's block, and since when it has been standing still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    block: NodeBlock,
    since_ns: u64,
}

impl Ownership {
    /// When the link lease of the old owner has run out: the one that it promised, whatever is set here.
    pub(super) fn link_lease_over_ns(&self, config: &Config, survey: &Survey) -> u64 {
        let promised = survey.top.map_or(Terms::NONE, |top| top.record.terms);
        let wait = config.stretch(promised.link_lease_ns());
        self.taking.voided_at_ns.saturating_add(wait)
    }

    /// `shadow`: whether the observation was made when the old owner's link lease had run out.
    pub(super) fn link_lease_passed(
        &mut self,
        config: &Config,
        guards: Guards,
        survey: &Survey,
    ) -> bool {
        let until_ns = self.link_lease_over_ns(config, survey);
        if self.cycle.read_issued_ns >= until_ns || !guards.on(Guard::WaitLinkLease) {
            return true;
        }
        self.taking.rest(until_ns);
        false
    }

    /// `disk`: whether the owner's block has stood still for a whole expiry, from the end of the first read of its
    /// value to the issue of the last.
    pub(super) fn watch_lease(
        &mut self,
        config: &Config,
        guards: Guards,
        survey: &Survey,
        now_ns: u64,
    ) -> bool {
        let Some(top) = survey.top else { return true };
        if !guards.on(Guard::WatchDiskLease) {
            return true;
        }
        let expiry = u64::from(top.lease.expiry_ms).saturating_mul(1_000_000);
        let whole = config.stretch(expiry);
        match self.taking.watch {
            Some(watch) if watch.block != top => {
                self.give_up(Some(Reason::OwnerAlive));
                false
            }
            Some(watch) if self.cycle.read_issued_ns >= watch.since_ns.saturating_add(whole) => {
                true
            }
            seen => {
                let since_ns = seen.map_or(now_ns, |watch| watch.since_ns);
                self.taking.watch = Some(Watch {
                    block: top,
                    since_ns,
                });
                let step = now_ns.saturating_add(expiry / 8 + 1);
                let end = since_ns.saturating_add(whole);
                let until_ns = if end > now_ns { step.min(end) } else { step };
                self.taking.rest(until_ns);
                false
            }
        }
    }

    /// Who may have commands in the disk's queue.
    pub(crate) fn victim(&self) -> Option<NodeBlock> {
        match self.taking.base {
            Base::Released => None,
            Base::Disk { .. } | Base::Shadow => self.taking.observed,
        }
    }
}
