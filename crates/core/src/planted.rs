//! Faults of the engine itself, which simulated worlds must find. Without the feature `planted` there are none.

/// A fault of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The authority accepts a change that has an outcome once more.
    AcceptRepeats,
    /// The authority takes the changes of a push from the last to the first.
    SwapOrder,
    /// Of a change that has several operations only the first half takes effect.
    HalfPatches,
    /// The authority overwrites what a change's author had not seen, and leaves no record.
    OmitRecords,
    /// A record of a conflict says that something else stood there before.
    FalsifyRecords,
    /// A change is said to be saved as soon as it is made.
    SaveEarly,
}

/// The fault that is planted in a replica, if one is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planted(#[cfg(feature = "planted")] pub(crate) Option<Fault>);

impl Planted {
    #[cfg(feature = "planted")]
    pub(crate) fn is(self, fault: Fault) -> bool {
        self.0 == Some(fault)
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) const fn is(self, _: Fault) -> bool {
        false
    }
}

/// What [`Fault::FalsifyRecords`] says stood there.
pub const STRAY: char = '\u{10_fffd}';
