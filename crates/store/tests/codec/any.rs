//! Entries of every shape with values from the whole of their ranges, whether or not the rule book would make them.

use ledger::account::{Account, AccountKind, FreezeKind, Status, SystemKind};
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::customer::{Customer, ProfileField, Sealed};
use ledger::dead_letter::{DeadLetter, DeadLetterStatus};
use ledger::event::{
    AccountChange, AccountChanged, Channel, Context, CustomerChange, CustomerChanged, DeadLetterChange,
    DeadLetterChanged, Entry, Event, Header, HoldCaptured, HoldChange, HoldChanged, Key, Outcome,
};
use ledger::hold::{Hold, HoldStatus};
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, QuoteId, Sequence, TokenId, TransferId};
use ledger::limit::{DebitCounter, LimitKind, Limits};
use ledger::rejection::Rejection;
use ledger::time::{Day, Timestamp};
use ledger::token::{Role, Token};
use ledger::transfer::{Note, Posting, Postings, Reversed, Side, TransferKind, Transferred};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use std::ops::Range;
use std::sync::Arc;

pub(crate) mod saga;

/// Small and large numbers alike, since a varint has many lengths.
fn number(end: u64) -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64u32).prop_map(move |(number, shift)| (number >> shift) % end)
}

fn wide() -> impl Strategy<Value = u128> {
    (any::<u128>(), 0..128u32).prop_map(|(number, shift)| number >> shift)
}

fn signed_wide() -> impl Strategy<Value = i128> {
    (any::<i128>(), 0..128u32).prop_map(|(number, shift)| number >> shift)
}

fn id<T: std::fmt::Debug>(make: impl Fn(u64) -> Option<T>) -> impl Strategy<Value = T> {
    number(u64::MAX >> 1).prop_map(move |number| make(number + 1).expect("1 to 2^63-1"))
}

fn account_id() -> impl Strategy<Value = AccountId> {
    id(AccountId::new)
}

fn amount() -> impl Strategy<Value = Amount> {
    number(Amount::MAX.minor_units() + 1).prop_map(|number| Amount::new(number).expect("at most 18 digits"))
}

fn currency() -> impl Strategy<Value = Currency> {
    select(Currency::all().collect::<Vec<_>>())
}

fn time() -> impl Strategy<Value = Timestamp> {
    number(Timestamp::MAX.microseconds() + 1).prop_map(|number| Timestamp::from_microseconds(number).expect("a time"))
}

fn day() -> impl Strategy<Value = Day> {
    any::<i32>().prop_map(Day::new)
}

fn text() -> impl Strategy<Value = Box<str>> {
    ".{0,12}".prop_map(String::into_boxed_str)
}

fn sealed() -> impl Strategy<Value = Sealed> {
    vec(any::<u8>(), 0..40).prop_map(Vec::into_boxed_slice)
}

fn posting() -> impl Strategy<Value = Posting> {
    let side = select(vec![Side::Debit, Side::Credit]);
    (account_id(), amount(), signed_wide(), number(u64::MAX), side).prop_map(
        |(account, amount, balance_after, version, side)| Posting { account, amount, balance_after, version, side },
    )
}

/// Mostly the two sides of a leg.
fn pair() -> impl Strategy<Value = [Posting; 2]> {
    (posting(), account_id(), signed_wide(), 0..10u8).prop_map(|(posting, account, balance_after, shape)| match shape {
        0 => [posting, Posting { account, ..posting }],
        _ => [
            Posting { side: Side::Debit, ..posting },
            Posting { account, balance_after, side: Side::Credit, ..posting },
        ],
    })
}

fn postings() -> impl Strategy<Value = Postings> {
    prop_oneof![
        3 => pair().prop_map(Postings::Pair),
        1 => (vec(pair(), 0..4), any::<bool>()).prop_map(|(legs, is_odd)| {
            Postings::Many(legs.into_iter().flatten().skip(usize::from(is_odd)).collect())
        }),
    ]
}

fn note() -> impl Strategy<Value = Note> {
    (of(text()), vec((text(), text()), 0..3))
        .prop_map(|(reference, metadata)| Note { reference, metadata: metadata.into() })
}

/// Mostly plain, because that shape has a way of its own.
fn transferred() -> impl Strategy<Value = Transferred> {
    let named = (id(TransferId::new), select(TransferKind::ALL.to_vec()), currency(), postings());
    let reversed = (id(TransferId::new), day()).prop_map(|(transfer, day)| Reversed { transfer, day });
    let said = of((any::<bool>(), time(), of(reversed), of(id(HoldId::new)), of(note())));
    (named, said).prop_map(|((id, kind, currency, postings), said)| {
        let (forced, effective_at, reverses, hold, note) = said.unwrap_or((false, Timestamp::ZERO, None, None, None));
        Transferred { id, kind, currency, forced, effective_at, postings, reverses, hold, note: note.map(Box::new) }
    })
}

