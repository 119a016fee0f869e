// SPDX-License-Identifier: GPL-2.0
//! The block that each node has on the shared disk, and that nobody else writes: its lease, its record and its claim
//! (PROTOCOL P1).
//!
//! Contents, after the frame of a block:
//!
//! ```text
//! 72   1  node
//! 73   1  state of the record: 0 released, 1 disk, 2 shadow
//! 74   1  number of holders: 1 in state shadow, else 0; there is room for 4
//! 75   1  reserved
//! 76   4  lease: milliseconds until it expires, 0 if there never was one
//! 80   8  incarnation, 0 if the node never served
//! 88   8  lease: counter
//! 96   8  record: generation
//! 104  4  record: link lease that its owner promises, in microseconds
//! 108  4  record: T_io that its owner promises, in microseconds
//! 112  8  claim: generation, 0 for none; the claimant is the incarnation above
//! 120  8  reserved
//! 128 80  the holder of the shadow, all 0 without one:
//!         0   1  node
//!         1   1  number of region epochs, 1 to 8
//!         2   6  reserved
//!         8   8  incarnation
//!         16 64  8 region epochs, 0 from the first unused on
//! 208 240 room for three more holders: 0
//! ```

use super::frame::{self, Block, Identity, Newest};
use crate::format::{FormatError, Known, Malformed};
use crate::ids::{Epoch, Generation, Incarnation, NodeId};
use crate::le::Reader;
use crate::terms::Terms;

const MAGIC: &[u8; 8] = b"YOKENODE";

/// The versions of the node block known here.
pub const KNOWN: Known = Known {
    current: 2,
    min_reader: 2,
    oldest: 2,
    features: 0,
};

/// How many region epochs a record can name: one for each link that carries a shadow.
pub const SHADOW_EPOCHS: usize = 8;

/// The shadow that a record rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shadow {
    /// The node whose memory holds it.
    pub holder: NodeId,
    /// The incarnation of that node: another one has lost it.
    pub holder_incarnation: Incarnation,
    /// The epochs of its regions, at least one; `None` from the first unused place on; all different.
    pub epochs: [Option<Epoch>; SHADOW_EPOCHS],
}

impl Shadow {
    /// The epochs of its regions.
    pub fn epochs(&self) -> impl Iterator<Item = Epoch> + '_ {
        self.epochs.iter().flatten().copied()
    }

    /// Whether `epoch` is one of its regions.
    pub fn names(&self, epoch: Epoch) -> bool {
        self.epochs().any(|other| other == epoch)
    }

    /// Whether there is at least one epoch, no gap between them, and none twice.
    fn is_proper(&self) -> bool {
        let used = self.epochs().count();
        let packed = self.epochs.iter().take(used).all(Option::is_some);
        let twice = self
            .epochs()
            .enumerate()
            .any(|(at, epoch)| self.epochs().take(at).any(|other| other == epoch));
        used > 0 && packed && !twice
    }
}

/// Where the acknowledged data of a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordState {
    /// On the disk, and anybody may claim the volume. Of generation 0: the node never owned it.
    Released,
    /// On the disk, and nowhere else.
    Disk,
    /// On the disk, and newer blocks in the memory of the holder.
    Shadow(Shadow),
}

impl RecordState {
    /// Whether it is on the disk and nowhere else.
    pub const fn is_disk(&self) -> bool {
        matches!(self, Self::Disk)
    }
}

/// What a node states about a volume. The owner is the node whose record has the highest generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The generation in which the statement was made.
    pub generation: Generation,
    /// Where the acknowledged data is.
    pub state: RecordState,
    /// What its owner promises: it acts by no longer times. [`Terms::NONE`] of generation 0.
    pub terms: Terms,
}

impl Record {
    /// The record of a node that has never owned the volume.
    pub const NONE: Self = Self {
        generation: Generation::NONE,
        state: RecordState::Released,
        terms: Terms::NONE,
    };
}

/// The right to answer for a while. It is renewed by writing another counter; others measure the time by their own
/// clocks, from the moment that they saw the counter move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Moves with each renewal.
    pub counter: u64,
    /// How long a renewal lasts, in milliseconds. 0: there never was a lease.
    pub expiry_ms: u32,
}

