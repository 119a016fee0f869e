// SPDX-License-Identifier: GPL-2.0
//! A disk on preallocated memory, and one that passes on: the simplest owners of a `Disk`.

use crate::{
    backing::{BackingDev, IoClient, Options, Path},
    bio::{Bio, Flags, Op},
    bio_list::BioList,
    disk::{Disk, DiskOps, Params},
    pages::Pages,
    status::{BlkStatus, IoResult},
    BLOCK,
};
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{atomic::*, Arc, SpinLockIrq},
};

/// A second, in nanoseconds.
pub(super) const SECOND: u64 = 1_000_000_000;

/// Serves bios at once out of memory, or holds them until it is told to.
#[pin_data]
pub(super) struct Ram {
    pages: Pages,
    pub(super) hold: AtomicFlag,
    #[pin]
    held: SpinLockIrq<BioList>,
    pub(super) flushes: Atomic<u64>,
    pub(super) fuas: Atomic<u64>,
    pub(super) discards: Atomic<u64>,
    pub(super) shutdowns: Atomic<u64>,
}

impl Ram {
    pub(super) fn new(blocks: u32) -> Result<Arc<Self>> {
        let pages = Pages::new(blocks)?;
        Arc::pin_init(
            pin_init!(Self {
                pages,
                hold: AtomicFlag::new(false),
                held <- new_spinlock_irq!(BioList::new()),
                flushes: Atomic::new(0),
                fuas: Atomic::new(0),
                discards: Atomic::new(0),
                shutdowns: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    fn transfer(&self, bio: &Bio) -> Result {
        let first = u32::try_from(bio.first_block()).map_err(|_| ERANGE)?;
        let mut cursor = bio.cursor();
        for block in first..first + bio.blocks() {
            match bio.op() {
                Op::Read => self.pages.copy_to_bio(block, &mut cursor)?,
                Op::Write => self.pages.copy_from_bio(block, &mut cursor)?,
                _ => self.pages.zero(block)?,
            }
        }
        Ok(())
    }

    fn serve(&self, bio: Bio) {
        match bio.op() {
            Op::Flush => self.flushes.add(1, Relaxed),
            Op::Discard => self.discards.add(1, Relaxed),
            _ if bio.flags().has(Flags::FUA) => self.fuas.add(1, Relaxed),
            _ => {}
        }
        let result = self.transfer(&bio).map_err(|_| BlkStatus::IOERR);
        bio.complete(result);
    }

    /// Serves what was held, and holds no more.
    pub(super) fn release_all(&self) {
        self.hold.store(false, Relaxed);
        let mut held = self.held.lock().take();
        while let Some(bio) = held.pop_front() {
            self.serve(bio);
        }
    }
}

impl DiskOps for Ram {
    fn submit(this: &Arc<Self>, bio: Bio) {
        if this.hold.load(Relaxed) {
            this.held.lock().push_back(bio);
        } else {
            this.serve(bio);
        }
    }

    fn shutdown(this: &Arc<Self>, _tag: u64) {
        this.shutdowns.add(1, Relaxed);
        this.hold.store(false, Relaxed);
        let mut held = this.held.lock().take();
        held.complete_all(Err(BlkStatus::TRANSPORT));
    }
}

/// A disk of `blocks` blocks with discard and write-zeroes.
pub(super) fn ram_disk(name: &CStr, blocks: u32) -> Result<Disk<Ram>> {
    let params = Params {
        discard_blocks: 64,
        write_zeroes_blocks: 64,
        max_io_blocks: 16,
        ..Params::new(blocks.into())
    };
    Disk::new(name, &params, Ram::new(blocks)?)
}

/// Passes every bio on to a device, as it is.
pub(super) struct Pass {
    pub(super) dev: BackingDev<Complete>,
}

/// Completes what comes back.
pub(super) struct Complete;

impl IoClient for Complete {
    type Ctx = ();
    type Forward = ();

    fn io_done(&self, _ctx: (), _result: IoResult) {}

    fn forward_done(&self, bio: Bio, _ctx: (), result: IoResult) {
        bio.complete(result);
    }
}

impl DiskOps for Pass {
    fn submit(this: &Arc<Self>, bio: Bio) {
        let block = bio.first_block();
        let no_flags = (Flags::NONE, Flags::NONE);
        if let Err((bio, (), _)) = this.dev.forward(bio, block, no_flags, ()) {
            bio.complete(Err(BlkStatus::IOERR));
        }
    }
}

/// Opens a disk of ours for the client, with a few blocks of memory.
pub(super) fn open<C: IoClient>(dev: u32, client: C) -> Result<(BackingDev<C>, Arc<Pages>)> {
    let pages = Arc::new(Pages::new(64)?, GFP_KERNEL)?;
    let options = Options {
        units: 8,
        unit_blocks: 16,
        forwards: 8,
        read_only: false,
        memory: kernel::kvec![pages.clone()]?,
    };
    Ok((BackingDev::open(Path::Dev(dev), options, client)?, pages))
}

/// A block that tells its number.
pub(super) fn stamped(number: u64) -> Result<KBox<[u8; BLOCK]>> {
    let mut block = KBox::new([0u8; BLOCK], GFP_KERNEL)?;
    for chunk in block.chunks_exact_mut(8) {
        chunk.copy_from_slice(&number.to_le_bytes());
    }
    Ok(block)
}
