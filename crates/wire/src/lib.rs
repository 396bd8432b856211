//! Messages, codecs and limits of the Rejoin protocol.
