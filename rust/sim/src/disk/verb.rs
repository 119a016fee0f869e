// SPDX-License-Identifier: GPL-2.0
//! What a command of the disk does, and to what.

use std::sync::Arc;

use yoke_core::disk::{Block as Sector, NodeBlock, RecordState};

/// A place on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A copy of a node's own block: copy `c` of node `n` is number `2 * n + c`.
    Head(u32),
    /// A data block of the volume.
    Data(u32),
}

/// A data block, in two halves so that a torn one can be told.
pub type Block = [u64; 2];

/// What stands in a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// A node's block that was written whole.
    Node(Arc<NodeBlock>),
    /// A node's block as bytes; and what was written, for the checkers alone.
    Bytes(Arc<(Sector, NodeBlock)>),
    /// A data block.
    Block(Block),
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read these places.
    Read(Vec<Place>),
    /// Write cells.
    Write {
        /// What goes where.
        cells: Vec<(Place, Cell)>,
        /// Make everything completed so far safe first.
        preflush: bool,
        /// It is safe from power loss when it lands.
        fua: bool,
    },
    /// Make everything completed so far safe from power loss.
    Flush,
}

impl Verb {
    /// Whether anything is written.
    pub fn writes(&self) -> bool {
        matches!(self, Verb::Write { .. })
    }

    /// Whether data blocks are written.
    pub fn writes_data(&self) -> bool {
        let cells = match self {
            Verb::Write { cells, .. } => &cells[..],
            _ => &[],
        };
        cells
            .iter()
            .any(|(place, _)| matches!(place, Place::Data(_)))
    }

    /// Whether this data block is written.
    pub fn writes_block(&self, block: u32) -> bool {
        let place = Place::Data(block);
        matches!(self, Verb::Write { cells, .. } if cells.iter().any(|(p, _)| *p == place))
    }

    /// Whether a node's own block is written, whole, whose record names a shadow.
    pub fn names_shadow(&self) -> bool {
        let cells = match self {
            Verb::Write { cells, .. } => &cells[..],
            _ => &[],
        };
        let mut blocks = cells.iter().filter_map(|(_, cell)| match cell {
            Cell::Node(block) => Some(block.record.state),
            _ => None,
        });
        blocks.any(|state| matches!(state, RecordState::Shadow(_)))
    }
}
