// SPDX-License-Identifier: GPL-2.0
//! A queue with a bound: first in, first out, in storage that was there before.

use core::ops::DerefMut;

/// At most as many things as its storage has places.
///
/// What it holds is put in and taken out under the caller's lock: it drops nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Queue<S> {
    room: S,
    /// The place of the oldest. INVARIANT: below `room.len()`, or 0.
    first: usize,
    /// INVARIANT: at most `room.len()`; the places from `first` on, so many, are taken.
    len: usize,
}

impl<T, S: DerefMut<Target = [Option<T>]>> Queue<S> {
    /// An empty queue: what stands in `room` is forgotten.
    pub fn new(mut room: S) -> Self {
        room.fill_with(|| None);
        Self {
            room,
            first: 0,
            len: 0,
        }
    }

    /// How many more fit.
    pub fn free(&self) -> usize {
        self.room.len().saturating_sub(self.len)
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn place(&self, at: usize) -> usize {
        let end = self.first.wrapping_add(at);
        end.checked_rem(self.room.len()).unwrap_or(0)
    }

    /// Appends `item`.
    ///
    /// # Errors
    ///
    /// The item, if there is no room.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        let place = self.place(self.len);
        match self.room.get_mut(place) {
            Some(free @ None) => {
                *free = Some(item);
                self.len = self.len.saturating_add(1);
                Ok(())
            }
            _ => Err(item),
        }
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.room.get_mut(self.first)?.take()?;
        self.first = self.place(1);
        self.len = self.len.saturating_sub(1);
        Some(item)
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_queue))]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_the_bound_holds() {
        let mut room = [Some(9), None, None];
        let mut queue = Queue::new(&mut room[..]);
        assert!(queue.is_empty());
        let mut next = 0;
        let mut taken = 0;
        // Round and round, with every number of things in it.
        for count in [1, 2, 3, 3, 2, 1, 3] {
            for _ in 0..count {
                assert_eq!(queue.push(next), Ok(()));
                next += 1;
            }
            assert_eq!(queue.free(), 3 - count);
            if count == 3 {
                assert_eq!(queue.push(99), Err(99));
            }
            for _ in 0..count {
                assert_eq!(queue.pop(), Some(taken));
                taken += 1;
            }
            assert_eq!(queue.pop(), None);
        }
    }

    #[test]
    fn without_storage_nothing_fits() {
        let mut room = [None; 0];
        let mut queue = Queue::new(&mut room[..]);
        assert_eq!(
            (queue.push(1), queue.pop(), queue.free()),
            (Err(1), None, 0)
        );
    }
}
