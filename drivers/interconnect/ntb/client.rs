// SPDX-License-Identifier: GPL-2.0

//! The NTB devices that are ours to use: all that no other client of the NTB API has taken.

use crate::{bindings as raw, endpoint::Endpoint, interconnect::KIND, memory::Shelf};
use core::ptr;
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    str::{CStr, CString},
    sync::Arc,
    types::Opaque,
};

/// An NTB device, as long as this module is bound to it, and after that as long as there is memory on its shelf.
pub(crate) struct Device {
    name: CString,
    /// Null: it is gone.
    ntb: *mut raw::ntb_dev,
    /// Who uses it.
    user: Option<Arc<Endpoint>>,
    shelf: Arc<Shelf>,
}

// SAFETY: an NTB device may be used from any thread; the pointer is used only while the entry is in `DEVICES`.
unsafe impl Send for Device {}

kernel::sync::global_lock! {
    // SAFETY: `init()` is called before anything else of this module runs.
    unsafe(uninit) static DEVICES: Mutex<KVec<Device>> = KVec::new();
}

/// Makes the list of devices ready. Called once, first thing in the module's init.
pub(crate) fn init() {
    // SAFETY: called once, by the module's init.
    unsafe { DEVICES.init() };
}

/// The name in /sys/bus/ntb/devices.
pub(crate) fn name_of(ntb: *mut raw::ntb_dev) -> *const kernel::ffi::c_char {
    // SAFETY: `ntb` is a registered device; its name was set when it was registered and does not change.
    let device = unsafe { &(*ntb).dev };
    if device.init_name.is_null() {
        device.kobj.name
    } else {
        device.init_name
    }
}

/// The same for messages to people.
pub(crate) fn name<'a>(ntb: *mut raw::ntb_dev) -> &'a str {
    // SAFETY: names of registered devices are C strings, and do not change; callers use it while the device is there.
    let name = unsafe { CStr::from_char_ptr(name_of(ntb)) };
    name.to_str().unwrap_or("?")
}

/// Gives the device called `name` to a new endpoint.
///
/// Context: may sleep.
///
/// # Errors
///
/// `ENODEV`: no such device, or another client of the NTB API has it; `EBUSY`: another link has it; `ENOMEM`.
pub(crate) fn take(name: &CStr, link: *mut raw::yoke_link) -> Result<Arc<Endpoint>> {
    let mut devices = DEVICES.lock();
    let device = devices
        .iter_mut()
        .find(|device| !device.ntb.is_null() && *device.name == *name)
        .ok_or(ENODEV)?;
    if device.user.is_some() {
        return Err(EBUSY);
    }
    let endpoint = Endpoint::new(device.ntb, device.shelf.clone(), link)?;
    device.user = Some(endpoint.clone());
    Ok(endpoint)
}

/// Takes the device back. The endpoint is stopped.
pub(crate) fn release(endpoint: &Arc<Endpoint>) {
    let mut devices = DEVICES.lock();
    for device in devices.iter_mut() {
        let is_user = device
            .user
            .as_ref()
            .is_some_and(|user| Arc::ptr_eq(user, endpoint));
        if is_user {
            device.user = None;
        }
    }
}

/// Enters a registered device into the list; or again, if memory of it is there. Errors: `ENOMEM`.
fn enter(ntb: *mut raw::ntb_dev) -> Result {
    // SAFETY: names of registered devices are C strings.
    let name = CString::try_from(unsafe { CStr::from_char_ptr(name_of(ntb)) })?;
    let mut devices = DEVICES.lock();
    let old = devices
        .iter_mut()
        .find(|device| device.ntb.is_null() && *device.name == *name);
    if let Some(device) = old {
        device.ntb = ntb;
        return Ok(());
    }
    let device = Device {
        name,
        ntb,
        user: None,
        shelf: Shelf::new()?,
    };
    Ok(devices.push(device, GFP_KERNEL)?)
}

/// Called by the NTB core for each bridge. Context: may sleep.
///
/// # Safety
///
/// `ntb` is a live device.
unsafe extern "C" fn probe(_client: *mut raw::ntb_client, ntb: *mut raw::ntb_dev) -> c_int {
    from_result(|| {
        // SAFETY: the NTB core passes a live device, whose operations it has checked.
        let peers = unsafe { raw::ntb_peer_port_count(ntb) };
        if peers != 1 {
            pr_err!("bridge with {peers} peers: only one peer is supported; not used\n");
            return Err(ENODEV);
        }
        enter(ntb)?;
        // A link may be waiting for it.
        // SAFETY: two C strings.
        unsafe { raw::yoke_interconnect_device(KIND.as_char_ptr(), name_of(ntb)) };
        Ok(0)
    })
}

/// Called by the NTB core when a bridge goes away. Context: may sleep.
///
/// # Safety
///
/// `ntb` is a device that probe() took; it is live until this returns.
unsafe extern "C" fn remove(_client: *mut raw::ntb_client, ntb: *mut raw::ntb_dev) {
    let mut devices = DEVICES.lock();
    for device in devices.iter_mut().filter(|device| device.ntb == ntb) {
        // Under the lock: nobody can take or release the device while its last user is cut off.
        if let Some(user) = device.user.take() {
            user.cut_off();
        }
        // SAFETY: it is registered until this returns.
        unsafe { device.shelf.clear(ntb) };
        device.ntb = ptr::null_mut();
    }
    devices.retain(|device| !device.ntb.is_null() || !device.shelf.is_empty());
}

/// Makes the NTB core offer every bridge without a client to this module, until it is dropped.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration {
    #[pin]
    raw: Opaque<raw::ntb_client>,
}

// SAFETY: a registration is not bound to the task that made it: any that may sleep may withdraw it.
unsafe impl Send for Registration {}
// SAFETY: `&Registration` has no operations; the NTB core may call back on any CPU, and nothing here changes after the
// registration.
unsafe impl Sync for Registration {}

impl Registration {
    /// Registers with the NTB core. Context: may sleep.
    ///
    /// # Errors
    ///
    /// What the driver core returns: `EEXIST` if the name is taken, `ENOMEM`.
    pub(crate) fn new(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            raw <- Opaque::try_ffi_init(|slot: *mut raw::ntb_client| {
                // SAFETY: `slot` is memory for one client, which is zeroed, filled and then registered; it is
                // pinned, and unregistered before it goes. The name is static and ends in NUL.
                unsafe {
                    ptr::write_bytes(slot, 0, 1);
                    (*slot).ops.probe = Some(probe);
                    (*slot).ops.remove = Some(remove);
                    to_result(raw::__ntb_register_client(
                        slot,
                        module.as_ptr(),
                        c"yoke_ntb".as_char_ptr(),
                    ))
                }
            }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Registration {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: registered by the constructor. remove() was called for every device when this returns.
        unsafe { raw::ntb_unregister_client(self.raw.get()) }
        // A static is never dropped, so its memory would stay behind when the module goes.
        let devices = core::mem::take(&mut *DEVICES.lock());
        for device in devices {
            let lost = device.shelf.lose();
            if lost > 0 {
                pr_err!(
                    "{}: the bridge does not let go of our window: its memory, {} KiB, is lost until the next boot\n",
                    device.name.to_str().unwrap_or("?"),
                    lost >> 10
                );
            }
        }
    }
}
