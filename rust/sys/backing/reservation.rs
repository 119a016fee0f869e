// SPDX-License-Identifier: GPL-2.0
//! Persistent reservations of the device below (`struct pr_ops`): hosts register a key with the disk, one of them
//! reserves it, and the disk refuses the writes of those whose key is gone, whatever becomes of the hosts.
//!
//! Every reservation made here is of the kind [`Kind::WriteExclusiveRegOnly`]: who is registered writes, everybody reads,
//! and one of the registrants holds it.
//!
//! **Context** of all calls of [`Reservations`]: task, with nothing locked that I/O of this disk may need. Each is one or
//! two commands to the disk and takes as long as these: sd gives a command 30 s and what recovery takes after that, NVMe gives it
//! `nvme_core.io_timeout` (30 s), and while the driver looks for the disk again they wait for that. There is no timeout
//! of ours, and an NVMe disk that names another number of registrations each time keeps [`Reservations::read_holder`] for
//! ever. Who must not wait that long asks in a thread of its own, and cannot take back what it asked.
//!
//! **What an error leaves behind.** Only `Ok` says that something was done. An error does not say that nothing was: LIO
//! refuses a registration whose file it cannot write, and keeps it; a command whose path failed may have arrived; and
//! device-mapper answers the failure of one path by taking the caller's key away from all others, with what was
//! reserved through them. So read [`Reservations::read_keys`] and [`Reservations::read_holder`] back after an error, and
//! also before relying on a reservation: device-mapper says `Ok` if it has no path to ask.

mod keys;

pub use keys::{KeyRoom, Keys, MAX_KEYS};

use super::{BackingDev, IoClient};
use crate::{ffi, thread::NoIo};
use core::{marker::PhantomData, num::NonZeroU64, ptr::NonNull};
use kernel::{bindings, error::code::*, ffi::c_int, prelude::*};

/// By what a disk knows a host. Never zero, which stands for "no key" in commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key(NonZeroU64);

impl Key {
    /// `None`: zero is no key.
    pub const fn new(raw: u64) -> Option<Self> {
        match NonZeroU64::new(raw) {
            Some(key) => Some(Self(key)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

/// Why the disk, or its driver, did not say yes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrError {
    /// A conflict: somebody else holds the disk, or the key is not (or, of [`Reservations::register`], is already)
    /// registered. The disk has looked at its table, and changed nothing.
    Refused,
    /// The way to the disk: no path now, or one that failed while the command was under way. It may have arrived. Also
    /// while a device-mapper device is suspended. Try again.
    Path,
    /// The driver or an NVMe disk cannot do that. (Of a SCSI disk without reservations the driver says `Failed(2)`.)
    Unsupported,
    /// Anything else: a negative errno, or what else the driver said. 2 is the usual one: a disk that failed in whatever
    /// way, and with LIO also one that has thrown the caller out.
    Failed(i32),
}

/// What an operation came to.
pub type Answer<T = ()> = core::result::Result<T, PrError>;

/// Who is kept from what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// All but the holder are kept from writing.
    WriteExclusive,
    /// All but the holder are kept from reading and writing.
    ExclusiveAccess,
    /// All who are not registered are kept from writing.
    WriteExclusiveRegOnly,
    /// All who are not registered are kept from reading and writing.
    ExclusiveAccessRegOnly,
    /// As [`Self::WriteExclusiveRegOnly`], and every registrant is a holder.
    WriteExclusiveAllRegs,
    /// As [`Self::ExclusiveAccessRegOnly`], and every registrant is a holder.
    ExclusiveAccessAllRegs,
    /// The kernel does not say, or does not know it.
    Unknown(u32),
}

impl Kind {
    fn of(raw: u32) -> Self {
        match raw {
            ffi::PR_WE => Self::WriteExclusive,
            ffi::PR_EA => Self::ExclusiveAccess,
            ffi::PR_WE_REG_ONLY => Self::WriteExclusiveRegOnly,
            ffi::PR_EA_REG_ONLY => Self::ExclusiveAccessRegOnly,
            ffi::PR_WE_ALL_REGS => Self::WriteExclusiveAllRegs,
            ffi::PR_EA_ALL_REGS => Self::ExclusiveAccessAllRegs,
            other => Self::Unknown(other),
        }
    }
}

/// Who holds a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its key. `None`: somebody does, but the disk names no key. SCSI has it so for the kinds that all registrants hold,
    /// NVMe for a holder that has taken its key away ([`Reservations::unregister`]).
    pub key: Option<Key>,
    /// What it keeps others from.
    pub kind: Kind,
}

/// Whether a preempt also ends the commands of the victim that are under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Abort {
    /// What is under way may still land, any time later.
    No,
    /// What is under way is aborted, or waited for, as the disk sees fit (docs/sys.md has what is known of some).
    Yes,
}

