// SPDX-License-Identifier: GPL-2.0

//! The node blocks on the backing disk: read all, write the own one. Nothing here waits; the ends come to the control
//! thread.

use super::ends::Ends;
use super::shared::{Own, Shared};
use kernel::{prelude::*, sync::Arc};
use yoke_core::{
    disk::{
        layout::{node_block_at, NODE_BLOCKS, NODE_BLOCKS_AT},
        Block, NodeBlock, BLOCK_SIZE,
    },
    ids::{NodeId, NODE_COUNT},
    volume::{Input, Token},
};
use yoke_sys::{
    backing::{BackingDev, IoOp},
    bio::Flags,
    pages::Pages,
    time::boottime_ns,
};

/// All copies of all node blocks, then room for the own one.
const OWN_AT: u32 = NODE_BLOCKS as u32;

/// Node blocks in memory, and their way to and from the disk. Belongs to the control thread.
pub(super) struct NodeBlocks {
    memory: Arc<Pages>,
    /// Where a copy is parsed: two of them do not fit a kernel stack.
    first: KBox<Block>,
    second: KBox<Block>,
    found: KVec<NodeBlock>,
    held: Option<Held>,
}

/// A write of the own block that waits for the keeper.
struct Held {
    token: Token,
    /// Where on the disk it goes.
    at: u64,
    /// What the keeper was asked for.
    asked: u32,
    /// It waits no longer than until then.
    until_ns: u64,
}

/// How long the release of a volume waits for what is cached to be dropped.
const DROP_NS: u64 = 1_000_000_000;

impl NodeBlocks {
    /// Memory for all of them. The device must know `memory()`. Errors: `ENOMEM`.
    pub(super) fn new() -> Result<Self> {
        Ok(NodeBlocks {
            memory: Arc::new(Pages::new(OWN_AT + 1)?, GFP_KERNEL)?,
            first: KBox::new([0; BLOCK_SIZE], GFP_KERNEL)?,
            second: KBox::new([0; BLOCK_SIZE], GFP_KERNEL)?,
            found: KVec::with_capacity(NODE_COUNT, GFP_KERNEL)?,
            held: None,
        })
    }

    pub(super) fn memory(&self) -> &Arc<Pages> {
        &self.memory
    }

    /// Begins to read all blocks.
    pub(super) fn read(&self, dev: &BackingDev<Ends>, shared: &Shared, token: Token) {
        let begun = dev.take().ok_or(EBUSY).and_then(|mut unit| {
            for block in 0..OWN_AT {
                unit.push(&self.memory, block)?;
            }
            unit.submit(
                IoOp::Read,
                NODE_BLOCKS_AT,
                Flags::META.with(Flags::SYNC),
                Own::ReadBlocks(token),
            )
            .map_err(|(_, error)| error)
        });
        if begun.is_err() {
            let input = Input::NodeBlocks {
                token,
                blocks: None,
            };
            shared.inner.lock().core.handle(input, boottime_ns());
        }
    }

    /// Begins to write the own block. One that releases the volume waits until nothing is cached any more.
    pub(super) fn write(
        &mut self,
        dev: &BackingDev<Ends>,
        shared: &Shared,
        token: Token,
        block: &NodeBlock,
    ) {
        block.encode(&shared.identity, &mut self.first);
        let at = node_block_at(block.node, block.sequence);
        if self.memory.copy_in(OWN_AT, 0, &*self.first).is_err() {
            return not_written(shared, token);
        }
        let Some(asked) = shared.drop_cache() else {
            return self.submit(dev, shared, token, at);
        };
        let until_ns = boottime_ns().saturating_add(DROP_NS);
        self.held = Some(Held {
            token,
            at,
            asked,
            until_ns,
        });
    }

    /// Begins the write that waited, if it need not wait any more. Until when it waits, if it does.
    pub(super) fn write_held(&mut self, dev: &BackingDev<Ends>, shared: &Shared) -> Option<u64> {
        let held = self.held.take()?;
        let waits = shared.inner.lock().cache.dropped != held.asked;
        if waits && boottime_ns() < held.until_ns {
            return Some(self.held.insert(held).until_ns);
        }
        self.submit(dev, shared, held.token, held.at);
        None
    }

    /// The own block goes from its room in memory to the disk.
    fn submit(&self, dev: &BackingDev<Ends>, shared: &Shared, token: Token, at: u64) {
        let begun = dev.take().ok_or(EBUSY).and_then(|mut unit| {
            unit.push(&self.memory, OWN_AT)?;
            let flags = Flags::PREFLUSH
                .with(Flags::FUA)
                .with(Flags::META)
                .with(Flags::SYNC);
            unit.submit(IoOp::Write, at, flags, Own::WriteBlock(token))
                .map_err(|(_, error)| error)
        });
        if begun.is_err() {
            not_written(shared, token);
        }
    }

    /// All blocks were read: tells the machine what they say.
    pub(super) fn tell(&mut self, shared: &Shared, token: Token, good: bool) {
        let good = good && self.parse(shared).is_ok();
        let blocks = good.then_some(&*self.found);
        shared
            .inner
            .lock()
            .core
            .handle(Input::NodeBlocks { token, blocks }, boottime_ns());
    }

    /// Checks what was read.
    ///
    /// # Errors
    ///
    /// `EIO`: a block is damaged in both copies.
    fn parse(&mut self, shared: &Shared) -> Result {
        self.found.clear();
        for number in 0..NODE_COUNT as u8 {
            let node = NodeId::new(number).ok_or(EINVAL)?;
            let at = 2 * u32::from(number);
            self.memory.copy_out(at, 0, &mut *self.first)?;
            self.memory.copy_out(at + 1, 0, &mut *self.second)?;
            let newest = NodeBlock::parse_copies(&shared.identity, node, &self.first, &self.second);
            match newest {
                Ok(newest) => self
                    .found
                    .push_within_capacity(newest.contents)
                    .map_err(|_| EIO)?,
                Err(error) => {
                    pr_err_ratelimited(shared, node, &error);
                    return Err(EIO);
                }
            }
        }
        Ok(())
    }
}

fn not_written(shared: &Shared, token: Token) {
    let input = Input::NodeBlockWritten { token, ok: false };
    shared.inner.lock().core.handle(input, boottime_ns());
}

fn pr_err_ratelimited(shared: &Shared, node: NodeId, error: &dyn core::fmt::Display) {
    if shared.stats.may_log() {
        pr_err!(
            "{}\n",
            format_args!("volume {}: block of {node}: {error}", shared.name())
        );
    }
}
