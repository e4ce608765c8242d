//! Response heads for h2: the program's field lines with ours behind them. What is sent when is `send.rs`; which fields a program
//! may set is `http/fields.rs`.

use http::header::{CONTENT_LENGTH, DATE, LOCATION, RETRY_AFTER, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::connection::Connection;
use crate::deadline::Moment;
use crate::http::date;
use crate::http::fields::FieldLines;
use crate::http::head::Head;

/// Seconds after which a refused request may be tried again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Field lines longer than this are not kept for the next answer.
const KEPT_LINES: usize = 512;

/// The head fields of the last answer: the next is mostly alike, and a copy costs a fifth of building it anew.
pub(super) struct CommonFields {
    date: [u8; date::LEN],
    lines: Vec<u8>,
    length: Option<u64>,
    fields: Option<HeaderMap>,
}

impl CommonFields {
    pub(super) fn new() -> Self {
        Self { date: [0; date::LEN], lines: Vec::new(), length: None, fields: None }
    }

    /// The head of an answer. `length` is that of the content, where it may be told.
    pub(super) fn response(
        &mut self,
        connection: &Connection,
        now: Moment,
        status: u16,
        lines: Option<&FieldLines>,
        length: Option<u64>,
    ) -> Response<()> {
        let date = connection.reactor.date(now);
        let wire = lines.map_or(&[][..], FieldLines::wire);
        let alike = self.date == date && self.lines == wire && self.length.is_some() == length.is_some();
        let mut fields = match &self.fields {
            Some(fields) if alike => fields.clone(),
            _ => self.build(date, lines, length),
        };
        if let Some(length) = length
            && self.length != Some(length)
        {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        with_fields(status, fields)
    }

    fn build(&mut self, date: [u8; date::LEN], lines: Option<&FieldLines>, length: Option<u64>) -> HeaderMap {
        let mut fields = lines.map_or_else(|| HeaderMap::with_capacity(3), FieldLines::to_header_map);
        if let Some(length) = length {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        // An IMF-fixdate is visible ASCII, so that it is always a value.
        if !lines.is_some_and(FieldLines::has_date)
            && let Ok(value) = HeaderValue::from_bytes(&date)
        {
            fields.insert(DATE, value);
        }
        let wire = lines.map_or(&[][..], FieldLines::wire);
        self.fields = (wire.len() <= KEPT_LINES).then(|| fields.clone());
        if self.fields.is_some() {
            self.date = date;
            self.length = length;
            self.lines.clear();
            self.lines.extend_from_slice(wire);
        }
        fields
    }

    /// An answer of the library's own: all of it is in the head, so that it needs no window.
    pub(super) fn canned(&mut self, connection: &Connection, now: Moment, status: u16) -> Response<()> {
        let mut response = self.response(connection, now, status, None, None);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if let (true, Some(age)) = (connection.info.secure, connection.settings.hsts_max_age)
            && let Ok(value) = HeaderValue::from_str(&format!("max-age={}", age.as_secs()))
        {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value);
        }
        response
    }

    /// Sends the client to the same place over TLS (`redirect_to_https`).
    pub(super) fn redirect(&mut self, connection: &Connection, now: Moment, head: &Head) -> Response<()> {
        let mut response =
            self.response(connection, now, StatusCode::PERMANENT_REDIRECT.as_u16(), None, None);
        // Authority and target passed the grammar of a field value when they were parsed.
        if let Ok(location) = HeaderValue::from_bytes(&connection.reactor.shared.https_location(head)) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

/// An informational response.
pub(super) fn informational(status: u16, lines: Option<&FieldLines>) -> Response<()> {
    with_fields(status, lines.map_or_else(HeaderMap::new, FieldLines::to_header_map))
}

fn with_fields(status: u16, fields: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    // Codes were checked where the program gave them, and ours are codes.
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = fields;
    response
}
