//! A request's content as an `http_body::Body`: pulled from the exchange piece by piece, so that a service that does not read
//! holds the peer back. What the content may be and how long it may take is the exchange's business.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use crate::request::{Request, RequestError};

/// The content of a request on its way in.
#[derive(Debug)]
pub struct Incoming {
    request: Arc<Request>,
    /// Octets of the announced length that were not read yet.
    left: Option<u64>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Content,
    Trailers,
    Over,
}

impl Incoming {
    pub(super) fn new(request: Arc<Request>) -> Self {
        let head = request.exchange().head();
        let (left, stage) =
            if head.has_content() { (head.content_length(), Stage::Content) } else { (Some(0), Stage::Over) };
        Self { request, left, stage }
    }

    fn trailers(&self) -> Option<HeaderMap> {
        let trailers = self.request.trailers().ok().filter(|trailers| !trailers.is_empty())?;
        let mut map = HeaderMap::new();
        for (name, value) in trailers.iter() {
            // What the parser let through is valid here too; the map's size is bounded by max_header_fields.
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        Some(map)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = RequestError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestError>>> {
        if self.stage == Stage::Content {
            match ready!(self.request.poll_content(cx)) {
                Ok(Some(content)) => {
                    self.left = self.left.map(|left| left.saturating_sub(content.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(content))));
                }
                Ok(None) => self.stage = Stage::Trailers,
                Err(error) => {
                    self.stage = Stage::Over;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        let trailers = if self.stage == Stage::Trailers { self.trailers() } else { None };
        self.stage = Stage::Over;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stage == Stage::Over
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