impl Lease {
    /// What a node has that never held the lease.
    pub const NONE: Self = Self {
        counter: 0,
        expiry_ms: 0,
    };
}

/// The generation that a node wants to own the volume in, if any.
pub type Claim = Option<Generation>;

/// What the block of one node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeBlock {
    /// The node whose block it is.
    pub node: NodeId,
    /// The incarnation that wrote it. `None`: never written since the volume was made.
    pub incarnation: Option<Incarnation>,
    /// Counts the writes of this block. Its lowest bit names the copy that is written.
    pub sequence: u64,
    /// Its lease.
    pub lease: Lease,
    /// Its record.
    pub record: Record,
    /// Its claim; never [`Generation::NONE`].
    pub claim: Claim,
}

impl NodeBlock {
    /// What `create` writes for every node: copy 0 with sequence 0, then copy 1 with sequence 1.
    pub const fn blank(node: NodeId, sequence: u64) -> Self {
        Self {
            node,
            incarnation: None,
            sequence,
            lease: Lease::NONE,
            record: Record::NONE,
            claim: None,
        }
    }

    /// Writes the block. It belongs at [`super::layout::node_block_at`] of the node and the sequence.
    pub fn encode(&self, identity: &Identity, block: &mut Block) {
        let (state, shadow) = match &self.record.state {
            RecordState::Released => (0, None),
            RecordState::Disk => (1, None),
            RecordState::Shadow(shadow) => (2, Some(shadow)),
        };
        let (link_lease, io_life) = self.record.terms.to_micros();
        frame::encode(block, MAGIC, &KNOWN, identity, self.sequence, |writer| {
            writer
                .u8(self.node.get())
                .u8(state)
                .u8(shadow.map_or(0, |_| 1))
                .u8(0)
                .u32(self.lease.expiry_ms)
                .u64(self.incarnation.map_or(0, Incarnation::get))
                .u64(self.lease.counter);
            writer
                .u64(self.record.generation.get())
                .u32(link_lease)
                .u32(io_life)
                .u64(self.claim.map_or(0, Generation::get))
                .u64(0);
            if let Some(shadow) = shadow {
                writer
                    .u8(shadow.holder.get())
                    .u8(shadow.epochs().count() as u8)
                    .reserved::<6>()
                    .u64(shadow.holder_incarnation.get());
                for epoch in shadow.epochs {
                    writer.u64(epoch.map_or(0, Epoch::get));
                }
            }
        });
    }

    /// Reads copy `copy` (its lowest bit counts) of the block of `node`.
    ///
    /// # Errors
    ///
    /// Why these bytes are not that block.
    pub fn parse(
        identity: &Identity,
        node: NodeId,
        copy: u64,
        block: &Block,
    ) -> Result<Self, FormatError> {
        let frame = frame::parse(block, MAGIC, &KNOWN)?;
        if frame.identity.appliance != identity.appliance {
            return Err(Malformed::Appliance.into());
        }
        if frame.identity.volume != identity.volume {
            return Err(Malformed::Volume.into());
        }
        let mut reader = frame.contents;
        let raw = Raw::read(&mut reader).ok_or(Malformed::Short)?;
        if raw.reserved != 0 && !frame.newer {
            return Err(Malformed::Reserved.into());
        }
        let parsed = Self::from_raw(&raw, frame.sequence)?;
        if parsed.node != node || (parsed.sequence ^ copy) & 1 != 0 {
            return Err(Malformed::Place.into());
        }
        if !frame.newer && !reader.rest_is_zero() {
            return Err(Malformed::Reserved.into());
        }
        Ok(parsed)
    }

    fn from_raw(raw: &Raw, sequence: u64) -> Result<Self, FormatError> {
        let node = NodeId::new(raw.node).ok_or(Malformed::Field("node"))?;
        let state = raw.state()?;
        let record = Record {
            generation: Generation::new(raw.generation),
            state,
            terms: Terms::from_micros(raw.link_lease, raw.io_life),
        };
        let never = record.generation == Generation::NONE;
        if never && state != RecordState::Released {
            return Err(Malformed::Field("generation").into());
        }
        if never != (record.terms == Terms::NONE) {
            return Err(Malformed::Field("terms of the record").into());
        }
        if raw.expiry_ms == 0 && raw.counter != 0 {
            return Err(Malformed::Field("lease").into());
        }
        Ok(Self {
            node,
            incarnation: Incarnation::new(raw.incarnation),
            sequence,
            lease: Lease {
                counter: raw.counter,
                expiry_ms: raw.expiry_ms,
            },
            record,
            claim: (raw.claim != 0).then_some(Generation::new(raw.claim)),
        })
    }

