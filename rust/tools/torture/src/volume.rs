// SPDX-License-Identifier: GPL-2.0
//! The volume under test: a block device or a file, opened for direct I/O.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{anyhow, Context, Result};
use rustix::fs::OFlags;
use rustix::io::{preadv, pwritev2, Errno, ReadWriteFlags};

use crate::stamp::Block;
use crate::BLOCK_SIZE;

/// What the writer needs of a volume. All calls block; several threads call at once.
pub trait Volume: Send + Sync {
    /// Writes one block; returns when the volume has acknowledged it. With `fua` it must then survive all power.
    ///
    /// # Errors
    /// Those of the volume. The write may or may not have happened.
    fn write(&self, block: u64, data: &Block, fua: bool) -> io::Result<()>;

    /// Reads one block.
    ///
    /// # Errors
    /// Those of the volume.
    fn read(&self, block: u64, data: &mut Block) -> io::Result<()>;

    /// Makes every write that was acknowledged before survive all power.
    ///
    /// # Errors
    /// Those of the volume.
    fn flush(&self) -> io::Result<()>;
}

/// A volume behind a path.
pub struct PathVolume {
    file: File,
    blocks: u64,
}

impl PathVolume {
    /// Opens `path` with O_DIRECT.
    ///
    /// # Errors
    /// It cannot be opened, cannot do direct I/O, or its size cannot be learnt.
    pub fn open(path: &Path, write: bool) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(write)
            .custom_flags(OFlags::DIRECT.bits() as i32)
            .open(path)
            .map_err(|error| match error.raw_os_error() {
                Some(number) if number == Errno::INVAL.raw_os_error() => {
                    anyhow!("this file system has no direct I/O: use a block device or another directory")
                }
                _ => error.into(),
            })
            .with_context(|| format!("cannot open {}", path.display()))?;
        let bytes = file
            .seek(SeekFrom::End(0))
            .with_context(|| format!("cannot learn the size of {}", path.display()))?;
        Ok(PathVolume {
            file,
            blocks: bytes / BLOCK_SIZE as u64,
        })
    }

    /// Its size in blocks.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Reads as many blocks as `into` has, from `first` on.
    ///
    /// # Errors
    /// Those of the volume; fewer bytes than asked for are an error too.
    pub fn read_many(&self, first: u64, into: &mut [Block]) -> io::Result<()> {
        let wanted = into.len() * BLOCK_SIZE;
        let mut slices: Vec<IoSliceMut<'_>> = into
            .iter_mut()
            .map(|block| IoSliceMut::new(&mut block.0))
            .collect();
        match preadv(&self.file, &mut slices, first * BLOCK_SIZE as u64)? {
            got if got == wanted => Ok(()),
            _ => Err(Errno::IO.into()),
        }
    }
}

impl Volume for PathVolume {
    fn write(&self, block: u64, data: &Block, fua: bool) -> io::Result<()> {
        let at = block * BLOCK_SIZE as u64;
        let done = match fua {
            // RWF_DSYNC of a direct write to a block device becomes a write with FUA.
            true => pwritev2(
                &self.file,
                &[IoSlice::new(&data.0)],
                at,
                ReadWriteFlags::DSYNC,
            )?,
            false => self.file.write_at(&data.0, at)?,
        };
        match done {
            BLOCK_SIZE => Ok(()),
            _ => Err(Errno::IO.into()),
        }
    }

    fn read(&self, block: u64, data: &mut Block) -> io::Result<()> {
        match self.file.read_at(&mut data.0, block * BLOCK_SIZE as u64)? {
            BLOCK_SIZE => Ok(()),
            _ => Err(Errno::IO.into()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
