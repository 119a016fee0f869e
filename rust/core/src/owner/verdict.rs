// SPDX-License-Identifier: GPL-2.0
//! Who may take a volume over, and from what (PROTOCOL P7, P11).

use super::survey::Survey;
use crate::disk::node_block::{Lease, NodeBlock, RecordState, Shadow};
use crate::guards::{Guard, Guards};
use crate::ids::{Epoch, Incarnation};
use crate::volume::config::{Config, PowerLoss};
use crate::volume::status::Reason;

/// What a takeover starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Base {
    /// The disk, and nobody has any right to it.
    Released,
    /// The disk. `watch`: the owner's lease has to be seen standing still first.
    Disk { watch: bool },
    /// The disk and the shadow in our own memory.
    Shadow,
}

impl Base {
    /// Whether the same data is started from.
    pub(crate) fn is_like(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Released, Self::Released)
                | (Self::Disk { .. }, Self::Disk { .. })
                | (Self::Shadow, Self::Shadow)
        )
    }
}

/// What this controller knows beside the disk.
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) guards: Guards,
    /// A person takes the loss of everything that is not on the disk.
    pub(crate) forced: bool,
}

impl Facts<'_> {
    /// Whether the incarnation that wrote the record is certainly dead: its node was started again. An owner always
    /// has a lease in its block, and a node that starts takes it out.
    ///
    /// A session with another incarnation proves nothing: incarnations have no order, and after a pause the news of a
    /// session that is long over may still be on its way here.
    fn owner_dead(&self, top: &NodeBlock) -> bool {
        top.lease == Lease::NONE || top.node == self.config.node
    }

    fn holder_dead(&self, shadow: &Shadow, holder_now: Option<Incarnation>) -> bool {
        if shadow.holder == self.config.node {
            return shadow.holder_incarnation != self.config.incarnation;
        }
        holder_now.is_some_and(|life| life != shadow.holder_incarnation)
    }

    /// What a takeover would start from; `intact`: whether a region of ours still has what was posted under an epoch.
    pub(crate) fn verdict(
        &self,
        survey: &Survey,
        intact: impl Fn(Epoch) -> bool,
    ) -> Result<Base, Reason> {
        if survey.conflict {
            return Err(Reason::Identity);
        }
        let Some(top) = survey.top else {
            return Ok(Base::Released);
        };
        let disk = Base::Disk {
            watch: !self.owner_dead(&top),
        };
        let shadow = match top.record.state {
            RecordState::Released => return Ok(Base::Released),
            RecordState::Disk => return Ok(disk),
            RecordState::Shadow(shadow) => shadow,
        };
        let named = shadow.holder == self.config.node
            && shadow.holder_incarnation == self.config.incarnation;
        if named && shadow.epochs().all(&intact) || !self.guards.on(Guard::OnlyHolder) {
            return Ok(Base::Shadow);
        }
        if top.node == self.config.node && !self.guards.on(Guard::PositiveRecord) {
            return Ok(Base::Released);
        }
        if self.forced {
            return Ok(disk);
        }
        if named {
            return Err(Reason::EpochUnknown);
        }
        if !self.holder_dead(&shadow, survey.holder_now) {
            return Err(Reason::ShadowElsewhere(shadow.holder));
        }
        let dead = self.owner_dead(&top) || !self.guards.on(Guard::BothDead);
        if self.config.power_loss == PowerLoss::StartFromDisk && dead {
            return Ok(disk);
        }
        Err(Reason::ShadowLost(shadow.holder))
    }
}
