//! One entry of every shape there is, made the same way every time: what the golden file is written from.

use ledger::account::{Account, AccountKind, FreezeKind, Status, SystemAccount, SystemKind};
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::customer::{Customer, ProfileField};
use ledger::dead_letter::{DeadLetter, DeadLetterStatus};
use ledger::event::{
    AccountChange, AccountChanged, Channel, Context, CustomerChange, CustomerChanged, DeadLetterChange,
    DeadLetterChanged, Entry, Event, Header, HoldCaptured, HoldChange, HoldChanged, Key, Outcome,
};
use ledger::hold::{Hold, HoldStatus};
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, QuoteId, ShardId, TokenId, TransferId};
use ledger::limit::{DebitCounter, LimitKind, Limits};
use ledger::rejection::Rejection;
use ledger::time::{Day, Timestamp};
use ledger::token::{Role, Token};
use ledger::transfer::{Note, Posting, Postings, Reversed, Side, TransferKind, Transferred};
use std::sync::Arc;

pub(crate) mod saga;

/// The sequence of the first entry of the sample.
pub(crate) const FIRST_SEQUENCE: u64 = 41;
/// 2026-11-21T10:00:00Z.
const START_US: u64 = 1_795_255_200_000_000;
const FIRST_ID: u64 = 250_000_000_000_000_000;

pub(crate) fn account(number: u64) -> AccountId {
    AccountId::new(number).expect("an id")
}

pub(crate) fn amount(minor_units: u64) -> Amount {
    Amount::new(minor_units).expect("an amount")
}

pub(crate) fn currency(code: &str) -> Currency {
    code.parse().expect("a currency")
}

fn transfer_id(number: u64) -> TransferId {
    TransferId::new(number).expect("an id")
}

fn hold_id(number: u64) -> HoldId {
    HoldId::new(number).expect("an id")
}

pub(crate) fn time(microseconds_later: u64) -> Timestamp {
    Timestamp::from_microseconds(START_US + microseconds_later).expect("a time")
}

fn leg(from: u64, to: u64, minor_units: u64, version: u64) -> [Posting; 2] {
    let amount = amount(minor_units);
    let posting = |account_number, side, balance_after| Posting {
        account: account(account_number),
        amount,
        balance_after,
        version,
        side,
    };
    [posting(from, Side::Debit, -i128::from(minor_units)), posting(to, Side::Credit, i128::from(minor_units) * 3)]
}

/// A transfer of a single leg, as plain as most.
pub(crate) fn plain(id: u64, at: Timestamp) -> Transferred {
    Transferred {
        id: transfer_id(id),
        kind: TransferKind::Transfer,
        currency: currency("EUR"),
        forced: false,
        effective_at: at,
        postings: Postings::Pair(leg(1_000_001, 1_000_002, 12_345, 77)),
        reverses: None,
        hold: None,
        note: None,
    }
}

/// The kinds that there were when the golden files were made. Later ones have a file of their own, so that these stay.
const KINDS_FIRST: [TransferKind; 8] = {
    let [a, b, c, d, e, f, g, h, ..] = TransferKind::ALL;
    [a, b, c, d, e, f, g, h]
};
const SYSTEM_KINDS_FIRST: [SystemKind; 8] = {
    let [a, b, c, d, e, f, g, h, ..] = SystemKind::ALL;
    [a, b, c, d, e, f, g, h]
};

