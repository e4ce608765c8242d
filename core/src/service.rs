//! Any `hyper::service::Service` as a [`Handler`]: requests become `http` types, content streams both ways under back-pressure,
//! and a future whose exchange is over is dropped. Tower and axum services fit through `hyper_util`'s `TowerToHyperService`.
//!
//! The limits stay ours: the adapter only ever waits for the exchange, whose clocks run on the connection.

mod incoming;

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body::Body as _;
use hyper::service::Service;

use crate::config::Handler;
use crate::deadline::outdate;
use crate::exchange::Failure;
use crate::http::head::{Head, Version};
use crate::reactor::is_reactor_thread;
use crate::request::{Body, Request, RequestError};

pub use incoming::Incoming;

/// Fields that frame a message or belong to its connection: the library's own, whatever a service says.
const OWNED: [HeaderName; 5] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, KEEP_ALIVE];

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Answers requests with a service.
///
/// With [`Dispatch::Inline`](crate::Dispatch::Inline) its futures run on the reactor of their connection, where tokio's timers
/// and sockets work and nothing may block; they need not be `Send`. With [`Dispatch::Workers`](crate::Dispatch::Workers) each
/// holds its worker thread to its end and may block, but there is no runtime around it.
///
/// A future is dropped once its exchange is over. A service error is a 500; so is an answer that cannot be sent as it is.
/// The request's extensions hold the [`Arc<ConnectionInfo>`](crate::ConnectionInfo) and the [`Arc<Request>`](Request) itself,
/// for limits, deadlines and informational responses; who keeps the latter keeps the request's running slot.
///
/// ```no_run
/// use std::convert::Infallible;
/// use std::sync::Arc;
/// use bartizan::{Config, Dispatch, Listener, Request, Server, service};
/// use bytes::Bytes;
/// use http_body_util::Full;
///
/// let hello = hyper::service::service_fn(async |request: http::Request<service::Incoming>| {
///     if let Some(limits) = request.extensions().get::<Arc<Request>>() {
///         let _ = limits.set_limit("handler_timeout", 2_000);
///     }
///     Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from_static(b"Hello, World!"))))
/// });
/// let listener = Listener::new("127.0.0.1:8080".parse()?, None);
/// let server = Server::start(&Config::new(vec![listener], Dispatch::Inline(Arc::new(service::mount(hello)))))?;
/// server.wait(None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mount<S, B>(service: S) -> impl Handler
where
    S: Service<http::Request<Incoming>, Response = http::Response<B>> + Send + Sync + 'static,
    S::Future: 'static,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    move |request: Request| {
        let request = Arc::new(request);
        let Some(message) = message(&request) else {
            // Refused by http though not by us: what stays of a target that only one of the two takes.
            let _ = request.respond(400, no_fields(), Body::Copied(b""));
            return;
        };
        let answer = service.call(message);
        run(Call { work: Box::pin(serve(request.clone(), answer)), request });
    }
}

/// One request on its way through the service.
struct Call<F> {
    request: Arc<Request>,
    work: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Future for Call<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.request.poll_gone(cx).is_ready() {
            return Poll::Ready(());
        }
        let outcome = self.work.as_mut().poll(cx);
        outdate();
        outcome
    }
}

/// Most services answer in the first poll, which then costs neither a task nor a wake-up.
fn run<F: Future<Output = ()> + 'static>(mut call: Call<F>) {
    if !is_reactor_thread() {
        return block_on(call);
    }
    if Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        // The task's first poll puts its own waker in place of the one above.
        tokio::task::spawn_local(call);
    }
}

fn block_on(future: impl Future<Output = ()>) {
    struct Unpark(std::thread::Thread);

    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        std::thread::park();
    }
}

/// Awaits the answer and sends it.
async fn serve<B, E>(request: Arc<Request>, answer: impl Future<Output = Result<http::Response<B>, E>>)
where
    B: http_body::Body,
{
    let sent = match answer.await {
        Ok(answer) => send(&request, answer).await,
        Err(_) => return request.fail(Failure::Failed),
    };
    if sent.is_err() {
        // Before the head went out this is a 500, afterwards nothing happens: releasing the request aborts what was begun.
        request.fail(Failure::Failed);
    }
}

