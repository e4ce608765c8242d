//! The view: everything about a request in one structure whose pointers reach into the request itself, so that C reads it
//! without a call. A view lives in the slot of its id (`ids.rs`) until the program's last reference is released.

use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use bartizan_core::{ConnectionInfo, Exchange, Queue, Request, Version, tls};
use bytes::Bytes;

use crate::borrow::{Header, Str};
use crate::status::Code;

/// Id of a request: checked by every call, 0 = none, below 2^53. The program's until released.
pub type RequestId = u64;

/// Id of a connection, for correlation only: never owned, 0 = none, below 2^53.
pub type ConnectionId = u64;

pub(crate) const TARGET_UTF8: u32 = 1;
pub(crate) const HAS_BODY: u32 = 2;
pub(crate) const BODY_BUFFERED: u32 = 4;

/// What the TLS handshake of a connection negotiated.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TlsInfo {
    /// Octets of this structure; it only grows at the end.
    pub struct_size: u32,
    /// IANA number, such as 0x0304.
    pub version: u32,
    /// IANA number.
    pub cipher_suite: u32,
    /// IANA number; 0 for a resumed TLS 1.2 session, which exchanges no keys.
    pub group: u32,
    /// Such as "TLSv1.3".
    pub version_name: Str,
    /// Such as "TLS_AES_128_GCM_SHA256".
    pub suite_name: Str,
    /// Such as "X25519MLKEM768".
    pub group_name: Str,
    /// As the client sent it, in lower case; empty if it sent none.
    pub server_name: Str,
    /// Such as "h2"; empty if none was negotiated.
    pub alpn: Str,
    /// 1 = an earlier session was resumed.
    pub resumed: u32,
    /// How many certificates the client sent.
    pub peer_certificates: u32,
}

impl TlsInfo {
    pub(crate) const NONE: Self = Self {
        struct_size: size_of::<Self>() as u32,
        version: 0,
        cipher_suite: 0,
        group: 0,
        version_name: Str::EMPTY,
        suite_name: Str::EMPTY,
        group_name: Str::EMPTY,
        server_name: Str::EMPTY,
        alpn: Str::EMPTY,
        resumed: 0,
        peer_certificates: 0,
    };

    /// Points into `info`, which must outlive it.
    pub(crate) fn of(info: &tls::TlsInfo) -> Self {
        let text = |text: &str| Str::new(text.as_bytes());
        Self {
            struct_size: size_of::<Self>() as u32,
            version: info.version.into(),
            cipher_suite: info.suite.into(),
            group: info.group.into(),
            version_name: text(info.version_name),
            suite_name: text(info.suite_name),
            group_name: text(info.group_name),
            server_name: info.server_name.as_deref().map_or(Str::EMPTY, text),
            alpn: info.alpn.map_or(Str::EMPTY, text),
            resumed: info.resumed.into(),
            peer_certificates: info.peer_certificates.len() as u32,
        }
    }
}

/// Everything about a request. It and all that it points to live until the request is released, also after the answer, after
/// a cancel and after bartizan_server_free.
#[repr(C)]
#[derive(Debug)]
pub struct RequestView {
    /// Octets of this structure; it only grows at the end.
    pub struct_size: u32,
    /// BARTIZAN_VIEW_TARGET_UTF8, BARTIZAN_VIEW_HAS_BODY, BARTIZAN_VIEW_BODY_BUFFERED.
    pub flags: u32,
    /// The id for every call about this request.
    pub request: RequestId,
    /// The connection that carries it.
    pub connection: ConnectionId,
    /// 10, 11 or 20.
    pub http_version: u32,
    /// The listener, as counted by bartizan_config_listen.
    pub listener: u32,
    /// In the client's spelling: methods are case-sensitive.
    pub method: Str,
    /// "https" on TLS, else "http": what carried the request, never what the client claims.
    pub scheme: Str,
    /// Host and port.
    pub authority: Str,
    /// The request target as sent.
    pub target: Str,
    /// Neither decoded nor normalised; never empty.
    pub path: Str,
    /// Behind the first '?'; not decoded.
    pub query: Str,
    /// Text of the client's address; empty for a unix socket. After a PROXY header, the address that it names.
    pub peer_ip: Str,
    /// Text of our address.
    pub local_ip: Str,
    /// 0 for a unix socket.
    pub peer_port: u32,
    /// 0 for a unix socket.
    pub local_port: u32,
    /// The header fields in order, names in lower case.
    pub headers: *const Header,
    /// How many.
    pub header_count: usize,
    /// The same in one piece: name NUL value NUL ...
    pub header_block: Str,
    /// -1 = not announced.
    pub content_length: i64,
    /// The whole content, with BARTIZAN_VIEW_BODY_BUFFERED only.
    pub body: Str,
    /// NULL = cleartext.
    pub tls: *const TlsInfo,
    /// HTTP/2 stream id; 0 = HTTP/1.
    pub stream: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: the pointers lead into the request that lies beside the view, which is immutable and lives as long.
unsafe impl Send for RequestView {}
// SAFETY: as above, and the view has no interior mutability.
unsafe impl Sync for RequestView {}

/// Each octet of a view after its release, in debug builds. As an address it is one that no process has.
pub(crate) const SPOILED: u8 = 0xdd;

impl RequestView {
    const EMPTY: Self = Self {
        struct_size: size_of::<Self>() as u32,
        flags: 0,
        request: 0,
        connection: 0,
        http_version: 0,
        listener: 0,
        method: Str::EMPTY,
        scheme: Str::EMPTY,
        authority: Str::EMPTY,
        target: Str::EMPTY,
        path: Str::EMPTY,
        query: Str::EMPTY,
        peer_ip: Str::EMPTY,
        local_ip: Str::EMPTY,
        peer_port: 0,
        local_port: 0,
        headers: ptr::null(),
        header_count: 0,
        header_block: Str::EMPTY,
        content_length: -1,
        body: Str::EMPTY,
        tls: ptr::null(),
        stream: 0,
        reserved: 0,
    };
}

/// Trailer fields as C reads them, and what they point into.
pub(crate) struct Trailers {
    /// Owns what `headers` points into.
    _fields: Arc<bartizan_core::Trailers>,
    headers: Vec<Header>,
}

impl Trailers {
    pub(crate) fn new(fields: Arc<bartizan_core::Trailers>) -> Self {
        let headers = fields
            .iter()
            .map(|(name, value)| Header { name: Str::new(name), value: Str::new(value) })
            .collect();
        Self { _fields: fields, headers }
    }

