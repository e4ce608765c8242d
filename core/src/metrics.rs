//! The numbers as OpenMetrics 1.0 text: every family from the start, every reason and phase with 0. Nothing is counted here
//! (`counters.rs`), and the whole text is of one snapshot, so that accepted - closed = sum over phases within a scrape.
//!
//! A protocol that has no octet on the wire yet is "none"; of families whose requests always have one it is left out until
//! something is counted under it.

mod text;

use std::time::Duration;

use crate::connection::Protocol;
use crate::counters::{self, BUCKETS, CODES, Cell, Handshake, PROTOCOLS, PauseCause, Sum, protocol_index};
use crate::http::h2::Glitch;
use crate::phase::Phase;
use crate::pressure::{descriptor_limit, open_descriptors};
use crate::reason::Reason;
use crate::server::Shared;

use text::{Family, Text};

/// Why accepting fails for want of something of ours; the other errors appear when they happen.
const EXPECTED_ACCEPT_ERRORS: [&str; 4] = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];

/// The bucket edges as OpenMetrics spells floats.
const EDGES: [&str; BUCKETS.len() + 1] =
    ["0.001", "0.005", "0.025", "0.1", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "+Inf"];

/// All families at this moment.
pub(crate) fn render(shared: &Shared) -> String {
    let sum = shared.sum();
    let mut text = Text::default();
    let listeners: Vec<String> = (0..sum.listeners).map(|listener| listener.to_string()).collect();
    let page = Page { shared, sum: &sum, listeners: &listeners };
    page.connections(&mut text);
    page.accepting(&mut text);
    page.handshakes(&mut text);
    page.requests(&mut text);
    page.traffic(&mut text);
    page.delivery(&mut text);
    page.process(&mut text);
    text.finish()
}

struct Page<'a> {
    shared: &'a Shared,
    sum: &'a Sum,
    /// The label value of each listener.
    listeners: &'a [String],
}

