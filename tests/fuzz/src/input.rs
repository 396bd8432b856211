//! Choices out of bytes.

/// Bytes that are read as choices; zeros when they end, so that a shorter input is a simpler case.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub(crate) fn pair(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number below `count`, which is not zero and at most 256.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub(crate) fn pick<'b, T>(&mut self, some: &'b [T]) -> &'b T {
        &some[usize::from(self.pair()) % some.len()]
    }

    /// True so many times in 256.
    pub(crate) fn chance(&mut self, in_256: u16) -> bool {
        u16::from(self.byte()) < in_256
    }

    /// Up to so many of the bytes that follow.
    pub(crate) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Changes up to three bytes.
    pub(crate) fn spoil(&mut self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        for _ in 0..=self.below(3) {
            let at = usize::from(self.pair()) % bytes.len();
            bytes[at] ^= self.byte();
        }
    }
}
