//! A queue of octets in pieces whose first piece costs no allocation: nearly every answer and every small body is one piece.

use std::collections::VecDeque;

use bytes::Bytes;

/// Pieces in order.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// In front of `rest`; empty only if `rest` is.
    first: Option<Bytes>,
    #[expect(clippy::box_collection, reason = "8 octets in every exchange instead of 32, for what few have")]
    rest: Option<Box<VecDeque<Bytes>>>,
}

impl Chunks {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn front(&self) -> Option<&Bytes> {
        self.first.as_ref()
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut Bytes> {
        self.first.as_mut()
    }

    pub(crate) fn push_back(&mut self, chunk: Bytes) {
        match &self.first {
            None => self.first = Some(chunk),
            Some(_) => self.rest.get_or_insert_default().push_back(chunk),
        }
    }

    pub(crate) fn push_front(&mut self, chunk: Bytes) {
        if let Some(second) = self.first.replace(chunk) {
            self.rest.get_or_insert_default().push_front(second);
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<Bytes> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
        std::mem::replace(&mut self.first, next)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_in_order() {
        let mut chunks = Chunks::default();
        for piece in ["b", "c", "d"] {
            chunks.push_back(Bytes::from(piece));
        }
        chunks.push_front(Bytes::from("a"));
        assert_eq!(chunks.front().map(|front| &front[..]), Some(&b"a"[..]));
        let all: Vec<_> = std::iter::from_fn(|| chunks.pop_front()).collect();
        assert_eq!(all.concat(), b"abcd");
        assert!(chunks.is_empty());
    }
}
