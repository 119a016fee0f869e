// SPDX-License-Identifier: GPL-2.0

//! The connection manager: one thread that drives the session with the peer and the links below it.
//!
//! Everybody else only changes what the thread looks at, and wakes it. So clients hear everything from one thread, in
//! the order in which it happened, with no lock held.

use super::{face::Faces, Client, Outlet, Partner, Port};
use kernel::{
    new_mutex,
    prelude::*,
    str::CStr,
    sync::{Arc, Mutex},
};
use yoke_core::{
    ids::{Incarnation, LinkId, NodeId, Uuid},
    link::Settings,
    session::{Action, Kept, Session, SessionConfig, Slot},
    wire::message::{self, MESSAGE_MAX},
};
use yoke_sys::{
    event::Event,
    panic::PanicHook,
    random_u64,
    thread::{self, Thread},
    time::boottime_ns,
};

/// Links at most; a record on disk names as many regions.
pub(crate) const LINKS: usize = 4;
/// Messages that are not acknowledged, at most.
const OUTBOX: usize = 256;
/// How long a session outlives its last link.
const LINGER_NS: u64 = 50_000_000;
/// How long clients may take to close.
const CLOSING_NS: u64 = 1_000_000_000;
/// How long the thread sleeps when nothing is due.
const IDLE_NS: u64 = 1_000_000_000;
/// Messages that one link may deliver before the others have their turn.
const BATCH: u32 = 64;

/// Who this controller is, for its peers.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) appliance: Uuid,
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
}

impl Identity {
    /// The other controller of the pair: 0 and 1, 2 and 3, and so on.
    pub(crate) fn partner(&self) -> NodeId {
        NodeId::new(self.node.get() ^ 1).unwrap_or(self.node)
    }
}

/// The session and its links. Guarded by [`Shared::session`].
pub(crate) struct Inner {
    pub(crate) session: Session<KVec<Slot>, KVec<Kept>>,
    pub(crate) ports: [Option<Arc<Port>>; LINKS],
    /// Of each port, for as long as it is there.
    hooks: [Option<PanicHook<Port>>; LINKS],
}

impl Inner {
    /// The session knows of the link from the first time on that its device is there.
    fn join(&mut self, port: &Port) -> Result<(), &'static str> {
        match port.layout() {
            Some(layout) if self.session.link(port.id()).is_none() => {
                self.session.add_link(port.id(), layout, port.settings())
            }
            _ => Ok(()),
        }
    }
}

/// What the thread shares with everybody else.
#[pin_data]
pub(crate) struct Shared {
    wake: Arc<Event>,
    #[pin]
    session: Mutex<Inner>,
    #[pin]
    clients: Mutex<KVec<Arc<dyn Client>>>,
    faces: Arc<Faces>,
}

/// The connection manager. Dropping it ends the session and its thread, and removes the links that are left.
pub(crate) struct Manager {
    // Dropped first: joins the thread.
    _thread: Thread,
    shared: Arc<Shared>,
}

impl Drop for Manager {
    fn drop(&mut self) {
        for id in LinkId::all().take(LINKS) {
            self.remove(id);
        }
        // They refer to `shared`.
        self.shared.faces.clear();
    }
}

impl Manager {
    /// A manager without links.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EEXIST`: another class of the same name.
    // Not inlined: a session on the way to its place takes some KiB of the stack.
    #[inline(never)]
    pub(crate) fn new(identity: Identity) -> Result<Self> {
        let config = SessionConfig {
            appliance: identity.appliance,
            node: identity.node,
            incarnation: identity.incarnation,
            expect: None,
            linger_ns: LINGER_NS,
            closing_ns: CLOSING_NS,
        };
        let mut slots = KVec::with_capacity(LINKS, GFP_KERNEL)?;
        for _ in 0..LINKS {
            slots.push(Slot::default(), GFP_KERNEL)?;
        }
        let outbox = KVec::from_elem(Kept::EMPTY, OUTBOX, GFP_KERNEL)?;
        let session = Session::new(config, random_u64(), slots, outbox);
        let inner = Inner {
            session,
            ports: [const { None }; LINKS],
            hooks: [const { None }; LINKS],
        };
        let wake = Arc::pin_init(Event::new(), GFP_KERNEL)?;
        let faces = Faces::new()?;
        let shared = Arc::pin_init(
            pin_init!(Shared {
                wake,
                session <- new_mutex!(inner),
                clients <- new_mutex!(KVec::new()),
                faces,
            }),
            GFP_KERNEL,
        )?;
        let body = shared.clone();
        Ok(Manager {
            _thread: Thread::spawn(c"yoke_links", move || body.run())?,
            shared,
        })
    }

