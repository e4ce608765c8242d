//! The ids of requests: a table of slots in which every look-up is checked, so that a released, foreign or random number is
//! an error and never memory. Safe code but for one question to the C library; what a slot holds is `view.rs`, what is done with
//! it the files behind.
//!
//! An id is `tag | generation | slot`, below 2^53. Slots are reused first-in first-out per shard and a generation has 31 bits:
//! at 100,000 requests a second an id comes round after a month. A look-up takes the slot's own lock and no other; taking and
//! returning a slot takes the lock of the thread's own shard. Slots live for ever, so an id outlives the server that made it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use bartizan_core::{Failure, Queue, Reason, Request};

use crate::fork::{self, Home};
use crate::guard::{self, lock};
use crate::status::{Code, Status};
use crate::view::{Held, RequestId, RequestView};

const SLOT_BITS: u32 = 20;
const GENERATION_BITS: u32 = 31;
/// The bit above is the mark of connection ids, so that neither is ever taken for the other.
const TAG: u64 = 1 << (SLOT_BITS + GENERATION_BITS);
const ID_BITS: u32 = 53;
const ID_MASK: u64 = (1 << ID_BITS) - 1;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;

/// Slots that are made at once.
const CHUNK: u32 = 1024;
const CHUNKS: usize = 1 << SLOT_BITS >> CHUNK.trailing_zeros();
/// So many free slots wait in line before one is used again, however few requests live: more would push the slots of a quiet
/// server out of the cache, fewer would bring ids round sooner.
const LINE: usize = 128;
/// Threads share shards only beyond so many.
const SHARDS: usize = 16;

/// One cache line, so that requests of different reactors do not disturb each other.
#[repr(align(64))]
struct Slot {
    /// The id that is valid here, with the reason of its cancellation above it; 0 = none.
    live: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    generation: u32,
    /// The program's references.
    references: u32,
    /// The request callback runs: the slot is not reused before it has returned.
    pinned: bool,
    /// The request, or the empty storage of the last one.
    held: Option<Arc<Held>>,
}

impl State {
    /// The id of the next request in this slot, whose number is `number`.
    fn next_id(&mut self, number: u32) -> RequestId {
        self.generation = (self.generation + 1) & GENERATION_MASK;
        TAG | u64::from(self.generation) << SLOT_BITS | u64::from(number)
    }
}

struct Chunk {
    home: Home,
    shard: usize,
    slots: Box<[Slot]>,
}

static TABLE: [OnceLock<Chunk>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];
static CHUNKS_MADE: AtomicUsize = AtomicUsize::new(0);

/// Free slots of one process. A child of `fork` starts with none: a lock of its parent's may be held for ever.
struct Free {
    generation: u32,
    shards: [Mutex<Shard>; SHARDS],
    child: OnceLock<Box<Free>>,
}

struct Shard {
    line: VecDeque<u32>,
    /// Slots of the newest chunk that were never used.
    fresh: Range<u32>,
    /// Emptied storage, last in first out: slots go round in order, their storage must not go round with them, or each request
    /// finds cold memory.
    storage: VecDeque<Arc<Held>>,
}

/// The name of a request for which no id was left: the program never hears of it.
pub(crate) const REFUSED: u64 = u64::MAX;

/// Most emptied storage that a shard keeps.
const STORAGE: usize = 256;
/// In debug builds storage waits behind so much other before it is used again: a view that is read after its release then shows
/// what `Held::spoil` left there.
const QUARANTINE: usize = if cfg!(debug_assertions) { STORAGE / 2 } else { 0 };

static FREE: Free = Free::new(0);

impl Free {
    const fn new(generation: u32) -> Self {
        Self {
            generation,
            shards: [const { Mutex::new(Shard { line: VecDeque::new(), fresh: 0..0, storage: VecDeque::new() }) };
                SHARDS],
            child: OnceLock::new(),
        }
    }

    /// That of this process.
    fn here() -> &'static Self {
        let generation = fork::generation();
        let mut free = &FREE;
        while free.generation != generation {
            free = free.child.get_or_init(|| Box::new(Self::new(free.generation + 1)));
        }
        free
    }
}

impl Shard {
    /// `shard` is its own number, for the slots that it makes.
    fn take(&mut self, shard: usize) -> Option<u32> {
        if self.line.len() <= LINE && self.fresh.is_empty() {
            self.fresh = make_chunk(shard).unwrap_or(0..0);
        }
        if self.line.len() > LINE {
            self.line.pop_front()
        } else {
            self.fresh.next().or_else(|| self.line.pop_front())
        }
    }

