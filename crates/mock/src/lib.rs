//! WebSocket mocking: echo, replay, record, proxy, latency, faults and generated events.
//!
//! What a mock does is said by machines without IO: they get frames and the time, and say what is to be sent and when they want to be asked
//! again. So each of them is tested in virtual time, and the same seed gives the same run.

mod frame;

pub use frame::{CloseFrame, Direction, Frame, Time};