    /// Enables a link with these times.
    ///
    /// # Errors
    ///
    /// `ENOSPC`: there are [`LINKS`] already; `EEXIST`: one of this name; what [`Port::open`] says.
    pub(crate) fn add(
        &self,
        name: &CStr,
        interconnect: &CStr,
        device: &CStr,
        settings: Settings,
    ) -> Result<LinkId> {
        let free = {
            let inner = self.shared.session.lock();
            let taken = |id: &LinkId| inner.ports.get(id.index()).is_some_and(Option::is_none);
            LinkId::all().find(taken).ok_or(ENOSPC)?
        };
        // The caller holds the controller's lock: the number stays free.
        settings.check().map_err(|which| {
            pr_err!(
                "link {}: {which} is out of range\n",
                name.to_str().unwrap_or("?")
            );
            EINVAL
        })?;
        let wake = &self.shared.wake;
        let port = Port::open(free, name, interconnect, device, wake, settings)?;
        if port.trouble().is_some() {
            pr_info!(
                "link {}: device {} is not there; waiting for it\n",
                name.to_str().unwrap_or("?"),
                device.to_str().unwrap_or("?")
            );
        }
        let hook = PanicHook::new(port.clone())?;
        self.shared.faces.add_link(&port, &self.shared)?;
        let mut inner = self.shared.session.lock();
        // One without a device joins the session with its first look at it.
        if let Err(reason) = inner.join(&port) {
            drop(inner);
            pr_err!("link {}: {reason}\n", name.to_str().unwrap_or("?"));
            self.shared.faces.remove_link(free);
            return Err(EINVAL);
        }
        if let Some(place) = inner.ports.get_mut(free.index()) {
            *place = Some(port);
        }
        if let Some(place) = inner.hooks.get_mut(free.index()) {
            *place = Some(hook);
        }
        drop(inner);
        self.shared.wake.set();
        Ok(free)
    }

    /// Disables a link: tells the peer and every client. Their references may keep the device for a moment longer.
    pub(crate) fn remove(&self, id: LinkId) {
        let mut inner = self.shared.session.lock();
        let Some(port) = inner.ports.get_mut(id.index()).and_then(Option::take) else {
            return;
        };
        let hook = inner.hooks.get_mut(id.index()).and_then(Option::take);
        inner.session.remove_link(id, boottime_ns(), &port.peers());
        port.link().ring();
        drop(inner);
        drop(hook);
        self.shared.faces.remove_link(id);
        self.shared.wake.set();
    }

    /// Adds a client; it hears of what happens from now on, and of nothing before.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn join(&self, client: Arc<dyn Client>) -> Result {
        self.shared.clients.lock().push(client, GFP_KERNEL)?;
        Ok(())
    }
}

impl Outlet for Manager {
    fn send(&self, port: message::Port, bytes: &[u8]) {
        self.shared.send(port, bytes);
    }
}

impl Outlet for Shared {
    fn send(&self, port: message::Port, bytes: &[u8]) {
        // No partner, or one that is too far behind: lost, as with a session that ends.
        let _ = self.session.lock().session.send(port, bytes);
        self.wake.set();
    }
}