fn transfers() -> Vec<Transferred> {
    let at = time(0);
    let cash = SystemAccount::standard(ShardId::default(), SystemKind::Cash, currency("EUR")).id();
    let note = |reference: Option<&str>, metadata: &[(&str, &str)]| {
        let metadata = metadata.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Some(Box::new(Note { reference: reference.map(Box::from), metadata }))
    };
    let mut all: Vec<Transferred> =
        (0..).zip(KINDS_FIRST).map(|(index, kind)| Transferred { kind, ..plain(FIRST_ID + index, at) }).collect();
    all.push(Transferred {
        postings: Postings::Pair(leg(cash.number(), 7, 999_999_999_999_999_999, u64::MAX)),
        ..plain(FIRST_ID + 8, at)
    });
    all.push(Transferred { currency: currency("JPY"), ..plain(FIRST_ID + 4096, at) });
    all.push(Transferred { forced: true, ..plain(FIRST_ID + 4097, at) });
    all.push(Transferred {
        effective_at: Timestamp::ZERO,
        note: note(Some("rent 11/2026"), &[]),
        ..plain(FIRST_ID + 4098, at)
    });
    all.push(Transferred { note: note(None, &[("order", "17"), ("shop", "Brno – Žabovřesky")]), ..plain(5, at) });
    let reverses = Some(Reversed { transfer: transfer_id(5), day: Day::new(-1) });
    all.push(Transferred { kind: TransferKind::Reversal, reverses, note: note(Some(""), &[("", "")]), ..plain(6, at) });
    let legs: Vec<Posting> = (0..3).flat_map(|number| leg(10 + number, 11 + number, 5, number + 1)).collect();
    all.push(Transferred { postings: Postings::Many(legs.into()), ..plain(7, at) });
    let [debit, credit] = leg(1, 2, 3, 4);
    let wide = Posting { balance_after: i128::MIN, ..credit };
    all.push(Transferred { postings: Postings::Pair([credit, debit]), ..plain(8, at) });
    all.push(Transferred {
        postings: Postings::Many(vec![debit, Posting { balance_after: i128::MAX, ..debit }, wide].into()),
        ..plain(9, at)
    });
    all
}

pub(crate) fn holds() -> Vec<Hold> {
    let statuses = [HoldStatus::Held, HoldStatus::Captured, HoldStatus::Voided, HoldStatus::Expired];
    (0..)
        .zip(statuses)
        .map(|(index, status)| Hold {
            id: hold_id(FIRST_ID + 9000 + index),
            from: account(1_000_001),
            to: (index % 2 == 0).then(|| account(1_000_002)),
            amount: amount(5000 + index),
            captured: amount(index * 100),
            currency: currency("KWD"),
            status,
            expires_at: (index < 2).then(|| time(86_400_000_000)),
            created_at: time(index),
            day: time(0).day(),
        })
        .collect()
}

pub(crate) fn accounts() -> Vec<Account> {
    let kinds =
        [AccountKind::Checking, AccountKind::Savings].into_iter().chain(SYSTEM_KINDS_FIRST.map(AccountKind::System));
    let mut all: Vec<Account> = (0..)
        .zip(kinds)
        .map(|(index, kind)| Account::open(account(100 + index), kind, currency("CZK"), Day::new(20_778)))
        .collect();
    let statuses =
        [Status::Active, Status::Frozen(FreezeKind::Debit), Status::Frozen(FreezeKind::Full), Status::Closed];
    all.extend((0..).zip(statuses).map(|(index, status)| Account {
        status,
        balance: -6000 - i128::from(index),
        held: 300,
        version: 12 + index,
        revision: 20 + index,
        overdraft_limit: amount(10_000),
        opening_overdraft_limit: amount(5000),
        next_expiry: time(index),
        holds_active: 2,
        customer: CustomerId::new(900 + index),
        debits: DebitCounter::from_parts(Day::new(20_778), u128::from(u64::MAX) + 1, u128::MAX),
        limits: Some(Box::new(Limits {
            per_transfer: Some(Amount::MAX),
            daily_debit: None,
            monthly_debit: Some(Amount::ZERO),
        })),
        note: Some("court order 12 C 45/2026".into()),
        ..Account::open(account(200 + index), AccountKind::Checking, currency("EUR"), Day::new(i32::MIN))
    }));
    all
}

pub(crate) fn customers() -> Vec<Customer> {
    let profile = ProfileField::ALL.map(|field| (field, field.name().as_bytes().into()));
    [vec![], profile.into()]
        .into_iter()
        .map(|profile| Customer {
            id: CustomerId::new(900).expect("an id"),
            profile,
            registered_as: u128::MAX - 7,
            created_at: time(3),
            revision: 2,
        })
        .collect()
}

pub(crate) fn dead_letters() -> Vec<DeadLetter> {
    let statuses = [DeadLetterStatus::Waiting, DeadLetterStatus::Redriven, DeadLetterStatus::Discarded];
    (0..)
        .zip(statuses)
        .map(|(index, status)| DeadLetter {
            id: DeadLetterId::new(FIRST_ID + 10_000).expect("an id"),
            status,
            code: "insufficient_funds".into(),
            detail: "account 7 has 1.00 EUR available; move less, or pay in first".into(),
            received_at: time(9),
            attempts: 1 + index,
            attempt_is_open: index == 0,
            recorded_by: 45,
            data_from: 47,
            discard_reason: (index == 2).then(|| "sent twice".into()),
        })
        .collect()
}