impl Page<'_> {
    fn connections(&self, text: &mut Text) {
        text.info("bartizan_build", "Version of the library and provider of its cryptography.")
            .sample(&[("version", env!("CARGO_PKG_VERSION")), ("provider", "aws-lc-rs")], 1);
        let accepted = text.counter("bartizan_connections_accepted", "Connections accepted.");
        self.per_listener(accepted, counters::ACCEPTED);
        let mut closed =
            text.counter("bartizan_connections_closed", "Connections closed, by the one reason of each.");
        for (listener, label) in self.listeners() {
            for reason in Reason::ALL {
                let count = self.sum.get(listener, counters::CLOSED, reason.index());
                closed.sample(&[("listener", label), ("reason", reason.name())], count);
            }
        }
        let open = text.gauge("bartizan_connections", "Connections open, by the phase that each is in.");
        self.per_phase(open, counters::PHASES);
        let streams = text.gauge("bartizan_streams", "HTTP/2 streams open, by the phase that each is in.");
        self.per_phase(streams, counters::STREAMS);
        let limits =
            text.counter("bartizan_limits", "Limits that acted, whether or not the connection ended by it.");
        self.per_reason(limits, counters::LIMITS, true);
    }

    fn accepting(&self, text: &mut Text) {
        let troubles = self.shared.listeners.iter().map(|listener| listener.accepting.snapshot());
        let troubles: Vec<_> = troubles.collect();
        let mut errors = text.counter("bartizan_accept_errors", "Failures to accept, by the system's error.");
        for ((_, label), (found, _)) in self.listeners().zip(&troubles) {
            for name in EXPECTED_ACCEPT_ERRORS {
                let count = found.iter().find(|(error, _)| error == name).map_or(0, |(_, count)| *count);
                errors.sample(&[("listener", label), ("error", name)], count);
            }
            for (name, count) in
                found.iter().filter(|(name, _)| !EXPECTED_ACCEPT_ERRORS.contains(&name.as_str()))
            {
                errors.sample(&[("listener", label), ("error", name)], count);
            }
        }
        let mut paused =
            text.counter("bartizan_accept_paused_seconds", "Time in which accepting paused, by what lacked.");
        for ((_, label), (_, times)) in self.listeners().zip(&troubles) {
            for (cause, time) in PauseCause::ALL.into_iter().zip(times) {
                paused.sample(&[("listener", label), ("cause", cause.name())], time.as_secs_f64());
            }
        }
    }

    fn handshakes(&self, text: &mut Text) {
        // What a listener offers now stands there with 0; what an earlier description offered keeps its count.
        let mut counts = self.sum.handshakes.clone();
        for listener in &self.shared.listeners {
            for (version, group, resumed) in listener.tls().iter().flat_map(|tls| tls.negotiable()) {
                counts.entry(Handshake { listener: listener.index, version, group, resumed }).or_default();
            }
        }
        let mut completed =
            text.counter("bartizan_handshakes", "Handshakes completed, by what they negotiated.");
        for (handshake, count) in &counts {
            completed.sample(
                &[
                    ("listener", &self.listeners[handshake.listener as usize]),
                    ("version", handshake.version),
                    ("group", handshake.group),
                    ("resumed", if handshake.resumed { "true" } else { "false" }),
                ],
                count,
            );
        }
        let mut took =
            text.histogram("bartizan_handshake_seconds", "Time from accept to the end of the handshake.");
        for (listener, label) in self.listeners() {
            self.histogram(&mut took, &[("listener", label)], (listener, counters::HANDSHAKE_SECONDS, 0));
        }
    }

    fn requests(&self, text: &mut Text) {
        let mut codes =
            text.counter("bartizan_requests", "Requests ended, by the status code that was sent.");
        for (listener, label) in self.listeners() {
            for (protocol, name) in protocols() {
                for code in 0..CODES {
                    let count = self.sum.get(listener, counters::CODE, protocol * CODES + code);
                    // 500 codes of which a program uses ten: the two that every program meets stand there from the start.
                    let expected = protocol != 0 && [0, counters::code_index(200)].contains(&code);
                    if count > 0 || expected {
                        let code = if code == 0 { "none".to_owned() } else { (code + 99).to_string() };
                        codes.sample(&[("listener", label), ("protocol", name), ("code", &code)], count);
                    }
                }
            }
        }
        let ended = text.counter("bartizan_requests_ended", "Requests ended, by how.");
        self.per_reason(ended, counters::ENDED, false);
        self.live(text);
        text.counter("bartizan_requests_unanswered", "Requests that the program let go without an answer.")
            .sample(&[], self.sum.total(counters::UNANSWERED, 0));
        let handler = text.histogram("bartizan_handler_seconds", "Time from dispatch to the response head.");
        self.per_protocol(handler, counters::HANDLER_SECONDS);
        let request = text
            .histogram("bartizan_request_seconds", "Time from a request's first octet to its answer's last.");
        self.per_protocol(request, counters::REQUEST_SECONDS);
    }

    /// The states add up to the live requests of this snapshot. What waits in a queue is counted elsewhere and may contain
    /// requests whose exchange is over, so it is bounded by what is left.
    fn live(&self, text: &mut Text) {
        let ended = (0..PROTOCOLS * Reason::COUNT).map(|index| self.sum.total(counters::ENDED, index)).sum();
        let live = self.sum.total(counters::STARTED, 0).saturating_sub(ended);
        let answered = self.sum.total(counters::ANSWERED, 0).min(live);
        let queued = (self.shared.load.queued() as u64).min(live - answered);
        let mut states = text.gauge("bartizan_requests_live", "Requests under way, by how far they are.");
        for (state, count) in
            [("queued", queued), ("running", live - answered - queued), ("answered", answered)]
        {
            states.sample(&[("state", state)], count);
        }
    }

    fn traffic(&self, text: &mut Text) {
        let received = text.counter("bartizan_received_bytes", "Octets read from sockets, TLS included.");
        self.per_listener(received, counters::RECEIVED);
        let sent = text.counter("bartizan_sent_bytes", "Octets written to sockets, TLS included.");
        self.per_listener(sent, counters::SENT);
        let mut glitches =
            text.counter("bartizan_h2_glitches", "What was charged to h2_glitch_budget, by kind.");
        for (listener, label) in self.listeners() {
            for (index, kind) in Glitch::ALL.iter().enumerate() {
                let count = self.sum.get(listener, counters::GLITCHES, index);
                glitches.sample(&[("listener", label), ("kind", kind.name())], count);
            }
        }
    }

    fn delivery(&self, text: &mut Text) {
        let queues = self.shared.dispatch.queues();
        text.counter(
            "bartizan_inline_stalls",
            "Inline callbacks that held a reactor longer than inline_stall.",
        )
        .sample(&[], self.sum.inline_stalls);
        let mut waiting = text.gauge("bartizan_queue_events", "Events that wait in a queue.");
        for (index, queue) in queues.iter().enumerate() {
            waiting.sample(&[("queue", &index.to_string())], queue.len());
        }
        let mut wakeups =
            text.counter("bartizan_queue_wakeups", "Times that a queue woke somebody who waited.");
        for (index, queue) in queues.iter().enumerate() {
            wakeups.sample(&[("queue", &index.to_string())], queue.wakeups());
        }
    }

    fn process(&self, text: &mut Text) {
        let settings = &self.shared.settings;
        let (open, limit) = (open_descriptors(), descriptor_limit());
        text.gauge("bartizan_memory_bytes", "Memory held for connections, as far as it is accounted.")
            .sample(&[], self.shared.memory());
        let most = settings.max_total_memory_bytes.map_or_else(|| "+Inf".to_owned(), |most| most.to_string());
        text.gauge("bartizan_memory_limit_bytes", "max_total_memory_bytes; +Inf is off.").sample(&[], most);
        text.gauge("bartizan_open_descriptors", "Descriptors in use by the process.").sample(&[], open);
        text.gauge("bartizan_max_descriptors", "Descriptors that the process may use.").sample(&[], limit);
        // Nobody else looks while there is no connection.
        self.shared.look();
        text.gauge(
            "bartizan_overload_level",
            "0 below 80 % of the caps on connections, memory, descriptors; 2 from 90 %.",
        )
        .sample(&[], self.shared.pressure.level());
        text.gauge("bartizan_draining", "1 once the server was told to stop.")
            .sample(&[], u8::from(self.shared.is_draining()));
        let mut expiry =
            text.gauge("bartizan_certificate_expiry_seconds", "When a certificate ends, in Unix time.");
        for (listener, (_, label)) in self.shared.listeners.iter().zip(self.listeners()) {
            for end in listener.tls().iter().flat_map(|tls| tls.certificates()) {
                expiry.sample(&[("listener", label), ("server_name", &end.server_name)], end.not_after);
            }
        }
        let elsewhere = self.shared.hooks.lost.as_ref().map_or(0, |lost| lost());
        let lost = elsewhere + self.shared.dispatch.queues().iter().map(|queue| queue.lost()).sum::<u64>();
        text.counter(
            "bartizan_log_records_lost",
            "Observation records that a full queue lost, log records among them.",
        )
        .sample(&[], lost);
    }

    fn listeners(&self) -> impl Iterator<Item = (usize, &str)> {
        self.listeners.iter().map(String::as_str).enumerate()
    }

    fn per_listener(&self, mut family: Family<'_>, cell: Cell) {
        for (listener, label) in self.listeners() {
            family.sample(&[("listener", label)], self.sum.get(listener, cell, 0));
        }
    }

    fn per_phase(&self, mut family: Family<'_>, cell: Cell) {
        for (listener, label) in self.listeners() {
            for phase in Phase::ALL {
                let count = self.sum.get(listener, cell, phase.id());
                family.sample(&[("listener", label), ("phase", phase.name())], count);
            }
        }
    }

    fn per_reason(&self, mut family: Family<'_>, cell: Cell, unknown_protocol: bool) {
        for (listener, label) in self.listeners() {
            for (protocol, name) in protocols() {
                for reason in Reason::ALL {
                    let count = self.sum.get(listener, cell, protocol * Reason::COUNT + reason.index());
                    if protocol != 0 || unknown_protocol || count > 0 {
                        family.sample(
                            &[("listener", label), ("protocol", name), ("reason", reason.name())],
                            count,
                        );
                    }
                }
            }
        }
    }

    fn per_protocol(&self, mut family: Family<'_>, cell: Cell) {
        for (listener, label) in self.listeners() {
            for (protocol, name) in protocols() {
                if protocol != 0
                    || self.sum.histogram(listener, cell, protocol).0.iter().any(|count| *count > 0)
                {
                    self.histogram(
                        &mut family,
                        &[("listener", label), ("protocol", name)],
                        (listener, cell, protocol),
                    );
                }
            }
        }
    }

    fn histogram(
        &self,
        family: &mut Family<'_>,
        labels: &[(&str, &str)],
        (listener, cell, protocol): (usize, Cell, usize),
    ) {
        let (counts, micros) = self.sum.histogram(listener, cell, protocol);
        let mut total = 0;
        let cumulated = counts.map(|count| {
            total += count;
            total
        });
        family.distribution(labels, EDGES.into_iter().zip(cumulated), Duration::from_micros(micros));
    }
}

/// Index and label of each protocol; "none" before it is known.
fn protocols() -> impl Iterator<Item = (usize, &'static str)> {
    [None, Some(Protocol::Http10), Some(Protocol::Http11), Some(Protocol::Http2)]
        .into_iter()
        .map(|protocol| (protocol_index(protocol), protocol.map_or("none", Protocol::name)))
}

#[cfg(test)]
mod tests;
