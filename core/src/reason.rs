//! Why a connection closed, how a request ended, or which limit struck: one enum, the same stable text ids in C, Python,
//! metrics and logs. The three facts have counters of their own (`counters.rs`).

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why something ended. Ids are stable and count from 1, in the order of this list; 0 means "none".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in id order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name, such as `header.timeout`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// Either side asked for close and every exchange ended well; of a request: answered in full.
    Complete = "complete",
    /// Descriptors ran out; the longest-idle connection made room.
    AcceptDescriptors = "accept.descriptors",
    /// `max_connections` was met; the longest-idle connection made room.
    AcceptLimit = "accept.limit",
    /// `max_connections_per_ip` was met by this address.
    AcceptPerIp = "accept.per_ip",
    /// No complete PROXY header within `proxy_header_timeout`.
    ProxyTimeout = "proxy.timeout",
    /// The PROXY header is malformed, or its sender is not trusted.
    ProxyInvalid = "proxy.invalid",
    /// No complete ClientHello within `client_hello_timeout`.
    TlsHelloTimeout = "tls.hello_timeout",
    /// The ClientHello is larger than `max_client_hello_bytes`.
    TlsHelloSize = "tls.hello_size",
    /// The handshake did not finish within `handshake_timeout`.
    TlsTimeout = "tls.timeout",
    /// `max_pending_handshakes` was met and this was the oldest.
    TlsPendingLimit = "tls.pending_limit",
    /// Waited for `max_handshakes_per_second` until its deadline.
    TlsRateLimit = "tls.rate_limit",
    /// We refused the handshake with an alert that has no reason of its own.
    TlsAlertSent = "tls.alert_sent",
    /// The peer sent a fatal alert.
    TlsAlertReceived = "tls.alert_received",
    /// No key-exchange group in common with the policy.
    TlsNoGroup = "tls.no_group",
    /// No TLS version in common with the policy.
    TlsNoVersion = "tls.no_version",
    /// No ALPN protocol in common.
    TlsNoProtocol = "tls.no_protocol",
    /// No identity for the server name, and no default.
    TlsNoServerName = "tls.no_server_name",
    /// The client certificate is missing or was refused.
    TlsClientCert = "tls.client_cert",
    /// Plain HTTP on a TLS listener.
    TlsPlaintext = "tls.plaintext",
    /// Malformed TLS before Finished.
    TlsProtocol = "tls.protocol",
    /// Cut in the middle of a message, without close_notify.
    TlsShutdown = "tls.shutdown",
    /// No complete HTTP/2 preface within `h2_preface_timeout`.
    H2PrefaceTimeout = "h2.preface_timeout",
    /// Our SETTINGS were not acknowledged within `h2_settings_timeout`.
    H2SettingsTimeout = "h2.settings_timeout",
    /// The peer broke RFC 9113.
    H2Protocol = "h2.protocol",
    /// `h2_glitch_budget` is spent.
    H2Glitches = "h2.glitches",
    /// `h2_glitch_budget` is spent, on stream resets.
    H2Resets = "h2.resets",
    /// No complete header section within `header_timeout`.
    HeaderTimeout = "header.timeout",
    /// The header section is larger than `max_header_bytes`.
    HeaderBytes = "header.bytes",
    /// More field lines than `max_header_fields`, or cookie crumbs than `max_cookie_fields`.
    HeaderFields = "header.fields",
    /// The request target is longer than `max_target_bytes`.
    HeaderTarget = "header.target",
    /// The header section cannot be parsed.
    HeaderSyntax = "header.syntax",
    /// Parsed, but refused: Host, framing conflict, obs-fold, bare LF.
    HeaderPolicy = "header.policy",
    /// The content is larger than `max_body_bytes`.
    BodySize = "body.size",
    /// No content for `body_idle_timeout`.
    BodyIdle = "body.idle",
    /// Content slower than `min_body_rate`.
    BodyRate = "body.rate",
    /// The content was not complete within `body_timeout`.
    BodyTimeout = "body.timeout",
    /// A chunk line or trailer is malformed.
    BodySyntax = "body.syntax",
    /// The program gave no response head within `handler_timeout`.
    HandlerTimeout = "handler.timeout",
    /// `max_running_handlers`, `max_queued_requests` or `max_handlers_per_connection` was met, or the program refused.
    HandlerCapacity = "handler.capacity",
    /// The program failed, or let the request go unanswered.
    HandlerFailed = "handler.failed",
    /// The peer took nothing for `write_idle_timeout`.
    WriteIdle = "write.idle",
    /// The peer took less than `min_write_rate`.
    WriteRate = "write.rate",
    /// The response was not taken within `response_timeout`.
    WriteTimeout = "write.timeout",
    /// The tail of the response was not taken within `flush_timeout`.
    FlushTimeout = "flush.timeout",
    /// No request within `idle_timeout`.
    IdleTimeout = "idle.timeout",
    /// `max_connection_age` was met.
    Age = "age",
    /// `max_requests_per_connection` was met.
    Requests = "requests",
    /// `max_connection_memory_bytes` or `max_total_memory_bytes` was met.
    Memory = "memory",
    /// The server shuts down.
    Drain = "drain",
    /// The program aborted the exchange.
    ProgramAbort = "program.abort",
    /// The program stopped the server at once.
    ProgramStop = "program.stop",
    /// The peer closed: FIN or close_notify, idle included.
    PeerClosed = "peer.closed",
    /// The peer reset the connection or the stream.
    PeerReset = "peer.reset",
    /// The socket failed in another way.
    Io = "io",
    /// A bug of ours was caught.
    Internal = "internal",
}

impl Reason {
    /// How many reasons there are; also the largest id.
    pub const COUNT: usize = Self::ALL.len();

    /// Whether a connection that closes for it is what the Internet brings: neither an ordinary end nor a fault of ours.
    pub(crate) const fn is_noise(self) -> bool {
        !matches!(
            self,
            Self::Complete
                | Self::IdleTimeout
                | Self::Age
                | Self::Requests
                | Self::Drain
                | Self::ProgramAbort
                | Self::ProgramStop
                | Self::PeerClosed
                | Self::Internal
        )
    }

    /// The stable id, from 1.
    pub const fn id(self) -> u32 {
        self as u32 + 1
    }

    /// The place in [`Reason::ALL`], and among counts by reason.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The reason with this id; `None` for 0 and past the end.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get((id as usize).checked_sub(1)?).copied()
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn ids_count_from_one_in_list_order() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.id() as usize, index + 1);
            assert_eq!(Reason::from_id(reason.id()), Some(*reason));
        }
        assert_eq!(Reason::from_id(0), None);
        assert_eq!(Reason::from_id(Reason::COUNT as u32 + 1), None);
    }
}
