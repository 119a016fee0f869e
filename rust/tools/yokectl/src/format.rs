// SPDX-License-Identifier: GPL-2.0
//! `yokectl volume create`: write a new volume's superblock on a shared disk.
//!
//! The disk is opened exclusively, so one that is mounted here is refused, and without the page cache, so that what
//! the kernel later reads around it is what was written. Node blocks are cleared before the superblocks appear:
//! a disk that was left half-way is no volume.

use crate::alive::{self, Life};
use crate::attr::{self, Roots};
use crate::cli::VolumeCreateArgs;
use crate::output::{self, Failure};
use rustix::fs::{FileType, Mode, OFlags};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;
use yoke_core::disk::layout::{node_block_at, HEADER_BLOCKS, SUPERBLOCK_AT, TAIL_BLOCKS};
use yoke_core::disk::probe::{Contents, Probe};
use yoke_core::disk::{Block, Identity, NodeBlock, Superblock, VolumeName, BLOCK_SIZE};
use yoke_core::ids::{NodeId, Uuid, NODE_COUNT};

/// One block at an address that O_DIRECT takes.
#[repr(align(4096))]
struct Aligned(Block);

/// `yokectl volume create`.
pub(crate) fn create(
    roots: &Roots,
    args: &VolumeCreateArgs,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let name = VolumeName::new(&args.name).ok_or_else(|| {
        Failure::usage(
            format!("{:?} is not a volume name", args.name),
            "use 1 to 31 of letters, digits, '_', '.', '-', not beginning with '.' or '-'",
        )
    })?;
    let appliance = appliance(roots, args)?;
    let disk = open(&args.device)?;
    refuse_zoned(roots, &disk, args)?;
    let blocks = length(&disk, &args.device)?;
    let volume = Uuid::from_bytes(*uuid::Uuid::new_v4().as_bytes());
    let identity = Identity { appliance, volume };
    let superblock = Superblock::for_disk(identity, name, blocks).ok_or_else(|| {
        Failure::refused(
            format!(
                "{} has {blocks} blocks of 4 KiB; a volume needs more than {}",
                args.device.display(),
                HEADER_BLOCKS + TAIL_BLOCKS
            ),
            "take a larger disk",
        )
    })?;
    refuse_foreign(&disk, blocks, appliance, args)?;
    refuse_living(&disk, args)?;
    write(&disk, &superblock).map_err(|error| unwritten(error, &args.device))?;
    let size = superblock.data_blocks.saturating_mul(BLOCK_SIZE as u64);
    let text = format!(
        "volume {} ({volume}) of {size} bytes made on {}",
        args.name,
        args.device.display()
    );
    Ok(output::done(&text, json))
}

fn appliance(roots: &Roots, args: &VolumeCreateArgs) -> Result<Uuid, Failure> {
    let text = match args.appliance {
        Some(uuid) => uuid.to_string(),
        None => attr::read(&roots.yoke()?, "appliance"),
    };
    Uuid::parse(&text)
        .filter(|uuid| !uuid.is_nil())
        .ok_or_else(|| {
            Failure::refused(
                "this controller belongs to no appliance yet",
                "yokectl node --appliance UUID --node N, or --appliance UUID here",
            )
        })
}

fn open(device: &Path) -> Result<File, Failure> {
    let flags = OFlags::RDWR | OFlags::EXCL | OFlags::DIRECT | OFlags::CLOEXEC;
    let disk = rustix::fs::open(device, flags, Mode::empty()).map_err(|error| {
        let next = match error {
            rustix::io::Errno::BUSY => {
                "it is mounted or held by something else on this controller: release it first"
            }
            _ => "name a disk that both controllers see, and be root",
        };
        Failure::refused(format!("cannot open {}: {error}", device.display()), next)
    })?;
    Ok(File::from(disk))
}

/// The length of a block device or of a file in blocks of 4 KiB.
fn length(disk: &File, device: &Path) -> anyhow::Result<u64> {
    let stat = rustix::fs::fstat(disk)?;
    let bytes = match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => rustix::fs::seek(disk, rustix::fs::SeekFrom::End(0))?,
        FileType::RegularFile => disk.metadata()?.len(),
        _ => {
            return Err(Failure::usage(
                format!("{} is no disk", device.display()),
                "name a block device",
            )
            .into());
        }
    };
    Ok(bytes / BLOCK_SIZE as u64)
}

