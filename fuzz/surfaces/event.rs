//! CloudEvents as they come in: a stream of lines, an array, or one event.

use bank::Bank;
use bank::ingest::{EventCounts, EventOutcome, EventResult, events_of_array};
use bank::line::Lines;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

#[path = "world.rs"]
mod world;

/// Takes the bytes as NDJSON cut in two, then as an array, then as one event, twice each.
pub(crate) fn exercise(data: &[u8]) {
    let lines = lines_of(data);
    let array = events_of_array(data).unwrap_or_default();
    ready(async {
        let bank = world::bank().await;
        take_twice(&bank, &lines).await;
        take_twice(&bank, &array).await;
        take_twice(&bank, &[data]).await;
        world::assert_books_balance(&bank);
    });
}

/// The lines, which are the same wherever the stream is cut.
fn lines_of(data: &[u8]) -> Vec<Vec<u8>> {
    let cut_at = |cut: usize| {
        let (mut splitter, mut lines) = (Lines::default(), Vec::new());
        splitter.push(&data[..cut], &mut lines);
        splitter.push(&data[cut..], &mut lines);
        lines.extend(splitter.finish());
        lines
    };
    let lines = cut_at(data.len() / 2);
    assert_eq!(lines, cut_at(0));
    lines
}

/// Every event takes effect or becomes a dead letter with a code; the second time nothing with a key is done again.
async fn take_twice<E: AsRef<[u8]> + Sync>(bank: &Bank, events: &[E]) {
    let first = take(bank, events).await;
    let second = take(bank, events).await;
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.id, second.id);
        let was_done = matches!(second.outcome, EventOutcome::Accepted { .. });
        assert!(!was_done, "an event took effect twice, or only the second time: {first:?}");
        if let EventOutcome::DeadLettered { code, .. } = &second.outcome {
            assert!(
                !code.is_empty() && matches!(&first.outcome, EventOutcome::DeadLettered { .. }),
                "{first:?}, then {second:?}"
            );
        }
    }
}

async fn take<E: AsRef<[u8]> + Sync>(bank: &Bank, events: &[E]) -> Vec<EventResult> {
    let results = bank.ingest(&world::caller(), events).await.expect("no store faults in memory");
    let mut counts = EventCounts::default();
    results.iter().for_each(|result| counts.add(result));
    assert_eq!(counts.total(), events.len() as u64, "the counts do not add up");
    results
}

/// Nothing waits in memory, so a future that is polled is done.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
    panic!("a future in memory never ended");
}
