// SPDX-License-Identifier: GPL-2.0

//! The backing disk that was configured: opened, and looked at before anything is done to it.

use super::{make::Settings, shared::UNITS};
use kernel::{prelude::*, str::CStr, sync::Arc};
use yoke_core::{
    disk::{
        layout::{HEADER_BLOCKS, NODE_BLOCKS, SUPERBLOCK_AT},
        Block, Identity, Superblock, BLOCK_SIZE,
    },
    ids::Uuid,
    volume::BLOCKS_MAX,
};
use yoke_sys::{
    backing::{BackingDev, Below, IoClient, Options, Path},
    bio::Bio,
    pages::Pages,
    status::IoResult,
};

/// How long the superblock may take to read.
const READ_TIMEOUT_NS: u64 = 30_000_000_000;
/// Bios that can always be on their way to the disk at once.
const FORWARDS: u16 = 256;

/// Why a volume cannot be opened, in words for the log.
pub(super) fn say(name: &CStr, why: core::fmt::Arguments<'_>) {
    pr_err!(
        "{}\n",
        format_args!("volume {}: not opened: {why}", name.to_str().unwrap_or("?"))
    );
}

/// What a disk holds, and what it is like.
#[derive(PartialEq)]
pub(super) struct Found {
    pub(super) identity: Identity,
    pub(super) data_blocks: u64,
    /// How it wants to be used by the volume's disk.
    pub(super) limits: Limits,
    /// It has persistent reservations, as far as its driver says.
    pub(super) reserves: bool,
    /// Its number, so that the path is looked at once.
    pub(super) dev: u32,
}

/// What becomes of the limits of the volume's disk.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Limits {
    pub(super) discard_blocks: u32,
    pub(super) write_zeroes_blocks: u32,
    pub(super) below: Below,
}

/// What the disk at the configured path holds. Errors: those of [`super::Volume::open`].
#[inline(never)]
pub(super) fn probe(name: &CStr, settings: &Settings, appliance: Uuid) -> Result<Found> {
    let path = Path::Name(&settings.device);
    let dev = open_device(name, settings, path, KVec::new(), Nobody)?;
    look(name, &dev, appliance)
}

/// Whether a disk that was opened again is the one that was found. Errors: those of [`super::Volume::open`].
#[inline(never)]
pub(super) fn check<C: IoClient>(
    name: &CStr,
    dev: &BackingDev<C>,
    appliance: Uuid,
    found: &Found,
) -> Result {
    if look(name, dev, appliance)? == *found {
        return Ok(());
    }
    say(name, format_args!("the disk changed while it was opened"));
    Err(EMEDIUMTYPE)
}

fn look<C: IoClient>(name: &CStr, dev: &BackingDev<C>, appliance: Uuid) -> Result<Found> {
    let props = *dev.props();
    if props.zoned {
        say(
            name,
            format_args!("the disk has zones, which have to be written in order"),
        );
        return Err(EINVAL);
    }
    let mut first = KBox::new([0; BLOCK_SIZE], GFP_KERNEL)?;
    let mut second: KBox<Block> = KBox::new([0; BLOCK_SIZE], GFP_KERNEL)?;
    let [at_first, at_second] = SUPERBLOCK_AT;
    dev.read_block(at_first, &mut first, READ_TIMEOUT_NS)
        .and_then(|()| dev.read_block(at_second, &mut second, READ_TIMEOUT_NS))
        .inspect_err(|_| say(name, format_args!("the disk cannot be read")))?;
    let superblock = Superblock::parse_copies(&first, &second).map_err(|error| {
        say(name, format_args!("the disk holds no volume: {error}"));
        EMEDIUMTYPE
    })?;
    let superblock = superblock.contents;
    if superblock.identity.appliance != appliance {
        say(
            name,
            format_args!(
                "the disk belongs to appliance {}",
                superblock.identity.appliance
            ),
        );
        return Err(EMEDIUMTYPE);
    }
    if superblock.name.as_str().as_bytes() != name.to_bytes() {
        say(
            name,
            format_args!("the disk holds the volume {}", superblock.name),
        );
        return Err(EMEDIUMTYPE);
    }
    if !superblock.fits(props.blocks) {
        say(name, format_args!("the disk is smaller than its volume"));
        return Err(EMEDIUMTYPE);
    }
    Ok(Found {
        identity: superblock.identity,
        data_blocks: superblock.data_blocks,
        limits: Limits {
            discard_blocks: props.discard_blocks,
            write_zeroes_blocks: props.write_zeroes_blocks,
            below: dev.below(HEADER_BLOCKS),
        },
        reserves: dev.reservations().is_some(),
        dev: dev.dev(),
    })
}

/// Who hears of the ends of I/O while a disk is only looked at: nobody, since all of it is waited for.
struct Nobody;

impl IoClient for Nobody {
    type Ctx = ();
    type Forward = ();

    fn io_done(&self, (): (), _result: IoResult) {}

    fn forward_done(&self, bio: Bio, (): (), result: IoResult) {
        bio.complete(result);
    }
}

/// Opens the disk, or says why not. Errors: those of [`super::Volume::open`].
pub(super) fn open_device<C: IoClient>(
    name: &CStr,
    settings: &Settings,
    path: Path<'_>,
    memory: KVec<Arc<Pages>>,
    client: C,
) -> Result<BackingDev<C>> {
    let options = Options {
        units: UNITS,
        unit_blocks: (NODE_BLOCKS as u16).max(BLOCKS_MAX as u16),
        forwards: FORWARDS,
        read_only: false,
        memory,
    };
    BackingDev::open(path, options, client).map_err(|error| {
        let (why, error) = match error {
            EBUSY => ("it is mounted, or has another holder", EBUSY),
            ENOENT | ENOTDIR | ENOTBLK | ENXIO | ENODEV => ("there is no such disk", ENODEV),
            EACCES => ("it is read-only", EACCES),
            ENOMEM => ("not enough memory", ENOMEM),
            EINVAL => ("it is empty, or its blocks are larger than 4 KiB", EINVAL),
            other => ("it cannot be opened", other),
        };
        let device = settings.device.to_str().unwrap_or("?");
        say(name, format_args!("{device}: {why}"));
        error
    })
}