fn refuse_foreign(
    disk: &File,
    blocks: u64,
    appliance: Uuid,
    args: &VolumeCreateArgs,
) -> anyhow::Result<()> {
    let mut probe = Probe::new(appliance);
    let mut block = Box::new(Aligned([0; BLOCK_SIZE]));
    for at in Probe::wanted(blocks) {
        disk.read_exact_at(&mut block.0, at * BLOCK_SIZE as u64)?;
        probe.feed(at, &block.0);
    }
    match probe.finish() {
        Contents::Empty => Ok(()),
        _ if args.force => Ok(()),
        contents => Err(Failure::refused(
            format!(
                "{} holds {contents}; nothing was changed",
                args.device.display()
            ),
            "take another disk, or overwrite what it holds with --force",
        )
        .into()),
    }
}

/// A disk whose zones have to be written in order takes no volume: the module does not open one either.
fn refuse_zoned(roots: &Roots, disk: &File, args: &VolumeCreateArgs) -> anyhow::Result<()> {
    let number = rustix::fs::fstat(disk)?.st_rdev;
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let queue = roots.sys.join(format!("dev/block/{major}:{minor}/queue"));
    match attr::read(&queue, "zoned").as_str() {
        // Of a file, or a partition, there is no such attribute.
        "" | "none" => Ok(()),
        zones => Err(Failure::refused(
            format!(
                "{} has zones ({zones}), which have to be written in order; nothing was changed",
                args.device.display()
            ),
            "take a disk without zones",
        )
        .into()),
    }
}

/// A volume that somebody serves is not overwritten, whatever the force.
fn refuse_living(disk: &File, args: &VolumeCreateArgs) -> anyhow::Result<()> {
    let device = args.device.display();
    match alive::look(disk)? {
        Life::None => Ok(()),
        Life::Shadow { .. } if args.discard_shadow => Ok(()),
        Life::Moves(node) => Err(Failure::refused(
            format!("{device} holds a volume that somebody serves at this moment: the block of {node} moves; nothing was changed"),
            "close it there first (yokectl volume close); nothing overwrites a volume that lives",
        )
        .into()),
        Life::Shadow { owner, holder } => Err(Failure::refused(
            format!(
                "{device} holds a volume whose acknowledged writes are in the memories of {owner} and {holder}, too, and \
                 nothing on the disk tells whether these two live; nothing was changed"
            ),
            "close it there first; if both are dead for good, add --discard-shadow",
        )
        .into()),
    }
}

/// Why a disk did not take what was written, where there is more to say than the system does.
fn unwritten(error: anyhow::Error, device: &Path) -> anyhow::Error {
    let code = error.downcast_ref::<std::io::Error>();
    if code.and_then(std::io::Error::raw_os_error) != Some(rustix::io::Errno::BADE.raw_os_error()) {
        return error;
    }
    let device = device.display();
    Failure::refused(
        format!("{device} is reserved by another host, and takes no writes from here; nothing was changed"),
        "close the volume that is on it, or look who holds it (sg_persist, nvme resv-report)",
    )
    .into()
}

fn write(disk: &File, superblock: &Superblock) -> anyhow::Result<()> {
    let mut block = Box::new(Aligned([0; BLOCK_SIZE]));
    let end = HEADER_BLOCKS + superblock.data_blocks;
    for at in (0..HEADER_BLOCKS).chain(end..superblock.disk_blocks) {
        disk.write_all_at(&block.0, at * BLOCK_SIZE as u64)?;
    }
    for number in 0..NODE_COUNT as u8 {
        let Some(node) = NodeId::new(number) else {
            continue;
        };
        for sequence in 0..2 {
            NodeBlock::blank(node, sequence).encode(&superblock.identity, &mut block.0);
            disk.write_all_at(&block.0, node_block_at(node, sequence) * BLOCK_SIZE as u64)?;
        }
    }
    disk.sync_all()?;
    for (copy, at) in (0u16..).zip(SUPERBLOCK_AT) {
        superblock.encode(copy, &mut block.0);
        disk.write_all_at(&block.0, at * BLOCK_SIZE as u64)?;
    }
    disk.sync_all()?;
    Ok(())
}
