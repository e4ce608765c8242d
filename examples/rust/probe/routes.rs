//! From a request to its route. What can be answered on the spot is answered here; the rest becomes a flow (`steps.rs`). Dropping
//! the request gives it back.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bartizan::{Body, Failure, Request, RequestError, Server};

use crate::{Probe, flow, report, steps};

pub(crate) const HELLO: &[u8] = b"Hello, World!";
pub(crate) const TEXT: [(&[u8], &[u8]); 1] = [(b"content-type", b"text/plain")];
pub(crate) const OCTETS: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/octet-stream")];

const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The longest time that a path may name, in milliseconds.
const LONGEST: u64 = i32::MAX as u64;

/// One request on its way to an answer.
struct Call<'p> {
    probe: &'p Arc<Probe>,
    request: Request,
    /// Of the path, behind the route's name.
    argument: String,
    may_block: bool,
}

struct Route {
    /// With an argument: what stands before it.
    path: &'static str,
    any_method: bool,
    argument: bool,
    admin: bool,
    run: fn(Call<'_>),
}

/// What every route is unless it says otherwise: nothing is found there.
const GET: Route =
    Route { path: "", any_method: false, argument: false, admin: false, run: |call| call.not_found() };
const ANY: Route = Route { any_method: true, ..GET };

const ROUTES: [Route; 23] = [
    // It goes first and touches nothing shared: it is what benchmarks ask for.
    Route { path: "/", run: |call| call.hello(), ..GET },
    Route { path: "/inspect", run: |call| call.flow(steps::inspect), ..ANY },
    Route { path: "/echo", run: |call| call.flow(steps::echo), ..ANY },
    Route { path: "/sink", run: |call| call.sink(), ..ANY },
    Route { path: "/bytes/", argument: true, run: |call| call.bytes(), ..GET },
    Route { path: "/wait/", argument: true, run: |call| call.timed(steps::wait), ..GET },
    Route { path: "/block/", argument: true, run: |call| call.block(), ..GET },
    Route { path: "/hang", run: |call| call.leaving_flow(steps::hang), ..GET },
    Route { path: "/early", run: |call| call.say(200, "early"), ..ANY },
    Route { path: "/unread/", argument: true, run: |call| call.timed(steps::unread), ..ANY },
    Route { path: "/drop", run: |_unanswered| {}, ..GET },
    Route { path: "/double", run: |call| call.double(), ..GET },
    Route { path: "/fail", run: |call| call.request.fail(Failure::Failed), ..GET },
    Route { path: "/refuse", run: |call| call.request.fail(Failure::Refused), ..GET },
    Route { path: "/panic", run: |call| call.panic(), ..GET },
    Route { path: "/abort", run: |call| call.abort(), ..GET },
    Route { path: "/deadline", run: |call| call.deadline(), ..GET },
    Route { path: "/hints", run: |call| call.hints(), ..GET },
    Route { path: "/trailers", run: |call| call.flow(steps::trailers), ..GET },
    Route { path: "/cert/", argument: true, run: |call| call.cert(), ..GET },
    Route { path: "/sse/", argument: true, run: |call| call.sse(), ..GET },
    Route { path: "/stats", admin: true, run: |call| call.stats(), ..GET },
    Route { path: "/metrics", admin: true, run: |call| call.metrics(), ..GET },
];

/// Answers a request of the served listeners.
pub(crate) fn route(probe: &Arc<Probe>, request: Request, may_block: bool) {
    look_up(probe, request, may_block, false);
}

/// Answers a request of the admin listener, which has no other routes.
pub(crate) fn route_admin(probe: &Arc<Probe>, request: Request) {
    look_up(probe, request, false, true);
}

fn look_up(probe: &Arc<Probe>, request: Request, may_block: bool, admin: bool) {
    let head = request.exchange().head();
    let path = head.path();
    let get = [&b"GET"[..], b"HEAD"].contains(&head.method());
    let found = ROUTES.iter().find_map(|route| {
        let argument = path.strip_prefix(route.path.as_bytes())?;
        let fits =
            (argument.is_empty() || route.argument) && (get || route.any_method) && (route.admin || !admin);
        fits.then(|| (route.run, String::from_utf8_lossy(argument).into_owned()))
    });
    let (run, argument) = found.unwrap_or((GET.run, String::new()));
    run(Call { probe, request, argument, may_block });
}

impl Call<'_> {
    // ---- answers ----

    fn answer(&self, status: u16, kind: &str, content: impl AsRef<[u8]>) {
        let fields: [(&[u8], &[u8]); 1] = [(b"content-type", kind.as_bytes())];
        // Whoever left before the answer is not told.
        let _ = self.request.respond(status, fields, Body::Copied(content.as_ref()));
    }

    fn say(&self, status: u16, words: &str) {
        self.answer(status, "text/plain", words);
    }

    fn hello(self) {
        let _ = self.request.respond(200, TEXT, Body::Copied(HELLO));
    }

    fn not_found(self) {
        self.say(404, "not found\n");
    }

    // ---- values ----

    /// The number behind the route's name; `None` after the 400.
    fn number(&self, most: u64) -> Option<u64> {
        let digits = !self.argument.is_empty() && self.argument.bytes().all(|octet| octet.is_ascii_digit());
        let number = digits.then(|| self.argument.parse().ok()).flatten().filter(|number| *number <= most);
        if number.is_none() {
            self.say(400, &format!("{}: not a number from 0 to {most}\n", self.argument));
        }
        number
    }