    /// Emptied storage, if there is any to be had.
    fn storage(&mut self) -> Option<Arc<Held>> {
        match QUARANTINE {
            0 => self.storage.pop_back(),
            wait => {
                if self.storage.len() > wait {
                    self.storage.pop_front()
                } else {
                    None
                }
            }
        }
    }
}

fn make_chunk(shard: usize) -> Option<Range<u32>> {
    let index = CHUNKS_MADE
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made| (made < CHUNKS).then_some(made + 1));
    let index = index.ok()?;
    let slot = || Slot { live: AtomicU64::new(0), state: Mutex::default() };
    let slots = (0..CHUNK).map(|_| slot()).collect();
    // The counter gave this place to nobody else.
    let _ = TABLE[index].set(Chunk { home: Home::here(), shard, slots });
    let first = index as u32 * CHUNK;
    Some(first..first + CHUNK)
}

fn place(number: u32) -> Option<(&'static Chunk, &'static Slot)> {
    let chunk = TABLE.get((number / CHUNK) as usize)?.get()?;
    Some((chunk, chunk.slots.get((number % CHUNK) as usize)?))
}

/// The calling thread's shard.
fn shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        shard.get()
    })
}

fn number_of(id: RequestId) -> u32 {
    id as u32 & ((1 << SLOT_BITS) - 1)
}

/// The slot of a live id; no lock is taken before its fork is known.
fn find(id: RequestId) -> Result<(u64, &'static Slot), Code> {
    let (chunk, slot) = place(number_of(id)).ok_or(Code::Handle)?;
    let live = slot.live.load(Ordering::SeqCst);
    if live & ID_MASK != id || id == 0 {
        return Err(Code::Handle);
    }
    chunk.home.check()?;
    Ok((live, slot))
}

/// The locked slot of a live id.
fn open(id: RequestId) -> Result<(&'static Slot, MutexGuard<'static, State>), Code> {
    let (_, slot) = find(id)?;
    let state = lock(&slot.state);
    // Released, and perhaps taken again, while we waited for the lock.
    if slot.live.load(Ordering::Relaxed) & ID_MASK != id {
        return Err(Code::Handle);
    }
    Ok((slot, state))
}

/// A request that has an id now, with one reference, which is the program's.
pub(crate) struct Admitted {
    number: u32,
    pub(crate) id: RequestId,
    pub(crate) view: *const RequestView,
}

/// Gives a request an id and a view. With `pinned` its slot is kept until [`Admitted::returned`]. Without a free slot, which
/// a million live requests are needed for, the request is refused.
pub(crate) fn admit(request: Request, queue: Option<Arc<Queue>>, pinned: bool) -> Option<Admitted> {
    let free = Free::here();
    let own = shard();
    let taken = (own..own + SHARDS).find_map(|shard| {
        let mut line = lock(&free.shards[shard % SHARDS]);
        Some((line.take(shard % SHARDS)?, line.storage()))
    });
    let placed = taken.and_then(|(number, storage)| Some((number, storage, place(number)?)));
    let Some((number, storage, (_, slot))) = placed else {
        request.exchange().watch(REFUSED);
        request.fail(Failure::Refused);
        return None;
    };
    let mut state = lock(&slot.state);
    let id = state.next_id(number);
    state.references = 1;
    state.pinned = pinned;
    // Nobody shares storage that was put by: see `vacate`.
    let held = Arc::get_mut(state.held.insert(storage.unwrap_or_default()))?;
    let exchange = held.fill(id, request, queue);
    // Before the exchange knows it: a cancel that finds the id there finds it here too.
    slot.live.store(id, Ordering::Release);
    exchange.watch(id);
    // A cancel that came before the id was known has found no slot to tell.
    if let Some(reason) = exchange.cancelled() {
        cancel(id, reason);
    }
    Some(Admitted { number, id, view: held.view() })
}

impl Admitted {
    /// After the request callback: a failure that it reported becomes the answer, if there is none, also where the program
    /// has released the request already.
    pub(crate) fn returned(self, failure: Option<Failure>) {
        let Some((_, slot)) = place(self.number) else { return };
        let mut state = lock(&slot.state);
        if let (Some(failure), Some(held)) = (failure, &state.held)
            && let Ok(request) = held.request()
        {
            request.fail(failure);
        }
        state.pinned = false;
        if state.references == 0 {
            vacate(self.number, state);
        }
    }
}