    /// Reads both copies of the block of `node` and chooses the newest valid one. When the other is damaged, its
    /// write never happened (it was never answered), or it was damaged since.
    ///
    /// # Errors
    ///
    /// If neither can be used, one is too new, or they contradict each other. Who owns the volume is then not known,
    /// and nobody may serve it.
    pub fn parse_copies(
        identity: &Identity,
        node: NodeId,
        first: &Block,
        second: &Block,
    ) -> Result<Newest<Self>, FormatError> {
        let (first, second) = (
            Self::parse(identity, node, 0, first),
            Self::parse(identity, node, 1, second),
        );
        frame::newest(first, second, |block| block.sequence)
    }
}

/// The fields as they stand, unchecked.
struct Raw {
    node: u8,
    state: u8,
    holders: u8,
    expiry_ms: u32,
    incarnation: u64,
    counter: u64,
    generation: u64,
    link_lease: u32,
    io_life: u32,
    claim: u64,
    holder: u8,
    count: u8,
    holder_incarnation: u64,
    epochs: [u64; SHADOW_EPOCHS],
    /// Of the fields above, those that are reserved.
    reserved: u64,
}

impl Raw {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (node, state, holders, spare) =
            (reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?);
        let (expiry_ms, incarnation, counter) = (reader.u32()?, reader.u64()?, reader.u64()?);
        let (generation, link_lease, io_life) = (reader.u64()?, reader.u32()?, reader.u32()?);
        let (claim, spare_word) = (reader.u64()?, reader.u64()?);
        let (holder, count, padding) = (reader.u8()?, reader.u8()?, reader.bytes::<6>()?);
        let holder_incarnation = reader.u64()?;
        let mut epochs = [0; SHADOW_EPOCHS];
        for epoch in &mut epochs {
            *epoch = reader.u64()?;
        }
        let padded = padding.iter().any(|&byte| byte != 0);
        Some(Self {
            node,
            state,
            holders,
            expiry_ms,
            incarnation,
            counter,
            generation,
            link_lease,
            io_life,
            claim,
            holder,
            count,
            holder_incarnation,
            epochs,
            reserved: u64::from(spare) | spare_word | u64::from(padded),
        })
    }

    fn state(&self) -> Result<RecordState, Malformed> {
        let bare = self.holders == 0
            && self.count == 0
            && self.holder == 0
            && self.holder_incarnation == 0
            && self.epochs.iter().all(|&epoch| epoch == 0);
        match (self.state, bare) {
            (0, true) => Ok(RecordState::Released),
            (1, true) => Ok(RecordState::Disk),
            (2, false) if self.holders == 1 => self.shadow().map(RecordState::Shadow),
            (2, false) => Err(Malformed::Field("number of holders")),
            (0 | 1, false) => Err(Malformed::Field("shadow of a record without one")),
            (2, true) => Err(Malformed::Field("shadow")),
            _ => Err(Malformed::Field("state of the record")),
        }
    }

    fn shadow(&self) -> Result<Shadow, Malformed> {
        let shadow = Shadow {
            holder: NodeId::new(self.holder).ok_or(Malformed::Field("holder"))?,
            holder_incarnation: Incarnation::new(self.holder_incarnation)
                .ok_or(Malformed::Field("incarnation of the holder"))?,
            epochs: self.epochs.map(Epoch::new),
        };
        let all_kept =
            self.epochs.iter().filter(|&&epoch| epoch != 0).count() == shadow.epochs().count();
        if !shadow.is_proper() || !all_kept || shadow.epochs().count() != usize::from(self.count) {
            return Err(Malformed::Field("region epochs"));
        }
        Ok(shadow)
    }
}
