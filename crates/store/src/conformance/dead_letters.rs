//! Dead letters: kept with what came, moved on by people, one attempt at a time.

use super::ask;
use super::bench::{Bench, every_from, sequence};
use super::keys::bytes;
use crate::Answer;
use crate::query::PageQuery;
use ledger::command::{BeginRedrive, Command, DiscardDeadLetter, FinishRedrive, RecordDeadLetter};
use ledger::dead_letter::{DeadLetter, DeadLetterStatus};
use ledger::event::{DeadLetterChange, DeadLetterChanged, Event, Outcome};
use ledger::ids::DeadLetterId;

#[track_caller]
fn changed(answer: &Answer) -> &DeadLetterChanged {
    match answer.outcome() {
        Some(Outcome::Event(Event::DeadLetterChanged(changed))) => changed,
        _ => panic!("expected a dead letter: {answer:?}"),
    }
}

fn begin(dead_letter: DeadLetterId, payload: Option<&[u8]>) -> Command {
    Command::BeginRedrive(Box::new(BeginRedrive { dead_letter, payload: payload.map(Box::from) }))
}

fn finish(dead_letter: DeadLetterId, attempt: u32, failure: Option<(&str, &str)>) -> Command {
    let failure = failure.map(|(code, detail)| (code.into(), detail.into()));
    Command::FinishRedrive(Box::new(FinishRedrive { dead_letter, attempt, failure }))
}

fn discard(dead_letter: DeadLetterId, reason: &str) -> Command {
    Command::DiscardDeadLetter(Box::new(DiscardDeadLetter { dead_letter, reason: reason.into() }))
}

/// A dead letter with the payloads that its two entries hold.
async fn read(bench: &Bench, id: DeadLetterId) -> (DeadLetter, Vec<u8>, Vec<u8>) {
    let found = bench.store().dead_letter(id).await.expect("the store answers").expect("the dead letter is there");
    let payload = |entry: &crate::EntryRef| match &entry.outcome {
        Outcome::Event(Event::DeadLetterChanged(changed)) => changed.payload.as_ref().map(|payload| payload.to_vec()),
        _ => None,
    };
    let first = payload(&found.1).expect("the first entry has what was sent");
    let latest = payload(&found.2).expect("the latest entry has data");
    (found.0, first, latest)
}

/// Nobody waits for the answer to an event, so its rejection is kept with what came.
pub async fn an_event_that_is_rejected_becomes_a_dead_letter(bench: &mut Bench) {
    bench.open_accounts(&[10, 0]).await;
    let taken = bench.ask(ask::ingest(ask::transfer(1, 2, 4), b"four")).await;
    assert_eq!(super::bench::transferred(&taken).postings[1].balance_after, 4);
    let answer = bench.ask(ask::ingest(ask::transfer(1, 2, 400), b"four hundred")).await;
    let letter = &changed(&answer).dead_letter;
    assert_eq!((&*letter.code, letter.status, letter.attempts), ("insufficient_funds", DeadLetterStatus::Waiting, 1));
    let (stored, first, latest) = read(bench, letter.id).await;
    assert_eq!((&stored, &first[..], &latest[..]), (letter, &b"four hundred"[..], &b"four hundred"[..]));
    assert_eq!(bench.balances(2).await, [6, 4]);
    assert_eq!(bench.store().stats().dead_letters_waiting, 1);
}

/// The key of an event leads to its dead letter for ever.
pub async fn an_event_sent_again_makes_no_second_dead_letter(bench: &mut Bench) {
    bench.open_accounts(&[10, 0]).await;
    let key = bench.next_key();
    let command = ask::ingest(ask::transfer(1, 2, 400), b"four hundred");
    let first = bench.ask_as(key, command.clone()).await;
    bench.ask(ask::deposit(1, 1000)).await;
    let again = bench.ask_as(key, command).await;
    assert!(matches!(again, Answer::Replayed(_)), "{again:?}");
    assert_eq!(bytes(&again), bytes(&first));
    assert_eq!(bench.balances(2).await, [1010, 0]);
    assert_eq!(bench.store().stats().dead_letters_waiting, 1);
}

/// An attempt is recorded before it is made; until it ended no other begins, and nobody discards the letter.
pub async fn a_redrive_is_one_attempt_at_a_time(bench: &mut Bench) {
    bench.open_accounts(&[10, 0]).await;
    let recorded = bench.ask(ask::ingest(ask::transfer(1, 2, 400), b"sent")).await;
    let id = changed(&recorded).dead_letter.id;
    let begun = bench.ask(begin(id, Some(b"corrected"))).await;
    assert_eq!(changed(&begun).change, DeadLetterChange::RedriveBegun);
    for other in [begin(id, Some(b"other")), discard(id, "too late"), finish(id, 7, None)] {
        assert_eq!(changed(&bench.ask(other).await).change, DeadLetterChange::Nothing);
    }
    let (stored, first, latest) = read(bench, id).await;
    assert_eq!((stored.attempts, stored.attempt_is_open), (2, true));
    assert_eq!((&first[..], &latest[..]), (&b"sent"[..], &b"corrected"[..]));
    assert_eq!((stored.recorded_by, stored.data_from), (sequence(&recorded), sequence(&begun)));

    let failed = bench.ask(finish(id, 2, Some(("account_closed", "account 2 is closed")))).await;
    assert_eq!(changed(&failed).change, DeadLetterChange::RedriveFailed);
    bench.ask(begin(id, None)).await;
    bench.settle();
    let done = bench.ask(finish(id, 3, None)).await;
    let letter = &changed(&done).dead_letter;
    assert_eq!((letter.status, letter.attempts, &*letter.code), (DeadLetterStatus::Redriven, 3, "account_closed"));
    assert_eq!(read(bench, id).await.2, b"corrected", "without new data the latest counts");
    assert_eq!(changed(&bench.ask(begin(id, None)).await).change, DeadLetterChange::Nothing);
}

/// Each status has its list, and all of them theirs.
pub async fn dead_letters_are_listed_by_status(bench: &mut Bench) {
    bench.open_accounts(&[]).await;
    let mut ids = Vec::new();
    for number in 0..6u8 {
        let record =
            RecordDeadLetter { code: "malformed".into(), detail: "no JSON".into(), payload: Box::new([number]) };
        ids.push(changed(&bench.ask(Command::RecordDeadLetter(Box::new(record))).await).dead_letter.id);
    }
    for id in [ids[1], ids[4]] {
        bench.ask(discard(id, "sent by mistake")).await;
    }
    bench.ask(begin(ids[2], None)).await;
    bench.ask(finish(ids[2], 2, None)).await;
    let expected = [
        (None, vec![ids[5], ids[4], ids[3], ids[2], ids[1], ids[0]]),
        (Some(DeadLetterStatus::Waiting), vec![ids[5], ids[3], ids[0]]),
        (Some(DeadLetterStatus::Discarded), vec![ids[4], ids[1]]),
        (Some(DeadLetterStatus::Redriven), vec![ids[2]]),
    ];
    for (status, ids) in expected {
        for limit in [1, 2, 100] {
            let rows =
                every_from(|before| bench.store().dead_letters(PageQuery { before, limit, status }), limit).await;
            assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids, "{status:?} in pages of {limit}");
        }
    }
    assert_eq!(bench.store().stats().dead_letters_waiting, 3);
}
