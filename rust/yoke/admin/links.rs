// SPDX-License-Identifier: GPL-2.0

//! `links/NAME/`: a link that is wanted.
//!
//! Lock: `LinkItem::state` (mutex), taken before the controller's.

use super::{check_name, flag};
use crate::{controller::Controller, link::Manager};
use kernel::{
    new_mutex,
    prelude::*,
    str::{CStr, CString},
    sync::{Arc, Mutex},
};
use yoke_core::ids::LinkId;
use yoke_sys::{
    attr::{Attr, Input},
    configfs::{Directory, Item},
};

/// Longest kind and device name, with the closing NUL (include/yoke/interconnect.h).
const KIND_LEN: usize = 16;
const DEVICE_LEN: usize = 64;

/// The directory `links/`.
pub(crate) struct Links {
    controller: Arc<Controller>,
}

impl Links {
    pub(crate) fn new(controller: &Arc<Controller>) -> Self {
        Links {
            controller: controller.clone(),
        }
    }
}

impl Directory for Links {
    type Item = LinkItem;

    fn make(this: &Arc<Self>, name: &CStr) -> Result<Arc<LinkItem>> {
        check_name(name)?;
        let name = CString::try_from(name)?;
        let state = State {
            interconnect: CString::try_from(c"ntb")?,
            device: CString::try_from(c"")?,
            running: None,
        };
        Arc::pin_init(
            pin_init!(LinkItem {
                controller: this.controller.clone(),
                name,
                state <- new_mutex!(state),
            }),
            GFP_KERNEL,
        )
    }

    fn removed(_this: &Arc<Self>, item: &Arc<LinkItem>) {
        item.disable();
    }
}

/// What was written to the attributes. Guarded by [`LinkItem::state`].
struct State {
    interconnect: CString,
    device: CString,
    running: Option<(Arc<Manager>, LinkId)>,
}

/// `links/NAME/`.
#[pin_data]
pub(crate) struct LinkItem {
    controller: Arc<Controller>,
    name: CString,
    #[pin]
    state: Mutex<State>,
}

impl LinkItem {
    fn name(&self) -> &str {
        self.name.to_str().unwrap_or("?")
    }

    /// A word for an attribute, while the link is disabled.
    fn set(
        &self,
        what: &str,
        input: &Input<'_>,
        len: usize,
        store: impl FnOnce(&mut State, CString),
    ) -> Result {
        let plain = |c: char| !c.is_whitespace() && !c.is_control();
        let word = input.text().unwrap_or_default();
        if word.is_empty() || word.len() >= len || !word.chars().all(plain) {
            pr_err!(
                "link {}: {what} not changed: not a word of 1 to {} bytes\n",
                self.name(),
                len.saturating_sub(1)
            );
            return Err(EINVAL);
        }
        let mut state = self.state.lock();
        if state.running.is_some() {
            pr_err!(
                "link {}: {what} not changed: the link is enabled\n",
                self.name()
            );
            return Err(EBUSY);
        }
        store(&mut state, CString::try_from_fmt(fmt!("{word}"))?);
        Ok(())
    }

    fn enable(&self) -> Result {
        let mut state = self.state.lock();
        if state.running.is_some() {
            return Ok(());
        }
        if state.device.is_empty() {
            pr_err!("link {}: not enabled: no device is set\n", self.name());
            return Err(EINVAL);
        }
        let (kind, device) = (&state.interconnect, &state.device);
        let running = self
            .controller
            .add_link(&self.name, kind, device)
            .inspect_err(|error| {
                let why = why(*error);
                let (kind, device) = (kind.to_str().unwrap_or("?"), device.to_str().unwrap_or("?"));
                pr_err!(
                    "link {}: not enabled: {kind} device {device}: {why}\n",
                    self.name()
                );
            })?;
        state.running = Some(running);
        Ok(())
    }

    fn disable(&self) {
        let running = self.state.lock().running.take();
        if let Some((manager, id)) = running {
            if !manager.remove(id) {
                pr_info!(
                    "link {}: disabled; its device stays taken until no volume needs what stands in its window\n",
                    self.name()
                );
            }
            self.controller.release(manager);
        }
    }
}

/// Why a link could not be enabled, in words.
fn why(error: Error) -> &'static str {
    if error == ENODEV {
        "no driver of this interconnect is loaded"
    } else if error == EBUSY {
        "the device has another user"
    } else if error == ENOSPC {
        "no room for another link, or the device's window is too small"
    } else if error == EEXIST {
        "there is a link of this name already"
    } else if error == EAGAIN {
        "volumes are behind with what happened to links before; try again"
    } else if error == EOPNOTSUPP {
        "the device cannot carry a link: it has no window that can be read back"
    } else if error == ENOMEM {
        "not enough memory"
    } else {
        "it was refused"
    }
}

impl Item for LinkItem {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::rw(
            c"interconnect",
            |link, text| {
                text.bytes(link.state.lock().interconnect.to_bytes())?;
                text.line("")
            },
            |link, input| {
                link.set("interconnect", input, KIND_LEN, |state, word| {
                    state.interconnect = word
                })
            },
        ),
        Attr::rw(
            c"device",
            |link, text| {
                text.bytes(link.state.lock().device.to_bytes())?;
                text.line("")
            },
            |link, input| {
                link.set("device", input, DEVICE_LEN, |state, word| {
                    state.device = word
                })
            },
        ),
        Attr::rw(
            c"enable",
            |link, text| {
                text.put(format_args!(
                    "{}\n",
                    u8::from(link.state.lock().running.is_some())
                ))
            },
            |link, input| {
                if flag("link", link.name(), input)? {
                    link.enable()
                } else {
                    link.disable();
                    Ok(())
                }
            },
        ),
    ];
}