/// The reservations of an open device.
#[derive(Clone, Copy)]
pub struct Reservations<'d> {
    // INVARIANT: open for 'd, a whole disk, and its driver has all operations (`yoke_sys_pr_usable()`).
    bdev: NonNull<bindings::block_device>,
    read_only: bool,
    _open: PhantomData<&'d ()>,
}

// SAFETY: the operations are called by ioctls of any number of tasks; there is nothing else in it.
unsafe impl Send for Reservations<'_> {}
// SAFETY: several tasks may call the operations at once, as they may by ioctls; the driver and the disk put them in order.
unsafe impl Sync for Reservations<'_> {}

impl<C: IoClient> BackingDev<C> {
    /// The reservations of the device. `None`: its driver knows none, or not all that is needed, or this is a partition,
    /// where they would be those of the whole disk, and two volumes of one disk would shut each other out. A
    /// device-mapper device that is a part of a disk has the same trouble, and is not told apart here. Context: any.
    pub fn reservations(&self) -> Option<Reservations<'_>> {
        let bdev = NonNull::new(self.inner.bdev)?;
        // SAFETY: the device is open.
        if !unsafe { ffi::yoke_sys_pr_usable(bdev.as_ptr()) } {
            return None;
        }
        // INVARIANT: it is open as long as `self` is borrowed, and usable, as just asked; drivers never change that.
        Some(Reservations {
            bdev,
            read_only: self.inner.read_only,
            _open: PhantomData,
        })
    }
}

