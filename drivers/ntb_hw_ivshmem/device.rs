// SPDX-License-Identifier: GPL-2.0

//! One side of one link: what the NTB API's calls, the interrupts and the timer work on.
//!
//! Locks: `telling`, then the NTB core's own lock, under which clients are called, then `link`
//! (interrupts off). `link` is held for a few loads and stores, and never while a client is called:
//! from there they call back into us. `telling` is, so that [`Device::disable`] can wait for it: no
//! client may disable the link while it is being told of an event, as that sleeps.

use crate::{
    bindings as raw,
    control::Control,
    dma::Window,
    doorbell::{self, Mask},
    layout::{self, VECTOR_DOORBELL, VECTOR_LINK},
    link::{enabled, Handshake, Step},
    mapping::BarClaim,
    shim,
};
use kernel::{
    io::Io,
    pci,
    prelude::*,
    sync::{aref::ARef, atomic::Relaxed, barrier, new_mutex, new_spinlock_irq, Mutex, SpinLockIrq},
    time::{hrtimer::HrTimer, Instant, Monotonic},
    types::Opaque,
};

/// Bytes of BAR 0, the device's registers.
pub(crate) const REGISTERS_LEN: usize = 0x100;
/// Register: the own peer id.
pub(crate) const IV_POSITION: usize = 0x08;
/// Register: ring `id << 16 | vector`.
const DOORBELL: usize = 0x0c;

/// More steps than a handshake ever takes in a row; then the timer looks again.
const LINK_STEPS_MAX: u32 = 8;

/// Physical place of the peer's window.
#[derive(Clone, Copy)]
pub(crate) struct PeerWindow {
    pub(crate) phys: u64,
    pub(crate) size: u64,
}

/// One side of one link.
#[pin_data]
pub(crate) struct Device {
    #[pin]
    ntb: Opaque<raw::ntb_dev>,
    pub(crate) pdev: ARef<pci::Device>,
    registers: pci::DevresBar<REGISTERS_LEN>,
    pub(crate) control: Control,
    /// The own window, which the peer writes.
    pub(crate) window: Window,
    pub(crate) peer_window: PeerWindow,
    /// Doorbell vectors on which this side listens, at least 1.
    pub(crate) vectors: usize,
    pub(crate) mask: Mask,
    /// Held while clients are being told that the link went up or down.
    #[pin]
    telling: Mutex<()>,
    #[pin]
    link: SpinLockIrq<Handshake>,
    start: Instant<Monotonic>,
    #[pin]
    pub(crate) timer: HrTimer<Device>,
    /// Dropped last: the mappings above lie in it.
    claim: BarClaim,
}

// SAFETY: `ntb` is locked by the NTB core; everything else is `Send`.
unsafe impl Send for Device {}
// SAFETY: `ntb` is locked by the NTB core; everything else is `Sync`.
unsafe impl Sync for Device {}

/// What a [`Device`] is made of, checked and mapped.
pub(crate) struct Parts {
    pub(crate) pdev: ARef<pci::Device>,
    pub(crate) registers: pci::DevresBar<REGISTERS_LEN>,
    pub(crate) control: Control,
    pub(crate) window: Window,
    pub(crate) peer_window: PeerWindow,
    pub(crate) vectors: usize,
    pub(crate) claim: BarClaim,
}

