// SPDX-License-Identifier: GPL-2.0

//! Checks an ivshmem device, makes an NTB device of it, and takes that down again.

use crate::{
    bindings as raw,
    control::Control,
    device::{Device, Parts, PeerWindow, IV_POSITION, REGISTERS_LEN},
    dma::{Installed, Window},
    irq::{DoorbellVector, LinkVector, TICK},
    layout::{
        self, Windows, MAGIC, VECTORS_MAX, VECTORS_MIN, VECTOR_DOORBELL, VECTOR_LINK, VERSION,
    },
    mapping::{raw_pdev, BarClaim, Mapping},
    ops,
};
use kernel::{
    bindings,
    device::{Bound, Core},
    error::to_result,
    io::Io,
    irq::{Flags, Registration, ThreadedRegistration},
    pci::{self, IrqType, IrqTypes, IrqVectorRegistration},
    prelude::*,
    sync::{atomic::Relaxed, Arc},
    time::hrtimer::{ArcHrTimerHandle, HrTimerPointer},
};

const NAME: &CStr = c"ntb_hw_ivshmem";

/// The PCI driver.
pub(crate) struct Driver;

kernel::pci_device_table!(
    PCI_TABLE,
    <Driver as pci::Driver>::IdInfo,
    [(
        pci::DeviceId::from_id(pci::Vendor::REDHAT_QUMRANET, 0x1110),
        ()
    )]
);

/// A bound device. The fields are dropped in this order: clients first, then what they call, then
/// what calls us.
pub(crate) struct Instance<'bound> {
    _registered: Registered,
    _dma: Installed,
    _timer: ArcHrTimerHandle<Device>,
    _link: Pin<KBox<ThreadedRegistration<'bound, LinkVector>>>,
    _doorbells: KVec<Pin<KBox<Registration<'bound, DoorbellVector>>>>,
    _vectors: KBox<IrqVectorRegistration<'bound>>,
}

impl pci::Driver for Driver {
    type IdInfo = ();
    type Data<'bound> = Instance<'bound>;
    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        pdev.enable_device_mem()?;
        pdev.set_master();
        bring_up(pdev)
    }
}

/// The NTB device's registration with the NTB core.
struct Registered(Arc<Device>);