pub(crate) fn tokens() -> Vec<Token> {
    Role::ALL
        .into_iter()
        .map(|role| Token {
            id: TokenId::new(FIRST_ID + 11_000).expect("an id"),
            name: role.name().into(),
            role,
            digest: std::array::from_fn(|index| u8::try_from(index * 7).expect("a small number")),
            created_at: time(0),
            expires_at: (role == Role::Teller).then_some(Timestamp::MAX),
            revoked: role == Role::Auditor,
        })
        .collect()
}

fn rejections() -> Vec<Rejection> {
    let (id, code) = (account(u64::MAX >> 1), currency("EUR"));
    let mut all = vec![
        Rejection::UserNotFound(CustomerId::new(1).expect("an id")),
        Rejection::AccountNotFound(id),
        Rejection::HoldNotFound(hold_id(3)),
        Rejection::TransferNotFound(transfer_id(4)),
        Rejection::DeadLetterNotFound(DeadLetterId::new(5).expect("an id")),
        Rejection::TokenNotFound(TokenId::new(6).expect("an id")),
        Rejection::IdTaken(u64::MAX),
        Rejection::AlreadyReversed { transfer: transfer_id(8), by: Some(transfer_id(9)) },
        Rejection::AlreadyReversed { transfer: transfer_id(8), by: None },
        Rejection::ReversalPending(transfer_id(10)),
        Rejection::HoldNotOpen(hold_id(11)),
        Rejection::AccountNotEmpty(id),
        Rejection::SameAccount(id),
        Rejection::AccountClosed(id),
        Rejection::AccountFrozen(id),
        Rejection::CurrencyMismatch { account: id, currency: code },
        Rejection::EffectiveAtInvalid,
        Rejection::ExpiresAtInvalid,
        Rejection::HoldAmountExceeded { hold: hold_id(12), remaining: Amount::MAX, currency: code },
        Rejection::InsufficientFunds { account: id, available: -5, currency: code },
        Rejection::BalanceOverflow(id),
        Rejection::LinkedTransferFailed,
        Rejection::InvariantBroken,
    ];
    let limits = [LimitKind::PerTransfer, LimitKind::DailyDebit, LimitKind::MonthlyDebit, LimitKind::ActiveHolds];
    all.extend(limits.map(|limit| Rejection::LimitExceeded { account: id, limit }));
    all
}

fn events() -> Vec<Event> {
    let mut all: Vec<Event> = transfers().into_iter().map(Event::Transferred).collect();
    all.push(Event::BatchTransferred(transfers().into()));
    all.push(Event::BatchTransferred(Box::new([])));
    all.extend(holds().into_iter().map(|hold| {
        let transferred =
            Transferred { kind: TransferKind::Capture, hold: Some(hold.id), ..plain(FIRST_ID + 9500, time(0)) };
        Event::HoldCaptured(Box::new(HoldCaptured { hold, transferred }))
    }));
    let changes = [HoldChange::Placed, HoldChange::Voided, HoldChange::Expired, HoldChange::Nothing];
    all.extend(
        changes
            .into_iter()
            .zip(holds())
            .map(|(change, hold)| Event::HoldChanged(Box::new(HoldChanged { change, hold }))),
    );
    let changes = [
        AccountChange::Opened,
        AccountChange::TermsChanged,
        AccountChange::Frozen,
        AccountChange::Unfrozen,
        AccountChange::Closed,
        AccountChange::Nothing,
    ];
    let changed = accounts().into_iter().zip(changes.into_iter().cycle());
    all.extend(changed.map(|(account, change)| {
        Event::AccountChanged(Box::new(AccountChanged {
            change,
            id_is_generated: change == AccountChange::Opened,
            account,
        }))
    }));
    let changes = [
        CustomerChange::Registered,
        CustomerChange::Updated(vec![]),
        CustomerChange::Updated(ProfileField::ALL.into()),
        CustomerChange::Nothing,
    ];
    all.extend(changes.into_iter().zip(customers().into_iter().cycle()).map(|(change, customer)| {
        Event::CustomerChanged(Box::new(CustomerChanged {
            id_is_generated: change == CustomerChange::Registered,
            change,
            customer,
        }))
    }));
    let changes = [
        DeadLetterChange::Recorded,
        DeadLetterChange::RedriveBegun,
        DeadLetterChange::RedriveFailed,
        DeadLetterChange::Redriven,
        DeadLetterChange::Discarded,
        DeadLetterChange::Nothing,
    ];
    all.extend(changes.into_iter().zip(dead_letters().into_iter().cycle()).map(|(change, dead_letter)| {
        let payload = (change == DeadLetterChange::Recorded).then(|| Box::from([0, 1, 0xff]));
        Event::DeadLetterChanged(Box::new(DeadLetterChanged { change, dead_letter, payload }))
    }));
    all.extend(tokens().into_iter().map(|token| Event::TokenChanged(Box::new(token))));
    all
}

