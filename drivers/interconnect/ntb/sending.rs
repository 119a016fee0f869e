// SPDX-License-Identifier: GPL-2.0

//! Bridges that translate at the sending end (IDT). There each end points its window at the peer's memory, and has to be
//! told where that is: `exchange` says when it may, this carries it out.
//!
//! The peer cannot be kept out of our memory by the translation, which it owns. So nothing is posted before both ends
//! have agreed in this life of the link, and memory is freed only when the peer has said that it has let go, or
//! when the bridge may not write at all any more.

mod farewell;

use crate::{
    again::{self, Again},
    bindings as raw, client,
    down::Calls,
    endpoint::fence,
    exchange::Exchange,
    letter::{Letter, Place},
    mailbox::Mailbox,
    tries::{Complaint, Tries},
    PEER,
};
use kernel::{
    bindings,
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex,
    },
    time::{Instant, Monotonic},
};

/// Between two repetitions of what the peer has not answered: doubled from the first to the last.
const WAIT_FIRST_MS: u32 = 20;
const WAIT_LAST_MS: u32 = 1000;
/// Two ends that can agree have done so by then.
const AGREE_MS: i64 = 2000;

struct Talk {
    exchange: Exchange,
    /// The count of events of the link that the present life belongs to.
    events: u64,
    /// Whether the window leads anywhere.
    pointed: bool,
    /// How often a part of a letter was found.
    looks: u8,
    wait_ms: u32,
    /// Since when the peer is there and the ends have not agreed.
    apart_ms: Option<i64>,
    /// Of a bridge that does not take what the peer said.
    tries: Tries,
    complaint: Complaint,
    /// It repeats what was said.
    timer: Option<again::Running>,
}

/// The translation of one started link.
#[pin_data]
pub(crate) struct Sending {
    ntb: *mut raw::ntb_dev,
    /// Of the outbound window.
    index: c_int,
    mailbox: Mailbox,
    again: Arc<Again>,
    /// Bytes of the peer's memory that may be posted to, and read.
    reach: Atomic<u64>,
    begin: Instant<Monotonic>,
    /// Held under `Endpoint::life`. May be held while sleeping.
    #[pin]
    talk: Mutex<Talk>,
}

// SAFETY: NTB devices are not bound to a task.
unsafe impl Send for Sending {}
// SAFETY: NTB devices may be used from any thread at once; what changes is atomic or locked.
unsafe impl Sync for Sending {}

/// Whether a bridge translates at the sending end, and only there.
///
/// # Safety
///
/// `ntb` is a registered device.
pub(crate) unsafe fn is_needed(ntb: *mut raw::ntb_dev) -> bool {
    // SAFETY: `ntb` is registered (contract), so its operations are there.
    unsafe { (*(*ntb).ops).mw_set_trans.is_none() }
}

impl Sending {
    /// For own memory at `own`, and the outbound window with this index and size. Nothing is said yet.
    ///
    /// Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: the bridge has no message registers to say it in; `EINVAL`: memory that cannot be said; `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `ntb` is a registered device and stays so until the result is dropped, as `link` does.
    pub(crate) unsafe fn new(
        ntb: *mut raw::ntb_dev,
        link: *mut raw::yoke_link,
        (index, size): (c_int, u64),
        own: (u64, u64),
    ) -> Result<Pin<KBox<Self>>> {
        let own = Place::new(own.0, own.1).ok_or(EINVAL)?;
        // SAFETY: `ntb` stays registered until the mailbox, a part of the result, is dropped (contract).
        let mailbox = unsafe { Mailbox::new(ntb) }.ok_or(EOPNOTSUPP)?;
        // SAFETY: `link` is there until the result, which holds the only reference, is dropped (contract).
        let again = unsafe { Again::new(link) }?;
        // SAFETY: a number of the kernel's.
        let seed = unsafe { bindings::get_random_u32() };
        let talk = Talk {
            exchange: Exchange::new(own, size, seed),
            events: u64::MAX,
            pointed: true,
            looks: 0,
            wait_ms: WAIT_FIRST_MS,
            apart_ms: None,
            tries: Tries::new(),
            complaint: Complaint::new(),
            timer: None,
        };
        let sending = KBox::pin_init(
            pin_init!(Sending {
                ntb,
                index,
                mailbox,
                again,
                reach: Atomic::new(0),
                begin: Instant::now(),
                talk <- new_mutex!(talk),
            }),
            GFP_KERNEL,
        )?;
        // Who used the window before may have left it pointed anywhere.
        sending.withdraw(&mut sending.talk.lock());
        sending.mailbox.hush();
        // SAFETY: the PCI device below `ntb`, which stays as long. Undoes what farewell() may have done.
        unsafe { bindings::pci_set_master((*ntb).pdev) };
        Ok(sending)
    }

    /// Whether both ends have agreed, and nothing has happened to the link since. Any context.
    #[inline]
    pub(crate) fn is_agreed(&self) -> bool {
        self.reach.load(Relaxed) != 0
    }

    /// Whether `len` bytes at `offset` may be touched now. Any context.
    ///
    /// # Errors
    ///
    /// `ENOTCONN`: nothing may; `ERANGE`: the peer's memory is smaller.
    #[inline]
    pub(crate) fn allows(&self, offset: u64, len: u64) -> Result {
        match self.reach.load(Relaxed) {
            0 => Err(ENOTCONN),
            reach if offset.checked_add(len).is_some_and(|end| end <= reach) => Ok(()),
            _ => Err(ERANGE),
        }
    }