    pub(crate) fn headers(&self) -> &[Header] {
        &self.headers
    }
}

/// A request that the program holds, and everything that was shown of it. Recycled with its slot, so that a request costs no
/// allocation here.
pub(crate) struct Held {
    request: Option<Request>,
    /// The queue that carries the request's events; `None` in the other modes.
    queue: Option<Arc<Queue>>,
    view: RequestView,
    tls: TlsInfo,
    headers: Vec<Header>,
    pub(crate) trailers: OnceLock<Trailers>,
    /// What `bartizan_body_peek` showed last, kept alive until the next consume, read or release.
    pub(crate) peeked: Mutex<Bytes>,
    /// A read is under way.
    pub(crate) reading: AtomicBool,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            request: None,
            queue: None,
            view: RequestView::EMPTY,
            tls: TlsInfo::NONE,
            headers: Vec::new(),
            trailers: OnceLock::new(),
            peeked: Mutex::default(),
            reading: AtomicBool::new(false),
        }
    }
}

impl Held {
    /// Takes a request in and builds its view. `self` must not move until it is emptied: the view points into it.
    pub(crate) fn fill(&mut self, id: RequestId, request: Request, queue: Option<Arc<Queue>>) -> &Exchange {
        let request = self.request.insert(request);
        let exchange = request.exchange();
        self.headers.clear();
        self.headers.extend(
            exchange
                .head()
                .fields()
                .map(|(name, value)| Header { name: Str::new(name), value: Str::new(value) }),
        );
        let tls = exchange.connection().tls.as_ref();
        if let Some(info) = tls {
            self.tls = TlsInfo::of(info);
        }
        show(&mut self.view, exchange);
        self.view.request = id;
        self.view.headers = self.headers.as_ptr();
        self.view.header_count = self.headers.len();
        self.view.tls = if tls.is_some() { &raw const self.tls } else { ptr::null() };
        self.queue = queue;
        exchange
    }

    /// Gives up what a released request held, for the caller to drop outside its locks.
    pub(crate) fn empty(&mut self) -> impl Sized + use<> {
        self.peeked = Mutex::default();
        self.reading = AtomicBool::new(false);
        (self.request.take(), self.queue.take(), self.trailers.take())
    }

    /// Leaves numbers that nobody takes for a request's, and addresses where nothing is, to who reads the view from now on.
    pub(crate) fn spoil(&mut self) {
        // SAFETY: each field is an integer, a raw pointer or a structure of those, so that any content is valid.
        unsafe { ptr::write_bytes(&raw mut self.view, SPOILED, 1) };
        self.headers = Vec::new();
    }

    /// `E_HANDLE` once released.
    pub(crate) fn request(&self) -> Result<&Request, Code> {
        self.request.as_ref().ok_or(Code::Handle)
    }

    pub(crate) fn queue(&self) -> Option<&Arc<Queue>> {
        self.queue.as_ref()
    }

    pub(crate) fn view(&self) -> &RequestView {
        &self.view
    }
}

/// The parts of a view that point into the exchange. Written in place: a view is too large to be moved for each request.
fn show(view: &mut RequestView, exchange: &Exchange) {
    let (head, connection): (_, &ConnectionInfo) = (exchange.head(), exchange.connection());
    let flag = |is: bool, flag: u32| if is { flag } else { 0 };
    let body = exchange.buffered();
    let RequestView {
        struct_size,
        flags,
        request: _,
        connection: id,
        http_version,
        listener,
        method,
        scheme,
        authority,
        target,
        path,
        query,
        peer_ip,
        local_ip,
        peer_port,
        local_port,
        headers: _,
        header_count: _,
        header_block,
        content_length,
        body: content,
        tls: _,
        stream,
        reserved,
    } = view;
    *struct_size = size_of::<RequestView>() as u32;
    *flags = flag(head.target_is_utf8(), TARGET_UTF8)
        | flag(head.has_content(), HAS_BODY)
        | flag(body.is_some(), BODY_BUFFERED);
    *id = connection.id;
    *http_version = version_number(head.version());
    *listener = connection.listener;
    *method = Str::new(head.method());
    *scheme = Str::new(head.scheme());
    *authority = Str::new(head.authority());
    *target = Str::new(head.target());
    *path = Str::new(head.path());
    *query = Str::new(head.query());
    *peer_ip = Str::new(connection.peer.ip.as_bytes());
    *local_ip = Str::new(connection.local.ip.as_bytes());
    *peer_port = connection.peer.port.into();
    *local_port = connection.local.port.into();
    *header_block = Str::new(head.header_block());
    *content_length = head.content_length().map_or(-1, |length| i64::try_from(length).unwrap_or(i64::MAX));
    *content = body.map_or(Str::EMPTY, |body| Str::new(body));
    *stream = exchange.stream();
    *reserved = 0;
}

fn version_number(version: Version) -> u32 {
    match version {
        Version::Http10 => 10,
        Version::Http11 => 11,
        Version::Http2 => 20,
    }
}
