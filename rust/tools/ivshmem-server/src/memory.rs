// SPDX-License-Identifier: GPL-2.0
//! The shared memory of a link, and the server page at its start.
//!
//! The only unsafe code of this tool: the mapping of the server page. The server
//! never touches what lies behind that page.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::{ensure, Context, Result};
use rustix::fs::{fcntl_add_seals, ftruncate, memfd_create, MemfdFlags, SealFlags};
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use crate::layout;

/// Shared memory, all zero but for the server page, and mapped only there.
#[derive(Debug)]
pub struct SharedMemory {
    memfd: OwnedFd,
    page: ServerPage,
    size: u64,
}

impl SharedMemory {
    /// Makes the memory and lays out its server page.
    ///
    /// # Errors
    ///
    /// Too small for a window a side, or what the kernel says to memfd and mmap.
    pub fn new(size: u64, sides: u16, min_down_us: u32) -> Result<Self> {
        ensure!(
            layout::window_size(size, sides) > 0,
            "{size} bytes are too few for {sides} sides: each needs a window of at least {} bytes \
             behind the control pages; give a larger --size",
            layout::WINDOW_ALIGN
        );
        let memfd = memfd_create(
            "yoke-ivshmem",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )
        .context("cannot create the shared memory")?;
        ftruncate(&memfd, size)
            .with_context(|| format!("cannot size the shared memory to {size} bytes"))?;
        // QEMU maps all of it: a file that shrinks would kill the machines with SIGBUS.
        fcntl_add_seals(&memfd, SealFlags::SHRINK | SealFlags::GROW)
            .context("cannot seal the shared memory's size")?;
        let page = ServerPage::map(memfd.as_fd()).context("cannot map the server page")?;
        page.lay_out(sides, min_down_us);
        Ok(Self { memfd, page, size })
    }

    /// The file to hand to QEMU.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.memfd.as_fd()
    }

    /// Bytes of the whole memory.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The page that only the server writes.
    pub fn page(&self) -> &ServerPage {
        &self.page
    }
}

/// The mapped server page. Machines read it at any time; only we store.
#[derive(Debug)]
pub struct ServerPage {
    /// Start of one mapped page, page-aligned, mapped until drop.
    start: NonNull<u8>,
}

impl ServerPage {
    fn map(memfd: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        // SAFETY: a new shared mapping at an address of the kernel's choice touches
        // no memory of ours; the file is larger than a page and sealed against shrinking.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                layout::PAGE_SIZE as usize,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                memfd,
                0,
            )?
        };
        let start = NonNull::new(start.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Self { start })
    }

    fn u32_at(&self, offset: usize) -> &AtomicU32 {
        assert!(offset % 4 == 0 && offset + 4 <= layout::PAGE_SIZE as usize);
        // SAFETY: in bounds and aligned (asserted; the page itself is page-aligned), mapped
        // as long as `self`, and reached only through atomics by all who map it.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    fn u64_at(&self, offset: usize) -> &AtomicU64 {
        assert!(offset % 8 == 0 && offset + 8 <= layout::PAGE_SIZE as usize);
        // SAFETY: in bounds and aligned (asserted; the page itself is page-aligned), mapped
        // as long as `self`, and reached only through atomics by all who map it.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    fn lay_out(&self, sides: u16, min_down_us: u32) {
        self.u32_at(layout::VERSION_OFFSET)
            .store(layout::VERSION.to_le(), Ordering::SeqCst);
        self.u32_at(layout::MIN_DOWN_US_OFFSET)
            .store(min_down_us.to_le(), Ordering::SeqCst);
        self.u32_at(layout::SIDE_COUNT_OFFSET)
            .store(u32::from(sides).to_le(), Ordering::SeqCst);
        self.u64_at(layout::MAGIC_OFFSET)
            .store(layout::MAGIC.to_le(), Ordering::SeqCst);
    }

    /// Shows a cut: first the counter, then the flag, so that nobody sees the flag with the old count.
    pub fn show_cut(&self, down_count: u64) {
        self.u64_at(layout::DOWN_COUNT_OFFSET)
            .store(down_count.to_le(), Ordering::SeqCst);
        self.u32_at(layout::FLAGS_OFFSET)
            .store(layout::FLAG_CUT.to_le(), Ordering::SeqCst);
    }

    /// Shows that the link is whole again.
    pub fn show_mend(&self) {
        self.u32_at(layout::FLAGS_OFFSET).store(0, Ordering::SeqCst);
    }
}

impl Drop for ServerPage {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`; no reference into it outlives `self`.
        // A failure would leave a page mapped, which nobody can be told about here.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), layout::PAGE_SIZE as usize) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::pread;

    fn read<const N: usize>(memory: &SharedMemory, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        assert_eq!(pread(memory.fd(), &mut bytes, offset as u64), Ok(N));
        bytes
    }

    #[test]
    fn server_page_reads_back_little_endian() {
        let memory = SharedMemory::new(4 << 20, 2, 20_000).unwrap();
        assert_eq!(&read::<8>(&memory, layout::MAGIC_OFFSET), b"YOKEVSHM");
        assert_eq!(read(&memory, layout::VERSION_OFFSET), 1u32.to_le_bytes());
        assert_eq!(
            read(&memory, layout::MIN_DOWN_US_OFFSET),
            20_000u32.to_le_bytes()
        );
        assert_eq!(read(&memory, layout::SIDE_COUNT_OFFSET), 2u32.to_le_bytes());
        memory.page().show_cut(7);
        assert_eq!(read(&memory, layout::DOWN_COUNT_OFFSET), 7u64.to_le_bytes());
        assert_eq!(read(&memory, layout::FLAGS_OFFSET), 1u32.to_le_bytes());
        memory.page().show_mend();
        assert_eq!(read(&memory, layout::DOWN_COUNT_OFFSET), 7u64.to_le_bytes());
        assert_eq!(read(&memory, layout::FLAGS_OFFSET), 0u32.to_le_bytes());
        // All that is reserved is 0.
        assert_eq!(read::<{ 4096 - 0x20 }>(&memory, 0x20), [0; 4096 - 0x20]);
    }

    #[test]
    fn memory_cannot_shrink_under_qemu() {
        let memory = SharedMemory::new(4 << 20, 2, 0).unwrap();
        assert!(ftruncate(memory.fd(), 4096).is_err());
    }

    #[test]
    fn too_small_is_refused_with_a_reason() {
        let error = SharedMemory::new(2 << 20, 2, 0).unwrap_err().to_string();
        assert!(error.contains("--size"), "{error}");
    }
}