/// An exchange of 100.00 EUR into 16,250 JPY, the money of a hold exchanged, and what is said when there is none.
pub(crate) fn exchanges() -> Vec<Entry> {
    let bank = |kind, code| SystemAccount::standard(ShardId::default(), kind, currency(code)).id().number();
    let [sold, bought] = ["EUR", "JPY"].map(|code| bank(SystemKind::FxPosition, code));
    let legs = [
        leg(1_000_001, sold, 10_000, 7),
        leg(bought, 1_000_002, 16_250, 3),
        leg(bought, bank(SystemKind::FxResult, "JPY"), 50, 4),
    ];
    let metadata = Box::new([("florin.fx.rate".into(), "162.5".into())]);
    let exchange = Transferred {
        kind: TransferKind::Exchange,
        postings: Postings::Many(legs.concat().into()),
        note: Some(Box::new(Note { reference: None, metadata })),
        ..plain(FIRST_ID, time(0))
    };
    let hold = holds().swap_remove(1);
    let captured = Transferred { kind: TransferKind::Capture, hold: Some(hold.id), ..exchange.clone() };
    let quote = QuoteId::new(u64::MAX >> 1).expect("an id");
    let rejections = [
        Rejection::QuoteNotFound(quote),
        Rejection::QuoteUsed(quote),
        Rejection::QuoteMismatch(quote),
        Rejection::QuoteExpired(quote),
    ];
    // One leg too, as a step between shards has it.
    let plain = Transferred { kind: TransferKind::Exchange, ..plain(FIRST_ID + 1, time(0)) };
    let events = [
        Event::Transferred(exchange),
        Event::Transferred(plain),
        Event::HoldCaptured(Box::new(HoldCaptured { hold, transferred: captured })),
    ];
    let rejected = rejections.map(|rejection| Outcome::Rejection { index: 0, rejection });
    let outcomes = events.into_iter().map(Outcome::Event).chain(rejected);
    let context =
        Arc::new(Context { principal: "till".into(), channel: Channel::Http, correlation: "".into(), cause: None });
    let header = |sequence| Header { sequence, time: time(0), day: time(0).day(), key: None, context: context.clone() };
    (FIRST_SEQUENCE..).zip(outcomes).map(|(sequence, outcome)| Entry { header: header(sequence), outcome }).collect()
}

/// Every event and every rejection, asked in turn by everybody, some with a key, as time goes on.
pub(crate) fn entries() -> Vec<Entry> {
    let asker = |(index, channel): (u64, Channel)| {
        let cause = (index % 2 == 1).then_some(index * 1000);
        let correlation = if index == 0 { "" } else { "4bf92f3577b34da6" };
        Arc::new(Context { principal: format!("till-{index}").into(), channel, correlation: correlation.into(), cause })
    };
    let askers: Vec<Arc<Context>> = (0..).zip(Channel::ALL).map(asker).collect();
    let rejected =
        (0..).zip(rejections()).map(|(index, rejection)| Outcome::Rejection { index: index % 3 * 40_000, rejection });
    let outcomes = events().into_iter().map(Outcome::Event).chain(rejected);
    (0..)
        .zip(outcomes)
        .map(|(index, outcome)| {
            let key = Key { digest: u128::from(index) << 64 | 0xabcd, fingerprint: u128::MAX / u128::from(index + 1) };
            let asker = usize::try_from(index / 4).expect("a small number") % askers.len();
            let time = time(index / 30 * 250);
            Entry {
                header: Header {
                    sequence: FIRST_SEQUENCE + index,
                    time,
                    day: Day::new(time.day().number() + i32::from(30 < index)),
                    key: (index % 5 != 4).then_some(key),
                    context: askers[asker].clone(),
                },
                outcome,
            }
        })
        .collect()
}
