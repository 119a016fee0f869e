// SPDX-License-Identifier: GPL-2.0
//! What the checkers object to: of which kind it is, and in words.

use std::fmt;

/// Kinds of violations: failures are counted by it, and a search for what a rule is there for names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An acknowledged or a read value is gone, or one that was gone is back.
    Lost,
    /// Half of a block is of one write, half of another.
    Torn,
    /// A request was refused, and has been done all the same.
    Ghost,
    /// A controller acted after a later owner had.
    TwoOwners,
    /// A controller wrote the block of another node.
    ForeignBlock,
    /// The machine asks for, or answers, what makes no sense.
    Disorder,
    /// Something is not answered, or not healthy again, in time.
    Stuck,
    /// Nobody serves, though somebody must.
    Refused,
    /// A run takes more events than any in order.
    Endless,
    /// The core panicked.
    Panic,
}

/// One objection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Violation {
    /// Its kind.
    pub kind: Kind,
    /// What is wrong, for people.
    pub words: String,
}

impl Violation {
    /// An objection of this kind, in these words.
    pub fn new(kind: Kind, words: impl Into<String>) -> Self {
        Violation {
            kind,
            words: words.into(),
        }
    }

    /// The words without numbers, details and lists: the same for failures that look alike.
    pub fn pattern(&self) -> String {
        let end = self
            .words
            .find([';', '[', '{', '('])
            .unwrap_or(self.words.len());
        let mut pattern = String::new();
        for c in self.words[..end].chars() {
            match c {
                '0'..='9' if pattern.ends_with('#') => {}
                '0'..='9' => pattern.push('#'),
                _ => pattern.push(c),
            }
        }
        pattern.trim_end().to_string()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_look_alike_have_one_pattern() {
        let words = |block: u32, got: u32| {
            let words = format!("lost: read of block {block} returned {got}, allowed were [1, 2]");
            Violation::new(Kind::Lost, words).pattern()
        };
        assert_eq!(words(1, 292), words(20, 3));
        assert_eq!(
            words(1, 2),
            "lost: read of block # returned #, allowed were"
        );
    }
}
