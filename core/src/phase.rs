//! The phases of a connection and of an HTTP/2 stream, in the order in which they are met. A connection is always in exactly
//! one. What bounds each phase stands in `settings.rs`; who enforces it is the file named after the phase.

/// Where a connection, or an HTTP/2 stream, is on its way. Ids are stable: the position in [`Phase::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// From accept until the PROXY header is complete (`proxy_header_timeout`).
    Proxy,
    /// From accept, or the PROXY header's end, until the ClientHello is complete (`client_hello_timeout`).
    Hello,
    /// From accept, or the PROXY header's end, until Finished (`handshake_timeout`; contains [`Phase::Hello`]).
    Handshake,
    /// HTTP/2: from the handshake's end until the client's preface is complete (`h2_preface_timeout`).
    Opening,
    /// Until the header section is complete (`header_timeout`, total).
    Header,
    /// Waiting for content that the program asked for, or that is buffered ahead (`body_idle_timeout`, `min_body_rate`).
    Body,
    /// The program thinks: from dispatch until it hands over a response head (`handler_timeout`).
    Handler,
    /// Octets that the program handed over wait for the peer (`write_idle_timeout`, `min_write_rate`).
    Response,
    /// The last octet is queued but not taken by the peer's window and our socket (`flush_timeout`).
    Flush,
    /// Between requests (`idle_timeout`).
    Idle,
    /// An early answer was sent while content is still coming (`linger_timeout`).
    Linger,
    /// HTTP/2 with at least one open stream; each stream has a phase of its own.
    Streams,
}

impl Phase {
    /// Every phase, in id order.
    pub const ALL: [Self; 12] = [
        Self::Proxy,
        Self::Hello,
        Self::Handshake,
        Self::Opening,
        Self::Header,
        Self::Body,
        Self::Handler,
        Self::Response,
        Self::Flush,
        Self::Idle,
        Self::Linger,
        Self::Streams,
    ];

    /// How many phases there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The stable id: an index into [`Phase::ALL`].
    pub const fn id(self) -> usize {
        self as usize
    }

    /// The stable name, the same in C, Python, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Hello => "hello",
            Self::Handshake => "handshake",
            Self::Opening => "opening",
            Self::Header => "header",
            Self::Body => "body",
            Self::Handler => "handler",
            Self::Response => "response",
            Self::Flush => "flush",
            Self::Idle => "idle",
            Self::Linger => "linger",
            Self::Streams => "streams",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Phase;

    #[test]
    fn ids_are_positions() {
        for (id, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase.id(), id);
        }
    }
}