impl Registered {
    fn new(device: Arc<Device>) -> Result<Self> {
        // SAFETY: `ntb` was filled in by `init_ntb` and stays where it is until `drop`.
        to_result(unsafe { raw::ntb_register_device(device.ntb()) })
            .inspect_err(|e| dev_err!(device.pdev, "cannot register the NTB device: {e:?}\n"))?;
        Ok(Registered(device))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`. When it returns no client is left, and none will call.
        unsafe { raw::ntb_unregister_device(self.0.ntb()) };
        // A client may have left the link enabled; the peer shall know that nobody is here.
        self.0.disable();
    }
}

/// Fills in a zeroed `ntb_dev`.
fn init_ntb(ntb: *mut raw::ntb_dev, pdev: *mut bindings::pci_dev) {
    // SAFETY: `ntb` is a zeroed place for an `ntb_dev`.
    unsafe {
        (*ntb).pdev = pdev;
        // Two equal ends: the core's default ports are 0 and 0.
        (*ntb).topo = raw::ntb_topo_NTB_TOPO_CROSSLINK;
        (*ntb).ops = &ops::OPS;
    }
}

fn bring_up<'bound>(pdev: &'bound pci::Device<Bound>) -> Result<Instance<'bound>> {
    let registers = pdev
        .iomap_region_sized::<REGISTERS_LEN>(0, NAME)
        .inspect_err(|e| dev_err!(pdev, "cannot map the registers (BAR 0): {e:?}\n"))?;
    let side = registers.read32(IV_POSITION);
    let claim = BarClaim::new(pdev)
        .inspect_err(|e| dev_err!(pdev, "cannot claim the shared memory (BAR 2): {e:?}\n"))?;
    let windows = check(pdev, &claim, side)?;
    let control = Control::new(&claim, side)?;
    let (vectors, doorbells) = allocate_vectors(pdev)?;
    control.claim_page(VECTOR_DOORBELL + doorbells as u32);

    let window = Mapping::new(&claim, windows.offset(side), windows.size())
        .inspect_err(|e| dev_err!(pdev, "cannot map the own window: {e:?}\n"))?;
    let peer_window = PeerWindow {
        phys: claim.start() + windows.offset(control.peer_side()),
        size: windows.size(),
    };
    let parts = Parts {
        pdev: (&**pdev).into(),
        registers: registers.into_devres()?,
        control,
        window: Window::new(window),
        peer_window,
        vectors: doorbells,
        claim,
    };
    let raw_pdev = raw_pdev(pdev);
    let device = Arc::pin_init(
        Device::new(parts, |ntb| init_ntb(ntb, raw_pdev)),
        GFP_KERNEL,
    )?;

    let (link, doorbells) = request_vectors(&device, &vectors)?;
    let timer = device.clone().start(TICK);
    // SAFETY: The window is a part of `device`, which `Instance` drops after `_dma`.
    let dma = unsafe { Installed::new(pdev, &device.window) }.inspect_err(|_| {
        dev_err!(
            pdev,
            "the device is behind an IOMMU: start the machine without one\n"
        )
    })?;
    dev_info!(
        pdev,
        "side {side}, window of {} KiB, {} doorbell vectors\n",
        windows.size() / 1024,
        device.vectors
    );
    Ok(Instance {
        _registered: Registered::new(device)?,
        _dma: dma,
        _timer: timer,
        _link: link,
        _doorbells: doorbells,
        _vectors: vectors,
    })
}

/// Whether this is memory that our server has laid out, and for this side.
///
/// # Errors
///
/// `ENODEV`, with the reason in the log.
fn check(pdev: &pci::Device, claim: &BarClaim, side: u32) -> Result<Windows> {
    let Some(windows) = Windows::of_bar(claim.len()) else {
        dev_err!(
            pdev,
            "shared memory of {} KiB is too small: two sides need at least 3 MiB, so 4 MiB\n",
            claim.len() / 1024
        );
        return Err(ENODEV);
    };
    // Side 0 is as good as any for a look at the server's page.
    let control = Control::new(claim, 0)?;
    let server = control.server();
    let magic = server.magic.load(Relaxed);
    if magic != MAGIC {
        dev_err!(
            pdev,
            "not an emulated NTB (magic {magic:#018x}): is this device served by yoke-ivshmem-server?\n"
        );
        return Err(ENODEV);
    }
    let version = server.version.load(Relaxed);
    if version != VERSION {
        dev_err!(
            pdev,
            "shared memory of version {version}, this driver knows {VERSION}: use server and driver of one release\n"
        );
        return Err(ENODEV);
    }
    let sides = server.side_count.load(Relaxed);
    if sides != layout::SIDES {
        dev_err!(
            pdev,
            "a link of {sides} sides: an NTB has {}\n",
            layout::SIDES
        );
        return Err(ENODEV);
    }
    if side >= sides {
        dev_err!(
            pdev,
            "peer id {side} is not a side of this link (0 to {})\n",
            sides - 1
        );
        return Err(ENODEV);
    }
    Ok(windows)
}

/// Allocates the vectors; also tells how many of them are for doorbells.
fn allocate_vectors(pdev: &pci::Device<Bound>) -> Result<(KBox<IrqVectorRegistration<'_>>, usize)> {
    let msix = IrqTypes::default().with(IrqType::MsiX);
    let vectors = pdev
        .alloc_irq_vectors(VECTORS_MIN, VECTORS_MAX, msix)
        .inspect_err(|_| {
            dev_err!(
                pdev,
                "no {VECTORS_MIN} MSI-X vectors: use QEMU's ivshmem-doorbell, and a server with vectors={VECTORS_MAX}\n"
            )
        })?;
    let doorbells = vectors.len().saturating_sub(VECTOR_DOORBELL as usize);
    Ok((KBox::new(vectors, GFP_KERNEL)?, doorbells))
}

type Link<'bound> = Pin<KBox<ThreadedRegistration<'bound, LinkVector>>>;
type Doorbells<'bound> = KVec<Pin<KBox<Registration<'bound, DoorbellVector>>>>;

/// Lets the vectors call the device.
fn request_vectors<'bound>(
    device: &Arc<Device>,
    vectors: &KBox<IrqVectorRegistration<'bound>>,
) -> Result<(Link<'bound>, Doorbells<'bound>)> {
    // SAFETY: The allocation stays in its box, and `Instance` drops it after the registrations
    // that borrow from it; where `bring_up` fails early, it was created before them.
    let vectors: &'bound IrqVectorRegistration<'bound> =
        unsafe { &*core::ptr::from_ref(&**vectors) };
    let request = vectors.index(VECTOR_LINK as usize)?.into();
    let handler = LinkVector(device.clone());
    // SAFETY: The registration ends up in `Instance`, which is dropped.
    let link =
        unsafe { ThreadedRegistration::new(request, Flags::TRIGGER_NONE, NAME, Ok(handler)) };
    let link = KBox::pin_init(link, GFP_KERNEL)?;

    let mut doorbells = KVec::with_capacity(device.vectors, GFP_KERNEL)?;
    for index in 0..device.vectors {
        let request = vectors.index(VECTOR_DOORBELL as usize + index)?.into();
        let handler = DoorbellVector {
            device: device.clone(),
            index,
        };
        // SAFETY: This registration, too, ends up in `Instance`, which is dropped.
        let one = unsafe { Registration::new(request, Flags::TRIGGER_NONE, NAME, Ok(handler)) };
        doorbells.push(KBox::pin_init(one, GFP_KERNEL)?, GFP_KERNEL)?;
    }
    Ok((link, doorbells))
}
