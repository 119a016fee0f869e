// SPDX-License-Identifier: GPL-2.0

//! This controller: who it is, and everything that was configured on it.

use crate::{
    chores::Chores,
    link::{Classes, Identity, Manager},
    volume::{self, Mirror, Volume},
};
use kernel::{
    new_mutex,
    prelude::*,
    str::CStr,
    sync::{Arc, Mutex},
};
use yoke_core::{
    ids::{Incarnation, LinkId, NodeId, Uuid},
    link::Settings,
};
use yoke_sys::random_u64;

/// What was configured. Guarded by [`Controller::inner`].
struct Inner {
    appliance: Uuid,
    node: NodeId,
    /// The times of links that are enabled from now on.
    settings: Settings,
    /// Links and the session; there is one while a link or a volume needs it.
    manager: Option<(Arc<Manager>, Arc<Mirror>)>,
    /// Which of `/dev/yoke0` to `/dev/yoke7` are taken, a bit each.
    numbers: u8,
    /// How many links and volumes need it.
    users: u32,
}

/// This controller.
#[pin_data]
pub(crate) struct Controller {
    incarnation: Incarnation,
    /// What sysfs shows things in, once for the module: a manager that comes finds nothing of the one before.
    classes: Classes,
    chores: Chores,
    #[pin]
    inner: Mutex<Inner>,
}

