// SPDX-License-Identifier: GPL-2.0

//! The file `links`: both ends of a link in this machine, held against the contract (include/yoke/interconnect.h).
//!
//! Write `open KIND DEVICE DEVICE`, `check` (`EIO`: the log says what is wrong), `close`. It shows a line for each end:
//! whether it is up, its generation, the sizes of its own and of the peer's window, and why it has no device (0: it has).

use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{atomic::*, Arc, Mutex},
};
use yoke_sys::{
    attr::{Input, Text},
    interconnect::{Link, LinkEvents},
    time::sleep_us,
};

/// The part of a window that is read through the link.
const READ_AT: u64 = 4096;
const BLOCK: usize = 4096;

struct Seen {
    rings: Atomic<u64>,
}

impl LinkEvents for Seen {
    fn changed(&self) {}

    fn doorbell(&self) {
        self.rings.add(1, Relaxed);
    }
}

type End = Link<Seen>;

/// The two ends.
#[pin_data]
pub(crate) struct Links {
    #[pin]
    ends: Mutex<Option<[End; 2]>>,
}

/// Says what is wrong.
fn demand(holds: bool, what: &str) -> Result {
    if holds {
        return Ok(());
    }
    pr_err!("links: {what}\n");
    Err(EIO)
}

/// Waits for what comes in moments, with a bound.
fn soon(what: impl Fn() -> bool) -> bool {
    for _ in 0..10_000 {
        if what() {
            return true;
        }
        sleep_us(1000);
    }
    false
}

fn open(kind: &str, device: &str) -> Result<End> {
    let seen = Arc::new(
        Seen {
            rings: Atomic::new(0),
        },
        GFP_KERNEL,
    )?;
    let kind = CString::try_from_fmt(fmt!("{kind}"))?;
    let device = CString::try_from_fmt(fmt!("{device}"))?;
    Link::open(&kind, &device, seen)
}

/// Posts from one end, looks at the other one.
fn one_way(from: &End, to: &End, salt: u8) -> Result {
    let size = from.peer_window_bytes().min(to.window_bytes());
    demand(
        size >= 65536 && size % 4096 == 0,
        "a window is too small, or no multiple of 4096",
    )?;
    let generation = from.generation();
    // The first page, the page before and after the one that is read, the last one.
    for at in [0, 2 * 4096, size / 2 / 4096 * 4096, size - 4096] {
        let mut block = KVec::from_elem(0u8, BLOCK, GFP_KERNEL)?;
        for (value, byte) in block.iter_mut().enumerate() {
            *byte = (value as u8).wrapping_mul(7).wrapping_add(salt);
        }
        from.post(at, &block)?;
        from.barrier();
        from.post64(at, at ^ u64::from(salt))?;
        to.store64(READ_AT + 64, at | 1)?;
        let sample = from.fence(READ_AT + 64);
        demand(sample.word == at | 1, "a fence does not find its word")?;
        demand(
            sample.generation == generation,
            "the generation changes by itself",
        )?;
        let mut back = KVec::from_elem(0u8, BLOCK, GFP_KERNEL)?;
        to.read(at, &mut back)?;
        demand(
            to.load64(at)? == at ^ u64::from(salt),
            "a word did not arrive before the fence",
        )?;
        demand(
            back.get(8..) == block.get(8..),
            "a block did not arrive before the fence",
        )?;
    }
    demand(
        from.post(size, &[0]) == Err(ERANGE) || from.peer_window_bytes() > size,
        "a post outside of the window",
    )?;
    demand(
        from.fence(u64::MAX - 7).word == u64::MAX,
        "a read outside of the window",
    )
}

fn rings(from: &End, to: &End) -> bool {
    let before = to.events().rings.load(Relaxed);
    soon(|| {
        from.ring();
        to.events().rings.load(Relaxed) != before
    })
}

impl Links {
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(pin_init!(Links { ends <- new_mutex!(None) }), GFP_KERNEL)
    }

    fn check(&self, bells: bool) -> Result {
        let ends = self.ends.lock();
        let [a, b] = ends.as_ref().ok_or(ENODEV)?;
        demand(soon(|| a.is_up() && b.is_up()), "the link does not come up")?;
        demand(
            a.min_down_us() > 0 && b.min_down_us() > 0,
            "no shortest down",
        )?;
        for salt in 0..8 {
            one_way(a, b, salt)?;
            one_way(b, a, salt.wrapping_add(100))?;
        }
        demand(
            !bells || (rings(a, b) && rings(b, a)),
            "the doorbell does not ring",
        )
    }

    pub(crate) fn store(&self, input: &Input<'_>) -> Result {
        let mut words = input.text().unwrap_or_default().split_whitespace();
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("open"), Some(kind), Some(a), Some(b)) => {
                let opened = [open(kind, a)?, open(kind, b)?];
                let old = self.ends.lock().replace(opened);
                drop(old);
                Ok(())
            }
            (Some("check"), what, None, None) => self.check(what != Some("silent")),
            (Some("close"), None, None, None) => {
                self.close();
                Ok(())
            }
            _ => Err(EINVAL),
        }
    }

    pub(crate) fn close(&self) {
        let old = self.ends.lock().take();
        drop(old);
    }

    pub(crate) fn show(&self, text: &mut Text<'_>) -> Result {
        let ends = self.ends.lock();
        for end in ends.iter().flatten() {
            text.put(format_args!(
                "{} {} {} {} {}\n",
                u8::from(end.is_up()),
                end.generation(),
                end.window_bytes(),
                end.peer_window_bytes(),
                end.absence().map_or(0, |error| error.to_errno())
            ))?;
        }
        Ok(())
    }
}