impl Shared {
    /// Looks at the session and its links.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Inner) -> R) -> R {
        look(&self.session.lock())
    }

    fn run(self: &Arc<Self>) {
        // Above the volumes' threads: one that destages would silence the heartbeats of a machine with one CPU.
        thread::set_urgent();
        while !thread::should_stop() {
            let deadline = self.round();
            self.wake.wait(Some(deadline));
        }
        let mut inner = self.session.lock();
        inner.session.close(boottime_ns());
    }

    /// Does all that is due; when to look again.
    fn round(self: &Arc<Self>) -> u64 {
        for id in LinkId::all().take(LINKS) {
            let Some(port) = self.poll(id) else { continue };
            for _ in 0..BATCH {
                if !self.receive(&port) {
                    break;
                }
            }
        }
        let now = boottime_ns();
        let mut inner = self.session.lock();
        inner.session.tick(now);
        let deadline = inner.session.next_deadline(now);
        drop(inner);
        self.tell_all();
        deadline.min(now.saturating_add(IDLE_NS))
    }

    /// Polls one link.
    fn poll(self: &Arc<Self>, id: LinkId) -> Option<Arc<Port>> {
        let mut inner = self.session.lock();
        let port = inner.ports.get(id.index())?.clone()?;
        // It fails for a session that is closed, and then nothing is polled.
        inner.join(&port).ok()?;
        let lost = port.lost_memory();
        let carrier = port.carrier();
        inner
            .session
            .poll(id, boottime_ns(), carrier, &port.own(), &port.peers());
        drop(inner);
        self.tell_all();
        if lost {
            self.each(|client| client.window_gone(&port));
        }
        Some(port)
    }

    /// Receives one message over a link; `false` if there was none.
    fn receive(self: &Arc<Self>, port: &Arc<Port>) -> bool {
        let mut buffer = [0; MESSAGE_MAX];
        let received = self.session.lock().session.receive(
            port.id(),
            boottime_ns(),
            &port.own(),
            &port.peers(),
            &mut buffer,
        );
        self.tell_all();
        let Some(received) = received else {
            return false;
        };
        let bytes = buffer.get(..received.len).unwrap_or_default();
        self.each(|client| {
            if client.port() == received.port {
                client.message(bytes, &**self);
            }
        });
        true
    }

    /// Tells clients and people what the last call brought about. Only this thread takes actions, so their order is
    /// kept.
    fn tell_all(self: &Arc<Self>) {
        loop {
            let action = self.session.lock().session.next_action();
            let Some(action) = action else { return };
            self.tell(action);
            if !matches!(action, Action::Doorbell { .. }) {
                self.faces.refresh(self);
            }
        }
    }

    fn tell(self: &Arc<Self>, action: Action) {
        match action {
            Action::SessionUp { peer } => {
                self.faces.add_peer(peer.node, self);
                self.each(|client| client.session_up(&peer, &**self));
                pr_info!(
                    "{}\n",
                    format_args!(
                        "session with {}, incarnation {}",
                        peer.node, peer.incarnation
                    )
                );
            }
            Action::LinkUp { link, peer, .. } => self.tell_link_up(link, &peer),
            Action::LinkDown {
                link,
                epoch,
                reason,
            } => {
                if let Some(port) = self.port(link) {
                    port.downs.add(1);
                }
                self.each(|client| client.link_down(link, epoch));
                pr_warn!("{}\n", format_args!("{link} is down: {reason}"));
            }
            Action::SessionGone { peer, reason } => {
                self.each(|client| client.session_gone(peer.node, reason));
                pr_warn!(
                    "{}\n",
                    format_args!("session with {} is over: {reason}", peer.node)
                );
                self.session.lock().session.drained(boottime_ns());
            }
            Action::Refused { link, refusal } => {
                pr_warn!(
                    "{}\n",
                    format_args!("{link}: the peer cannot be worked with: {refusal}")
                );
            }
            Action::Doorbell { link } => {
                if let Some(port) = self.port(link) {
                    port.link().ring();
                }
            }
        }
    }

    fn tell_link_up(&self, link: LinkId, peer: &Partner) {
        let contact = self.session.lock().session.contact(link).copied();
        // Down again already: its LinkDown is the next action, and clients take one without the other.
        let (Some(port), Some(contact)) = (self.port(link), contact) else {
            return;
        };
        self.each(|client| client.link_up(&port, &contact));
        pr_info!("{}\n", format_args!("{link} is up to {}", peer.node));
    }

    fn port(&self, link: LinkId) -> Option<Arc<Port>> {
        self.session.lock().ports.get(link.index())?.clone()
    }

    /// Calls every client, without a lock.
    fn each(&self, call: impl Fn(&dyn Client)) {
        for at in 0.. {
            let client = self.clients.lock().get(at).cloned();
            match client {
                Some(client) => call(&*client),
                None => return,
            }
        }
    }
}
