// SPDX-License-Identifier: GPL-2.0

//! How the two ends of a bridge that translates at the sending end agree on where memory is. Pure: who holds the lock
//! around it takes each step as a whole.
//!
//! ```text
//!            heard of the peer, and it     it has pointed
//!            of us; window pointed         its window, too
//!   HELLO ──────────────────────────▶ SET ───────────────▶ UP
//!     ▲ ▲                              │                    │
//!     │ └──────────────────────────────┴────────────────────┘
//!     │    the link was down, or the peer is not what was agreed on: the window is withdrawn first
//!     │ hears anything else                          hears BYE, withdraws
//!    GONE ◀───────────────────────────────────────────────── any       any ──leave──▶ BYE
//! ```
//!
//! What the peer says of its memory is believed only if it names our present life. Lives change with every down, so it
//! was said after the last one; letters arrive in the order they were written, so nothing older comes later. All of a
//! letter but the address has been checked; the address is the peer's own.

use crate::{
    fit::SIZE_MIN,
    letter::{Letter, Place, Stage, LIFE_LAST},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Exchange {
    own: Place,
    /// What our window can lead to at most.
    reach: u64,
    life: u16,
    stage: Stage,
    /// The last that the peer said in this life.
    heard: Option<Letter>,
    /// The bridge did not take the place that the peer said.
    refused: bool,
    /// The stage and the echo that the registers took last, in this life.
    told: Option<(Stage, u16)>,
    /// Whether the peer may have its window pointed at our memory.
    exposed: bool,
}

impl Exchange {
    /// With own memory at `own`, and a window onto the peer's of `reach` bytes. `seed`: anything, better another one than
    /// the last time.
    pub(crate) fn new(own: Place, reach: u64, seed: u32) -> Self {
        Exchange {
            own,
            reach,
            life: (seed % u32::from(LIFE_LAST)) as u16 + 1,
            stage: Stage::Hello,
            heard: None,
            refused: false,
            told: None,
            exposed: false,
        }
    }

    /// The link was down. The window is withdrawn, and what stood in the registers thrown away.
    pub(crate) fn restart(&mut self) {
        self.life = self.life % LIFE_LAST + 1;
        self.stage = Stage::Hello;
        self.heard = None;
        self.refused = false;
        self.told = None;
    }

    /// Takes the peer's letter. Whether the window has to be withdrawn now, since the peer is not what was agreed on.
    #[must_use]
    pub(crate) fn hear(&mut self, letter: Letter) -> bool {
        let knows_us = letter.echo == self.life;
        let leaves_us = matches!(letter.stage, Stage::Bye | Stage::Gone);
        if leaves_us && knows_us {
            self.exposed = false;
        }
        if self.stage == Stage::Bye {
            return false;
        }
        let pointed = matches!(self.stage, Stage::Set | Stage::Up);
        let before = self.heard.replace(letter);
        let same = before.is_some_and(|old| (old.life, old.place) == (letter.life, letter.place));
        self.refused &= same;
        if letter.stage == Stage::Bye {
            self.stage = Stage::Gone;
            return pointed;
        }
        if !pointed || !same || !knows_us || leaves_us {
            self.stage = Stage::Hello;
            return pointed;
        }
        if letter.stage != Stage::Hello {
            self.stage = Stage::Up;
        }
        false
    }

    /// Where to point the window, if that has to be done now; [`Self::pointed`] or [`Self::refused`] follows.
    pub(crate) fn wants(&self) -> Option<Place> {
        let letter = self.heard.filter(|_| self.stage == Stage::Hello)?;
        let stays = !matches!(letter.stage, Stage::Bye | Stage::Gone);
        let fits = (SIZE_MIN..=self.reach).contains(&letter.place.size());
        (stays && fits && !self.refused && letter.echo == self.life).then_some(letter.place)
    }

    /// The window leads where it should.
    pub(crate) fn pointed(&mut self) {
        let both = self
            .heard
            .is_some_and(|letter| matches!(letter.stage, Stage::Set | Stage::Up));
        self.stage = if both { Stage::Up } else { Stage::Set };
    }

    /// The bridge does not take the place: not before the peer says another one, or it is [`Self::tried_again`].
    pub(crate) fn refused(&mut self) {
        self.refused = true;
    }

    /// The bridge may take by now what it did not.
    pub(crate) fn tried_again(&mut self) {
        self.refused = false;
    }

    fn echo(&self) -> u16 {
        self.heard.map_or(0, |letter| letter.life)
    }

    /// What to say; [`Self::told`] follows if the registers take it.
    pub(crate) fn say(&mut self) -> Letter {
        // The peer may hear it, whatever the registers say.
        self.exposed |= matches!(self.stage, Stage::Hello | Stage::Set | Stage::Up);
        Letter {
            life: self.life,
            echo: self.echo(),
            stage: self.stage,
            place: self.own,
        }
    }

    /// The registers took it.
    pub(crate) fn told(&mut self) {
        self.told = Some((self.stage, self.echo()));
    }

    /// Whether there is something that the peer was not told yet. What it was told is repeated now and then, until it is
    /// [`Self::settled`], and no sooner: else two ends that cannot agree would keep each other busy.
    pub(crate) fn has_news(&self) -> bool {
        self.told != Some((self.stage, self.echo()))
    }

    /// Whether nothing is left to do unless the peer speaks.
    pub(crate) fn settled(&self) -> bool {
        let agreed = self.heard.is_some_and(|letter| letter.stage == Stage::Up);
        let end = self.stage == Stage::Gone || self.stage == Stage::Up && agreed;
        end && !self.has_news()
    }

    /// How much of the peer's memory may be used: 0 until both have agreed.
    pub(crate) fn reach(&self) -> u64 {
        self.heard
            .filter(|_| self.stage == Stage::Up)
            .map_or(0, |letter| letter.place.size())
    }

    /// We go, and the window is withdrawn.
    pub(crate) fn leave(&mut self) {
        self.stage = Stage::Bye;
    }

    /// Whether the peer may write our memory, for all that it has said.
    pub(crate) fn is_exposed(&self) -> bool {
        self.exposed
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_ntb_exchange))]
mod tests {
    use super::*;
    use crate::exchange_model::Pair;

