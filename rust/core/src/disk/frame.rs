// SPDX-License-Identifier: GPL-2.0
//! The frame of every block on the disk. It is the same in every version, for ever, so that any yoke can tell a
//! newer format from a damaged one.
//!
//! ```text
//! 0     8  magic
//! 8     2  version that was written
//! 10    2  oldest version whose readers understand it
//! 12    4  reserved
//! 16    8  features that a reader must have
//! 24    8  features that a reader may ignore
//! 32   16  appliance uuid
//! 48   16  volume uuid
//! 64    8  sequence
//! 72       contents
//! 4092  4  CRC-32C of bytes 0 to 4091
//! ```

use crate::crc::crc32c;
use crate::format::{FormatError, Known, Malformed};
use crate::ids::Uuid;
use crate::le::{is_zero, Reader, Writer};

/// The size of a block of yoke's, on the disk and in a slot, in bytes.
pub const BLOCK_SIZE: usize = 4096;

/// One block, as bytes.
pub type Block = [u8; BLOCK_SIZE];

/// Which volume of which appliance a disk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The appliance.
    pub appliance: Uuid,
    /// The volume.
    pub volume: Uuid,
}

/// The frame of a block that was read, and what stands in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) identity: Identity,
    pub(super) sequence: u64,
    /// Whether fields may follow that are not known here.
    pub(super) newer: bool,
    pub(super) contents: Reader<'a>,
}

/// Writes the frame; `contents` writes what stands in it. The checksum comes last.
pub(super) fn encode(
    block: &mut Block,
    magic: &[u8; 8],
    known: &Known,
    identity: &Identity,
    sequence: u64,
    contents: impl FnOnce(&mut Writer<'_>),
) {
    let Some((body, crc)) = block.split_last_chunk_mut::<4>() else {
        return;
    };
    let mut writer = Writer::new(body);
    writer
        .bytes(magic)
        .u16(known.current)
        .u16(known.min_reader)
        .u32(0)
        .u64(known.features)
        .u64(0);
    writer
        .bytes(identity.appliance.as_bytes())
        .bytes(identity.volume.as_bytes())
        .u64(sequence);
    contents(&mut writer);
    let fits = writer.fill();
    debug_assert!(fits);
    *crc = crc32c(body).to_le_bytes();
}

/// Checks the frame, in this order: magic, checksum, version and features, reserved bytes, identity.
pub(super) fn parse<'a>(
    block: &'a Block,
    magic: &[u8; 8],
    known: &Known,
) -> Result<Frame<'a>, FormatError> {
    let (body, crc) = block.split_last_chunk::<4>().ok_or(Malformed::Short)?;
    if body.first_chunk::<8>() != Some(magic) {
        return Err(if is_zero(block) {
            Malformed::Blank
        } else {
            Malformed::Magic
        }
        .into());
    }
    if crc32c(body) != u32::from_le_bytes(*crc) {
        return Err(Malformed::Checksum.into());
    }
    let frame = fields(body, known).ok_or(Malformed::Short)??;
    if frame.identity.appliance.is_nil() {
        return Err(Malformed::Field("appliance uuid").into());
    }
    if frame.identity.volume.is_nil() {
        return Err(Malformed::Field("volume uuid").into());
    }
    Ok(frame)
}

/// Reads the fields of the frame. `None` if they do not fit, which a block of 4096 bytes rules out.
fn fields<'a>(body: &'a [u8], known: &Known) -> Option<Result<Frame<'a>, FormatError>> {
    let mut reader = Reader::new(body);
    let _magic = reader.u64()?;
    let (version, min_reader, reserved) = (reader.u16()?, reader.u16()?, reader.u32()?);
    let (features, _optional) = (reader.u64()?, reader.u64()?);
    if let Err(error) = known.check(version, min_reader, features) {
        return Some(Err(error));
    }
    let newer = known.is_newer(version);
    if reserved != 0 && !newer {
        return Some(Err(Malformed::Reserved.into()));
    }
    let identity = Identity {
        appliance: Uuid::from_bytes(reader.bytes()?),
        volume: Uuid::from_bytes(reader.bytes()?),
    };
    let sequence = reader.u64()?;
    Some(Ok(Frame {
        identity,
        sequence,
        newer,
        contents: reader,
    }))
}

/// What both copies of a block amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Newest<T> {
    /// The contents of the newest valid copy.
    pub contents: T,
    /// What is wrong with the other copy. A write that was torn leaves this behind, and means that it never happened.
    pub damaged: Option<FormatError>,
}

/// Chooses between two copies: the valid one with the higher sequence.
///
/// # Errors
///
/// If one copy is too new or too old (the other is then another state, and must not be used), if both are malformed (the
/// reason of the first), or if they differ under one sequence number.
pub(super) fn newest<T: PartialEq>(
    first: Result<T, FormatError>,
    second: Result<T, FormatError>,
    sequence: impl Fn(&T) -> u64,
) -> Result<Newest<T>, FormatError> {
    match (first, second) {
        (Err(reason), _) | (_, Err(reason)) if !matches!(reason, FormatError::Malformed(_)) => {
            Err(reason)
        }
        (Ok(first), Ok(second)) => {
            let (a, b) = (sequence(&first), sequence(&second));
            if a == b && first != second {
                return Err(Malformed::Conflict.into());
            }
            Ok(Newest {
                contents: if a >= b { first } else { second },
                damaged: None,
            })
        }
        (Ok(contents), Err(error)) | (Err(error), Ok(contents)) => Ok(Newest {
            contents,
            damaged: Some(error),
        }),
        (Err(first), Err(_)) => Err(first),
    }
}
