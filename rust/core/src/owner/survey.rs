// SPDX-License-Identifier: GPL-2.0
//! One look at the blocks of all nodes.

use crate::disk::node_block::{NodeBlock, RecordState};
use crate::ids::{Epoch, Generation, Incarnation, NodeId};

/// What one read of all blocks showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Survey {
    /// The own block.
    pub(crate) own: Option<NodeBlock>,
    /// The block whose record has the highest generation; none if no generation is above zero.
    pub(crate) top: Option<NodeBlock>,
    /// Two records share the highest generation: somebody broke the rules.
    pub(crate) conflict: bool,
    /// The highest claim of another node.
    pub(crate) claim: Option<(NodeId, Generation)>,
    /// The life of that node that stands in its block.
    pub(crate) claimant_life: Option<Incarnation>,
    /// The highest of all generations and claims.
    pub(crate) highest: Generation,
    /// The incarnation in the block of the node that holds the shadow of `top`.
    pub(crate) holder_now: Option<Incarnation>,
}

impl Survey {
    /// Looks at `blocks` as `node`.
    pub(crate) fn new(blocks: &[NodeBlock], node: NodeId) -> Self {
        let mut survey = Self {
            own: None,
            top: None,
            conflict: false,
            claim: None,
            claimant_life: None,
            highest: Generation::NONE,
            holder_now: None,
        };
        for block in blocks {
            survey.add(block, node);
        }
        if let Some(RecordState::Shadow(shadow)) = survey.top.map(|top| top.record.state) {
            survey.holder_now = blocks
                .iter()
                .find(|block| block.node == shadow.holder)
                .and_then(|block| block.incarnation);
        }
        survey
    }

    fn add(&mut self, block: &NodeBlock, node: NodeId) {
        let generation = block.record.generation;
        if block.node == node {
            self.own = Some(*block);
        }
        if generation > Generation::NONE {
            match self.top.map(|top| top.record.generation) {
                Some(top) if top > generation => (),
                Some(top) if top == generation => self.conflict = true,
                _ => {
                    self.top = Some(*block);
                    self.conflict = false;
                }
            }
        }
        self.highest = self.highest.max(generation);
        if let Some(claim) = block.claim {
            self.highest = self.highest.max(claim);
            if block.node != node && self.claim.is_none_or(|(_, other)| claim > other) {
                self.claim = Some((block.node, claim));
                self.claimant_life = block.incarnation;
            }
        }
    }

    /// Whether the owner's record names a shadow, so that its right to answer may be a link lease.
    pub(crate) fn names_shadow(&self) -> bool {
        matches!(
            self.top.map(|top| top.record.state),
            Some(RecordState::Shadow(_))
        )
    }

    /// Whether the owner's record names the region of this epoch.
    pub(crate) fn names(&self, epoch: Epoch) -> bool {
        self.top.is_some_and(|top| match &top.record.state {
            RecordState::Shadow(shadow) => shadow.names(epoch),
            RecordState::Disk | RecordState::Released => false,
        })
    }

    /// The generation of the owner.
    pub(crate) fn generation(&self) -> Generation {
        self.top
            .map_or(Generation::NONE, |top| top.record.generation)
    }
}