    fn milliseconds(&self) -> Option<Duration> {
        self.number(LONGEST).map(Duration::from_millis)
    }

    /// KEY=TEXT of the query sets a limit of this request; `None` after the 400.
    fn set_limits(&self) -> Option<()> {
        let query = String::from_utf8_lossy(self.request.exchange().head().query()).into_owned();
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let why = match piece.split_once('=').map(|(key, text)| self.request.set_limit_text(key, text)) {
                Some(Ok(())) => continue,
                None => "not KEY=TEXT".to_owned(),
                Some(Err(RequestError::Option(_))) => "no setting that a request may move".to_owned(),
                Some(Err(RequestError::Value(_))) => "not a value of this setting".to_owned(),
                Some(Err(error)) => status_name(&error).to_owned(),
            };
            self.say(400, &format!("{piece}: {why}\n"));
            return None;
        }
        Some(())
    }

    // ---- routes with a flow ----

    fn flow<F>(self, run: impl FnOnce(flow::Io) -> F)
    where
        F: Future<Output = Result<(), RequestError>> + Send + 'static,
    {
        flow::spawn(self.probe, self.request, self.may_block, false, run);
    }

    /// A flow that has nothing to do once the peer has closed.
    fn leaving_flow<F>(self, run: impl FnOnce(flow::Io) -> F)
    where
        F: Future<Output = Result<(), RequestError>> + Send + 'static,
    {
        flow::spawn(self.probe, self.request, self.may_block, true, run);
    }

    fn timed<F>(self, run: impl FnOnce(flow::Io, Duration) -> F)
    where
        F: Future<Output = Result<(), RequestError>> + Send + 'static,
    {
        if let Some(time) = self.milliseconds() {
            self.flow(|io| run(io, time));
        }
    }

    fn sink(self) {
        if self.set_limits().is_some() {
            self.flow(steps::sink);
        }
    }

    fn bytes(self) {
        let Some(length) = self.number(i64::MAX as u64) else { return };
        if self.set_limits().is_some() {
            self.flow(|io| steps::bytes(io, length));
        }
    }

    fn sse(self) {
        if let Some(pause) = self.milliseconds() {
            self.leaving_flow(|io| steps::sse(io, pause));
        }
    }

    // ---- routes on the spot ----

    fn block(self) {
        if let Some(time) = self.milliseconds() {
            #[expect(clippy::disallowed_methods, reason = "to block its thread is what this route shows")]
            std::thread::sleep(time);
            self.hello();
        }
    }

    fn double(self) {
        if self.request.exchange().head().query() == b"last" {
            let name = *self.probe.second.lock().unwrap_or_else(PoisonError::into_inner);
            let second: [(&[u8], &[u8]); 1] = [(b"x-second", name.unwrap_or("none").as_bytes())];
            let _ = self.request.respond(200, TEXT.into_iter().chain(second), Body::Copied(HELLO));
            return;
        }
        // Locked throughout: the first answer may be read, and ?last asked for, before the second is refused.
        let mut second = self.probe.second.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.request.respond(200, TEXT, Body::Copied(HELLO));
        let again = self.request.respond(200, TEXT, Body::Copied(HELLO));
        *second = Some(again.err().as_ref().map_or("OK", status_name));
    }

    #[cfg(feature = "test-panic")]
    fn panic(self) {
        self.request.exchange().panic_inside();
    }

    #[cfg(not(feature = "test-panic"))]
    fn panic(self) {
        self.not_found();
    }

    fn abort(self) {
        let _ = self.request.abort();
    }

    fn deadline(self) {
        match self.request.remaining("handler_timeout") {
            Ok(Some(left)) => self.say(200, &left.as_millis().to_string()),
            Ok(None) => self.say(200, "off"),
            Err(_) => self.request.fail(Failure::Failed),
        }
    }

    fn hints(self) {
        let link: [(&[u8], &[u8]); 1] = [(b"link", b"</style.css>; rel=preload; as=style")];
        let _ = self.request.inform(103, link);
        self.hello();
    }

    fn cert(self) {
        let Some(index) = self.number(LONGEST) else { return };
        let tls = self.request.exchange().connection().tls.as_ref();
        match tls.and_then(|tls| tls.peer_certificates.get(index as usize)) {
            Some(certificate) => self.answer(200, "application/pkix-cert", certificate),
            None => self.not_found(),
        }
    }

    fn stats(self) {
        self.report("application/json", |server| report::stats(&server.snapshot()).to_string());
    }

    fn metrics(self) {
        self.report(METRICS, Server::metrics_text);
    }

    fn report(self, kind: &str, text: impl FnOnce(&Server) -> String) {
        match self.probe.server() {
            Some(server) => self.answer(200, kind, text(&server)),
            // The first request may be faster than the return of start.
            None => self.say(503, "starting\n"),
        }
    }
}

/// The name of the C status, which is that of every language.
fn status_name(error: &RequestError) -> &'static str {
    match error {
        RequestError::Value(_) => "E_VALUE",
        RequestError::Option(_) => "E_OPTION",
        RequestError::State(_) => "E_STATE",
        RequestError::Cancelled(_) => "E_CANCELLED",
        RequestError::TooLarge => "E_LIMIT",
        RequestError::TimedOut => "E_TIMEOUT",
        RequestError::Deadlock => "E_DEADLOCK",
        _ => "unknown",
    }
}
