// SPDX-License-Identifier: GPL-2.0

//! What sysfs shows of links and peers: `/sys/class/yoke_link/NAME/`, `/sys/class/yoke_peer/NODE/` (docs/abi.md).
//!
//! Lock: `Faces::devices` (mutex), taken outside of the session's, never inside.

use super::{
    manager::{Inner, Shared, LINKS},
    Port,
};
use core::fmt::{Display, Formatter};
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{Arc, Mutex},
};
use yoke_core::{
    ids::{LinkId, NodeId},
    link::{Link, LinkState},
    session::SessionState,
};
use yoke_sys::{
    attr::{Attr, Text},
    class::{Class, ClassDevice, ClassItem},
    trace, Env,
};

/// A link in sysfs.
pub(crate) struct LinkFace {
    port: Arc<Port>,
    shared: Arc<Shared>,
}

/// A peer in sysfs.
pub(crate) struct PeerFace {
    node: NodeId,
    shared: Arc<Shared>,
}

/// The word for the state of a link (docs/abi.md).
fn link_word(state: LinkState) -> &'static str {
    match state {
        LinkState::Down | LinkState::Closed => "down",
        LinkState::Holdoff => "fenced",
        LinkState::Greeting | LinkState::Refused | LinkState::Agreed => "handshake",
        LinkState::Proving => "proving",
        LinkState::Up => "up",
    }
}

/// The word for the state of a peer.
fn peer_word(state: SessionState) -> &'static str {
    match state {
        SessionState::Idle | SessionState::Closed => "absent",
        SessionState::Open => "ready",
        SessionState::Severed => "establishing",
        SessionState::Ending => "gone",
    }
}

/// Why a link is not up, a sentence; nothing when it is.
struct LinkReason<'a>(&'a Link);

impl Display for LinkReason<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        let link = self.0;
        if link.state() == LinkState::Up {
            return Ok(());
        }
        if let Some(refusal) = link.refusal() {
            return write!(f, "the peer cannot be worked with: {refusal}");
        }
        if let Some(garbage) = link.garbage() {
            return write!(f, "no HELLO of a yoke in the window: {garbage}");
        }
        match (link.last_down(), link.state()) {
            (_, LinkState::Proving) => {
                f.write_str("it failed before and has to prove itself for a while")
            }
            (Some(reason), _) => write!(f, "{reason}"),
            (None, LinkState::Down) => {
                f.write_str("no carrier: the other end is not enabled, or not connected")
            }
            (None, _) => f.write_str("the peer has not answered yet"),
        }
    }
}

/// A reason as a variable of a uevent. Errors: `ENOMEM`.
fn reason_field(reason: &dyn Display) -> Result<CString> {
    Ok(CString::try_from_fmt(format_args!("YOKE_REASON={reason}"))?)
}

/// Why there is no session with a peer in this state; nothing when there is.
fn peer_reason(state: &str) -> &'static str {
    match state {
        "ready" => "",
        "establishing" => "no link is up; it may come back",
        "gone" => "its session is being closed",
        _ => "no link leads to it",
    }
}

impl LinkFace {
    fn look<R>(&self, look: impl FnOnce(&Link) -> R) -> Result<R> {
        self.shared
            .look(|inner| inner.session.link(self.port.id()).map(look))
            .ok_or(ENODEV)
    }

    fn peer(&self, text: &mut Text<'_>) -> Result {
        match self.look(|link| link.receiving().map(|contact| contact.peer.node))? {
            Some(node) => text.put(format_args!("{}\n", node.get())),
            None => text.line("-"),
        }
    }
}

impl ClassItem for LinkFace {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::ro(c"interconnect", |face, text| {
            text.bytes(face.port.interconnect().to_bytes())?;
            text.line("")
        }),
        Attr::ro(c"device", |face, text| {
            text.bytes(face.port.device().to_bytes())?;
            text.line("")
        }),
        Attr::ro(c"state", |face, text| {
            text.line(face.look(|link| link_word(link.state()))?)
        }),
        Attr::ro(c"reason", |face, text| {
            face.look(|link| text.put(format_args!("{}\n", LinkReason(link))))?
        }),
        Attr::ro(c"peer", |face, text| face.peer(text)),
        Attr::ro(c"down_count", |face, text| {
            text.put(format_args!("{}\n", face.port.link().down_count()))
        }),
        Attr::ro(c"latency_us", |face, text| {
            let ns = face.look(|link| link.round_trip_ns())?.unwrap_or(0);
            text.put(format_args!("{}\n", ns / 1000))
        }),
    ];
}

impl PeerFace {
    /// Whether the session is with this peer.
    fn is_partner(&self, inner: &Inner) -> bool {
        inner
            .session
            .peer()
            .is_some_and(|peer| peer.node == self.node)
    }

    fn state(&self, inner: &Inner) -> &'static str {
        if self.is_partner(inner) {
            peer_word(inner.session.state())
        } else {
            "absent"
        }
    }

    fn links(&self, text: &mut Text<'_>) -> Result {
        self.shared.look(|inner| {
            let mut blank = "";
            for port in inner.ports.iter().flatten() {
                let carries = self.is_partner(inner) && inner.session.contact(port.id()).is_some();
                if carries {
                    text.put(format_args!("{blank}"))?;
                    text.bytes(port.name().to_bytes())?;
                    blank = " ";
                }
            }
            text.line("")
        })
    }

    fn links_up(&self) -> usize {
        self.shared.look(|inner| {
            let carries = |port: &&Arc<Port>| {
                self.is_partner(inner) && inner.session.contact(port.id()).is_some()
            };
            inner.ports.iter().flatten().filter(carries).count()
        })
    }
}

impl ClassItem for PeerFace {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::ro(c"state", |face, text| {
            text.line(face.shared.look(|inner| face.state(inner)))
        }),
        Attr::ro(c"reason", |face, text| {
            text.line(peer_reason(face.shared.look(|inner| face.state(inner))))
        }),
        Attr::ro(c"incarnation", |face, text| {
            let incarnation = face.shared.look(|inner| {
                let peer = inner.session.peer().filter(|_| face.is_partner(inner));
                peer.map_or(0, |peer| peer.incarnation.get())
            });
            text.put(format_args!("{incarnation:016x}\n"))
        }),
        Attr::ro(c"links", |face, text| face.links(text)),
        Attr::ro(c"links_up", |face, text| {
            text.put(format_args!("{}\n", face.links_up()))
        }),
    ];
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
