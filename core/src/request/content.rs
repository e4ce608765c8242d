//! The content of a request, as the program reads it: with patience, by peek and consume, or armed. How it arrives is the
//! connection's business; what waits of it lies in the exchange.

use std::sync::Arc;
use std::sync::MutexGuard;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::{Patience, Read, Request, RequestError};
use crate::exchange::{ContentEnd, State};
use crate::http::trailers::Trailers;
use crate::reason::Reason;

impl Request {
    /// Copies content into `buffer`, waiting as long as `patience` says.
    pub fn read(&self, buffer: &mut [u8], patience: Patience) -> Result<Read, RequestError> {
        let mut state = self.await_content(patience)?;
        let content = &mut state.content;
        let Some(front) = content.chunks.front_mut() else { return Ok(idle_read(&state)) };
        let length = front.len().min(buffer.len());
        buffer[..length].copy_from_slice(&front[..length]);
        self.consumed(&mut state, length);
        Ok(Read::Octets(length))
    }

    /// The next chunk without a copy, waiting as long as `patience` says; `None` at the end. `Err(TimedOut)` when nothing came.
    pub fn read_chunk(&self, patience: Patience) -> Result<Option<Bytes>, RequestError> {
        let mut state = self.await_content(patience)?;
        let Some(front) = state.content.chunks.front().cloned() else {
            return match idle_read(&state) {
                Read::End => Ok(None),
                _ => Err(RequestError::TimedOut),
            };
        };
        self.consumed(&mut state, front.len());
        Ok(Some(front))
    }

    fn await_content(&self, patience: Patience) -> Result<MutexGuard<'_, State>, RequestError> {
        self.wait_until(patience, |state| self.content_state(state))
    }

    /// Whether there is content or its end; otherwise asks the connection for more.
    fn content_state(&self, state: &mut State) -> Result<bool, RequestError> {
        if state.content.waiting > 0 {
            // A handler that tightens the cap means what it has not read yet as well, whether or not that is here already.
            if state.overridden.is_some() && self.over_the_cap(state) {
                state.content.chunks.clear();
                state.content.waiting = 0;
                return Err(self.too_large(state));
            }
            return Ok(true);
        }
        match state.content.end {
            Some(ContentEnd::Complete) => return Ok(true),
            Some(ContentEnd::Failed(Reason::BodySize)) if !state.content.told_too_large => {
                state.content.told_too_large = true;
                return Err(RequestError::TooLarge);
            }
            Some(ContentEnd::Failed(reason)) => {
                return Err(RequestError::Cancelled(self.cancelled().unwrap_or(reason)));
            }
            None => {}
        }
        if self.over_the_cap(state) {
            return Err(self.too_large(state));
        }
        state.content.asked = true;
        if !state.content.wanted {
            state.content.wanted = true;
            self.exchange.touch(state);
        }
        Ok(false)
    }

    fn over_the_cap(&self, state: &State) -> bool {
        let length = state.content.announced.unwrap_or(state.content.received);
        self.exchange.limits(state).max_body_bytes.is_some_and(|cap| length > cap)
    }

    /// The typed error goes to this read; the connection sends the 413 and raises the cancel signal.
    fn too_large(&self, state: &mut State) -> RequestError {
        state.content.end = Some(ContentEnd::Failed(Reason::BodySize));
        state.content.told_too_large = true;
        self.exchange.touch(state);
        RequestError::TooLarge
    }

    fn consumed(&self, state: &mut State, mut octets: usize) {
        let content = &mut state.content;
        content.waiting -= octets;
        while let Some(front) = content.chunks.front_mut() {
            if front.len() > octets {
                drop(front.split_to(octets));
                break;
            }
            octets -= front.len();
            content.chunks.pop_front();
        }
        if content.end.is_none() {
            // Room for more: HTTP/2 returns window to the peer, HTTP/1 reads on.
            self.exchange.touch(state);
        }
    }

    /// The content that is here now, without consuming it; empty when there is none. Asks for more then.
    pub fn peek(&self) -> Result<(Bytes, Read), RequestError> {
        let mut state = self.exchange.lock();
        self.content_state(&mut state)?;
        Ok(match state.content.chunks.front() {
            Some(front) => (front.clone(), Read::Octets(front.len())),
            None => (Bytes::new(), idle_read(&state)),
        })
    }

    /// Drops the first `octets` of what [`Request::peek`] showed.
    pub fn consume(&self, octets: usize) -> Result<(), RequestError> {
        let mut state = self.exchange.lock();
        if octets > state.content.waiting {
            return Err(RequestError::Value(format!(
                "cannot consume {octets} octets: {} are there",
                state.content.waiting
            )));
        }
        self.consumed(&mut state, octets);
        Ok(())
    }

    /// One readiness call, or event, when content is readable, at its end, or will not come.
    pub fn arm_content(&self) -> Result<(), RequestError> {
        let mut state = self.exchange.lock();
        self.can_arm(&state)?;
        if state.content.waiting == 0 && state.content.end.is_none() {
            state.content.asked = true;
            state.content.wanted = true;
        }
        state.content.armed = true;
        self.exchange.link().touch(self.exchange.key);
        Ok(())
    }

    pub(super) fn can_arm(&self, state: &State) -> Result<(), RequestError> {
        if state.over {
            return Err(self.gone());
        }
        if !self.exchange.connection.queued && !state.ready_hook_used {
            return Err(RequestError::State("neither a queue nor a readiness hook would hear of it"));
        }
        Ok(())
    }

    /// Asynchronous form of [`Request::read_chunk`], for futures that may run on any executor.
    pub fn poll_content(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RequestError>> {
        let mut state = self.exchange.lock();
        if !self.content_state(&mut state)? {
            let other = state.content.waker.replace(cx.waker().clone());
            drop(state);
            drop(other);
            return Poll::Pending;
        }
        let Some(front) = state.content.chunks.front().cloned() else { return Poll::Ready(Ok(None)) };
        self.consumed(&mut state, front.len());
        Poll::Ready(Ok(Some(front)))
    }

    /// Trailer fields; only after the end of the content.
    pub fn trailers(&self) -> Result<Arc<Trailers>, RequestError> {
        let state = self.exchange.lock();
        if state.content.end != Some(ContentEnd::Complete) || state.content.waiting > 0 {
            return Err(RequestError::State("the content has not been read to its end"));
        }
        Ok(state.content.trailers.clone().unwrap_or_default())
    }
}

fn idle_read(state: &State) -> Read {
    if state.content.end == Some(ContentEnd::Complete) { Read::End } else { Read::Again }
}
