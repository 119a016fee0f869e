// SPDX-License-Identifier: GPL-2.0
//! How a block I/O ended.

use kernel::error::{code::*, Error};

/// What a bio, or an own I/O, ended with.
pub type IoResult = core::result::Result<(), BlkStatus>;

/// A `blk_status_t` other than success.
///
/// **Which one for "not now, try again"?** [`BlkStatus::TRANSPORT`]. A bio-based disk has nobody
/// below the file system who would requeue for it, so "retryable" is what upper layers make of the
/// code: dm-multipath and NVMe-style users ask `blk_path_error()`, which says yes to it; XFS
/// retries metadata writes for every error but `ENODEV`; `ENOLINK` reaches the application.
/// `RESOURCE` and `DEV_RESOURCE` are requests *to the block layer's queue* and turn into a plain
/// `ENOMEM`/`EBUSY` on a bio. `AGAIN` may only end a bio with [`NOWAIT`](crate::bio::Flags::NOWAIT):
/// other submitters take it for an error of their own making. `OFFLINE` is `ENODEV`, which XFS
/// treats as final. So: `TRANSPORT` for a deposed owner or a lost lease, `OFFLINE` when the volume
/// is closed for good, `IOERR` when data cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlkStatus(u8);

impl BlkStatus {
    /// The operation is not supported (`EOPNOTSUPP`).
    pub const NOTSUPP: Self = Self(1);
    /// The operation took too long (`ETIMEDOUT`).
    pub const TIMEOUT: Self = Self(2);
    /// The device is full (`ENOSPC`).
    pub const NOSPC: Self = Self(3);
    /// Not now: a recoverable failure of the way to the data (`ENOLINK`). See the type.
    pub const TRANSPORT: Self = Self(4);
    /// The device has answered that it cannot do that, now or ever (`EREMOTEIO`).
    pub const TARGET: Self = Self(5);
    /// A reservation of somebody else (`EBADE`).
    pub const RESV_CONFLICT: Self = Self(6);
    /// The medium is bad (`ENODATA`).
    pub const MEDIUM: Self = Self(7);
    /// Data failed a check (`EILSEQ`).
    pub const PROTECTION: Self = Self(8);
    /// Out of memory (`ENOMEM`).
    pub const RESOURCE: Self = Self(9);
    /// Any other error (`EIO`).
    pub const IOERR: Self = Self(10);
    /// Would block; only for bios with `NOWAIT` (`EAGAIN`).
    pub const AGAIN: Self = Self(12);
    /// The device is gone for good (`ENODEV`).
    pub const OFFLINE: Self = Self(16);
    /// Wrong size or alignment (`EINVAL`).
    pub const INVAL: Self = Self(19);

    pub(crate) fn raw(self) -> u8 {
        self.0
    }

    /// The errno that user space sees.
    pub fn to_error(self) -> Error {
        match self {
            Self::NOTSUPP => EOPNOTSUPP,
            Self::TIMEOUT => ETIMEDOUT,
            Self::NOSPC => ENOSPC,
            Self::TRANSPORT => ENOLINK,
            Self::TARGET => EREMOTEIO,
            Self::RESV_CONFLICT => EBADE,
            Self::MEDIUM => ENODATA,
            Self::PROTECTION => EILSEQ,
            Self::RESOURCE => ENOMEM,
            Self::AGAIN => EAGAIN,
            Self::OFFLINE => ENODEV,
            Self::INVAL => EINVAL,
            _ => EIO,
        }
    }
}

/// The raw code of a result, 0 for success.
pub(crate) fn raw(result: IoResult) -> u8 {
    match result {
        Ok(()) => 0,
        Err(status) => status.raw(),
    }
}

/// The result of a raw code. Unknown codes are kept as they are.
pub(crate) fn from_raw(raw: u8) -> IoResult {
    match raw {
        0 => Ok(()),
        other => Err(BlkStatus(other)),
    }
}
