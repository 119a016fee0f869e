// SPDX-License-Identifier: GPL-2.0

//! How far the life of an endpoint is. Pure: who holds the lock around it takes each step as a whole.
//!
//! ```text
//!             start                leave (yoke is told, then the memory goes)
//!   STOPPED ─────────▶ STARTED ───────────────▶ LEAVING
//!      │    ◀─────────    │                        │
//!      │       stop       │                        │ taken down, by stop or by whoever removes the device
//!      │ leave            ▼                        ▼
//!      └──────────────▶ GONE ◀─────────────────────┘
//! ```
//!
//! The device may be removed at any moment. Once [`Phase::leave`] was called nothing starts any more, so what it found
//! is what there is to take down.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Bound to a device, nothing is allocated.
    Stopped,
    /// The windows are there, the link is enabled.
    Started,
    /// As `Started`, but the device is being removed: yoke is being told.
    Leaving,
    /// The device is not to be touched any more, and nothing is left that does.
    Gone,
}

/// What a step asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Done,
    /// Tell yoke that the device goes; without the lock, since that waits for whoever is in a hot call.
    TellYoke,
    /// Take the link and the windows down; with the lock.
    TakeDown,
}

/// Why nothing can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoStart {
    /// It is started already.
    Started,
    /// The device is gone, or going.
    Gone,
}

impl Phase {
    /// Whether the windows can be set up now; [`Self::started`] follows when they are, under the same hold of the lock.
    pub(crate) fn may_start(self) -> Result<(), NoStart> {
        match self {
            Phase::Stopped => Ok(()),
            Phase::Started => Err(NoStart::Started),
            Phase::Leaving | Phase::Gone => Err(NoStart::Gone),
        }
    }

    /// The windows are there.
    pub(crate) fn started(&mut self) {
        *self = Phase::Started;
    }

    /// yoke wants no more of the link.
    pub(crate) fn stop(&mut self) -> Step {
        match self {
            Phase::Started => {
                *self = Phase::Stopped;
                Step::TakeDown
            }
            Phase::Leaving => {
                *self = Phase::Gone;
                Step::TakeDown
            }
            Phase::Stopped | Phase::Gone => Step::Done,
        }
    }

    /// The device is being removed. After [`Step::TellYoke`] comes [`Self::stop`].
    pub(crate) fn leave(&mut self) -> Step {
        match self {
            Phase::Stopped => {
                *self = Phase::Gone;
                Step::Done
            }
            Phase::Started => {
                *self = Phase::Leaving;
                Step::TellYoke
            }
            Phase::Leaving | Phase::Gone => Step::Done,
        }
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_ntb_phase))]
mod tests {
    use super::*;

    /// What the life of an endpoint can meet, one call after the other, since each holds the lock.
    #[derive(Clone, Copy, PartialEq)]
    enum Call {
        Start,
        Stop,
        Leave,
        /// The second half of a removal.
        Finish,
    }

    /// Plays `calls`: whether there are windows, whether yoke was told before they went, whether any may come back.
    fn play(calls: &[Call]) {
        let mut phase = Phase::Stopped;
        let (mut windows, mut told, mut removed) = (false, false, false);
        for call in calls {
            match call {
                Call::Start => {
                    if phase.may_start().is_ok() {
                        assert!(!removed);
                        phase.started();
                        windows = true;
                        told = false;
                    }
                }
                Call::Stop => {
                    // yoke itself stops: it makes no hot calls.
                    if phase.stop() == Step::TakeDown {
                        windows = false;
                    }
                }
                Call::Leave => {
                    removed = true;
                    told |= phase.leave() == Step::TellYoke;
                }
                Call::Finish => {
                    if phase.stop() == Step::TakeDown {
                        assert!(told || !removed);
                        windows = false;
                    }
                }
            }
            assert_eq!(windows, matches!(phase, Phase::Started | Phase::Leaving));
        }
        if removed && calls.last() == Some(&Call::Finish) {
            assert!(!windows);
        }
    }

    /// Every order of four calls of yoke around the two halves of a removal.
    #[test]
    fn a_device_that_goes_leaves_nothing_behind_in_any_order() {
        let yoke = [Call::Start, Call::Stop];
        for choice in 0u32..16 {
            for leave_at in 0..=4usize {
                for finish_at in leave_at..=4usize {
                    let mut calls = [Call::Finish; 6];
                    let (mut at, mut given) = (0, 0);
                    for place in 0..=4usize {
                        for call in [(leave_at, Call::Leave), (finish_at, Call::Finish)] {
                            if call.0 == place {
                                calls[at] = call.1;
                                at += 1;
                            }
                        }
                        if place < 4 {
                            calls[at] = yoke[(choice >> given & 1) as usize];
                            (at, given) = (at + 1, given + 1);
                        }
                    }
                    play(&calls[..at]);
                }
            }
        }
    }

    #[test]
    fn nothing_starts_twice() {
        let mut phase = Phase::Stopped;
        phase.started();
        assert_eq!(phase.may_start(), Err(NoStart::Started));
        assert_eq!(phase.stop(), Step::TakeDown);
        assert_eq!(phase.may_start(), Ok(()));
    }
}
