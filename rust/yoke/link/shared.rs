// SPDX-License-Identifier: GPL-2.0

//! The session with its links, as all threads of a manager share it.

use super::{
    link_face::{link_word, LinkWhy},
    manager::Identity,
    news::{News, Said},
    peer_face::peer_word,
    ports::LINKS,
    Client, Hold, Outlet,
};
use kernel::{
    new_mutex, new_spinlock,
    prelude::*,
    str::CString,
    sync::{Arc, Mutex, SpinLock},
};
use yoke_core::{
    ids::{LinkId, NodeId, LINK_COUNT},
    link::Settings,
    queue::Queue,
    session::{Action, Kept, Session, SessionConfig, Slot},
    wire::message,
};
use yoke_sys::{event::Event, random_u64, time::boottime_ns};

/// Messages that are not acknowledged, at most.
const OUTBOX: usize = 256;
/// How long a session outlives its last link.
const LINGER_NS: u64 = 50_000_000;
/// How long clients may take to close.
const CLOSING_NS: u64 = 1_000_000_000;
/// Room of the clients' queue. One call of the session brings about less than [`EVENTS`].
const NEWS: usize = 256;
/// Of it, room that no message takes.
pub(super) const EVENTS: usize = 32;
/// Of it, room that neither messages nor the peer's doings take: for the removal of every link that is enabled.
pub(super) const DEEDS: usize = EVENTS * LINKS;
/// Room of the queue of what people are told.
const SAID: usize = 64;

/// The core's session in its memory.
pub(super) type Machine = Session<KVec<Slot>, KVec<Kept>>;

/// A link that is enabled.
pub(super) struct Enabled {
    pub(super) name: CString,
    pub(super) hold: Hold,
    /// Which enabling it is: no two of a manager are the same.
    pub(super) serial: u64,
    settings: Settings,
    /// The word for the state that people were told last.
    told: &'static str,
}

/// Guarded by [`Shared::inner`].
pub(super) struct Inner {
    pub(super) session: Machine,
    pub(super) links: [Option<Enabled>; LINK_COUNT],
    news: Queue<KVVec<Option<News>>>,
    said: Queue<KVVec<Option<Said>>>,
    /// The node that people were told of last, and the word for its state.
    peer: Option<(NodeId, &'static str)>,
    /// Room is waited for in `news`.
    behind: bool,
    serials: u64,
}

/// What the threads of a manager share.
#[pin_data]
pub(crate) struct Shared {
    /// Wakes the thread of heartbeats.
    pub(super) wake: Arc<Event>,
    /// Wakes the clients' thread.
    pub(super) heard: Arc<Event>,
    /// Wakes the chores.
    bell: Arc<Event>,
    #[pin]
    inner: SpinLock<Inner>,
    #[pin]
    pub(super) clients: Mutex<KVec<Arc<dyn Client>>>,
}

/// Room for so many. Errors: `ENOMEM`.
fn room<T>(count: usize) -> Result<KVVec<Option<T>>> {
    let mut room = KVVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        room.push(None, GFP_KERNEL)?;
    }
    Ok(room)
}

impl Shared {
    /// A session without links. `bell` wakes the chores. Errors: `ENOMEM`.
    // Not inlined: a session on the way to its place takes some KiB of the stack.
    #[inline(never)]
    pub(super) fn new(identity: Identity, bell: &Arc<Event>) -> Result<Arc<Self>> {
        let config = SessionConfig {
            appliance: identity.appliance,
            node: identity.node,
            incarnation: identity.incarnation,
            expect: None,
            linger_ns: LINGER_NS,
            closing_ns: CLOSING_NS,
        };
        let mut slots = KVec::with_capacity(LINK_COUNT, GFP_KERNEL)?;
        for _ in 0..LINK_COUNT {
            slots.push(Slot::default(), GFP_KERNEL)?;
        }
        let outbox = KVec::from_elem(Kept::EMPTY, OUTBOX, GFP_KERNEL)?;
        let inner = Inner {
            session: Session::new(config, random_u64(), slots, outbox),
            links: [const { None }; LINK_COUNT],
            news: Queue::new(room(NEWS)?),
            said: Queue::new(room(SAID)?),
            peer: None,
            behind: false,
            serials: 0,
        };
        let (wake, heard) = (
            Arc::pin_init(Event::new(), GFP_KERNEL)?,
            Arc::pin_init(Event::new(), GFP_KERNEL)?,
        );
        let bell = bell.clone();
        Arc::pin_init(
            pin_init!(Shared {
                wake,
                heard,
                bell,
                inner <- new_spinlock!(inner),
                clients <- new_mutex!(KVec::new()),
            }),
            GFP_KERNEL,
        )
    }