/// Ends a slot's request and puts the slot in line again.
fn vacate(number: u32, mut state: MutexGuard<'_, State>) {
    let mut storage = state.held.take();
    drop(state);
    // Outside the lock: what remains may call the program as it is dropped (drop functions), which may call us.
    match storage.as_mut().map(Arc::get_mut) {
        Some(Some(held)) => drop(held.empty()),
        // Another thread is inside a call: the request ends when that returns.
        _ => storage = None,
    }
    if cfg!(debug_assertions) {
        storage = storage.and_then(spoiled);
    }
    if let Some((chunk, _)) = place(number) {
        let mut shard = lock(&Free::here().shards[chunk.shard]);
        shard.line.push_back(number);
        if shard.storage.len() < STORAGE {
            shard.storage.extend(storage);
        }
    }
}

/// Storage whose view nobody may read any more, where misuse is looked for. Under ASAN it is freed, which ASAN tells of for as
/// long as it remembers.
fn spoiled(mut storage: Arc<Held>) -> Option<Arc<Held>> {
    static ASAN: OnceLock<bool> = OnceLock::new();
    // SAFETY: the name is NUL-terminated, and nothing is done with the address.
    if *ASAN.get_or_init(|| !unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__asan_init".as_ptr()) }.is_null()) {
        return None;
    }
    Arc::get_mut(&mut storage)?.spoil();
    Some(storage)
}

/// Looks at a live request under the slot's lock: for calls that neither block nor call the program.
pub(crate) fn with<R>(id: RequestId, look: impl FnOnce(&Held) -> Result<R, Code>) -> Result<R, Code> {
    let (_, state) = open(id)?;
    look(state.held.as_deref().ok_or(Code::Handle)?)
}

/// A live request, for calls that may block or call the program. It lives on until they return.
pub(crate) fn hold(id: RequestId) -> Result<Arc<Held>, Code> {
    let (_, state) = open(id)?;
    state.held.clone().ok_or(Code::Handle)
}

/// Refuses what a queue has handed out and nobody has answered: no event about it comes any more.
pub(crate) fn refuse_those_of(queue: &Arc<Queue>) {
    for chunk in TABLE.iter().map_while(OnceLock::get).filter(|chunk| chunk.home.is_here()) {
        for slot in chunk.slots.iter().filter(|slot| slot.live.load(Ordering::SeqCst) != 0) {
            let held = lock(&slot.state).held.clone();
            if let Some(held) = held
                && held.queue().is_some_and(|of| Arc::ptr_eq(of, queue))
                && let Ok(request) = held.request()
            {
                request.fail(Failure::Refused);
            }
        }
    }
}

/// Runs the inside of a call about a request; after a bug of ours its connection closes and its server drains.
pub(crate) fn call(id: RequestId, call: impl FnOnce() -> Result<Status, Code>) -> Status {
    guard::drained(call, || {
        if let Ok(held) = hold(id)
            && let Ok(request) = held.request()
        {
            request.exchange().poison("in a call on a request");
        }
    })
}

/// One more reference.
pub(crate) fn retain(id: RequestId) -> Result<(), Code> {
    let (_, mut state) = open(id)?;
    state.references = state.references.checked_add(1).ok_or(Code::Limit)?;
    Ok(())
}

/// One reference less; with the last one the id ends.
pub(crate) fn release(id: RequestId) -> Result<(), Code> {
    let (slot, mut state) = open(id)?;
    state.references -= 1;
    if state.references == 0 {
        // Under the lock, where `open` looks again.
        slot.live.store(0, Ordering::Relaxed);
        if !state.pinned {
            vacate(number_of(id), state);
        }
    }
    Ok(())
}

/// The reason of the cancel, 0 while there is none. Lock-free.
pub(crate) fn cancelled(id: RequestId) -> Result<u32, Code> {
    Ok((find(id)?.0 >> ID_BITS) as u32)
}

/// Told by core when the cancel signal is raised: kept beside the id, where [`cancelled`] sees it without a lock.
pub(crate) fn cancel(id: RequestId, reason: Reason) {
    if let Some((_, slot)) = place(number_of(id)) {
        let marked = id | u64::from(reason.id()) << ID_BITS;
        // Fails where the id is released, or marked already.
        let _ = slot.live.compare_exchange(id, marked, Ordering::SeqCst, Ordering::SeqCst);
    }
}

const _: () = {
    assert!(TAG * 2 < 1 << ID_BITS, "exact in a double, and below connection ids");
    assert!(GENERATION_BITS >= 28);
    assert!(Reason::COUNT < 1 << (64 - ID_BITS), "a reason fits above the id");
    assert!(size_of::<Slot>() == 64);
};

#[cfg(test)]
mod tests;