fn hold() -> impl Strategy<Value = Hold> {
    let status = select(vec![HoldStatus::Held, HoldStatus::Captured, HoldStatus::Voided, HoldStatus::Expired]);
    let whose = (id(HoldId::new), account_id(), of(account_id()), amount(), amount());
    (whose, currency(), status, of(time()), time(), day()).prop_map(
        |((id, from, to, amount, captured), currency, status, expires_at, created_at, day)| Hold {
            id,
            from,
            to,
            amount,
            captured,
            currency,
            status,
            expires_at,
            created_at,
            day,
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    (of(amount()), of(amount()), of(amount())).prop_map(|(per_transfer, daily_debit, monthly_debit)| Limits {
        per_transfer,
        daily_debit,
        monthly_debit,
    })
}

fn account() -> impl Strategy<Value = Account> {
    let kinds =
        [AccountKind::Checking, AccountKind::Savings].into_iter().chain(SystemKind::ALL.map(AccountKind::System));
    let statuses =
        vec![Status::Active, Status::Frozen(FreezeKind::Debit), Status::Frozen(FreezeKind::Full), Status::Closed];
    let what =
        (account_id(), select(kinds.collect::<Vec<_>>()), currency(), select(statuses), day(), of(id(CustomerId::new)));
    let figures = (signed_wide(), number(u64::MAX), number(u64::MAX), amount(), amount());
    let holds = (number(3), 0..3u32, prop_oneof![Just(Timestamp::MAX), time()]);
    let counter =
        of((day(), wide(), wide()).prop_map(|(day, of_day, of_month)| DebitCounter::from_parts(day, of_day, of_month)));
    (what, figures, holds, counter, of(limits()), of(text()), 0..3u32).prop_map(
        |(what, figures, holds, counter, limits, note, sagas_open)| {
            let (id, kind, currency, status, opened, customer) = what;
            let (balance, version, revision, overdraft_limit, opening_overdraft_limit) = figures;
            let (held, holds_active, next_expiry) = holds;
            Account {
                balance,
                held,
                version,
                revision,
                overdraft_limit,
                next_expiry,
                holds_active,
                status,
                customer,
                note,
                opening_overdraft_limit,
                debits: counter.unwrap_or_default(),
                limits: limits.map(Box::new),
                sagas_open,
                ..Account::open(id, kind, currency, opened)
            }
        },
    )
}

fn customer() -> impl Strategy<Value = Customer> {
    let profile = vec((select(ProfileField::ALL.to_vec()), sealed()), 0..4);
    (id(CustomerId::new), profile, any::<u128>(), time(), number(u64::MAX)).prop_map(
        |(id, profile, registered_as, created_at, revision)| Customer {
            id,
            profile,
            registered_as,
            created_at,
            revision,
        },
    )
}

fn dead_letter() -> impl Strategy<Value = DeadLetter> {
    let statuses = vec![DeadLetterStatus::Waiting, DeadLetterStatus::Redriven, DeadLetterStatus::Discarded];
    let what = (id(DeadLetterId::new), select(statuses), text(), text(), of(text()));
    (what, time(), any::<u32>(), any::<bool>(), number(u64::MAX), number(u64::MAX)).prop_map(
        |(
            (id, status, code, detail, discard_reason),
            received_at,
            attempts,
            attempt_is_open,
            recorded_by,
            data_from,
        )| DeadLetter {
            id,
            status,
            code,
            detail,
            received_at,
            attempts,
            attempt_is_open,
            recorded_by,
            data_from,
            discard_reason,
        },
    )
}

fn token() -> impl Strategy<Value = Token> {
    (id(TokenId::new), text(), select(Role::ALL.to_vec()), any::<[u8; 32]>(), time(), of(time()), any::<bool>())
        .prop_map(|(id, name, role, digest, created_at, expires_at, revoked)| Token {
            id,
            name,
            role,
            digest,
            created_at,
            expires_at,
            revoked,
        })
}

fn event() -> impl Strategy<Value = Event> {
    let hold_change = select(vec![HoldChange::Placed, HoldChange::Voided, HoldChange::Expired, HoldChange::Nothing]);
    let account_change = select(vec![
        AccountChange::Opened,
        AccountChange::TermsChanged,
        AccountChange::Frozen,
        AccountChange::Unfrozen,
        AccountChange::Closed,
        AccountChange::Nothing,
    ]);
    let customer_change = prop_oneof![
        Just(CustomerChange::Registered),
        Just(CustomerChange::Nothing),
        vec(select(ProfileField::ALL.to_vec()), 0..3).prop_map(CustomerChange::Updated),
    ];
    let letter_change = select(vec![
        DeadLetterChange::Recorded,
        DeadLetterChange::RedriveBegun,
        DeadLetterChange::RedriveFailed,
        DeadLetterChange::Redriven,
        DeadLetterChange::Discarded,
        DeadLetterChange::Nothing,
    ]);
    prop_oneof![
        4 => transferred().prop_map(Event::Transferred),
        1 => vec(transferred(), 0..3).prop_map(|transfers| Event::BatchTransferred(transfers.into())),
        1 => (hold(), transferred()).prop_map(|(hold, transferred)| Event::HoldCaptured(Box::new(HoldCaptured { hold, transferred }))),
        1 => (hold_change, hold()).prop_map(|(change, hold)| Event::HoldChanged(Box::new(HoldChanged { change, hold }))),
        1 => (account_change, any::<bool>(), account()).prop_map(|(change, id_is_generated, account)| {
            Event::AccountChanged(Box::new(AccountChanged { change, id_is_generated, account }))
        }),
        1 => (customer_change, any::<bool>(), customer()).prop_map(|(change, id_is_generated, customer)| {
            Event::CustomerChanged(Box::new(CustomerChanged { change, id_is_generated, customer }))
        }),
        1 => (letter_change, dead_letter(), of(sealed())).prop_map(|(change, dead_letter, payload)| {
            Event::DeadLetterChanged(Box::new(DeadLetterChanged { change, dead_letter, payload }))
        }),
        1 => token().prop_map(|token| Event::TokenChanged(Box::new(token))),
        2 => saga::event(),
    ]
}

fn rejection() -> impl Strategy<Value = Rejection> {
    let limit =
        select(vec![LimitKind::PerTransfer, LimitKind::DailyDebit, LimitKind::MonthlyDebit, LimitKind::ActiveHolds]);
    prop_oneof![
        account_id().prop_map(Rejection::AccountNotFound),
        any::<u64>().prop_map(Rejection::IdTaken),
        (id(TransferId::new), of(id(TransferId::new)))
            .prop_map(|(transfer, by)| Rejection::AlreadyReversed { transfer, by }),
        (account_id(), currency()).prop_map(|(account, currency)| Rejection::CurrencyMismatch { account, currency }),
        (id(HoldId::new), amount(), currency()).prop_map(|(hold, remaining, currency)| Rejection::HoldAmountExceeded {
            hold,
            remaining,
            currency
        }),
        (account_id(), signed_wide(), currency())
            .prop_map(|(account, available, currency)| Rejection::InsufficientFunds { account, available, currency }),
        (account_id(), limit).prop_map(|(account, limit)| Rejection::LimitExceeded { account, limit }),
        id(TransferId::new).prop_map(Rejection::TransferNotSucceeded),
        id(TransferId::new).prop_map(Rejection::Cancelled),
        any::<u64>().prop_map(|expected| Rejection::MessageOutOfOrder { expected }),
        id(QuoteId::new).prop_map(Rejection::QuoteUsed),
        Just(Rejection::InvariantBroken),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        5 => event().prop_map(Outcome::Event),
        1 => (any::<u32>(), rejection()).prop_map(|(index, rejection)| Outcome::Rejection { index, rejection }),
    ]
}

/// A few askers, as the entries of a block have.
fn context() -> impl Strategy<Value = Arc<Context>> {
    (select(vec!["local", "till-7", ""]), select(Channel::ALL.to_vec()), select(vec!["", "4bf92f"]), of(number(1000)))
        .prop_map(|(principal, channel, correlation, cause)| {
            Arc::new(Context { principal: principal.into(), channel, correlation: correlation.into(), cause })
        })
}

fn entry() -> impl Strategy<Value = Entry> {
    let key = (any::<u128>(), any::<u128>()).prop_map(|(digest, fingerprint)| Key { digest, fingerprint });
    let header = (time(), day(), of(key), context());
    (header, outcome(), any::<bool>()).prop_map(|((time, day, key, context), mut outcome, is_now)| {
        if let (true, Outcome::Event(Event::Transferred(transferred))) = (is_now, &mut outcome) {
            transferred.effective_at = time;
        }
        Entry { header: Header { sequence: 0, time, day, key, context }, outcome }
    })
}

/// So many entries, not numbered yet.
pub(crate) fn entries(count: Range<usize>) -> impl Strategy<Value = Vec<Entry>> {
    vec(entry(), count)
}

/// The entries as those of a block that begins with this sequence.
pub(crate) fn numbered(first: Sequence, entries: Vec<Entry>) -> Vec<Entry> {
    let mut entries = entries;
    for (sequence, entry) in (first..).zip(&mut entries) {
        entry.header.sequence = sequence;
    }
    entries
}
