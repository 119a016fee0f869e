// SPDX-License-Identifier: GPL-2.0

//! A manager's chores: what people are told of links and peers, and what lingers of links that were disabled.
//!
//! How often a link or a session comes and goes is up to the peer. So is how much is said of it: up to a bound.

use super::{
    face::{Classes, Faces},
    news::Said,
    ports::Ports,
    shared::Shared,
};
use crate::chores::Chore;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};
use yoke_core::allowance::Allowance;
use yoke_sys::time::boottime_ns;

/// Lines of the log of each kind in [`EACH_NS`], at most.
const LINES: u32 = 20;
const EACH_NS: u64 = 10_000_000_000;

/// Lines of the log, by what they are about.
struct Lines {
    session: Allowance,
    link: Allowance,
    refused: Allowance,
}

/// See the module.
#[pin_data]
pub(super) struct Announcer {
    shared: Arc<Shared>,
    ports: Arc<Ports>,
    #[pin]
    pub(super) faces: Faces,
    #[pin]
    lines: Mutex<Lines>,
}

impl Announcer {
    /// With nothing to tell yet. Errors: `ENOMEM`.
    pub(super) fn new(
        classes: &Classes,
        shared: &Arc<Shared>,
        ports: &Arc<Ports>,
    ) -> Result<Arc<Self>> {
        let allowance = Allowance::new(LINES, EACH_NS);
        let lines = Lines {
            session: allowance,
            link: allowance,
            refused: allowance,
        };
        Arc::pin_init(
            pin_init!(Announcer {
                shared: shared.clone(),
                ports: ports.clone(),
                faces <- Faces::new(classes),
                lines <- new_mutex!(lines),
            }),
            GFP_KERNEL,
        )
    }

    /// Tells one thing. Without memory for a uevent nobody hears of it; sysfs has it all the same.
    fn tell(&self, said: Said) {
        match said {
            Said::LinkState {
                serial,
                link,
                from,
                why,
            } => {
                let _ = self.faces.link_changed(link, serial, from, why);
            }
            Said::PeerState { node, from, to } => {
                let _ = self.faces.peer_changed(node, from, to);
            }
            Said::SessionUp(peer) => {
                if self.faces.add_peer(peer.node, &self.shared).is_err() {
                    pr_warn!(
                        "{}\n",
                        format_args!("{} cannot be shown in sysfs: no memory", peer.node)
                    );
                }
                self.log(
                    (Kind::Session, true),
                    format_args!(
                        "session with {}, incarnation {}",
                        peer.node, peer.incarnation
                    ),
                );
            }
            Said::SessionGone(node, reason) => {
                self.log(
                    (Kind::Session, false),
                    format_args!("session with {node} is over: {reason}"),
                );
            }
            Said::LinkUp(link, node) => {
                self.log((Kind::Link, true), format_args!("{link} is up to {node}"))
            }
            Said::LinkDown(link, reason) => {
                self.log(
                    (Kind::Link, false),
                    format_args!("{link} is down: {reason}"),
                );
            }
            Said::Refused(link, refusal) => self.log(
                (Kind::Refused, false),
                format_args!("{link}: the peer cannot be worked with: {refusal}"),
            ),
        }
    }

    /// A line of the log, if there may be one more of its kind; and whether it is good news.
    fn log(&self, (kind, good): (Kind, bool), line: core::fmt::Arguments<'_>) {
        let taken = {
            let mut lines = self.lines.lock();
            let allowance = match kind {
                Kind::Session => &mut lines.session,
                Kind::Link => &mut lines.link,
                Kind::Refused => &mut lines.refused,
            };
            allowance.take(boottime_ns())
        };
        let Some(missed) = taken else { return };
        if missed > 0 {
            pr_warn!("links: {missed} lines like the next one were left out\n");
        }
        if good {
            pr_info!("{}\n", line);
        } else {
            pr_warn!("{}\n", line);
        }
    }
}

/// What a line of the log is about.
#[derive(Clone, Copy)]
enum Kind {
    Session,
    Link,
    Refused,
}

impl Chore for Announcer {
    fn attend(&self) {
        while let Some(said) = self.shared.next_said() {
            self.tell(said);
        }
        self.ports.reap();
        // Heartbeats see to the links that are enabled.
        for hold in self.ports.held().iter().flatten() {
            self.shared.look_at_window(hold);
        }
    }
}