async fn send<B: http_body::Body>(request: &Request, answer: http::Response<B>) -> Result<(), Unsent> {
    let (head, body) = answer.into_parts();
    let mut body = pin!(body);
    let status = head.status.as_u16();
    let fields = || {
        let sendable = head.headers.iter().filter(|(name, _)| !OWNED.contains(*name));
        sendable.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    };
    let length = announced(request.exchange().head(), &head.headers, &*body);
    if body.is_end_stream() && length.is_none_or(|length| length == 0) {
        return Ok(request.respond(status, fields(), Body::Copied(b""))?);
    }
    // A look without waiting: what is whole goes out in one piece, and a head never waits for content.
    let first = poll_fn(|cx| {
        Poll::Ready(match body.as_mut().poll_frame(cx) {
            Poll::Ready(frame) => Some(frame),
            Poll::Pending => None,
        })
    })
    .await;
    let mut next = match first {
        Some(frame) => match frame.transpose().map_err(|_| Unsent)? {
            Some(frame)
                if frame.data_ref().map(|data| data.remaining() as u64) == length && body.is_end_stream() =>
            {
                let content = frame.into_data().map_or_else(|_| Bytes::new(), whole);
                return Ok(request.respond(status, fields(), Body::Owned(content))?);
            }
            frame => Some(frame),
        },
        None => None,
    };
    request.begin(status, fields(), length)?;
    let mut trailers = HeaderMap::new();
    loop {
        let frame = match next.take() {
            Some(frame) => frame,
            None => poll_fn(|cx| body.as_mut().poll_frame(cx)).await.transpose().map_err(|_| Unsent)?,
        };
        let Some(frame) = frame else { break };
        match frame.into_data() {
            Ok(data) => {
                let content = whole(data);
                poll_fn(|cx| request.poll_write(cx, &content)).await?;
            }
            Err(frame) => {
                if let Ok(last) = frame.into_trailers() {
                    trailers = last;
                }
            }
        }
    }
    let trailers = trailers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    Ok(request.finish(trailers)?)
}

/// The answer could not be sent: its body failed, or the exchange said why.
struct Unsent;

impl From<RequestError> for Unsent {
    fn from(_: RequestError) -> Self {
        Self
    }
}

/// The content length to announce. An answer to HEAD has no body to measure: there the service's own field counts.
fn announced(head: &Head, fields: &HeaderMap, body: &impl http_body::Body) -> Option<u64> {
    let field = || fields.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    if head.is_head() {
        field().or(body.size_hint().exact())
    } else {
        body.size_hint().exact().or_else(field)
    }
}

fn whole(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

/// The request as `http` has it: HTTP/1 with the target as sent, HTTP/2 with scheme and authority in front, as from hyper.
fn message(request: &Arc<Request>) -> Option<http::Request<Incoming>> {
    let head = request.exchange().head();
    let mut message = http::Request::new(Incoming::new(request.clone()));
    *message.method_mut() = Method::from_bytes(head.method()).ok()?;
    (*message.uri_mut(), *message.version_mut()) = match head.version() {
        Version::Http10 => (Uri::try_from(head.target()).ok()?, http::Version::HTTP_10),
        Version::Http11 => (Uri::try_from(head.target()).ok()?, http::Version::HTTP_11),
        Version::Http2 => {
            let uri = Uri::builder()
                .scheme(head.scheme())
                .authority(head.authority())
                .path_and_query(head.target());
            (uri.build().ok()?, http::Version::HTTP_2)
        }
    };
    for (name, value) in head.fields() {
        let (name, value) = (HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
        message.headers_mut().try_append(name, value).ok()?;
    }
    message.extensions_mut().insert(request.exchange().connection.clone());
    message.extensions_mut().insert(request.clone());
    Some(message)
}

fn no_fields() -> [(&'static [u8], &'static [u8]); 0] {
    []
}

#[cfg(test)]
mod tests;