    const MIB: u64 = 1 << 20;

    fn place(address: u64, size: u64) -> Place {
        Place::new(address, size).unwrap_or_else(|| unreachable!())
    }

    /// One end, whose peer says what the test wants.
    struct One {
        end: Exchange,
        life: u16,
    }

    impl One {
        fn new() -> Self {
            let mut end = Exchange::new(place(0, MIB), MIB, 7);
            let life = end.say().life;
            One { end, life }
        }

        /// The peer's life 5, with memory at `at`: whether we withdraw the window, and what we are then.
        fn hears(&mut self, stage: Stage, echo: u16, at: u64) -> (bool, Stage, bool) {
            let place = place(at, MIB);
            let withdraw = self.end.hear(Letter {
                life: 5,
                echo,
                stage,
                place,
            });
            let points = self.end.wants() == Some(place);
            if points {
                self.end.pointed();
            }
            (withdraw, self.end.stage, points)
        }

        fn up() -> Self {
            let mut one = One::new();
            let life = one.life;
            assert_eq!(one.hears(Stage::Set, life, MIB), (false, Stage::Up, true));
            assert_eq!(one.end.reach(), MIB);
            one
        }
    }

    #[test]
    fn both_have_to_know_each_other() {
        let mut one = One::new();
        let life = one.life;
        let steps = [
            // It does not know us, or a life of ours that is over.
            (Stage::Hello, 0, (false, Stage::Hello, false)),
            (Stage::Set, life + 1, (false, Stage::Hello, false)),
            (Stage::Up, life - 1, (false, Stage::Hello, false)),
            (Stage::Hello, life, (false, Stage::Set, true)),
            (Stage::Hello, life, (false, Stage::Set, false)),
            (Stage::Set, life, (false, Stage::Up, false)),
            (Stage::Up, life, (false, Stage::Up, false)),
        ];
        for (stage, echo, after) in steps {
            assert_eq!(one.hears(stage, echo, MIB), after);
            assert_eq!(one.end.reach(), if after.1 == Stage::Up { MIB } else { 0 });
        }
    }

    #[test]
    fn what_was_agreed_on_ends_when_the_peer_is_another() {
        let life = One::new().life;
        let cases = [
            // Other memory: agreed on anew at once, since it is said to us.
            (Stage::Set, life, 2 * MIB, (true, Stage::Up, true)),
            (Stage::Hello, life, 2 * MIB, (true, Stage::Set, true)),
            (Stage::Hello, 0, MIB, (true, Stage::Hello, false)),
            (Stage::Up, life + 1, MIB, (true, Stage::Hello, false)),
            (Stage::Bye, life, MIB, (true, Stage::Gone, false)),
            (Stage::Bye, 0, MIB, (true, Stage::Gone, false)),
            (Stage::Gone, life, MIB, (true, Stage::Hello, false)),
            (Stage::Hello, life, MIB, (false, Stage::Up, false)),
            (Stage::Set, life, MIB, (false, Stage::Up, false)),
        ];
        for (stage, echo, at, after) in cases {
            assert_eq!(One::up().hears(stage, echo, at), after);
        }
        let mut one = One::up();
        one.end.restart();
        assert_eq!(one.end.reach(), 0);
        assert_eq!(
            one.hears(Stage::Up, life, MIB),
            (false, Stage::Hello, false)
        );
    }

    #[test]
    fn what_does_not_fit_is_left_alone() {
        let mut one = One::new();
        let large = Letter {
            life: 5,
            echo: one.life,
            stage: Stage::Hello,
            place: place(0, MIB + 4096),
        };
        let tiny = Letter {
            place: place(0, 4096),
            ..large
        };
        for letter in [large, tiny] {
            assert!(!one.end.hear(letter));
            assert_eq!(one.end.wants(), None);
        }
        let small = Letter {
            place: place(0, MIB),
            ..large
        };
        assert!(!one.end.hear(small));
        one.end.refused();
        assert!(!one.end.hear(small));
        assert_eq!(one.end.wants(), None);
        one.end.tried_again();
        assert_eq!(one.end.wants(), Some(place(0, MIB)));
        one.end.refused();
        // Nothing new, so it is not said again at once.
        one.end.told();
        assert!(!one.end.hear(small));
        assert!(!one.end.has_news() && !one.end.settled());
    }

    #[test]
    fn memory_is_free_once_the_peer_has_said_so() {
        let mut one = One::up();
        assert_eq!(one.end.say().stage, Stage::Up);
        one.end.leave();
        let life = one.life;
        for (stage, echo, exposed) in [
            (Stage::Up, life, true),
            (Stage::Gone, life - 1, true),
            (Stage::Gone, life, false),
        ] {
            assert_eq!(one.hears(stage, echo, MIB), (false, Stage::Bye, false));
            assert_eq!(one.end.is_exposed(), exposed);
        }
    }

    #[test]
    fn two_ends_agree_whatever_happens_and_never_on_what_is_over() {
        for seed in 1..=60 {
            let mut pair = Pair::new(seed);
            for _ in 0..300 {
                pair.anything();
                pair.check();
            }
            pair.calm_down();
        }
    }
}
