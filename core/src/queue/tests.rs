//! Who is woken by what, and that the descriptor tells the truth. The order of events is tested through servers (`tests/caps.rs`).

use std::iter::empty;
use std::sync::mpsc;

use super::*;

impl Queue {
    /// What a program sees that polls the descriptor.
    pub(crate) fn is_readable(&self) -> bool {
        let descriptor = self.descriptor();
        poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&Timespec::default())).unwrap() > 0
    }
}

fn letter(number: u32) -> Event {
    Event::Drop(Box::new(number))
}

fn sleepers(queue: &Queue) -> usize {
    lock(&queue.events).sleepers
}

/// Consumers that take one event each and hold it until they are let go.
fn pool(queue: &Arc<Queue>, size: usize) -> (mpsc::Receiver<()>, Vec<mpsc::Sender<()>>) {
    let (taken, events) = mpsc::channel();
    let gates = (0..size)
        .map(|_| {
            let (open, gate) = mpsc::channel();
            let (queue, taken) = (queue.clone(), taken.clone());
            std::thread::spawn(move || {
                let mut events = Vec::new();
                while queue.next_parked(&mut events, false) != Next::Closed {
                    events.clear();
                    let _ = taken.send(());
                    if gate.recv().is_err() {
                        return;
                    }
                }
            });
            open
        })
        .collect();
    while sleepers(queue) < size {
        std::thread::yield_now();
    }
    (events, gates)
}

#[test]
fn a_burst_wakes_one_of_a_pool_and_the_look_behind_it_wakes_the_rest() {
    let burst = |_| {
        let queue = Queue::new().unwrap();
        let (taken, gates) = pool(&queue, 3);
        assert!(queue.append(empty(), [letter(1), letter(2), letter(3)].into_iter()));
        taken.recv_timeout(Duration::from_secs(10)).unwrap();
        let left = queue.len();
        queue.rouse();
        taken.recv_timeout(Duration::from_secs(10)).unwrap();
        taken.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(queue.is_empty());
        drop(gates);
        queue.abandon();
        left
    };
    // The one that was woken holds its event, and the others sleep on; but a condition variable may wake one more that is only just
    // falling asleep, so not in each try.
    assert!((0..10).map(burst).any(|left| left == 2));
}

#[test]
fn single_events_wake_one_consumer_each() {
    let queue = Queue::new().unwrap();
    let (taken, gates) = pool(&queue, 2);
    for number in 0..2 {
        queue.push(letter(number));
        taken.recv_timeout(Duration::from_secs(10)).unwrap();
    }
    drop(gates);
    queue.abandon();
}

#[test]
fn a_signal_that_comes_behind_the_drain_is_read_by_who_finds_nothing() {
    let queue = Queue::new().unwrap();
    assert!(!queue.is_readable());
    queue.push(letter(1));
    assert!(queue.is_readable());
    let mut events = Vec::new();
    assert_eq!(queue.next(&mut events, 8, Some(Duration::ZERO)), Next::Events);
    assert!(!queue.is_readable());
    // As a pusher does that was held up between the lock and the write.
    queue.carry_out(Signal { rouse: 0, write: true });
    assert!(queue.is_readable());
    assert_eq!(queue.next(&mut events, 8, Some(Duration::ZERO)), Next::Again);
    assert!(!queue.is_readable());
    queue.push(letter(2));
    assert!(queue.is_readable());
}
