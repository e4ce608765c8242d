//! The open streams of a connection, found by their id. Ids only grow and are never used twice, so that a late touch from the
//! program finds nothing where its stream has ended.

use std::collections::VecDeque;

use super::stream::Stream;
use crate::deadline::{Moment, NEVER};

/// Places that an idle connection keeps.
const KEPT: usize = 4;

#[derive(Default)]
pub(super) struct Streams {
    places: Vec<Option<Stream>>,
    free: Vec<u32>,
    /// Id and place, by id.
    index: VecDeque<(u32, u32)>,
}

impl Streams {
    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Takes in a stream that the peer has just opened.
    pub(super) fn insert(&mut self, id: u32, stream: Stream) -> Option<&mut Stream> {
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = Some(stream);
                place
            }
            None => {
                self.places.push(Some(stream));
                // `h2_max_concurrent_streams` is far below 2^32.
                (self.places.len() - 1) as u32
            }
        };
        // RFC 9113 §5.1.1: h2 refuses an id that does not grow.
        self.index.push_back((id, place));
        self.places[place as usize].as_mut()
    }

    pub(super) fn get(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.position(id)?;
        self.places[self.index[at].1 as usize].as_mut()
    }

    /// Drops a stream where it lies.
    pub(super) fn remove(&mut self, id: u32) {
        if let Some(place) = self.free_place(id) {
            *place = None;
        }
    }

    /// Takes a stream out, which moves all of it.
    pub(super) fn take(&mut self, id: u32) -> Option<Stream> {
        self.free_place(id)?.take()
    }

    /// Gives back the room that a burst has taken. Only while there is no stream.
    pub(super) fn slim(&mut self) {
        if self.index.is_empty() {
            self.free = Vec::new();
            self.places.clear();
            self.places.shrink_to(KEPT);
            self.index.shrink_to(KEPT);
        }
    }

    /// The ids of all streams, oldest first.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.index.iter().map(|(id, _)| *id).collect()
    }

    /// The earliest deadline of any stream.
    pub(super) fn due(&self) -> Moment {
        self.places.iter().flatten().map(Stream::due).min().unwrap_or(NEVER)
    }

    fn free_place(&mut self, id: u32) -> Option<&mut Option<Stream>> {
        let (_, place) = self.index.remove(self.position(id)?)?;
        self.free.push(place);
        self.places.get_mut(place as usize)
    }

    fn position(&self, id: u32) -> Option<usize> {
        // What ends, or is answered, is mostly the oldest or one of a burst in order.
        if self.index.front().is_some_and(|(first, _)| *first == id) {
            return Some(0);
        }
        self.index.binary_search_by_key(&id, |(id, _)| *id).ok()
    }
}
