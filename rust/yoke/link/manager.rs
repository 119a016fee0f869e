// SPDX-License-Identifier: GPL-2.0

//! The connection manager: the links that are configured, the clients, and the threads between them.

use super::{announce::Announcer, face::Classes, ports::Ports, shared::Shared, Client, Outlet};
use crate::chores::{Chores, OnDuty};
use kernel::{
    prelude::*,
    str::{CStr, CString},
    sync::Arc,
};
use yoke_core::{
    ids::{Incarnation, LinkId, NodeId, Uuid},
    link::Settings,
    wire::message,
};
use yoke_sys::thread::Thread;

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

/// The connection manager. Dropping it ends the session and its threads, and removes the links that are left.
///
/// Who refers to whom: the threads and the chore to the session, what sysfs shows to the session and the ports; neither
/// the session nor the ports to any of them.
pub(crate) struct Manager {
    /// There until the manager is dropped, which joins them in this order.
    threads: Option<(Thread, Thread)>,
    /// There until the manager is dropped.
    duty: Option<OnDuty>,
    announcer: Arc<Announcer>,
    pub(super) shared: Arc<Shared>,
    ports: Arc<Ports>,
}

impl Drop for Manager {
    fn drop(&mut self) {
        for id in LinkId::all() {
            self.shared.remove(id);
        }
        // Whatever a peer did until now: no thread is left that could show it. The heartbeats first; then the clients,
        // who hear of everything that happened until then.
        if let Some((beat, clients)) = self.threads.take() {
            drop(beat);
            drop(clients);
        }
        drop(self.duty.take());
        self.announcer.faces.remove_peer();
        for id in LinkId::all() {
            self.announcer.faces.remove_link(id);
            let _ = self.ports.disable(id);
        }
    }
}

impl Manager {
    /// A manager without links. Errors: `ENOMEM`; `EINTR`: the caller has been killed.
    pub(crate) fn new(identity: Identity, classes: &Classes, chores: &Chores) -> Result<Self> {
        let shared = Shared::new(identity, chores.bell())?;
        let ports = Ports::new(&shared.wake, chores.bell())?;
        let announcer = Announcer::new(classes, &shared, &ports)?;
        let duty = chores.begin(announcer.clone())?;
        let body = shared.clone();
        let clients = Thread::spawn(c"yoke_clients", move || body.tell_clients())?;
        let body = shared.clone();
        let beat = Thread::spawn(c"yoke_links", move || body.beat())?;
        Ok(Manager {
            threads: Some((beat, clients)),
            duty: Some(duty),
            announcer,
            shared,
            ports,
        })
    }

    /// Enables a link with these times.
    ///
    /// # Errors
    ///
    /// `ENOSPC`: there are as many as can be; `EEXIST`: one of this name; `EBUSY`: the device is used; `EAGAIN`: clients
    /// are behind; `EINVAL`; `ENOMEM`; `ENODEV`; `EOPNOTSUPP`: what the interconnect says.
    pub(crate) fn add(
        &self,
        name: &CStr,
        interconnect: &CStr,
        device: &CStr,
        settings: Settings,
    ) -> Result<LinkId> {
        let say = name.to_str().unwrap_or("?");
        settings.check().map_err(|which| {
            pr_err!("link {say}: {which} is out of range\n");
            EINVAL
        })?;
        let hold = self.ports.enable(interconnect, device)?;
        if hold.trouble().is_some() {
            let device = device.to_str().unwrap_or("?");
            pr_info!("link {say}: device {device} is not there; waiting for it\n");
        }
        let id = hold.id();
        let added = CString::try_from(name)
            .map_err(Error::from)
            .and_then(|own| {
                // Shown first: every change of its state is announced.
                let (serial, faces) = (self.shared.next_serial(), &self.announcer.faces);
                faces.add_link(name, hold.clone(), serial, &self.shared)?;
                self.shared
                    .add(own, hold, serial, settings)
                    .inspect_err(|_| faces.remove_link(id))
            });
        match added {
            Ok(()) => Ok(id),
            Err(error) => {
                let _ = self.ports.disable(id);
                Err(error)
            }
        }
    }

    /// Disables a link: tells the peer and every client, and waits a moment for them to let go. A volume may need the
    /// window for longer: then number and device stay taken until it does not. Says whether they are free.
    pub(crate) fn remove(&self, id: LinkId) -> bool {
        self.shared.remove(id);
        self.announcer.faces.remove_link(id);
        self.ports.disable(id)
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
