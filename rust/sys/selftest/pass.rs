// SPDX-License-Identifier: GPL-2.0

//! A disk on a disk: bios are passed on as clones, or copied block by block through I/O units.

use super::reservation;
use kernel::{
    prelude::*,
    sync::{atomic::*, Arc},
};
use yoke_sys::{
    attr::Attr,
    backing::{BackingDev, IoClient, IoOp, Options, Path, Props},
    bio::{Bio, Flags, Op},
    disk::DiskOps,
    pages::Pages,
    status::{BlkStatus, IoResult},
};

/// Units of the device below; each has one part of the memory.
const UNITS: u16 = 32;
/// Blocks of a unit, and the most of one bio.
pub(crate) const UNIT_BLOCKS: u16 = 64;

/// The device below.
pub(crate) struct Pass {
    dev: BackingDev<Client>,
    pages: Arc<Pages>,
    copying: bool,
    next: Atomic<u32>,
}

pub(crate) struct Client;

/// A bio that is served through a unit.
pub(crate) struct Copied {
    bio: Bio,
    pages: Arc<Pages>,
    first: u32,
}

impl IoClient for Client {
    type Ctx = Copied;
    type Forward = ();

    fn io_done(&self, ctx: Copied, result: IoResult) {
        let Copied { bio, pages, first } = ctx;
        let mut result = result;
        if result.is_ok() && bio.op() == Op::Read {
            let mut cursor = bio.cursor();
            for block in first..first + bio.blocks() {
                if pages.copy_to_bio(block, &mut cursor).is_err() {
                    result = Err(BlkStatus::IOERR);
                }
            }
        }
        bio.complete(result);
    }

    fn forward_done(&self, bio: Bio, _ctx: (), result: IoResult) {
        bio.complete(result);
    }
}

impl Pass {
    pub(crate) fn open(path: &CStr, copying: bool) -> Result<Arc<Self>> {
        // More memory than units, so that a unit that is freed before its context is done with the
        // memory does not share it.
        let pages = Arc::new(
            Pages::new(u32::from(UNITS) * u32::from(UNIT_BLOCKS) * 4)?,
            GFP_KERNEL,
        )?;
        let options = Options {
            units: UNITS,
            unit_blocks: UNIT_BLOCKS,
            forwards: 64,
            read_only: false,
            memory: kernel::kvec![pages.clone()]?,
        };
        let dev = BackingDev::open(Path::Name(path), options, Client)?;
        Ok(Arc::new(
            Self {
                dev,
                pages,
                copying,
                next: Atomic::new(0),
            },
            GFP_KERNEL,
        )?)
    }

    pub(crate) fn props(&self) -> &Props {
        self.dev.props()
    }

    fn copy(&self, bio: Bio) -> core::result::Result<(), (Bio, Error)> {
        let Some(mut unit) = self.dev.take() else {
            return Err((bio, EBUSY));
        };
        let part = self.next.fetch_add(1, Relaxed) % (u32::from(UNITS) * 4);
        let first = part * u32::from(UNIT_BLOCKS);
        let mut cursor = bio.cursor();
        for block in first..first + bio.blocks() {
            let filled = match bio.op() {
                Op::Write => self.pages.copy_from_bio(block, &mut cursor),
                _ => Ok(()),
            };
            if let Err(e) = filled.and_then(|()| unit.push(&self.pages, block)) {
                drop(unit);
                return Err((bio, e));
            }
        }
        let op = match bio.op() {
            Op::Read => IoOp::Read,
            Op::Write => IoOp::Write,
            _ => IoOp::Flush,
        };
        let (block, flags) = (bio.first_block(), bio.flags());
        let ctx = Copied {
            bio,
            pages: self.pages.clone(),
            first,
        };
        unit.submit(op, block, flags, ctx)
            .map_err(|(ctx, e)| (ctx.bio, e))
    }
}

impl DiskOps for Pass {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::ro(c"kind", |pass, text| {
            text.line(if pass.copying { "copy" } else { "pass" })
        }),
        Attr::ro(c"inflight", |pass, text| {
            text.put(format_args!("{}\n", pass.dev.inflight()))
        }),
        Attr::rw(
            c"reservation",
            |pass, text| reservation::show(&pass.dev, text),
            |pass, input| reservation::store(&pass.dev, input),
        ),
    ];

    fn submit(this: &Arc<Self>, bio: Bio) {
        let copied = matches!(bio.op(), Op::Read | Op::Write | Op::Flush);
        let bio = if this.copying && copied {
            match this.copy(bio) {
                Ok(()) => return,
                // All units are under way: the other road.
                Err((bio, _)) => bio,
            }
        } else {
            bio
        };
        let block = bio.first_block();
        let no_flags = (Flags::NONE, Flags::NONE);
        if let Err((bio, (), _)) = this.dev.forward(bio, block, no_flags, ()) {
            bio.complete(Err(BlkStatus::IOERR));
        }
    }
}
