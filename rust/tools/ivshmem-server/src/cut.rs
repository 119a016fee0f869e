// SPDX-License-Identifier: GPL-2.0
//! Whether the link is cut, and when a mend may show. Pure: time is a parameter.

use std::time::{Duration, Instant};

/// State of the cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Doorbells pass; the flag is clear.
    Whole,
    /// Doorbells vanish; the flag is set since then.
    Cut { since: Instant },
    /// As `Cut`, and a mend has been asked for that will show at `due`.
    Mending { due: Instant },
}

/// What a request or the passing of time has to change for everybody to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Change {
    /// Nothing.
    None,
    /// Show the cut with this down count, forget doorbells under way, ring both sides.
    ShowCut(u64),
    /// Show the mend, ring both sides.
    ShowMend,
}

/// The cable between the sides.
#[derive(Debug)]
pub struct Cable {
    state: State,
    min_down: Duration,
    down_count: u64,
}

impl Cable {
    /// A whole cable that stays down for at least `min_down` when cut.
    pub fn new(min_down: Duration) -> Self {
        Self {
            state: State::Whole,
            min_down,
            down_count: 0,
        }
    }

    /// Whether doorbells vanish.
    pub fn is_cut(&self) -> bool {
        self.state != State::Whole
    }

    /// How often the link was cut.
    pub fn down_count(&self) -> u64 {
        self.down_count
    }

    /// When [`Self::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Mending { due } => Some(due),
            State::Whole | State::Cut { .. } => None,
        }
    }

    /// Cuts. A link that is cut already stays so, and a mend under way is called
    /// off: that is a new cut only once the flag has been seen clear.
    pub fn cut(&mut self, now: Instant) -> Change {
        match self.state {
            State::Whole => {
                self.down_count += 1;
                self.state = State::Cut { since: now };
                Change::ShowCut(self.down_count)
            }
            State::Cut { .. } => Change::None,
            State::Mending { due } => {
                self.state = State::Cut {
                    since: due - self.min_down,
                };
                Change::None
            }
        }
    }

    /// Asks for a mend, which shows at once or when the shortest down time is over.
    pub fn mend(&mut self, now: Instant) -> Change {
        if let State::Cut { since } = self.state {
            self.state = State::Mending {
                due: since + self.min_down,
            };
        }
        self.tick(now)
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Instant) -> Change {
        match self.state {
            State::Mending { due } if due <= now => {
                self.state = State::Whole;
                Change::ShowMend
            }
            _ => Change::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(20);

    #[test]
    fn mend_waits_for_the_shortest_down_time() {
        let start = Instant::now();
        let mut cable = Cable::new(MIN);
        assert_eq!(cable.cut(start), Change::ShowCut(1));
        assert_eq!(cable.mend(start + MIN / 2), Change::None);
        assert!(cable.is_cut());
        assert_eq!(cable.deadline(), Some(start + MIN));
        assert_eq!(
            cable.tick(start + MIN - Duration::from_nanos(1)),
            Change::None
        );
        assert_eq!(cable.tick(start + MIN), Change::ShowMend);
        assert!(!cable.is_cut());
        assert_eq!(cable.deadline(), None);
    }

    #[test]
    fn late_mend_shows_at_once() {
        let start = Instant::now();
        let mut cable = Cable::new(MIN);
        let _ = cable.cut(start);
        assert_eq!(cable.mend(start + MIN * 2), Change::ShowMend);
    }

    #[test]
    fn only_a_whole_link_can_be_cut_again() {
        let start = Instant::now();
        let mut cable = Cable::new(MIN);
        assert_eq!(cable.mend(start), Change::None);
        let _ = cable.cut(start);
        assert_eq!(cable.cut(start + MIN), Change::None);
        assert_eq!(cable.down_count(), 1);
        let _ = cable.mend(start + MIN);
        assert_eq!(cable.cut(start + MIN), Change::ShowCut(2));
    }

    #[test]
    fn cut_calls_a_pending_mend_off() {
        let start = Instant::now();
        let mut cable = Cable::new(MIN);
        let _ = cable.cut(start);
        let _ = cable.mend(start);
        assert_eq!(cable.cut(start), Change::None);
        assert_eq!(cable.tick(start + MIN * 3), Change::None);
        assert!(cable.is_cut());
        // The shortest time still counts from the first cut.
        assert_eq!(cable.mend(start + MIN), Change::ShowMend);
    }
}