    /// Looks at the session and its links. Nothing in `look` may sleep: a spinlock is held.
    pub(super) fn look<R>(&self, look: impl FnOnce(&Inner) -> R) -> R {
        look(&self.inner.lock())
    }

    /// Does something with the session if there is room for what it brings about, `reserve` left alone; then passes that
    /// on. `None`: clients are behind, nothing was done. Nothing in `work` may sleep: a spinlock is held.
    pub(super) fn drive<R>(&self, reserve: usize, work: impl FnOnce(&mut Inner) -> R) -> Option<R> {
        let mut inner = self.inner.lock();
        inner.collect();
        let room = inner.news.free() >= EVENTS.saturating_add(reserve);
        inner.behind |= !room;
        let done = room.then(|| work(&mut inner));
        inner.collect();
        let (heard, said) = (!inner.news.is_empty(), !inner.said.is_empty());
        drop(inner);
        if heard {
            self.heard.set();
        }
        if said {
            self.bell.set();
        }
        done
    }

    /// What the clients are to be told next.
    pub(super) fn next_news(&self) -> Option<News> {
        let mut inner = self.inner.lock();
        let news = inner.news.pop();
        let go_on = inner.behind && inner.news.free() >= NEWS / 2 + DEEDS;
        inner.behind &= !go_on;
        drop(inner);
        if go_on {
            self.wake.set();
            self.bell.set();
        }
        news
    }

    /// What people are to be told next.
    pub(super) fn next_said(&self) -> Option<Said> {
        let mut inner = self.inner.lock();
        let said = inner.said.pop();
        // What had no room may have some now.
        inner.note();
        said
    }

    /// The number of the next enabling of a link.
    pub(super) fn next_serial(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.serials = inner.serials.wrapping_add(1);
        inner.serials
    }

    /// Adds a link, whose enabling has this number.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the log says why; `EAGAIN`: clients are behind.
    pub(super) fn add(&self, name: CString, hold: Hold, serial: u64, settings: Settings) -> Result {
        let id = hold.id();
        let (mut made, mut gone) = (Some((name, hold)), None);
        let added = self.drive(DEEDS, |inner| {
            let place = inner.links.get_mut(id.index());
            if let (Some(place), Some((name, hold))) = (place, made.take()) {
                *place = Some(Enabled {
                    name,
                    hold,
                    serial,
                    settings,
                    told: "down",
                });
            }
            inner.join(id).inspect_err(|_| gone = take(inner, id))
        });
        drop(gone);
        // What was not added ends here, outside of the lock.
        added.ok_or(EAGAIN)?.map_err(|why: &str| {
            pr_err!("a link not enabled: {why}\n");
            EINVAL
        })?;
        self.wake.set();
        Ok(())
    }

    /// Takes a link away, and tells its peer and the clients. There is room for that, however far they are behind:
    /// [`Shared::add`] left it.
    pub(super) fn remove(&self, id: LinkId) {
        let gone = self.drive(0, |inner| {
            let enabled = take(inner, id)?;
            let port = &enabled.hold;
            inner.session.remove_link(id, boottime_ns(), &port.peers());
            port.link().ring();
            inner.collect();
            inner.tell(News::LinkGoing(id));
            Some(enabled)
        });
        // The name ends outside of the lock.
        drop(gone);
        self.wake.set();
    }

    /// Ends the session for good.
    pub(super) fn close(&self) {
        self.drive(0, |inner| inner.session.close(boottime_ns()));
    }
}

/// The enabled link of this number is not any more.
fn take(inner: &mut Inner, id: LinkId) -> Option<Enabled> {
    inner.links.get_mut(id.index())?.take()
}

