// SPDX-License-Identifier: GPL-2.0

//! From a configured item to a running volume, and back.

use super::{
    blocks::NodeBlocks,
    clerk::Clerk,
    client::{Membership, Mirror},
    control::Control,
    destage::Bounce,
    ends::Ends,
    front::Front,
    keeper::Keeper,
    make::{config, machine, params, share, Settings},
    probe::{check, open_device, probe, say},
    shared::{Inner, Shared},
    worker::Worker,
};
use crate::link::{Identity as Controller, Manager};
use kernel::{
    prelude::*,
    str::{CStr, CString},
    sync::Arc,
};
use yoke_core::{
    disk::Key,
    volume::{Command, Input, Keep, Reason, Role, Status},
};
use yoke_sys::{
    backing::Path,
    pages::Pages,
    thread::Thread,
    time::{boottime_ns, sleep_us},
};

/// How long a volume may take to close.
const CLOSE_TIMEOUT_NS: u64 = 20_000_000_000;

/// An open volume. Dropping it closes the disk; [`Volume::wind_up`] comes first.
pub(crate) struct Volume {
    // Dropped in this order: no disk and no bios, no thread, no member of the mirror, no device.
    keeper: Option<Thread>,
    threads: [Option<Thread>; 3],
    membership: Option<Membership<Manager>>,
    manager: Arc<Manager>,
    shared: Arc<Shared>,
}

impl Volume {
    /// Opens the disk, checks what it holds, and makes `/dev/yoke{number}`.
    ///
    /// # Errors
    ///
    /// `ENODEV`: no such disk; `EBUSY`: it has another holder; `EMEDIUMTYPE`: it holds no volume, or another
    /// appliance's, or one of another name; `EEXIST`: it is open already; `EIO`; `ENOMEM`; `EINVAL`.
    #[inline(never)]
    pub(crate) fn open(
        name: &CStr,
        number: u32,
        settings: &Settings,
        controller: Controller,
        manager: &Arc<Manager>,
        mirror: &Arc<Mirror>,
    ) -> Result<Self> {
        let found = probe(name, settings, controller.appliance)?;
        let config = config(settings, controller, &found);
        config.check().map_err(|why| {
            say(name, format_args!("{why}"));
            EINVAL
        })?;
        let key = Key::of(&config.volume, config.node, config.incarnation);
        // Before anything else with a large frame: what a machine takes of the stack, while it is made, is half of it.
        let core = machine(name, settings.slots as usize, config)?;
        let shared = share(name, settings, found.identity, core)?;
        let (blocks, bounce) = (NodeBlocks::new()?, Bounce::new()?);
        let piece = Arc::new(Pages::new(1)?, GFP_KERNEL)?;
        let zeroes = Arc::new(Pages::new(1)?, GFP_KERNEL)?;
        let mut memory = KVec::new();
        for pages in [
            &shared.log,
            blocks.memory(),
            bounce.memory(),
            &piece,
            &zeroes,
        ] {
            memory.push(pages.clone(), GFP_KERNEL)?;
        }
        let same = Path::Dev(found.dev);
        let dev = open_device(name, settings, same, memory, Ends(shared.clone()))?;
        check(name, &dev, controller.appliance, &found)?;
        let dev = Arc::new(dev, GFP_KERNEL)?;
        let front = Arc::new(
            Front {
                shared: shared.clone(),
                dev: dev.clone(),
                zeroes,
            },
            GFP_KERNEL,
        )?;
        let posts = Control::batches()?;
        // Before anything runs that acts for the volume: there is one machine of it at most.
        let membership = mirror.join(&shared, manager).inspect_err(|error| {
            if *error == EEXIST {
                say(name, format_args!("it is open already, on another disk"));
            }
        })?;
        let control = Control {
            shared: shared.clone(),
            front: front.clone(),
            dev: dev.clone(),
            manager: manager.clone(),
            blocks,
            posts,
        };
        let worker = Worker {
            shared: shared.clone(),
            front: front.clone(),
            dev,
            bounce,
            piece,
            bound_ns: settings.bound_ns(),
            round_ns: settings.patience_ns / 16,
        };
        let clerk = found
            .reserves
            .then(|| Clerk::new(shared.clone(), front.dev.clone(), key))
            .transpose()?;
        let mut volume = Volume {
            keeper: None,
            threads: [None, None, None],
            membership: Some(membership),
            manager: manager.clone(),
            shared,
        };
        // From here on, dropping `volume` undoes what was done.
        let [first, second, third] = &mut volume.threads;
        *first = Some(Thread::spawn(c"yoke_volume", move || control.run())?);
        *second = Some(Thread::spawn(c"yoke-worker", move || worker.run())?);
        if let Some(clerk) = clerk {
            *third = Some(Thread::spawn(c"yoke-clerk", move || clerk.run())?);
        }
        let disk_name = CString::try_from_fmt(fmt!("yoke{number}"))?;
        let keeper = Keeper::new(front, disk_name, params(&found))?;
        volume.keeper = Some(Thread::spawn(c"yoke-keeper", move || keeper.run())?);
        volume.shared.wake.set();
        Ok(volume)
    }

    /// Whether somebody has it open, mounts included.
    pub(crate) fn in_use(&self) -> bool {
        self.shared.inner.lock().openers.count() > 0
    }

