// SPDX-License-Identifier: GPL-2.0
//! What kind of disk the device below is: its kind decides what a command to it can promise.

use super::{BackingDev, IoClient};
use crate::ffi;
use kernel::bindings;

/// Whose disk it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A namespace of an NVMe subsystem.
    Nvme {
        /// The disk is the kernel's own one over all controllers through which the namespace is reached.
        multipath: bool,
        /// Only the product: the model number of the subsystem, which is `Linux` of one that the kernel's own target
        /// (nvmet) serves, unless it was configured to be another.
        inquiry: Inquiry,
    },
    /// A SCSI disk: SAS, FC, iSCSI, and disks that are driven as such (SATA, USB, virtio-scsi).
    Scsi(Inquiry),
    /// A device-mapper device, whatever is below it. It takes the wish to abort out of a preempt, and registers path by
    /// path: [`super::reservation`].
    DeviceMapper,
    /// Any other driver; a disk that went away while it was opened.
    Other,
}

/// What a disk says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inquiry {
    vendor: [u8; ffi::VENDOR_LEN],
    product: [u8; ffi::MODEL_LEN],
    revision: [u8; ffi::REV_LEN],
}

impl Inquiry {
    /// Who made it: `LIO-ORG`, say.
    pub fn vendor(&self) -> &str {
        text(&self.vendor)
    }

    /// Which of the maker's.
    pub fn product(&self) -> &str {
        text(&self.product)
    }

    /// Of which version.
    pub fn revision(&self) -> &str {
        text(&self.revision)
    }
}

/// Up to the NUL, without the blanks that fill the field.
fn text(bytes: &[u8]) -> &str {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    core::str::from_utf8(text).unwrap_or("?").trim_ascii()
}

impl<C: IoClient> BackingDev<C> {
    /// What kind of disk it is, as of when it was opened. Context: any.
    pub fn target(&self) -> Target {
        self.inner.target
    }
}

impl Target {
    /// Looks. Context: task.
    ///
    /// # Safety
    /// `bdev` is open.
    pub(super) unsafe fn of(bdev: *mut bindings::block_device) -> Self {
        let mut inquiry = Inquiry {
            vendor: [0; ffi::VENDOR_LEN],
            product: [0; ffi::MODEL_LEN],
            revision: [0; ffi::REV_LEN],
        };
        // SAFETY: the device is open, and each array has as much room as the header asks for.
        let kind = unsafe {
            ffi::yoke_sys_bdev_target(
                bdev,
                inquiry.vendor.as_mut_ptr(),
                inquiry.product.as_mut_ptr(),
                inquiry.revision.as_mut_ptr(),
            )
        };
        match kind {
            ffi::T_NVME | ffi::T_NVME_MULTIPATH => Self::Nvme {
                multipath: kind == ffi::T_NVME_MULTIPATH,
                inquiry,
            },
            ffi::T_SCSI => Self::Scsi(inquiry),
            ffi::T_DM => Self::DeviceMapper,
            _ => Self::Other,
        }
    }
}
