// SPDX-License-Identifier: GPL-2.0

//! Which links and peers sysfs shows, and what uevents say of their changes.
//!
//! Lock: `Faces::devices` (mutex), taken outside of the session's, never inside.

use super::{
    link_face::{link_word, LinkFace, LinkReason},
    manager::{Shared, LINKS},
    peer_face::{peer_reason, PeerFace},
    Port,
};
use core::fmt::Display;
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{Arc, Mutex},
};
use yoke_core::ids::{LinkId, NodeId};
use yoke_sys::{
    class::{Class, ClassDevice, ClassItem},
    trace, Env,
};

/// A reason as a variable of a uevent. Errors: `ENOMEM`.
fn reason_field(reason: &dyn Display) -> Result<CString> {
    CString::try_from_fmt(format_args!("YOKE_REASON={reason}"))
}

/// A device and the state that was announced last.
struct Shown<T: ClassItem> {
    device: ClassDevice<T>,
    told: &'static str,
}

struct Devices {
    links: [Option<Shown<LinkFace>>; LINKS],
    peer: Option<Shown<PeerFace>>,
}

/// All that sysfs shows of links and peers.
#[pin_data]
pub(crate) struct Faces {
    link_class: Arc<Class>,
    peer_class: Arc<Class>,
    #[pin]
    devices: Mutex<Devices>,
}

impl Faces {
    /// The classes, without devices. Errors: `EEXIST`, `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let link_class = Arc::new(Class::new(c"yoke_link")?, GFP_KERNEL)?;
        let peer_class = Arc::new(Class::new(c"yoke_peer")?, GFP_KERNEL)?;
        let devices = Devices {
            links: [const { None }; LINKS],
            peer: None,
        };
        Arc::pin_init(
            pin_init!(Faces {
                link_class,
                peer_class,
                devices <- new_mutex!(devices),
            }),
            GFP_KERNEL,
        )
    }

    /// Shows a link. Errors: `EEXIST`: another has its name; `ENOMEM`.
    pub(crate) fn add_link(&self, port: &Arc<Port>, shared: &Arc<Shared>) -> Result {
        let face = LinkFace {
            port: port.clone(),
            shared: shared.clone(),
        };
        let device = ClassDevice::new(&self.link_class, port.name(), Arc::new(face, GFP_KERNEL)?)?;
        if let Some(place) = self.devices.lock().links.get_mut(port.id().index()) {
            *place = Some(Shown {
                device,
                told: "down",
            });
        }
        Ok(())
    }

    /// Shows a link no longer.
    pub(crate) fn remove_link(&self, id: LinkId) {
        let gone = self
            .devices
            .lock()
            .links
            .get_mut(id.index())
            .and_then(Option::take);
        drop(gone);
    }

    /// Shows a peer, from its first session on.
    pub(crate) fn add_peer(&self, node: NodeId, shared: &Arc<Shared>) {
        let mut devices = self.devices.lock();
        if devices
            .peer
            .as_ref()
            .is_some_and(|shown| shown.device.item().node == node)
        {
            return;
        }
        // Another node than before is at the other end of the cables.
        let former = devices.peer.take();
        let make = || -> Result<_> {
            let name = CString::try_from_fmt(fmt!("{}", node.get()))?;
            let face = PeerFace {
                node,
                shared: shared.clone(),
            };
            ClassDevice::new(&self.peer_class, &name, Arc::new(face, GFP_KERNEL)?)
        };
        match make() {
            Ok(device) => {
                devices.peer = Some(Shown {
                    device,
                    told: "absent",
                })
            }
            Err(_) => pr_warn!(
                "{}\n",
                format_args!("{node} cannot be shown in sysfs: no memory")
            ),
        }
        drop(devices);
        drop(former);
    }

    /// Shows nothing any more.
    pub(crate) fn clear(&self) {
        for id in LinkId::all().take(LINKS) {
            self.remove_link(id);
        }
        let gone = self.devices.lock().peer.take();
        drop(gone);
    }

    /// Announces every state that is another one than was announced last.
    pub(crate) fn refresh(&self, shared: &Shared) {
        let mut devices = self.devices.lock();
        for shown in devices.links.iter_mut().flatten() {
            let id = shown.device.item().port.id();
            let port = shown.device.item().port.clone();
            let name = port.name().to_str().unwrap_or("?");
            let told = shown.told;
            let news = shared.look(|inner| {
                let link = inner.session.link(id)?;
                let state = link_word(link.state());
                (state != told).then(|| (state, reason_field(&LinkReason(link))))
            });
            if let Some((state, reason)) = news {
                shown.announce(name, "link", state, reason);
            }
        }
        if let Some(shown) = &mut devices.peer {
            let item = shown.device.item().clone();
            let state = shared.look(|inner| item.state(inner));
            if state != shown.told {
                shown.announce("peer", "peer", state, reason_field(&peer_reason(state)));
            }
        }
    }
}

impl<T: ClassItem> Shown<T> {
    fn announce(&mut self, name: &str, kind: &str, state: &'static str, reason: Result<CString>) {
        trace::state(kind, self.told, state, name);
        let send = || -> Result {
            let state = CString::try_from_fmt(fmt!("YOKE_STATE={state}"))?;
            let old = CString::try_from_fmt(fmt!("YOKE_OLD={}", self.told))?;
            let name = CString::try_from_fmt(fmt!("YOKE_NAME={name}"))?;
            let reason = reason?;
            let mut env = Env::new();
            for field in [&state, &old, &name, &reason] {
                env.add(field)?;
            }
            self.device.uevent(env)
        };
        // Without memory for it, nobody hears of it; sysfs has it all the same.
        let _ = send();
        self.told = state;
    }
}
