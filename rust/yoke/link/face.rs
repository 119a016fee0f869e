// SPDX-License-Identifier: GPL-2.0

//! Which links and peers sysfs shows, and the uevents of their changes.
//!
//! Devices refer to the session, which knows nothing of them: nothing goes round in a circle.
//!
//! Lock: `Faces::devices` (mutex), taken outside of the session's, never inside.

use super::{
    link_face::{LinkFace, LinkWhy},
    peer_face::{peer_reason, PeerFace},
    shared::Shared,
    Hold,
};
use core::fmt::Display;
use kernel::{
    new_mutex,
    prelude::*,
    str::{CStr, CString},
    sync::{Arc, Mutex},
};
use yoke_core::ids::{LinkId, NodeId, LINK_COUNT};
use yoke_sys::{
    class::{Class, ClassDevice, ClassItem},
    trace, Env,
};

/// The classes, made once for the module.
#[derive(Clone)]
pub(crate) struct Classes {
    link: Arc<Class>,
    peer: Arc<Class>,
}

impl Classes {
    /// Makes them. Errors: `EEXIST`, `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Self::named(c"yoke_link", c"yoke_peer")
    }

    /// The same under other names, for tests.
    pub(super) fn named(link: &'static CStr, peer: &'static CStr) -> Result<Self> {
        Ok(Classes {
            link: Arc::new(Class::new(link)?, GFP_KERNEL)?,
            peer: Arc::new(Class::new(peer)?, GFP_KERNEL)?,
        })
    }
}

/// A link that is shown.
struct ShownLink {
    device: ClassDevice<LinkFace>,
    /// Which enabling of a link it is.
    serial: u64,
    name: CString,
}

struct Devices {
    links: [Option<ShownLink>; LINK_COUNT],
    peer: Option<(NodeId, ClassDevice<PeerFace>)>,
}

/// All that sysfs shows of links and peers. Context of all calls: task; they allocate.
#[pin_data]
pub(super) struct Faces {
    classes: Classes,
    #[pin]
    devices: Mutex<Devices>,
}

impl Faces {
    /// Nothing is shown yet.
    pub(super) fn new(classes: &Classes) -> impl PinInit<Self> {
        let classes = classes.clone();
        let devices = Devices {
            links: [const { None }; LINK_COUNT],
            peer: None,
        };
        pin_init!(Faces {
            classes,
            devices <- new_mutex!(devices),
        })
    }

    /// Shows a link, whose enabling has this number. Errors: `EEXIST`: another has its name; `ENOMEM`.
    pub(super) fn add_link(
        &self,
        name: &CStr,
        hold: Hold,
        serial: u64,
        shared: &Arc<Shared>,
    ) -> Result {
        let id = hold.id();
        let face = Arc::new(LinkFace::new(hold, shared), GFP_KERNEL)?;
        let shown = ShownLink {
            name: CString::try_from(name)?,
            device: ClassDevice::new(&self.classes.link, name, face)?,
            serial,
        };
        let mut devices = self.devices.lock();
        let place = devices.links.get_mut(id.index());
        let old = place.and_then(|place| place.replace(shown));
        drop(devices);
        drop(old);
        Ok(())
    }

    /// Shows a link no longer.
    pub(super) fn remove_link(&self, id: LinkId) {
        let mut devices = self.devices.lock();
        let gone = devices.links.get_mut(id.index()).and_then(Option::take);
        drop(devices);
        drop(gone);
    }

    /// Shows a peer, from its first session on. Errors: `ENOMEM`.
    pub(super) fn add_peer(&self, node: NodeId, shared: &Arc<Shared>) -> Result {
        let mut devices = self.devices.lock();
        if devices
            .peer
            .as_ref()
            .is_some_and(|(shown, _)| *shown == node)
        {
            return Ok(());
        }
        // Another node than before is at the other end of the cables.
        let former = devices.peer.take();
        let name = CString::try_from_fmt(fmt!("{}", node.get()))?;
        let shared = shared.clone();
        let face = Arc::new(PeerFace { node, shared }, GFP_KERNEL)?;
        let device = ClassDevice::new(&self.classes.peer, &name, face)?;
        devices.peer = Some((node, device));
        drop(devices);
        drop(former);
        Ok(())
    }

    /// Shows no peer any more.
    pub(super) fn remove_peer(&self) {
        let gone = self.devices.lock().peer.take();
        drop(gone);
    }

    /// Announces that a link has changed its state; nothing if it is not the one that is shown. Errors: `ENOMEM`; what
    /// the kernel says.
    pub(super) fn link_changed(
        &self,
        link: LinkId,
        serial: u64,
        from: &'static str,
        why: LinkWhy,
    ) -> Result {
        let devices = self.devices.lock();
        let shown = devices.links.get(link.index()).and_then(Option::as_ref);
        let Some(shown) = shown.filter(|shown| shown.serial == serial) else {
            return Ok(());
        };
        let name = shown.name.to_str().unwrap_or("?");
        trace::state(name, from, why.word(), "link");
        announce(&shown.device, name, from, why.word(), &why)
    }

    /// Announces that the peer has changed its state. Errors: as above.
    pub(super) fn peer_changed(
        &self,
        node: NodeId,
        from: &'static str,
        to: &'static str,
    ) -> Result {
        let devices = self.devices.lock();
        let Some((_, device)) = devices.peer.as_ref().filter(|(shown, _)| *shown == node) else {
            return Ok(());
        };
        trace::state("peer", from, to, "peer");
        announce(device, "peer", from, to, &peer_reason(to))
    }
}

fn announce<T: ClassItem>(
    device: &ClassDevice<T>,
    name: &str,
    from: &str,
    to: &str,
    reason: &dyn Display,
) -> Result {
    let state = CString::try_from_fmt(fmt!("YOKE_STATE={to}"))?;
    let old = CString::try_from_fmt(fmt!("YOKE_OLD={from}"))?;
    let name = CString::try_from_fmt(fmt!("YOKE_NAME={name}"))?;
    let reason = CString::try_from_fmt(format_args!("YOKE_REASON={reason}"))?;
    let mut env = Env::new();
    for field in [&state, &old, &name, &reason] {
        env.add(field)?;
    }
    device.uevent(env)
}
