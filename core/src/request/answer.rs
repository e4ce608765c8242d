//! The answer to a request: in one piece or streamed, informational ones in front of it, or none. How it is written is the
//! connection's business; what waits of it lies in the exchange.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::{Body, Patience, Request, RequestError, fail};
use crate::exchange::{AnswerHead, ContentEnd, Failure, SHORT, Stage, State};
use crate::http::fields::{FieldLines, Section};
use crate::http::head::Version;
use crate::reason::Reason;

impl Request {
    /// Answers in one piece.
    pub fn respond<'f>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
        body: Body<'_>,
    ) -> Result<(), RequestError> {
        let head = self.head(status, fields)?;
        // What is copied, and shared out in pieces, is copied before the lock.
        let content = match body {
            Body::Copied(octets) if octets.len() > SHORT => Body::Owned(Bytes::copy_from_slice(octets)),
            body => body,
        };
        let mut state = self.awaited()?;
        let length = match content {
            Body::Copied(octets) => {
                state.answer.short.extend_from_slice(octets);
                state.answer.queued += octets.len();
                octets.len() as u64
            }
            Body::Owned(octets) => {
                let length = octets.len() as u64;
                push_chunk(&mut state, octets);
                length
            }
        };
        state.answer.announced = Some(length);
        state.answer.written = length;
        state.answer.head = Some(head);
        state.answer.stage = Stage::Finished;
        self.settled.store(state.on_ready.is_none(), Ordering::Relaxed);
        self.exchange.unlock_and_touch(state);
        Ok(())
    }

    /// Sends an informational response (102..=199) before the answer.
    pub fn inform<'f>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), RequestError> {
        if !(102..=199).contains(&status) {
            return Err(RequestError::Value(format!(
                "status code {status} is not informational: 102 to 199"
            )));
        }
        let lines = lines(Section::Header, fields)?;
        let mut state = self.awaited()?;
        if self.exchange.head.version() == Version::Http10 {
            // RFC 9110 §15.2: a server must not send a 1xx response to an HTTP/1.0 client.
            return Ok(());
        }
        state.answer.informational.push(AnswerHead { status, lines });
        self.exchange.unlock_and_touch(state);
        Ok(())
    }

    /// Begins a streamed answer; `length` is announced and then enforced.
    pub fn begin<'f>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
        length: Option<u64>,
    ) -> Result<(), RequestError> {
        let head = self.head(status, fields)?;
        let mut state = self.awaited()?;
        // Content of 204 and 304 goes nowhere, so that none is missing.
        state.answer.announced = length.filter(|_| !matches!(status, 204 | 304));
        state.answer.head = Some(head);
        state.answer.stage = Stage::Begun;
        self.exchange.unlock_and_touch(state);
        Ok(())
    }

    /// Writes content; takes what there is room for, waiting for room as long as `patience` says. Zero = no room now.
    pub fn write(&self, octets: &[u8], patience: Patience) -> Result<usize, RequestError> {
        let state = self.wait_until(patience, |state| {
            self.writable(state, octets.len() as u64)?;
            Ok(octets.is_empty() || self.room(state) > 0)
        })?;
        let room = self.room(&state).min(octets.len());
        if room > 0 || octets.is_empty() {
            self.append(state, Bytes::copy_from_slice(&octets[..room]));
        }
        Ok(room)
    }

    /// Asynchronous write of a whole chunk: pending while there is no room at all.
    pub fn poll_write(&self, cx: &mut Context<'_>, octets: &Bytes) -> Poll<Result<(), RequestError>> {
        let mut state = self.exchange.lock();
        self.writable(&state, octets.len() as u64)?;
        if self.room(&state) == 0 && !octets.is_empty() {
            let other = state.answer.waker.replace(cx.waker().clone());
            drop(state);
            drop(other);
            return Poll::Pending;
        }
        self.append(state, octets.clone());
        Poll::Ready(Ok(()))
    }

    /// One readiness call, or event, when the answer has room or can no longer be sent.
    pub fn arm_room(&self) -> Result<(), RequestError> {
        let mut state = self.exchange.lock();
        self.writable(&state, 0)?;
        self.can_arm(&state)?;
        state.answer.armed = true;
        self.exchange.link().touch(self.exchange.key);
        Ok(())
    }

    fn writable(&self, state: &State, octets: u64) -> Result<(), RequestError> {
        match state.answer.stage {
            // The program's own mistake is told as such, however fast the connection was.
            Stage::Finished | Stage::Aborted => {
                return Err(RequestError::State("write after the end of the answer"));
            }
            _ if self.is_over(state) => return Err(self.gone()),
            Stage::Begun => {}
            Stage::Awaited => return Err(RequestError::State("write before begin")),
            Stage::Failed(_) => return Err(RequestError::State("the library answers this request")),
        }
        match state.answer.announced {
            Some(announced) if octets > announced - state.answer.written => {
                Err(RequestError::Value(format!(
                    "the announced content length is {announced}: {octets} octets more than the {} written go over it",
                    state.answer.written
                )))
            }
            _ => Ok(()),
        }
    }

    fn room(&self, state: &State) -> usize {
        self.exchange.connection.window().saturating_sub(state.answer.queued)
    }

    fn append(&self, mut state: MutexGuard<'_, State>, octets: Bytes) {
        state.answer.written += octets.len() as u64;
        push_chunk(&mut state, octets);
        self.exchange.unlock_and_touch(state);
    }

    /// Ends a streamed answer. Short of the announced length the exchange is aborted.
    pub fn finish<'f>(
        &self,
        trailers: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), RequestError> {
        let trailers = lines(Section::Trailer, trailers)?;
        let mut state = self.exchange.lock();
        self.writable(&state, 0)?;
        let short = state.answer.announced.is_some_and(|announced| announced != state.answer.written)
            && !self.exchange.head.is_head();
        state.answer.stage = if short { Stage::Aborted } else { Stage::Finished };
        state.answer.trailers = (!trailers.wire().is_empty()).then(|| Box::new(trailers));
        self.exchange.unlock_and_touch(state);
        if short {
            return Err(RequestError::State("finished short of the announced content length: aborted"));
        }
        Ok(())
    }

    /// Ends the exchange without a (complete) answer: TCP reset, or RST_STREAM INTERNAL_ERROR.
    pub fn abort(&self) -> Result<(), RequestError> {
        let mut state = self.exchange.lock();
        if matches!(state.answer.stage, Stage::Finished | Stage::Aborted | Stage::Failed(_)) {
            return Err(RequestError::State("the answer is complete already"));
        }
        if state.over {
            return Err(self.gone());
        }
        state.answer.stage = Stage::Aborted;
        self.exchange.unlock_and_touch(state);
        Ok(())
    }

    /// Lets the library answer in the program's place; nothing happens if an answer was begun.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.exchange.lock();
        fail(&self.exchange, &mut state, failure);
    }

    /// A final head; on TLS with the server's HSTS field unless the program gave one.
    fn head<'f>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<AnswerHead, RequestError> {
        if !(200..=599).contains(&status) {
            return Err(RequestError::Value(format!("status code {status} is out of range: 200 to 599")));
        }
        let mut lines = lines(Section::Header, fields)?;
        let connection = &self.exchange.connection;
        if let (true, Some(age)) = (connection.secure, connection.settings.hsts_max_age) {
            let given = lines.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"strict-transport-security"));
            if !given {
                let value = format!("max-age={}", age.as_secs());
                // A full list keeps the program's own fields.
                let _ = lines.push(b"strict-transport-security", value.as_bytes());
            }
        }
        Ok(AnswerHead { status, lines })
    }

    fn awaited(&self) -> Result<MutexGuard<'_, State>, RequestError> {
        let state = self.exchange.lock();
        match state.answer.stage {
            Stage::Awaited | Stage::Failed(_) if self.is_over(&state) => Err(self.gone()),
            // A read has told the program, and the 413 is on its way: an answer that came first would win by chance.
            Stage::Awaited if state.content.end == Some(ContentEnd::Failed(Reason::BodySize)) => {
                Err(RequestError::Cancelled(Reason::BodySize))
            }
            Stage::Awaited => Ok(state),
            _ => {
                drop(state);
                let connection = self.exchange.connection.id;
                self.exchange.link().run(Box::new(move |reactor| reactor.note_second_answer(connection)));
                Err(RequestError::State("this request is answered already"))
            }
        }
    }
}

fn push_chunk(state: &mut State, octets: Bytes) {
    if !octets.is_empty() {
        state.answer.queued += octets.len();
        state.answer.chunks.push_back(octets);
    }
}

fn lines<'f>(
    section: Section,
    fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
) -> Result<FieldLines, RequestError> {
    FieldLines::collect(section, fields).map_err(|error| RequestError::Value(error.to_string()))
}
