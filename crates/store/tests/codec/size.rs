//! What an entry costs on disk.

use crate::sample::{account, amount, plain, time};
use ledger::event::{Channel, Context, Entry, Event, Header, Key, Outcome};
use ledger::transfer::{Posting, Postings, Side, Transferred};
use std::sync::Arc;
use store::codec::encode_block;

/// Transfers between generated accounts with balances of thousands, one after the other.
fn transfers(count: u64) -> Vec<Entry> {
    let context =
        Arc::new(Context { principal: "loader".into(), channel: Channel::Http, correlation: "".into(), cause: None });
    let posting = |account_number, side, balance_after, version| Posting {
        account: account(account_number),
        amount: amount(9_999),
        balance_after,
        version,
        side,
    };
    (0..count)
        .map(|index| {
            let debit = posting(255_000_000_000_000_000 + index, Side::Debit, 4_000_000, 1000 + index);
            let credit = posting(256_000_000_000_000_000 - index, Side::Credit, 5_000_000, 2000 + index);
            let transferred = Transferred {
                postings: Postings::Pair([debit, credit]),
                ..plain(257_000_000_000_000_000 + index, time(0))
            };
            Entry {
                header: Header {
                    sequence: 1 + index,
                    time: time(0),
                    day: time(0).day(),
                    key: Some(Key { digest: u128::MAX - u128::from(index), fingerprint: u128::MAX / 3 }),
                    context: context.clone(),
                },
                outcome: Outcome::Event(Event::Transferred(transferred)),
            }
        })
        .collect()
}

#[test]
fn a_plain_transfer_with_a_key_takes_at_most_75_bytes() {
    let mut out = Vec::new();
    encode_block(&transfers(8192), &mut out);
    assert!(out.len() <= 75 * 8192, "{} bytes each", out.len() / 8192);
}

#[test]
fn a_block_of_one_plain_transfer_takes_at_most_128_bytes() {
    let mut out = Vec::new();
    encode_block(&transfers(1), &mut out);
    assert!(out.len() <= 128, "{} bytes", out.len());
}