impl Device {
    /// A device with the link disabled and every doorbell masked. `init_ntb` fills in what the NTB
    /// core wants to find in a zeroed `ntb_dev`.
    pub(crate) fn new(
        parts: Parts,
        init_ntb: impl FnOnce(*mut raw::ntb_dev),
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ntb <- Opaque::ffi_init(|ntb: *mut raw::ntb_dev| {
                // SAFETY: `ntb` leads to the place that is being initialized; all zeroes is what
                // `ntb_register_device` expects.
                unsafe { ntb.write_bytes(0, 1) };
                init_ntb(ntb);
            }),
            pdev: parts.pdev,
            registers: parts.registers,
            control: parts.control,
            window: parts.window,
            peer_window: parts.peer_window,
            vectors: parts.vectors,
            mask: Mask::all(),
            telling <- new_mutex!((), "ntb_hw_ivshmem::telling"),
            link <- new_spinlock_irq!(Handshake::new(), "ntb_hw_ivshmem::link"),
            start: Instant::now(),
            timer <- HrTimer::new(),
            claim: parts.claim,
        })
    }

    /// The NTB core's part.
    pub(crate) fn ntb(&self) -> *mut raw::ntb_dev {
        self.ntb.get()
    }

    /// The device that embeds `ntb`.
    ///
    /// # Safety
    ///
    /// `ntb` is the `ntb_dev` of a [`Device`] that lives for `'a`.
    pub(crate) unsafe fn from_ntb<'a>(ntb: *mut raw::ntb_dev) -> &'a Self {
        let opaque = Opaque::cast_from(ntb).cast_mut();
        // SAFETY: By the caller.
        unsafe { &*kernel::container_of!(opaque, Self, ntb) }
    }

    /// Nanoseconds since this device was probed.
    fn now(&self) -> i64 {
        self.start.elapsed().as_nanos()
    }

    /// Rings `vector` of a side. Everything stored before is there when the ring arrives.
    fn ring(&self, side: u32, vector: u32) {
        barrier::mb(barrier::Full);
        if let Some(bar) = self.registers.try_access() {
            let bar: &pci::Bar<'_, REGISTERS_LEN> = &bar;
            bar.write32(side << 16 | vector, DOORBELL);
        }
    }

    /// Rings the peer's link vector: it looks at the words.
    pub(crate) fn ring_peer_link(&self) {
        self.ring(self.control.peer_side(), VECTOR_LINK);
    }

    /// Rings the own link vector, so that [`Self::service_link`] runs.
    pub(crate) fn ring_own_link(&self) {
        self.ring(self.control.side(), VECTOR_LINK);
    }

    /// Rings the own vectors of `bits`, so that clients hear of them outside of this call.
    fn ring_own_doorbells(&self, bits: u64) {
        for bit in doorbell::each(bits) {
            let vector = doorbell::vector_of_bit(bit, self.vectors);
            self.ring(self.control.side(), vector);
        }
    }

    /// Whether the link is up right now, at both ends.
    pub(crate) fn is_up(&self) -> bool {
        self.control.view().is_up()
    }

    /// Whether [`Self::service_link`] has something to do.
    pub(crate) fn needs_service(&self) -> bool {
        let link = self.link.lock();
        link.peek(&self.control.view(), self.now()) != Step::Idle
    }

    /// Takes the steps of the handshake that are due.
    ///
    /// Context: may sleep, as long as the system's work queues need for what stands on them; no
    /// locks held.
    pub(crate) fn service_link(&self) {
        for _ in 0..LINK_STEPS_MAX {
            let telling = self.telling.lock();
            let step = {
                let mut link = self.link.lock();
                let step = link.step(&self.control.view(), self.now());
                if let Step::Accept(ack) = step {
                    self.control.store_ack(ack);
                }
                step
            };
            match step {
                Step::Idle => return,
                Step::Settle(ticket) => {
                    drop(telling);
                    // SAFETY: May sleep here.
                    if unsafe { shim::ntb_hw_ivshmem_settle() } != 0 {
                        // No memory; the timer comes again.
                        return;
                    }
                    self.link.lock().settled(ticket);
                }
                Step::Accept(_) => self.ring_peer_link(),
                Step::Report(up) => {
                    dev_info!(self.pdev, "link {}\n", if up { "up" } else { "down" });
                    // SAFETY: `ntb` was or is registered (the interrupts are requested before and
                    // freed after), and no lock is held.
                    unsafe { raw::ntb_link_event(self.ntb()) };
                }
            }
        }
    }

    /// Enables the own end of the link.
    pub(crate) fn enable(&self) {
        {
            let mut link = self.link.lock();
            let lseq = self.control.lseq();
            if enabled(lseq) {
                return;
            }
            self.control.store_lseq(lseq.wrapping_add(1));
            link.enable(self.now());
        }
        self.ring_peer_link();
    }

    /// Disables the own end of the link: it is down when this returns, at both ends.
    ///
    /// The own client is not told: it knows. It may be about to go, and `ntb_transport` frees right
    /// after this what its answer to a "down" works on. For the same reason no event is under way
    /// when this returns, and what an earlier one made the client queue has run.
    ///
    /// Context: may sleep, as long as the system's work queues need for what stands on them; not
    /// from a client's event handler.
    pub(crate) fn disable(&self) {
        let was_told_up = {
            let _telling = self.telling.lock();
            let mut link = self.link.lock();
            let lseq = self.control.lseq();
            if !enabled(lseq) {
                return;
            }
            self.control.store_ack(0);
            self.control.store_lseq(lseq.wrapping_add(1));
            link.disable(self.now())
        };
        if was_told_up {
            dev_info!(self.pdev, "link down\n");
        }
        self.ring_peer_link();
        // SAFETY: May sleep here. Without memory for it the client meets what other drivers give it.
        unsafe { shim::ntb_hw_ivshmem_settle() };
    }

    /// Rings doorbells of the peer.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a bit that does not exist; `ENOLINK`: the link is down, nothing was rung.
    pub(crate) fn ring_doorbells(&self, bits: u64) -> Result {
        if bits & !doorbell::VALID != 0 {
            return Err(EINVAL);
        }
        if !self.is_up() {
            return Err(ENOLINK);
        }
        let peer = self.control.peer();
        doorbell::set(peer, bits);
        // The peer's own word: `vector_of_bit` bounds whatever it says.
        let vectors = peer.vectors.load(Relaxed).saturating_sub(VECTOR_DOORBELL) as usize;
        for bit in doorbell::each(bits) {
            let vector = doorbell::vector_of_bit(bit, vectors);
            self.ring(self.control.peer_side(), vector);
        }
        Ok(())
    }

    /// Sets own doorbells, as the peer would.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a bit that does not exist.
    pub(crate) fn set_doorbells(&self, bits: u64) -> Result {
        if bits & !doorbell::VALID != 0 {
            return Err(EINVAL);
        }
        doorbell::set(self.control.own(), bits);
        self.ring_own_doorbells(bits);
        Ok(())
    }

    /// Unmasks doorbells. What rang while they were masked is told by a ring of our own.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a bit that does not exist.
    pub(crate) fn unmask_doorbells(&self, bits: u64) -> Result {
        if bits & !doorbell::VALID != 0 {
            return Err(EINVAL);
        }
        self.mask.clear(bits);
        self.ring_own_doorbells(bits & doorbell::pending(self.control.own()));
        Ok(())
    }

    /// A doorbell vector fired; `index` counts the doorbell vectors. Context: hard interrupt.
    pub(crate) fn service_doorbells(&self, index: usize) {
        let bits = doorbell::bits_of_vector(index, self.vectors);
        if bits & doorbell::pending(self.control.own()) & !self.mask.read() != 0 {
            // SAFETY: `ntb` was or is registered, and no lock is held. `index` is below 16.
            unsafe { raw::ntb_db_event(self.ntb(), index as c_int) };
        }
    }

    /// A scratchpad of either side.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no such scratchpad.
    pub(crate) fn spad(
        page: &layout::ControlPage,
        index: c_int,
    ) -> Result<&kernel::sync::atomic::Atomic<u32>> {
        let index = usize::try_from(index)?;
        page.spad.get(index).ok_or(EINVAL)
    }

    /// Leads the peer's outbound window to `size` bytes at `addr`.
    ///
    /// The peer's window leads to the start of ours whatever we store: only memory that
    /// [`crate::dma`] gave out can be meant, and is accepted.
    ///
    /// # Errors
    ///
    /// `EINVAL`: other memory, or more than was given out.
    pub(crate) fn set_translation(&self, addr: u64, size: u64) -> Result {
        if !self.window.is_given_out(addr, size) {
            dev_warn!(
                self.pdev,
                "refused a window of {size:#x} bytes at {addr:#x}: not from dma_alloc_coherent() on this device\n"
            );
            return Err(EINVAL);
        }
        self.control.store_xlat(addr, size);
        Ok(())
    }
}
