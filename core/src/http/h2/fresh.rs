//! A stream that h2 has just handed over: the checks on its head, and the answers of those that end there. What passes goes on in
//! `stream.rs`.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;

use super::Side;
use super::stream::Stream;
use crate::connection::Connection;
use crate::deadline::Moment;
use crate::http::head::{Head, Refusal};
use crate::http::live::Books;
use crate::reason::Reason;

/// A stream that h2 has just handed over.
pub(super) struct Fresh {
    pub(super) id: u32,
    head: Result<Head, Refusal>,
    /// `None`: HEADERS ended the stream.
    content: Option<RecvStream>,
    respond: SendResponse<Bytes>,
    /// The peer has reset it already: the program never sees it.
    pub(super) reset: bool,
}

impl Fresh {
    /// Checks the head. What it comes to must wait until all streams of the turn are here.
    pub(super) fn new(
        request: http::Request<RecvStream>,
        respond: SendResponse<Bytes>,
        connection: &Connection,
        side: &Side,
    ) -> Self {
        let (parts, content) = request.into_parts();
        let end = content.is_end_stream();
        let mut storage = connection.reactor.exchanges.storage();
        let head = Head::from_h2(&parts, end, connection.info.secure, &side.limits, &mut storage);
        let head = match head {
            Ok(head) if connection.is_misdirected(head.authority()) => {
                Err(Refusal::answer(421, Reason::HeaderPolicy))
            }
            head => head,
        };
        Self {
            id: respond.stream_id().as_u32(),
            head,
            content: (!end).then_some(content),
            respond,
            reset: false,
        }
    }

    /// Opens the books. `None`: the stream is over already.
    pub(super) fn open(
        self,
        began: Moment,
        connection: &mut Connection,
        side: &mut Side,
    ) -> Option<(Stream, Head, Books)> {
        let Self { id, head, content, mut respond, reset } = self;
        let mut books = Books::open(connection, id, began, side.now);
        if reset {
            books.close(connection, head.as_ref().ok(), 0, Reason::PeerReset);
            return None;
        }
        let head = match head {
            Ok(head) => head,
            Err(refusal) => {
                connection.limit(refusal.reason);
                side.shadows.push(id);
                match refusal.status {
                    Some(status) => {
                        books.status = status;
                        // A stream that is reset meanwhile takes no answer, and needs none.
                        let _ = respond.send_response(side.fields.canned(connection, side.now, status), true);
                    }
                    None => respond.send_reset(h2::Reason::PROTOCOL_ERROR),
                }
                books.close(connection, None, 0, refusal.reason);
                return None;
            }
        };
        if connection.settings.redirect_to_https && !connection.info.secure {
            side.shadows.push(id);
            books.status = 308;
            let _ = respond.send_response(side.fields.redirect(connection, side.now, &head), true);
            books.close(connection, Some(&head), 0, Reason::Complete);
            return None;
        }
        Some((Stream::new(id, respond, content), head, books))
    }
}