    /// A command of the administrator. A giveback that is `forced` takes the disk away from those who hold it.
    ///
    /// # Errors
    ///
    /// `EPERM`: not possible now, the log says why; `EALREADY`: it is so already; `EBUSY`: somebody holds the disk.
    pub(crate) fn command(&self, command: Command, forced: bool) -> Result {
        if command == Command::GiveBack && !forced {
            self.shared.wait_unheld();
        }
        let mut inner = self.shared.inner.lock();
        let verdict = inner.verdict(command);
        let held = command == Command::GiveBack && inner.openers.is_held();
        if verdict.is_ok() && held && !forced {
            drop(inner);
            return Err(self.shared.say_held());
        }
        if verdict.is_ok() && held {
            inner.evict = Some(command);
        } else if verdict.is_ok() {
            if command == Command::AbortGiveBack {
                // One that waits for those who hold the disk is not begun.
                inner.evict = None;
            }
            inner.core.handle(Input::Command(command), boottime_ns());
        }
        drop(inner);
        self.shared.attend.set();
        self.shared.wake.set();
        verdict.map_err(|(error, reason)| {
            let name = self.shared.name();
            pr_err!(
                "{}\n",
                format_args!("volume {name}: command refused: {reason}")
            );
            error
        })
    }

    /// Winds up: what is acknowledged goes to the disk, and an owner releases the volume. Bounded. Afterwards it can be
    /// closed; what could not be done by then does not matter, but for one thing.
    ///
    /// # Errors
    ///
    /// `EBUSY`: what is acknowledged is, or may be, in this memory alone, or would be if the owner died now; or a takeover is
    /// under way. An owner serves on as if nobody had asked; elsewhere winding up goes on, unless the volume is stopped and
    /// has the only copy.
    pub(crate) fn wind_up(&self) -> Result {
        self.shared.tell(Input::Command(Command::Close));
        let name = self.shared.name();
        let until = boottime_ns().saturating_add(CLOSE_TIMEOUT_NS);
        let mut status = self.status();
        while status.role != Role::Closed && boottime_ns() < until {
            sleep_us(2_000);
            status = self.status();
        }
        if status.role == Role::Closed {
            return Ok(());
        }
        if let Some(keep) = status.keep {
            let what = if self.shared.serve_on() {
                "it serves on"
            } else {
                "it goes on closing"
            };
            pr_err!(
                "{}\n",
                format_args!("volume {name}: not closed yet: {keep}; {what}; try again (the command abandon closes it as it is)")
            );
            return Err(EBUSY);
        }
        pr_warn!("volume {name}: could not be closed properly in time; its record stays\n");
        Ok(())
    }

    /// Says what is lost when it is closed as it is: a disk that is dead for good never takes what only this memory has,
    /// and the module has to be able to go.
    pub(crate) fn say_abandoned(&self) {
        let name = self.shared.name();
        let status = self.status();
        let blocks = status.dirty;
        // A holder has not looked into the slots, so it cannot count them.
        if status.keep == Some(Keep::OnlyCopy) && !matches!(status.role, Role::Owner(_)) {
            pr_warn!(
                "volume {name}: abandoned by command: acknowledged writes of its owner that are only in this memory are lost\n"
            );
        } else if status.keep == Some(Keep::Named) {
            pr_warn!(
                "volume {name}: abandoned by command: acknowledged writes are lost if its owner dies before it has recorded that\n"
            );
        } else {
            pr_warn!(
                "volume {name}: abandoned by command: {blocks} acknowledged blocks that are not on its disk are lost unless the partner has them\n"
            );
        }
    }

    fn status(&self) -> Status {
        self.shared.inner.lock().core.status(boottime_ns())
    }

    /// Closes the disk. The manager comes back, which the volume needed until now.
    pub(crate) fn close(self) -> Arc<Manager> {
        let manager = self.manager.clone();
        drop(self);
        manager
    }
}

impl Shared {
    /// An owner that was to close does not want to any more. Says whether this is one.
    fn serve_on(&self) -> bool {
        let mut inner = self.inner.lock();
        let owner = matches!(inner.core.role(), Role::Owner(_));
        if owner {
            let abort = Input::Command(Command::AbortGiveBack);
            inner.core.handle(abort, boottime_ns());
        }
        drop(inner);
        self.wake.set();
        owner
    }
}

impl Inner {
    /// Whether a command is possible now. Errors: what the caller is told, and why.
    fn verdict(&self, command: Command) -> Result<(), (Error, Reason)> {
        let status = self.core.status(boottime_ns());
        let owner = matches!(status.role, Role::Owner(_));
        match (command, status.takeover) {
            (Command::TakeOver | Command::ForceFromDisk, _) if owner => {
                Err((EALREADY, Reason::IsOwner))
            }
            (Command::GiveBack | Command::GiveUpCondemned, _) if !owner => {
                Err((EPERM, Reason::NotOwner))
            }
            (Command::TakeOver | Command::GiveBack, Err(reason)) => Err((EPERM, reason)),
            (Command::AbortGiveBack, _) if self.evict.is_none() => match self.core.may_abort() {
                Err(Reason::NotLeaving) => Err((EALREADY, Reason::NotLeaving)),
                other => other.map_err(|reason| (EPERM, reason)),
            },
            _ => Ok(()),
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // It takes the disk away; no bios when that is gone.
        drop(self.keeper.take());
        // There, if the keeper has never run.
        let shown = self.shared.disk.lock().take();
        drop(shown);
        drop(core::mem::take(&mut self.threads));
        drop(self.membership.take());
    }
}
