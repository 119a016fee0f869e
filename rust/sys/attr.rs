// SPDX-License-Identifier: GPL-2.0
//! Attribute files: one table for sysfs and configfs.

mod value;

use core::fmt;
use kernel::prelude::*;

/// Most bytes that a file shows or takes at once.
pub const MAX_BYTES: usize = 4095;

/// Shows the value of `T` in a text.
pub type Show<T> = fn(&T, &mut Text<'_>) -> Result;

/// Takes a value for `T`. An error changes nothing.
pub type Store<T> = fn(&T, &Input<'_>) -> Result;

/// One attribute file of an object `T`. Context of its functions: task; they may run at the same
/// time on several CPUs, and may take mutexes, but not wait for the object's removal.
pub struct Attr<T: 'static> {
    pub(crate) name: &'static CStr,
    pub(crate) mode: u16,
    pub(crate) show: Option<Show<T>>,
    pub(crate) store: Option<Store<T>>,
}

impl<T> Attr<T> {
    /// A file to read (0444).
    pub const fn ro(name: &'static CStr, show: Show<T>) -> Self {
        Self {
            name,
            mode: 0o444,
            show: Some(show),
            store: None,
        }
    }

    /// A file that everybody reads and root writes (0644).
    pub const fn rw(name: &'static CStr, show: Show<T>, store: Store<T>) -> Self {
        Self {
            name,
            mode: 0o644,
            show: Some(show),
            store: Some(store),
        }
    }

    /// A file that root writes (0200).
    pub const fn wo(name: &'static CStr, store: Store<T>) -> Self {
        Self {
            name,
            mode: 0o200,
            show: None,
            store: Some(store),
        }
    }

    /// Calls `show`; the number of bytes, or a negative errno.
    ///
    /// # Safety
    /// `buf` is valid for writes of a page of 4096 bytes.
    pub(crate) unsafe fn call_show(&self, data: &T, buf: *mut c_char) -> isize {
        let Some(show) = self.show else {
            return EIO.to_errno() as isize;
        };
        // SAFETY: by the function's contract; C zeroed the page when it made it.
        let page = unsafe { core::slice::from_raw_parts_mut(buf.cast::<u8>(), MAX_BYTES) };
        let mut text = Text {
            page,
            len: 0,
            full: false,
        };
        match show(data, &mut text) {
            Ok(()) if text.full => EOVERFLOW.to_errno() as isize,
            Ok(()) => text.len as isize,
            Err(e) => e.to_errno() as isize,
        }
    }

    /// Calls `store`; the number of bytes taken, all of them, or a negative errno.
    ///
    /// # Safety
    /// `buf` is valid for reads of `len` bytes.
    pub(crate) unsafe fn call_store(
        &self,
        data: &T,
        buf: *const c_char,
        len: usize,
        pinner: Option<&dyn Pinner>,
    ) -> isize {
        let Some(store) = self.store else {
            return EIO.to_errno() as isize;
        };
        // SAFETY: by the function's contract.
        let bytes = unsafe { core::slice::from_raw_parts(buf.cast::<u8>(), len) };
        match store(data, &Input { bytes, pinner }) {
            Ok(()) => len as isize,
            Err(e) => e.to_errno() as isize,
        }
    }
}

/// Where a value is shown: `writeln!(text, "{}", x)?` works, with `core::fmt::Write` in scope.
/// More than [`MAX_BYTES`] make the read fail with `EOVERFLOW`.
pub struct Text<'a> {
    page: &'a mut [u8],
    len: usize,
    full: bool,
}

impl Text<'_> {
    /// Appends formatted text; use it with `fmt!` where `kernel::fmt` types are shown.
    pub fn put(&mut self, args: fmt::Arguments<'_>) -> Result {
        fmt::Write::write_fmt(self, args).map_err(|_| EOVERFLOW)
    }

    /// Appends a line.
    pub fn line(&mut self, line: &str) -> Result {
        self.put(format_args!("{line}\n"))
    }

    /// Appends bytes that need not be UTF-8, such as names given by a user.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result {
        match self
            .page
            .get_mut(self.len..)
            .and_then(|rest| rest.get_mut(..bytes.len()))
        {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.len += bytes.len();
                Ok(())
            }
            None => {
                self.full = true;
                Err(EOVERFLOW)
            }
        }
    }
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.bytes(s.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// What can hold a configfs item in place.
pub(crate) trait Pinner {
    fn pin(&self) -> Result<crate::configfs::ItemPin>;
}

/// What a user wrote into a file. Hostile until checked.
pub struct Input<'a> {
    bytes: &'a [u8],
    pinner: Option<&'a dyn Pinner>,
}

impl Input<'_> {
    /// All bytes, as written.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The text without white space at its ends.
    ///
    /// # Errors
    /// `EINVAL`: not UTF-8, or with a NUL.
    pub fn text(&self) -> Result<&str> {
        value::text(self.bytes).ok_or(EINVAL)
    }

    /// A decimal number.
    ///
    /// # Errors
    /// `EINVAL`: not a number, or one that does not fit.
    pub fn number(&self) -> Result<u64> {
        value::number(self.bytes).ok_or(EINVAL)
    }

    /// `0` or `1`.
    ///
    /// # Errors
    /// `EINVAL`: anything else.
    pub fn flag(&self) -> Result<bool> {
        value::flag(self.bytes).ok_or(EINVAL)
    }

    /// Pins the configfs item that the file belongs to: `rmdir` fails with `EBUSY` until the pin is
    /// dropped.
    ///
    /// # Errors
    /// `EOPNOTSUPP`: not a configfs item that a user made; `ENOENT`: it is being removed.
    pub fn pin(&self) -> Result<crate::configfs::ItemPin> {
        self.pinner.ok_or(EOPNOTSUPP)?.pin()
    }
}