    /// Something happened to the link, and was counted: nothing may be touched. [`Self::step`] is to follow. Any context.
    pub(crate) fn close(&self) {
        // After the count, so that who agrees at this moment sees one of both (step()).
        fence();
        self.reach.store(0, Relaxed);
    }

    /// A letter may be there. [`Self::step`] is to follow. Any context.
    pub(crate) fn hush(&self) {
        self.mailbox.hush();
    }

    /// Takes the exchange as far as it goes now. `up`: what the bridge says of the link. Has itself called again while the
    /// peer owes an answer. `calls` is raised when the link falls by what the peer says.
    ///
    /// Context: may sleep.
    pub(crate) fn step(&self, up: bool, calls: &Calls) {
        let mut talk = self.talk.lock();
        talk.timer = None;
        let due = self.again.was_due();
        let events = calls.count();
        if talk.events != events {
            self.reach.store(0, Relaxed);
            self.withdraw(&mut talk);
            self.mailbox.hush();
            self.mailbox.drain();
            talk.exchange.restart();
            (talk.events, talk.wait_ms, talk.apart_ms) = (events, WAIT_FIRST_MS, None);
            talk.tries = Tries::new();
        }
        if up {
            self.hear(&mut talk, calls);
            self.point(&mut talk);
            self.say(&mut talk, due);
            self.complain(&mut talk);
        }
        let reach = if up { talk.exchange.reach() } else { 0 };
        self.reach.store(reach, Relaxed);
        fence();
        if calls.count() != talk.events {
            // It went down meanwhile; whoever counted that asked for another step.
            self.reach.store(0, Relaxed);
        }
        if up && self.mailbox.listen() {
            // Not at once: what is there may never go, as where the device is gone and all of it reads as ones.
            self.call_again(&mut talk, 1);
        }
    }

    /// One letter, if one is there.
    fn read(&self, talk: &mut Talk) -> Option<Letter> {
        let letter = Letter::unpack(&self.mailbox.take(&mut talk.looks)?);
        if letter.is_none() {
            kernel::pr_warn_once!("{}: the peer says what is not understood\n", self.name());
        }
        letter
    }

    fn hear(&self, talk: &mut Talk, calls: &Calls) {
        let Some(letter) = self.read(talk) else {
            return;
        };
        talk.wait_ms = WAIT_FIRST_MS;
        if talk.exchange.hear(letter) {
            // What was posted before is not proved by what is read later. An event that nobody has dealt with still counts.
            self.reach.store(0, Relaxed);
            if calls.note() == talk.events.wrapping_add(1) {
                talk.events = talk.events.wrapping_add(1);
            }
            self.withdraw(talk);
        }
    }

    /// Points the window at what the peer says, if that is known to be so; what the bridge did not take, now and then.
    fn point(&self, talk: &mut Talk) {
        let now_ms = self.now_ms();
        if talk.tries.are_due(now_ms) {
            talk.exchange.tried_again();
        }
        let Some(place) = talk.exchange.wants() else {
            return;
        };
        talk.pointed = true;
        // SAFETY: the device is registered as long as this lives. Whether the address is right only the peer knows.
        let status = unsafe {
            raw::ntb_peer_mw_set_trans(self.ntb, PEER, self.index, place.address(), place.size())
        };
        match to_result(status) {
            Ok(()) => talk.exchange.pointed(),
            Err(error) => {
                talk.exchange.refused();
                talk.tries.failed(now_ms);
                if talk.complaint.is_new(now_ms) {
                    pr_err!(
                        "{}: the bridge does not take the peer's memory, {} KiB at {:#x} ({})\n",
                        self.name(),
                        place.size() / 1024,
                        place.address(),
                        error.to_errno()
                    );
                }
            }
        }
    }

    /// News at once, the rest when its time has come.
    fn say(&self, talk: &mut Talk, due: bool) {
        let speak = talk.exchange.has_news() || due && !talk.exchange.settled();
        if speak && self.mailbox.put(&talk.exchange.say().pack()) {
            talk.exchange.told();
        }
        if !talk.exchange.settled() {
            self.call_again(talk, talk.wait_ms);
            talk.wait_ms = (talk.wait_ms * 2).min(WAIT_LAST_MS);
        }
    }

    /// Says that the ends do not agree though they had the time, and that they do again.
    fn complain(&self, talk: &mut Talk) {
        if talk.exchange.reach() != 0 || talk.exchange.settled() {
            talk.apart_ms = None;
            if talk.exchange.reach() != 0 && talk.complaint.is_over() {
                pr_info!("{}: the ends agree now\n", self.name());
            }
            return;
        }
        let now_ms = self.now_ms();
        let since_ms = *talk.apart_ms.get_or_insert(now_ms);
        if now_ms - since_ms >= AGREE_MS && talk.complaint.is_new(now_ms) {
            pr_warn!(
                "{}: the peer is there, but does not agree on where memory is\n",
                self.name()
            );
        }
    }

    fn call_again(&self, talk: &mut Talk, ms: u32) {
        // First: the end of a handle stops the timer, whoever started it last.
        talk.timer = None;
        talk.timer = Some(self.again.in_ms(ms));
    }

    fn withdraw(&self, talk: &mut Talk) {
        if talk.pointed {
            // SAFETY: the device is registered as long as this lives.
            unsafe { raw::ntb_peer_mw_clear_trans(self.ntb, PEER, self.index) };
            talk.pointed = false;
        }
    }

    fn now_ms(&self) -> i64 {
        self.begin.elapsed().as_millis()
    }

    fn name(&self) -> &str {
        client::name(self.ntb)
    }
}