/// Errors of all: [`PrError::Path`] and [`PrError::Failed`], after which things may be either way; and
/// `Failed(-EROFS)` of those that change something, if the device was opened read-only. The others are named.
impl Reservations<'_> {
    /// Registers this host, which has no key yet. The disk is asked to keep it through a power loss; nvmet forgets it.
    ///
    /// # Errors
    /// `Refused`: this host has a key already (with NVMe: another one than this); `Unsupported`.
    pub fn register(&self, mine: Key) -> Answer {
        self.change_key(0, mine.get(), false)
    }

    /// Registers this host, or gives it this key instead of the one it has. What it holds it goes on holding; but with
    /// device-mapper, see the module.
    ///
    /// # Errors
    /// `Unsupported`; `Refused` is not expected of any disk.
    pub fn register_ignoring(&self, mine: Key) -> Answer {
        match self.change_key(0, mine.get(), true) {
            // The NVMe driver makes a plain "register" of it, which is refused if there is another key, and a "replace",
            // which does what is wanted, if an old key is named. LIO refuses any old key of a host that has none.
            Err(PrError::Refused) => self.change_key(mine.get(), mine.get(), true),
            answer => answer,
        }
    }

    /// Takes this host's key away, and what it holds is free.
    ///
    /// **Not so with NVMe:** its driver asks to replace the key by 0, and nvmet does: the host stays registered, and holds
    /// what it held, without a key. [`Keys::is_complete`] and [`Holder::key`] show it. [`Self::release`] first, so that at
    /// least nothing stays reserved; [`Self::register_ignoring`] gives it a key again.
    ///
    /// # Errors
    /// `Refused`: it is not registered, or has another key; `Unsupported`.
    pub fn unregister(&self, mine: Key) -> Answer {
        self.change_key(mine.get(), 0, false)
    }

    /// Takes the reservation, which nobody else holds. `Ok` if it is ours already.
    ///
    /// # Errors
    /// `Refused`: somebody else holds it, or this key is not ours; `Unsupported`.
    pub fn reserve(&self, mine: Key) -> Answer {
        // SAFETY: usable (invariant).
        self.change(|bdev| unsafe { ffi::yoke_sys_pr_reserve(bdev, mine.get(), KIND) })
    }

    /// Gives the reservation up; the registration stays. `Ok` if somebody else holds it, or nobody.
    ///
    /// # Errors
    /// `Refused`: this key is not ours; `Refused`, or `Unsupported` as SCSI has it: we hold it, but of another kind.
    pub fn release(&self, mine: Key) -> Answer {
        // SAFETY: usable (invariant).
        self.change(|bdev| unsafe { ffi::yoke_sys_pr_release(bdev, mine.get(), KIND) })
    }

    /// Takes all registrations with the victim's key away; if it was the holder, we are from then on. Takes long with
    /// [`Abort::Yes`], until the victim's last command has ended: docs/sys.md has what is known.
    ///
    /// # Errors
    /// `Refused`: our key is not registered, or nobody has the victim's, as after an earlier preempt that was told to have
    /// failed; `Unsupported`, also if both keys are one: disks take that for a wish to change the kind, or to leave.
    pub fn preempt(&self, mine: Key, victim: Key, abort: Abort) -> Answer {
        if mine == victim {
            return Err(PrError::Unsupported);
        }
        let (mine, victim, abort) = (mine.get(), victim.get(), abort == Abort::Yes);
        // SAFETY: usable (invariant).
        self.change(|bdev| unsafe { ffi::yoke_sys_pr_preempt(bdev, mine, victim, KIND, abort) })
    }

    /// As [`Self::preempt`] with [`Abort::Yes`], and without where the disk knows no abort (docs/reservations.md names one):
    /// whoever was the victim is kept out at least. Says which it was.
    ///
    /// # Errors
    /// Those of `preempt`.
    pub fn preempt_and_abort(&self, mine: Key, victim: Key) -> Answer<Abort> {
        match self.preempt(mine, victim, Abort::Yes) {
            Ok(()) => Ok(Abort::Yes),
            Err(PrError::Unsupported) => self.preempt(mine, victim, Abort::No).map(|()| Abort::No),
            Err(error) => Err(error),
        }
    }

    /// Reads who is registered, as far as there is room.
    ///
    /// # Errors
    /// `Unsupported`. Whatever it is, nothing was read.
    pub fn read_keys<'r>(&self, room: &'r mut KeyRoom) -> Answer<Keys<'r>> {
        let (words, capacity) = room.parts();
        let (mut generation, mut total) = (0, 0);
        // SAFETY: usable (invariant), and the room has `capacity` words behind the first (`KeyRoom::parts`).
        self.ask(|bdev| unsafe {
            ffi::yoke_sys_pr_read_keys(bdev, words, capacity, &mut generation, &mut total)
        })?;
        Ok(room.keys(generation, total))
    }

    /// Reads who holds the disk. `Ok(None)`: nobody.
    ///
    /// # Errors
    /// `Unsupported`. Whatever it is, nothing was read.
    pub fn read_holder(&self) -> Answer<Option<Holder>> {
        let (mut key, mut kind) = (0, 0);
        // SAFETY: usable (invariant), and there is room for both.
        self.ask(|bdev| unsafe { ffi::yoke_sys_pr_read_holder(bdev, &mut key, &mut kind) })?;
        // A driver that finds nobody fills in neither.
        let somebody = key != 0 || kind != 0;
        Ok(somebody.then(|| Holder {
            key: Key::new(key),
            kind: Kind::of(kind),
        }))
    }

    fn change_key(&self, old: u64, new: u64, ignore_old: bool) -> Answer {
        // SAFETY: usable (invariant).
        self.change(|bdev| unsafe { ffi::yoke_sys_pr_register(bdev, old, new, ignore_old) })
    }

    /// As [`Self::ask`], for what changes something.
    fn change(&self, operation: impl FnOnce(*mut bindings::block_device) -> c_int) -> Answer {
        if self.read_only {
            return Err(PrError::Failed(EROFS.to_errno()));
        }
        self.ask(operation)
    }

    /// Asks the disk. The drivers allocate, and who would free memory by writing may wait for what is asked here.
    fn ask(&self, operation: impl FnOnce(*mut bindings::block_device) -> c_int) -> Answer {
        let _no_io = NoIo::enter();
        let code = operation(self.bdev.as_ptr());
        match code {
            0 => Ok(()),
            ffi::PR_CONFLICT => Err(PrError::Refused),
            ffi::PR_PATH_RETRY | ffi::PR_PATH_FAST_FAILED | ffi::PR_PATH_FAILED => {
                Err(PrError::Path)
            }
            _ => Err(of_errno(code)),
        }
    }
}

/// The kind of all reservations that are made here.
const KIND: u32 = ffi::PR_WE_REG_ONLY;

fn of_errno(code: c_int) -> PrError {
    let one_of = |errors: &[Error]| errors.iter().any(|error| error.to_errno() == code);
    // NVMe: no path (as a suspended device-mapper device); the command was cancelled, by a reset that a timeout or the
    // loss of the connection began.
    if one_of(&[EAGAIN, EINTR]) {
        return PrError::Path;
    }
    // ENOTTY: a device-mapper device without a table, or of several parts.
    if one_of(&[EOPNOTSUPP, EINVAL, ENOTTY]) {
        return PrError::Unsupported;
    }
    PrError::Failed(code)
}
