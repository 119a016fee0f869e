// SPDX-License-Identifier: GPL-2.0
//! One fault at a time. Nothing is refused after a single failure: somebody must
//! serve again in time; and the pair must be mirrored again in time when it is mended.

use super::settle;
use crate::check::history::Request;
use crate::check::Kind;
use crate::driver::Driver;
use crate::event::{Ask, Event};
use crate::scenario::MS;
use crate::world::CONTROLLERS;

/// Faults in a run.
const ROUNDS: u32 = 3;

/// Runs it to the end, or to the first violation.
pub fn run(driver: &mut Driver) {
    if !settle::boot(driver) {
        return;
    }
    for _ in 0..ROUNDS {
        driver.set_clients(true);
        let until = driver.world.now_ns + driver.rng.delay(MS, 200 * MS);
        driver.run(until, |_| false);
        if !driver.each(|driver| settle::wait_healthy(driver, "with nothing wrong")) {
            return;
        }
        let survivor = break_one(driver);
        if !driver.each(|driver| serves_again(driver, survivor)) {
            return;
        }
        let until = driver.world.now_ns + driver.rng.delay(MS, 200 * MS);
        driver.run(until, |_| false);
        driver.mend_all();
        let when = "after the one thing wrong was mended";
        if !driver.each(|driver| settle::wait_healthy(driver, when)) {
            return;
        }
    }
    driver.each(settle::read_all);
}

/// Breaks one thing. The controller that must serve then, if it is one for certain.
fn break_one(driver: &mut Driver) -> Option<u8> {
    let at = driver.rng.below(CONTROLLERS as u64) as u8;
    let link = driver.rng.below(driver.world.links.len() as u64) as u8;
    let f = driver.world.setting.scenario.faults;
    match driver.rng.weighted(&[f.crash, f.pause, f.cut, f.flap]) {
        0 => {
            let mut keep = [0; 4];
            for (link, keep) in keep.iter_mut().enumerate().take(driver.world.links.len()) {
                let under_way = driver.world.links[link].under_way(at as usize) as u64;
                *keep = driver.rng.range(0, under_way) as u8;
            }
            driver.take(Event::Crash { at, keep });
            Some(1 - at)
        }
        1 => {
            driver.take(Event::Pause { at });
            Some(1 - at)
        }
        2 => {
            driver.take(Event::Cut { link, keep: [0, 0] });
            None
        }
        _ => {
            driver.cut(link, 50_000);
            None
        }
    }
}

/// Whether a new read and a new write are answered in time.
fn serves_again(driver: &mut Driver, survivor: Option<u8>) -> bool {
    let until = driver.world.now_ns + settle::bound_ns(driver);
    let (mut read, mut wrote) = (false, false);
    while !(read && wrote) {
        let at = survivor.unwrap_or_else(|| driver.path());
        let before = driver.world.stats;
        let ask = if read {
            Request::Write {
                block: 0,
                count: 1,
                value: 0,
                fua: false,
            }
        } else {
            Request::Read { block: 0, count: 1 }
        };
        let live = driver.world.controllers[at as usize].live.as_ref();
        if live.is_none_or(|l| l.busy() < 4) {
            driver.take(Event::Submit {
                at,
                ask: Ask::Io(ask),
            });
        }
        let soon = driver.world.now_ns + 20 * MS;
        driver.run(soon, |_| false);
        wrote |= read && driver.world.stats.writes > before.writes;
        read |= driver.world.stats.reads > before.reads;
        if driver.world.violation.is_some() {
            return false;
        }
        if driver.world.now_ns > until {
            let who = survivor.map_or("nobody".into(), |at| format!("controller {at}"));
            let state: Vec<_> = (0..CONTROLLERS as u8)
                .map(|at| settle::status(&driver.world, at))
                .collect();
            let words = format!("refused: {who} does not serve after one failure: {state:?}");
            driver.world.violated(Kind::Refused, words);
            return false;
        }
    }
    true
}
