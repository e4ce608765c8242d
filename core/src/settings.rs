//! The settings list: every scalar that a program may set, once. It expands to the typed [`Settings`], for
//! Rust, and to [`TABLE`], from which C, Python, the command line and the documents are made
//! (`tests/tests/generated.rs`).
//!
//! Identities, policies, trust lists, handlers and hooks are typed functions elsewhere. What a row does
//! stands in the file of its phase; how values are spelled in `text.rs`, overrides and rules between rows in
//! `layers.rs`.

mod layers;
mod table;
mod text;
mod value;

pub use layers::Overrides;
pub use table::{Level, Setting, Unit, setting, setting_at};
pub use value::{AUTO, OFF, OrAuto, ProxyProtocol};

use std::time::Duration;

use layers::Written;
use table::settings;
use value::Value;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;
const TIB: i64 = 1 << 40;

// The floor of the clocks, 10 ms, is below what any network peer could keep: it is there so that tests of
// embedding programs need not wait. The ceilings are where a limit stops being one.
settings! {
    /// Bounds the reactor threads; auto is one per available core, at most 16.
    /// Each costs a thread, its buffers and its share of the connections, which stay on it for ever.
    /// The peer sees nothing.
    io_threads: OrAuto<usize> as Count = AUTO, 1..=256, [];

    /// Bounds the threads that run handlers in workers mode; auto follows the available cores.
    /// Each costs a thread that stays attached to the program's virtual machine for life.
    /// With all of them busy requests wait, up to max_queued_requests.
    worker_threads: OrAuto<usize> as Count = AUTO, 1..=1_024, [];

    /// Bounds the connections that the kernel completes before we accept them.
    /// Too short a queue drops honest newcomers in a burst; the kernel may have a smaller cap of its own.
    /// Beyond it the peer's SYN goes unanswered and is sent again.
    backlog: u32 as Count = 1_024, 1..=65_535, [L];

    /// Bounds the open connections; auto is the descriptor limit less a reserve, at most 100000.
    /// Each costs a descriptor and memory; without a bound a flood takes every descriptor of the process.
    /// At the limit the longest-idle connection is closed, and with none idle newcomers wait in the kernel.
    max_connections: OrAuto<usize> as Count = AUTO, 1..=1_000_000, [];

    /// Bounds the open connections of one client address, for IPv6 of one /64.
    /// Stops one host from taking every slot; off by default, since many clients may share an address.
    /// A newcomer beyond it is closed without an answer.
    max_connections_per_ip: Option<usize> as Count = OFF, 1..=1_000_000, [L];

    /// Demands a PROXY protocol header in front of every connection, from the trusted sources.
    /// Believed from anyone it would let every client choose its address, so sources must be named.
    /// A connection without a valid one is closed without an answer.
    proxy_protocol: ProxyProtocol as Choice = 0, 0..=3, [L];

    /// Bounds the time from accept until the PROXY header is complete.
    /// Stops silent connections from holding a slot; an honest proxy sends it in the first segment.
    /// At the limit the connection is closed without an answer.
    proxy_header_timeout: Duration as Millis = 5 * SECOND, 10..=HOUR, [L];

    /// Bounds the time from accept, or the PROXY header's end, until the ClientHello is complete.
    /// Stops silent and dripping connections before they cost any cryptography.
    /// At the limit the connection is closed without an answer.
    client_hello_timeout: Duration as Millis = 5 * SECOND, 10..=HOUR, [L];

    /// Bounds the octets that bring a ClientHello, the heads of its records included.
    /// Stops a peer from filling memory before it is known; a post-quantum one has about 2 KiB.
    /// At the limit the connection is closed, after an alert where TLS allows.
    max_client_hello_bytes: usize as Bytes = 16 * KIB, 64..=65_535, [L]; // rustls takes no longer message

    /// Bounds the time from accept, or the PROXY header's end, until the TLS handshake is finished.
    /// Stops half-open handshakes, which hold a slot and keys; it contains client_hello_timeout.
    /// At the limit an alert is sent if one applies, and the connection is closed.
    handshake_timeout: Duration as Millis = 10 * SECOND, 10..=HOUR, [L N];

    /// Bounds the connections that are in the handshake at once.
    /// Stops a flood of half-open handshakes; each costs its buffers, and its cryptography once it goes on.
    /// At the limit the oldest without a complete ClientHello is closed, so honest newcomers keep getting in.
    max_pending_handshakes: usize as Count = 512, 1..=1_000_000, [L];

    /// Bounds the handshakes that begin in a second.
    /// Stops a flood of them from taking every core, since one costs us far more than the peer.
    /// Beyond it a newcomer waits unread, until its client_hello_timeout.
    max_handshakes_per_second: Option<u32> as Count = OFF, 1..=1_000_000, [L];

    /// Offers HTTP/2, by ALPN on TLS and by prior knowledge on cleartext.
    /// Switched off, none of its state machines and header compression can be reached.
    /// The peer negotiates HTTP/1.1, or has its HTTP/2 preface refused.
    http2: bool as Switch = 1, 0..=1, [L];

    /// Bounds the time from the handshake's end until the HTTP/2 preface is complete.
    /// Stops peers that finish the handshake and then stay silent.
    /// At the limit the connection is closed without an answer.
    h2_preface_timeout: Duration as Millis = 5 * SECOND, 10..=HOUR, [L];

    /// Bounds the time until the peer acknowledges our SETTINGS.
    /// Until then our stream and window limits do not bind it.
    /// At the limit it gets GOAWAY SETTINGS_TIMEOUT.
    h2_settings_timeout: Duration as Millis = 10 * SECOND, 10..=HOUR, [L];

    /// Bounds the time in which a header section must be complete, in total.
    /// Stops the slow drip of header octets (Slowloris): progress does not extend it.
    /// At the limit HTTP/1 answers 408 and closes; HTTP/2 sends GOAWAY ENHANCE_YOUR_CALM.
    header_timeout: Duration as Millis = 10 * SECOND, 10..=HOUR, [L];

    /// Bounds the header section exactly: octets in HTTP/1, list size (RFC 9113 6.5.2) in HTTP/2.
    /// Stops peers from filling memory with fields, compressed ones too, that no program reads.
    /// Beyond it the answer is 431, or 414 inside the request line, and HTTP/1 closes.
    max_header_bytes: usize as Bytes = 16 * KIB, 64..=MIB, [L N];

    /// Bounds the field lines of a header section, pseudo-fields not counted.
    /// Stops many tiny fields, whose bookkeeping costs more than their octets.
    /// Beyond it the answer is 431, and HTTP/1 closes.
    max_header_fields: usize as Count = 100, 1..=1_000, [L N]; // httparse fills an array of as many slots

    /// Bounds the cookie crumbs of an HTTP/2 header section, which are counted apart from other fields.
    /// Stops crumbs by the thousand; honest browsers send one per cookie.
    /// Beyond it the answer is 431.
    max_cookie_fields: usize as Count = 200, 1..=10_000, [L N];

    /// Bounds the octets of the request target.
    /// Stops targets that only burden routers and logs.
    /// Beyond it the answer is 414, and HTTP/1 closes.
    max_target_bytes: usize as Bytes = 8 * KIB, 1..=65_534, [L N]; // `http::Uri` holds no more

    /// Bounds the octets of a request's content.
    /// Stops uploads that the program did not ask for; a handler may raise it before it reads.
    /// Beyond it the answer is 413, and the program's read gives a typed error.
    max_body_bytes: Option<u64> as Bytes = 16 * MIB, 0..=TIB, [L Q];

    /// Bounds the announced content that is read ahead and delivered together with the request.
    /// Costs as much memory per waiting request, and saves the program a read.
    /// The peer sees nothing; content that Expect: 100-continue announces is never read ahead.
    buffer_body_bytes: usize as Bytes = 64 * KIB, 0..=16 * MIB, [L];

    /// Bounds the pause between two pieces of content while the program, or read-ahead, waits for one.
    /// Stops uploads that go silent; off leaves that to min_body_rate and body_timeout.
    /// At the limit the answer is 408, and HTTP/1 closes.
    body_idle_timeout: Option<Duration> as Millis = 15 * SECOND, 10..=DAY, [L Q];

    /// Bounds from below the rate at which awaited content arrives, after min_rate_grace.
    /// Stops the slow drip of content (R.U.D.Y.), which no idle limit sees; off lets it go on.
    /// At the limit the answer is 408, and HTTP/1 closes.
    min_body_rate: Option<u64> as Rate = 240, 1..=GIB, [L Q];

    /// Bounds the credit of seconds that min_body_rate and min_write_rate start with and can save up.
    /// Costs that much time to an attacker per request; too little of it cuts honest peers on lossy links.
    /// When the credit is gone the rate's own limit strikes.
    min_rate_grace: Duration as Millis = 20 * SECOND, 100..=HOUR, [L Q];

    /// Bounds the time that is spent waiting for content, in total.
    /// Stops endless uploads at the minimum rate; off by default, since honest ones may be large.
    /// At the limit the answer is 408, and HTTP/1 closes.
    body_timeout: Option<Duration> as Millis = OFF, 10..=DAY, [L Q];

    /// Bounds the time from dispatch until the program gives a response head; reading is not counted.
    /// Stops a stuck program from holding connections; its callback cannot be stopped and keeps its slot.
    /// At the limit the answer is 504; HTTP/1 closes if the request was not read to its end.
    handler_timeout: Option<Duration> as Millis = 30 * SECOND, 10..=DAY, [L Q];

    /// Bounds the requests that are delivered to the program and not yet released.
    /// Stops overload from piling up in the program; a reset by the peer frees no slot.
    /// Beyond it the answer is 503 with Retry-After.
    max_running_handlers: usize as Count = 4_096, 1..=1_000_000, [];

    /// Bounds the requests that wait for a worker or in a queue.
    /// A longer queue only turns overload into delay; none at all would refuse every request of a queue.
    /// Beyond it the answer is 503 with Retry-After.
    max_queued_requests: usize as Count = 1_024, 1..=1_000_000, [];

    /// Bounds the running handlers of one connection.
    /// Stops one HTTP/2 peer that opens and resets streams from taking every slot.
    /// Beyond it the answer is 503 with Retry-After.
    max_handlers_per_connection: usize as Count = 100, 1..=10_000, [L];

    /// Bounds how long an inline callback may hold its reactor before it is reported.
    /// A callback that blocks delays every handshake and deadline of its reactor; off reports nothing.
    /// The peer sees nothing but the delay.
    inline_stall: Option<Duration> as Millis = 100, 10..=HOUR, [];

    /// Bounds the time in which the peer takes nothing of what the program handed over.
    /// Stops readers that close their window (slow read); off leaves that to min_write_rate.
    /// At the limit the connection, or the HTTP/2 stream, is reset.
    write_idle_timeout: Option<Duration> as Millis = 30 * SECOND, 10..=DAY, [L Q];

    /// Bounds from below the rate at which the peer takes a response, after min_rate_grace.
    /// Stops readers that take an octet now and then; off lets those hold response memory.
    /// At the limit the connection, or the HTTP/2 stream, is reset.
    min_write_rate: Option<u64> as Rate = 240, 1..=GIB, [L Q];

    /// Bounds the time in which a response waits for the peer, in total.
    /// Stops endless downloads that keep the minimum rate; off by default, since honest ones may be large.
    /// At the limit the connection, or the HTTP/2 stream, is reset.
    response_timeout: Option<Duration> as Millis = OFF, 10..=DAY, [L Q];

    /// Bounds the time in which the tail of a finished response must be taken.
    /// Stops readers that hold a buffer which the program has long forgotten.
    /// At the limit the connection, or the HTTP/2 stream, is reset.
    flush_timeout: Duration as Millis = 15 * SECOND, 10..=HOUR, [L];

    /// Bounds the time between requests; an HTTP/2 PING is not activity.
    /// Each costs a descriptor and a few KiB; too short a time costs honest clients new handshakes.
    /// At the limit HTTP/1 is closed; HTTP/2 gets GOAWAY NO_ERROR first.
    idle_timeout: Duration as Millis = 75 * SECOND, 10..=DAY, [L];

    /// Bounds the life of a connection, spread by a tenth so that not all return at once.
    /// Stops peers from outliving certificates, balancing and bans; off lets them.
    /// The next answer says connection: close, or a two-step GOAWAY; requests in flight complete.
    max_connection_age: Option<Duration> as Millis = HOUR, 10..=30 * DAY, [L];

    /// Bounds the requests of one connection.
    /// Spreads busy clients over the processes behind one address; off by default.
    /// The last answer says connection: close, or a two-step GOAWAY; requests in flight complete.
    max_requests_per_connection: Option<u32> as Count = OFF, 1..=1_000_000_000, [L];

    /// Bounds the open streams of an HTTP/2 connection.
    /// Each costs its state, its header section and perhaps a handler.
    /// Beyond it streams are refused with REFUSED_STREAM.
    h2_max_concurrent_streams: u32 as Count = 100, 1..=10_000, [L];

    /// Bounds the octets that the peer may send on one stream before the program read them.
    /// Costs as much memory per stream, within the connection's window; less slows distant uploads.
    /// The peer has to wait for WINDOW_UPDATE.
    h2_stream_window_bytes: u32 as Bytes = 256 * KIB, KIB..=(1 << 31) - 1, [L];

    /// Bounds the octets that the peer may send on all streams together before the program read them.
    /// Costs as much memory per connection; HTTP/2 allows no less than 65535 (RFC 9113 6.9.2).
    /// The peer has to wait for WINDOW_UPDATE.
    h2_connection_window_bytes: u32 as Bytes = MIB, 65_535..=(1 << 31) - 1, [L];

    /// Bounds the octets of a response that HTTP/2 holds for the peer's window.
    /// Costs as much memory per stream that the peer does not read.
    /// The peer sees nothing; the program's write has to wait.
    h2_send_buffer_bytes: usize as Bytes = 64 * KIB, KIB..=16 * MIB, [L];

    /// Bounds the resets, PING, SETTINGS and tiny frames of an HTTP/2 peer; 10 a second are forgiven.
    /// Stops floods of frames that cost us more than the peer (rapid reset and its kin).
    /// At 75 % it gets GOAWAY NO_ERROR, at 100 % GOAWAY ENHANCE_YOUR_CALM and the connection is closed.
    h2_glitch_budget: u32 as Count = 100, 1..=1_000_000, [L];

    /// Bounds the memory of one connection: our buffers, TLS and HTTP state.
    /// Stops one peer from holding much more than its share.
    /// The peer is slowed down: windows shrink to fit. What cannot be slowed down, such as heads, closes it.
    max_connection_memory_bytes: usize as Bytes = 4 * MIB, 64 * KIB..=GIB, [L];

    /// Bounds the memory of all connections and of the requests that the program keeps.
    /// Stops a crowd from exhausting the host; off by default, since only the program knows its share.
    /// The longest idle, then stalled connections are closed; with none left the answer is 503 with Retry-After.
    max_total_memory_bytes: Option<u64> as Bytes = OFF, MIB..=TIB, [];

    /// Bounds the time in which an unread request is still drained after an early answer.
    /// Without it the reset that follows could destroy the answer; longer helps only attackers.
    /// The answer arrives, then the connection is closed.
    linger_timeout: Duration as Millis = 2 * SECOND, 10..=HOUR, [L];

    /// Bounds the octets of an unread request that are drained after an early answer.
    /// Costs as much bandwidth per refused upload; 0 closes at once.
    /// The answer arrives, then the connection is closed.
    max_linger_bytes: u64 as Bytes = 256 * KIB, 0..=GIB, [L];

    /// Bounds the time from shutdown until every connection is closed, where the call names none.
    /// Lets requests in flight complete; a stuck one cannot hold the host for longer.
    /// Idle connections close at once, answers say connection: close; at the limit the rest is reset.
    drain_timeout: Duration as Millis = 30 * SECOND, 0..=DAY, [];

    /// Bounds the silence on a socket before the kernel probes the peer, in whole seconds rounded up.
    /// Finds peers that vanished without a word while no other clock runs; off never probes.
    /// A live peer's kernel answers the probe; a vanished one's connection ends.
    tcp_keepalive_idle: Option<Duration> as Millis = 15 * SECOND, SECOND..=9 * HOUR, [L]; // Linux: 32767 s

    /// Bounds the time between two probes, in whole seconds rounded up.
    /// Costs a segment per probe; with tcp_keepalive_probes it says how soon a vanished peer is found.
    /// A live peer's kernel answers the probe.
    tcp_keepalive_interval: Duration as Millis = 15 * SECOND, SECOND..=9 * HOUR, [L];

    /// Bounds the probes that may go unanswered.
    /// Too few cut honest peers on lossy links.
    /// At the limit the connection ends without a word, since nobody hears it.
    tcp_keepalive_probes: u32 as Count = 9, 1..=127, [L]; // Linux takes no more

    /// Answers every request of a cleartext listener with a redirect to https.
    /// Keeps content off the wire in the clear; handlers of that listener are never called.
    /// The answer is 308 to the same host and target.
    redirect_to_https: bool as Switch = 0, 0..=1, [L];

    /// Demands that browsers use TLS only, for this long in whole seconds; sent on TLS listeners only.
    /// Stops downgrades to cleartext; it cannot be taken back early except by sending 0.
    /// Answers carry strict-transport-security.
    hsts_max_age: Option<Duration> as Millis = OFF, 0..=3_650 * DAY, [L N];
}
