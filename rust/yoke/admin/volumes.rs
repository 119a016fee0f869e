// SPDX-License-Identifier: GPL-2.0

//! `volumes/NAME/`: a volume that is wanted.
//!
//! Lock: `VolumeItem::state` (mutex), taken before the controller's. It is held while a volume is opened and closed, so
//! that takes its time; attributes of one volume wait for each other.

use super::{check_name, flag};
use crate::{
    controller::Controller,
    volume::{Settings, Volume},
};
use kernel::{
    new_mutex,
    prelude::*,
    str::{CStr, CString},
    sync::{Arc, Mutex},
};
use yoke_core::{ids::NodeId, volume::Command};
use yoke_sys::{
    attr::{Attr, Input},
    configfs::{Directory, Item, ItemPin},
};

/// Longest path of a backing disk.
const PATH_LEN: usize = 256;
const NS_PER_MS: u64 = 1_000_000;

/// The directory `volumes/`.
pub(crate) struct Volumes {
    controller: Arc<Controller>,
}

impl Volumes {
    pub(crate) fn new(controller: &Arc<Controller>) -> Self {
        Volumes {
            controller: controller.clone(),
        }
    }
}

impl Directory for Volumes {
    type Item = VolumeItem;

    fn make(this: &Arc<Self>, name: &CStr) -> Result<Arc<VolumeItem>> {
        check_name(name)?;
        let name = CString::try_from(name)?;
        let settings = Settings {
            device: CString::try_from(c"")?,
            home: NodeId::new(0).ok_or(EINVAL)?,
            slots: 1024,
            io_life_ns: 30_000 * NS_PER_MS,
            patience_ns: 60_000 * NS_PER_MS,
            link_lease_ns: 50 * NS_PER_MS,
            disk_lease_ns: 1_000 * NS_PER_MS,
            handover_ns: 1_000 * NS_PER_MS,
            start_from_disk: false,
            stateless: false,
        };
        let state = State {
            settings,
            running: None,
        };
        Arc::pin_init(
            pin_init!(VolumeItem {
                controller: this.controller.clone(),
                name,
                state <- new_mutex!(state),
            }),
            GFP_KERNEL,
        )
    }

    fn removed(_this: &Arc<Self>, item: &Arc<VolumeItem>) {
        // A volume that is enabled pins its item, so there is none.
        let running = item.state.lock().running.take();
        drop(running);
    }
}

/// An open volume, and what keeps its item in place.
struct Running {
    volume: Volume,
    number: u32,
    _pin: ItemPin,
}

/// What was written to the attributes. Guarded by [`VolumeItem::state`].
struct State {
    settings: Settings,
    running: Option<Running>,
}

/// `volumes/NAME/`.
#[pin_data]
pub(crate) struct VolumeItem {
    controller: Arc<Controller>,
    name: CString,
    #[pin]
    state: Mutex<State>,
}

impl VolumeItem {
    fn name(&self) -> &str {
        self.name.to_str().unwrap_or("?")
    }

    /// Changes a setting of a volume that is not enabled.
    fn set(&self, what: &str, change: impl FnOnce(&mut Settings) -> Result) -> Result {
        let mut state = self.state.lock();
        if state.running.is_some() {
            pr_err!(
                "volume {}: {what} not changed: the volume is enabled\n",
                self.name()
            );
            return Err(EBUSY);
        }
        change(&mut state.settings).inspect_err(|_| {
            pr_err!(
                "volume {}: {what} not changed: not a value that it can have (docs/abi.md)\n",
                self.name()
            );
        })
    }

    fn set_device(&self, input: &Input<'_>) -> Result {
        let path = input
            .text()
            .ok()
            .filter(|path| path.starts_with('/') && path.len() < PATH_LEN)
            .filter(|path| !path.contains(char::is_control));
        self.set("device", |settings| {
            settings.device = CString::try_from_fmt(fmt!("{}", path.ok_or(EINVAL)?))?;
            Ok(())
        })
    }

    fn enable(&self, input: &Input<'_>) -> Result {
        let mut state = self.state.lock();
        if state.running.is_some() {
            return Ok(());
        }
        if state.settings.device.is_empty() {
            pr_err!("volume {}: not opened: no device is set\n", self.name());
            return Err(EINVAL);
        }
        let pin = input.pin()?;
        let (volume, number) = self.controller.open_volume(&self.name, &state.settings)?;
        state.running = Some(Running {
            volume,
            number,
            _pin: pin,
        });
        Ok(())
    }

    fn disable(&self) -> Result {
        let mut state = self.state.lock();
        let Some(running) = &state.running else {
            return Ok(());
        };
        self.check_unused(running)?;
        running.volume.wind_up()?;
        self.close(&mut state);
        Ok(())
    }

    /// Errors: `EBUSY`: somebody has its disk open.
    fn check_unused(&self, running: &Running) -> Result {
        if !running.volume.in_use() {
            return Ok(());
        }
        pr_err!(
            "volume {}: not closed: /dev/yoke{} is in use\n",
            self.name(),
            running.number
        );
        Err(EBUSY)
    }

