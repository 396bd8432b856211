//! What follows from an event.

use serde_json::Value;

use crate::MessagePattern;

/// Something that happens when an event matches.
#[derive(Clone, Debug)]
pub struct EventCondition {
    /// What the event, as it would be sent, has to match.
    pub when: MessagePattern,
    /// What happens then.
    pub then: EventAction,
}

/// What a condition does.
#[derive(Clone, Debug, PartialEq)]
pub enum EventAction {
    /// The event is not sent.
    Skip,
    /// It is the last.
    Stop,
    /// Another event of this type and with this data is sent behind it. No condition is asked about that one.
    Send {
        /// Its type.
        kind: String,
        /// Its data.
        data: Value,
    },
    /// From now on so many events are sent in a second. Rates that are none change nothing.
    Rate(f64),
}

#[cfg(feature = "server")]
impl EventCondition {
    /// What follows from an event by all conditions, in their order.
    pub(super) fn all<'a>(conditions: &'a [Self], event: &'a str) -> impl Iterator<Item = &'a EventAction> {
        conditions.iter().filter(|it| it.when.matches(event)).map(|it| &it.then)
    }
}
