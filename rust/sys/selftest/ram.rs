// SPDX-License-Identifier: GPL-2.0

//! A disk on preallocated memory. It serves bios at once, or through a queue and a thread.

use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{atomic::*, Arc, SpinLockIrq},
};
use yoke_sys::{
    attr::Attr,
    bio::{Bio, Op},
    bio_list::BioList,
    disk::DiskOps,
    event::Event,
    pages::Pages,
    status::BlkStatus,
    thread,
};

/// The memory, the queue, and counters.
#[pin_data]
pub(crate) struct Ram {
    pages: Pages,
    queued: bool,
    #[pin]
    queue: SpinLockIrq<BioList>,
    #[pin]
    event: Event,
    reads: Atomic<u64>,
    writes: Atomic<u64>,
    flushes: Atomic<u64>,
    zeroes: Atomic<u64>,
}

impl Ram {
    pub(crate) fn new(blocks: u32, queued: bool) -> Result<Arc<Self>> {
        let pages = Pages::new(blocks)?;
        Arc::pin_init(
            pin_init!(Self {
                pages,
                queued,
                queue <- new_spinlock_irq!(BioList::new()),
                event <- Event::new(),
                reads: Atomic::new(0),
                writes: Atomic::new(0),
                flushes: Atomic::new(0),
                zeroes: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// What the thread of a queued disk runs.
    pub(crate) fn run(&self) {
        while !thread::should_stop() {
            self.event.wait(None);
            loop {
                let mut work = self.queue.lock().take();
                if work.is_empty() {
                    break;
                }
                while let Some(bio) = work.pop_front() {
                    self.serve(bio);
                }
            }
        }
    }

    fn transfer(&self, bio: &Bio) -> Result {
        let first = u32::try_from(bio.first_block()).map_err(|_| ERANGE)?;
        let end = first.checked_add(bio.blocks()).ok_or(ERANGE)?;
        let mut cursor = bio.cursor();
        for block in first..end {
            match bio.op() {
                Op::Read => self.pages.copy_to_bio(block, &mut cursor)?,
                Op::Write => self.pages.copy_from_bio(block, &mut cursor)?,
                _ => self.pages.zero(block)?,
            }
        }
        Ok(())
    }

    fn serve(&self, bio: Bio) {
        match bio.op() {
            Op::Read => self.reads.add(1, Relaxed),
            Op::Write => self.writes.add(1, Relaxed),
            Op::Flush => self.flushes.add(1, Relaxed),
            _ => self.zeroes.add(1, Relaxed),
        }
        let result = self.transfer(&bio).map_err(|_| BlkStatus::IOERR);
        bio.complete(result);
    }
}

impl DiskOps for Ram {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::ro(c"kind", |ram, text| {
            text.line(if ram.queued { "queue" } else { "ram" })
        }),
        Attr::ro(c"stats", |ram, text| {
            text.put(format_args!(
                "reads {}\nwrites {}\nflushes {}\nzeroes {}\n",
                ram.reads.load(Relaxed),
                ram.writes.load(Relaxed),
                ram.flushes.load(Relaxed),
                ram.zeroes.load(Relaxed)
            ))
        }),
    ];
    const ATTR_DIR: &'static CStr = c"yoke";

    fn submit(this: &Arc<Self>, bio: Bio) {
        if this.queued {
            this.queue.lock().push_back(bio);
            this.event.set();
        } else {
            this.serve(bio);
        }
    }

    fn shutdown(this: &Arc<Self>, _tag: u64) {
        let mut left = this.queue.lock().take();
        left.complete_all(Err(BlkStatus::TRANSPORT));
    }
}