    fn close(&self, state: &mut State) {
        if let Some(running) = state.running.take() {
            self.controller.close_volume(running.volume, running.number);
        }
    }

    fn command(&self, input: &Input<'_>) -> Result {
        let (command, forced) = match input.text() {
            Ok("takeover") => (Some(Command::TakeOver), false),
            Ok("giveback") => (Some(Command::GiveBack), false),
            Ok("force-giveback") => (Some(Command::GiveBack), true),
            Ok("abort-giveback") => (Some(Command::AbortGiveBack), false),
            Ok("force-from-disk") => (Some(Command::ForceFromDisk), false),
            Ok("forget-corrupt") => (Some(Command::GiveUpCondemned), false),
            Ok("abandon") => (None, false),
            _ => {
                pr_err!(
                    "volume {}: command refused: none of takeover, giveback, force-giveback, abort-giveback, force-from-disk, forget-corrupt, abandon\n",
                    self.name()
                );
                return Err(EINVAL);
            }
        };
        let mut state = self.state.lock();
        let Some(running) = &state.running else {
            pr_err!(
                "volume {}: command refused: the volume is not open\n",
                self.name()
            );
            return Err(EPERM);
        };
        match command {
            Some(command) => running.volume.command(command, forced),
            None => {
                self.check_unused(running)?;
                running.volume.say_abandoned();
                self.close(&mut state);
                Ok(())
            }
        }
    }
}

/// A time in a range of milliseconds, kept in a field of the settings in nanoseconds.
macro_rules! milliseconds {
    ($name:literal, $field:ident, $range:expr) => {
        Attr::rw(
            $name,
            |volume, text| {
                let ns = volume.state.lock().settings.$field;
                text.put(format_args!("{}\n", ns / NS_PER_MS))
            },
            |volume, input| {
                let ms = input.number();
                volume.set($name.to_str().unwrap_or("?"), |settings| {
                    let ms = ms.ok().filter(|ms| $range.contains(ms)).ok_or(EINVAL)?;
                    settings.$field = ms.saturating_mul(NS_PER_MS);
                    Ok(())
                })
            },
        )
    };
}

impl Item for VolumeItem {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::rw(
            c"device",
            |volume, text| {
                text.bytes(volume.state.lock().settings.device.to_bytes())?;
                text.line("")
            },
            |volume, input| volume.set_device(input),
        ),
        Attr::rw(
            c"home",
            |volume, text| {
                text.put(format_args!(
                    "{}\n",
                    volume.state.lock().settings.home.get()
                ))
            },
            |volume, input| {
                let node = input
                    .number()
                    .ok()
                    .and_then(|node| u8::try_from(node).ok())
                    .and_then(NodeId::new);
                volume.set("home", |settings| {
                    settings.home = node.ok_or(EINVAL)?;
                    Ok(())
                })
            },
        ),
        Attr::rw(
            c"slots",
            |volume, text| text.put(format_args!("{}\n", volume.state.lock().settings.slots)),
            |volume, input| {
                let slots = input
                    .number()
                    .ok()
                    .and_then(|slots| u32::try_from(slots).ok());
                volume.set("slots", |settings| {
                    settings.slots = slots
                        .filter(|slots| (64..=65_536).contains(slots))
                        .ok_or(EINVAL)?;
                    Ok(())
                })
            },
        ),
        milliseconds!(c"t_io_ms", io_life_ns, 0..=600_000),
        milliseconds!(c"patience_ms", patience_ns, 1_000..=600_000),
        milliseconds!(c"link_lease_ms", link_lease_ns, 5..=10_000),
        milliseconds!(c"disk_lease_ms", disk_lease_ns, 50..=60_000),
        milliseconds!(c"handover_ms", handover_ns, 0..=600_000),
        Attr::rw(
            c"power_loss",
            |volume, text| {
                let start = volume.state.lock().settings.start_from_disk;
                text.line(if start { "start-from-disk" } else { "refuse" })
            },
            |volume, input| {
                let start = match input.text() {
                    Ok("refuse") => Some(false),
                    Ok("start-from-disk") => Some(true),
                    _ => None,
                };
                volume.set("power_loss", |settings| {
                    settings.start_from_disk = start.ok_or(EINVAL)?;
                    Ok(())
                })
            },
        ),
        Attr::rw(
            c"stateless",
            |volume, text| {
                let stateless = volume.state.lock().settings.stateless;
                text.put(format_args!("{}\n", u8::from(stateless)))
            },
            |volume, input| {
                let stateless = input.flag();
                volume.set("stateless", |settings| {
                    settings.stateless = stateless?;
                    Ok(())
                })
            },
        ),
        Attr::rw(
            c"enable",
            |volume, text| {
                text.put(format_args!(
                    "{}\n",
                    u8::from(volume.state.lock().running.is_some())
                ))
            },
            |volume, input| {
                if flag("volume", volume.name(), input)? {
                    volume.enable(input)
                } else {
                    volume.disable()
                }
            },
        ),
        Attr::wo(c"command", |volume, input| volume.command(input)),
    ];
}