impl Inner {
    /// The session knows of an enabled link from the first time on that its device is there.
    pub(super) fn join(&mut self, id: LinkId) -> Result<(), &'static str> {
        let Some(enabled) = self.links.get(id.index()).and_then(Option::as_ref) else {
            return Ok(());
        };
        match enabled.hold.layout() {
            Some(layout) if self.session.link(id).is_none() => {
                self.session.add_link(id, layout, enabled.settings)
            }
            _ => Ok(()),
        }
    }

    /// Takes what the session brought about. What there is no room for stays in it, and it does nothing until then.
    pub(super) fn collect(&mut self) {
        while self.news.free() > 0 {
            match self.session.next_action() {
                Some(action) => self.pass_on(action),
                None => break,
            }
        }
        self.note();
    }

    fn pass_on(&mut self, action: Action) {
        match action {
            Action::SessionUp { peer } => {
                self.tell(News::SessionUp(peer));
                self.say(Said::SessionUp(peer));
            }
            Action::LinkUp { link, peer, .. } => {
                let hold = self.hold(link).cloned();
                // Down again already: its LinkDown comes next, and clients take one without the other.
                if let (Some(hold), Some(contact)) = (hold, self.session.contact(link).copied()) {
                    self.tell(News::LinkUp(hold, contact));
                    self.say(Said::LinkUp(link, peer.node));
                }
            }
            Action::LinkDown {
                link,
                epoch,
                reason,
            } => {
                if let Some(hold) = self.hold(link) {
                    hold.downs.add(1);
                }
                self.tell(News::LinkDown(link, epoch));
                self.say(Said::LinkDown(link, reason));
            }
            Action::SessionGone { peer, reason } => {
                self.tell(News::SessionGone(peer.node, reason));
                self.say(Said::SessionGone(peer.node, reason));
            }
            Action::Refused { link, refusal } => self.say(Said::Refused(link, refusal)),
            Action::Doorbell { link } => {
                if let Some(hold) = self.hold(link) {
                    hold.link().ring();
                }
            }
        }
    }

    /// The port of an enabled link.
    pub(super) fn hold(&self, link: LinkId) -> Option<&Hold> {
        let enabled = self.links.get(link.index())?.as_ref()?;
        Some(&enabled.hold)
    }

    /// The session, and the port of an enabled link.
    pub(super) fn with_hold(&mut self, link: LinkId) -> Option<(&mut Machine, &Hold)> {
        let enabled = self.links.get(link.index())?.as_ref()?;
        Some((&mut self.session, &enabled.hold))
    }

    /// For the clients. There is room: it was looked for before.
    pub(super) fn tell(&mut self, news: News) {
        let _ = self.news.push(news);
    }

    /// For people; what they cannot be told now is left out.
    fn say(&mut self, said: Said) {
        let _ = self.said.push(said);
    }

    /// Notes every state that is another one than people were told last. Where there is no room for it, the next note
    /// that has some goes from the state that they know to the present one.
    fn note(&mut self) {
        let Inner {
            session,
            links,
            said,
            peer,
            ..
        } = self;
        for (id, enabled) in LinkId::all().zip(links.iter_mut()) {
            let (Some(enabled), Some(link)) = (enabled, session.link(id)) else {
                continue;
            };
            let word = link_word(link.state());
            let news = Said::LinkState {
                serial: enabled.serial,
                link: id,
                from: enabled.told,
                why: LinkWhy::of(link),
            };
            if word != enabled.told && said.push(news).is_ok() {
                enabled.told = word;
            }
        }
        if let Some(partner) = session.peer() {
            // Another node than before may be at the other end of the cables.
            if peer.is_none_or(|(node, _)| node != partner.node) {
                *peer = Some((partner.node, "absent"));
            }
        }
        let Some((node, told)) = peer else { return };
        let is_partner = session.peer().is_some_and(|partner| partner.node == *node);
        let to = peer_word(is_partner.then(|| session.state()));
        let (node, from) = (*node, *told);
        if to != from && said.push(Said::PeerState { node, from, to }).is_ok() {
            *told = to;
        }
    }
}

impl Outlet for Shared {
    fn send(&self, port: message::Port, bytes: &[u8]) {
        // No partner, or one that is too far behind: the session has ended, or ends next.
        let _ = self.inner.lock().session.send(port, bytes);
        self.wake.set();
    }
}