impl Controller {
    /// A controller that belongs to no appliance yet, in a life of its own. Errors: `ENOMEM`; `EEXIST`: a class of sysfs
    /// has another user; `EINTR`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let inner = Inner {
            appliance: Uuid::NIL,
            node: NodeId::new(0).ok_or(EINVAL)?,
            settings: Settings::DEFAULT,
            manager: None,
            numbers: 0,
            users: 0,
        };
        let incarnation = Incarnation::new(random_u64().max(1)).ok_or(EINVAL)?;
        let (classes, chores) = (Classes::new()?, Chores::new()?);
        Arc::pin_init(
            pin_init!(Controller {
                incarnation,
                classes,
                chores,
                inner <- new_mutex!(inner),
            }),
            GFP_KERNEL,
        )
    }

    /// This life.
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The appliance; nil when it is not set.
    pub(crate) fn appliance(&self) -> Uuid {
        self.inner.lock().appliance
    }

    /// This controller's number.
    pub(crate) fn node(&self) -> NodeId {
        self.inner.lock().node
    }

    /// Sets the appliance. Errors: `EINVAL`: nil; `EBUSY`: a link or volume is enabled.
    pub(crate) fn set_appliance(&self, appliance: Uuid) -> Result {
        if appliance.is_nil() {
            pr_err!("appliance not changed: a nil uuid names none\n");
            return Err(EINVAL);
        }
        let mut inner = self.idle("appliance")?;
        inner.appliance = appliance;
        Ok(())
    }

    /// Sets the node number. Errors: `EBUSY`: a link or volume is enabled.
    pub(crate) fn set_node(&self, node: NodeId) -> Result {
        let mut inner = self.idle("node")?;
        inner.node = node;
        Ok(())
    }

    /// The times of links.
    pub(crate) fn settings(&self) -> Settings {
        self.inner.lock().settings
    }

    /// Changes the times of links, all of them: the ends of a session are to notice a death alike.
    ///
    /// # Errors
    ///
    /// `EINVAL`: out of range; `EBUSY`: a link or volume is enabled.
    pub(crate) fn change_settings(&self, what: &str, change: impl FnOnce(&mut Settings)) -> Result {
        let mut inner = self.idle(what)?;
        let mut settings = inner.settings;
        change(&mut settings);
        settings.check().map_err(|setting| {
            pr_err!("{what} not changed: {setting} is out of range\n");
            EINVAL
        })?;
        inner.settings = settings;
        Ok(())
    }

    /// The configuration, if nothing depends on it.
    fn idle(&self, what: &str) -> Result<kernel::sync::MutexGuard<'_, Inner>> {
        let inner = self.inner.lock();
        if inner.users > 0 {
            pr_err!("{what} not changed: a link or a volume is enabled; disable them first\n");
            return Err(EBUSY);
        }
        Ok(inner)
    }

    /// Who this controller is. Errors: `EINVAL`: the appliance is not set.
    pub(crate) fn identity(&self) -> Result<Identity> {
        self.inner.lock().identity(self.incarnation)
    }

    /// The connection manager, which stays until [`Controller::release`].
    ///
    /// # Errors
    ///
    /// `EINVAL`: the appliance is not set; `ENOMEM`; `EEXIST`.
    pub(crate) fn acquire(&self) -> Result<(Arc<Manager>, Arc<Mirror>)> {
        let mut inner = self.inner.lock();
        let identity = inner.identity(self.incarnation)?;
        let both = match &inner.manager {
            Some((manager, mirror)) => (manager.clone(), mirror.clone()),
            None => {
                let manager = Manager::new(identity, &self.classes, &self.chores)?;
                let manager = Arc::new(manager, GFP_KERNEL)?;
                let mirror = Mirror::new()?;
                manager.join(mirror.clone())?;
                (manager, mirror)
            }
        };
        inner.manager = Some((both.0.clone(), both.1.clone()));
        inner.users = inner.users.saturating_add(1);
        Ok(both)
    }

    /// Gives it back; the last one ends the session.
    pub(crate) fn release(&self, manager: Arc<Manager>) {
        drop(manager);
        let mut inner = self.inner.lock();
        inner.users = inner.users.saturating_sub(1);
        if inner.users == 0 {
            // Under the lock: the next one begins when nothing is left of this one. Its threads do not take it.
            inner.manager = None;
        }
    }

    /// Opens a volume: it, and the number of its disk.
    ///
    /// # Errors
    ///
    /// As [`Controller::acquire`] and [`Volume::open`]; `ENOSPC`: there are eight already.
    #[inline(never)]
    pub(crate) fn open_volume(
        &self,
        name: &CStr,
        settings: &volume::Settings,
    ) -> Result<(Volume, u32)> {
        let (manager, mirror) = self.acquire()?;
        let opened = self.take_number().and_then(|number| {
            let identity = self.identity()?;
            Volume::open(name, number, settings, identity, &manager, &mirror)
                .map(|volume| (volume, number))
                .inspect_err(|_| self.give_number(number))
        });
        match opened {
            // The volume holds the manager; only the count of users is kept here.
            Ok(opened) => Ok(opened),
            Err(error) => {
                drop(mirror);
                self.release(manager);
                Err(error)
            }
        }
    }

    /// Closes a volume.
    pub(crate) fn close_volume(&self, volume: Volume, number: u32) {
        let manager = volume.close();
        self.give_number(number);
        self.release(manager);
    }

    fn take_number(&self) -> Result<u32> {
        let mut inner = self.inner.lock();
        let number = inner.numbers.trailing_ones();
        if number >= u8::BITS {
            pr_err!("a volume not opened: {} are open already\n", u8::BITS);
            return Err(ENOSPC);
        }
        inner.numbers |= 1 << number;
        Ok(number)
    }

    fn give_number(&self, number: u32) {
        self.inner.lock().numbers &= !1u8.checked_shl(number).unwrap_or(0);
    }

    /// Enables a link. Errors: as [`Controller::acquire`] and [`Manager::add`].
    pub(crate) fn add_link(
        &self,
        name: &CStr,
        interconnect: &CStr,
        device: &CStr,
    ) -> Result<(Arc<Manager>, LinkId)> {
        let (manager, mirror) = self.acquire()?;
        drop(mirror);
        match manager.add(name, interconnect, device, self.settings()) {
            Ok(id) => Ok((manager, id)),
            Err(error) => {
                self.release(manager);
                Err(error)
            }
        }
    }
}

impl Inner {
    fn identity(&self, incarnation: Incarnation) -> Result<Identity> {
        if self.appliance.is_nil() {
            pr_err!("the appliance is not set: write its uuid to appliance first\n");
            return Err(EINVAL);
        }
        Ok(Identity {
            appliance: self.appliance,
            node: self.node,
            incarnation,
        })
    }
}
