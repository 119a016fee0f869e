// SPDX-License-Identifier: GPL-2.0
//! What happened, line by line, for people. Costs nothing while it is off.

/// A trace of a run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Option<Vec<String>>,
    /// The volume that lines are about, if there are several.
    pub volume: Option<u8>,
}

impl Trace {
    /// Keeps nothing.
    pub const fn off() -> Self {
        Trace {
            lines: None,
            volume: None,
        }
    }

    /// From now on everything is kept.
    pub fn begin(&mut self) {
        self.lines = Some(Vec::new());
    }

    /// Whether anything is kept.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Adds a line about the true time `now_ns`.
    #[inline]
    pub fn line(&mut self, now_ns: u64, words: impl FnOnce() -> String) {
        if self.is_on() {
            self.keep(now_ns, words);
        }
    }

    /// Apart from the rest, which is run millions of times a second, while this hardly ever is.
    #[cold]
    #[inline(never)]
    fn keep(&mut self, now_ns: u64, words: impl FnOnce() -> String) {
        let (ms, us) = (now_ns / 1_000_000, now_ns / 1_000 % 1_000);
        let about = self.volume.map(|v| format!("volume {v}: "));
        let about = about.unwrap_or_default();
        let line = format!("{ms:>6}.{us:03} ms  {about}{}", words());
        self.lines.get_or_insert_with(Vec::new).push(line);
    }

    /// The lines kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or(&[])
    }
}
