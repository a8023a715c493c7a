//! Reads a transfer from JSON: a deposit, a withdrawal, a transfer between two accounts, or one in legs.

use crate::App;
use crate::auth::forbidden;
use crate::input::{
    Problems, amount_text, boolean, currency, fields, id, leg_amount, note, required_id, time, unknown_field, word,
};
use crate::json::{Kind, Value};
use crate::problem::{Code, Problem};
use bank::Caller;
use bank::split::{Portion, SplitError, split};
use bank::transfer::Terms;
use ledger::currency::Currency;
use ledger::ids::AccountId;
use ledger::token::Role;
use ledger::transfer::{LEGS_MAX, Leg, LegAmount, Legs, Transfer, TransferKind};

const KINDS: [(&str, TransferKind); 3] = [
    ("deposit", TransferKind::Deposit),
    ("withdrawal", TransferKind::Withdrawal),
    ("transfer", TransferKind::Transfer),
];

/// The fields of a transfer beside its key.
struct Sides<'a> {
    from: Option<Value<'a>>,
    to: Option<Value<'a>>,
    amount: Option<Value<'a>>,
    legs: Option<Value<'a>>,
    splits: Option<Value<'a>>,
    contra: Option<Value<'a>>,
}

/// Where a key may stand in the object of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    /// Nowhere: it is in a header.
    Outside,
    /// Beside the other fields.
    Inside,
}

/// Reads a transfer. What is wrong is noted, the caller's role included.
///
/// # Errors
/// The problem that wins, when something is wrong.
pub(crate) fn transfer(
    app: &App,
    caller: &Caller,
    value: Value<'_>,
    key_place: KeyPlace,
    mut problems: Problems,
) -> Result<Transfer, Problem> {
    let names = [
        "type",
        "from",
        "to",
        "amount",
        "currency",
        "legs",
        "splits",
        "contra",
        "reference",
        "effective_at",
        "metadata",
        "forced",
        "fee",
        "idempotency_key",
    ];
    let [
        kind,
        from,
        to,
        amount,
        currency_value,
        legs,
        splits,
        contra,
        reference,
        effective_at,
        metadata,
        forced,
        fee,
        key,
    ] = fields(value, names, &mut problems);
    if key_place == KeyPlace::Outside && key.is_some() {
        problems.note(unknown_field("idempotency_key", &names[..13]));
    }
    problems.keep(no_fee_in_batch(key_place, fee));
    let kind = problems.required("type", kind).and_then(|kind| word("type", Some(kind), &KINDS, &mut problems));
    let forced = boolean("forced", forced, &mut problems).unwrap_or(false);
    if forced && caller.role != Role::Admin {
        problems.note(forbidden(Role::Admin));
    }
    let effective_at = time("effective_at", effective_at, &mut problems);
    let note = note(reference, metadata, &mut problems);
    let currency = currency(currency_value, &mut problems);
    let sides = Sides { from, to, amount, legs, splits, contra };
    let moved = kind.and_then(|kind| moved(kind, &sides, currency, &mut problems));
    let (Some(moved), Some(currency)) = (moved, currency) else { return Err(problems.into_problem()) };
    problems.check()?;
    let terms = |amount| Terms { currency, amount, forced, effective_at, note: None };
    let mut transfer = match moved {
        Moved::Deposit { leg, contra } => {
            app.bank().deposit(leg.0, contra, terms(leg.1)).map_err(|rejection| Problem::from(&rejection))?
        }
        Moved::Withdrawal { leg, contra } => {
            app.bank().withdrawal(leg.0, contra, terms(leg.1)).map_err(|rejection| Problem::from(&rejection))?
        }
        Moved::Between(legs) => {
            Transfer { kind: TransferKind::Transfer, currency, legs, forced, effective_at, note: None }
        }
    };
    transfer.note = note;
    Ok(transfer)
}

fn no_fee_in_batch(key_place: KeyPlace, fee: Option<Value<'_>>) -> Result<(), Problem> {
    if key_place == KeyPlace::Outside || fee.is_none() {
        return Ok(());
    }
    Err(Problem::new(Code::UnknownField, "a transfer of a batch has no `fee`; send it by itself"))
}

/// One customer's account and how much it gives or gets.
type OneSide = (AccountId, LegAmount);

enum Moved {
    Deposit { leg: OneSide, contra: Option<AccountId> },
    Withdrawal { leg: OneSide, contra: Option<AccountId> },
    Between(Legs),
}

fn moved(kind: TransferKind, sides: &Sides<'_>, currency: Option<Currency>, problems: &mut Problems) -> Option<Moved> {
    match kind {
        TransferKind::Deposit => {
            refuse(&[("from", sides.from), ("legs", sides.legs), ("splits", sides.splits)], "a deposit", problems);
            let to = required_id("to", sides.to, problems);
            let contra = id("contra", sides.contra, problems);
            let amount = leg_amount(sides.amount, currency, false, problems);
            Some(Moved::Deposit { leg: (to?, amount?), contra })
        }
        TransferKind::Withdrawal => {
            refuse(&[("to", sides.to), ("legs", sides.legs), ("splits", sides.splits)], "a withdrawal", problems);
            let from = required_id("from", sides.from, problems);
            let contra = id("contra", sides.contra, problems);
            let amount = leg_amount(sides.amount, currency, true, problems);
            Some(Moved::Withdrawal { leg: (from?, amount?), contra })
        }
        _ => {
            refuse(&[("contra", sides.contra)], "a transfer between accounts", problems);
            if let Some(splits) = sides.splits {
                refuse(&[("to", sides.to), ("legs", sides.legs)], "a split transfer", problems);
                return split_legs(sides, splits, currency, problems).map(Moved::Between);
            }
            match sides.legs {
                None => leg(sides.from, sides.to, sides.amount, currency, problems)
                    .map(|leg| Moved::Between(Legs::One([leg]))),
                Some(legs) => {
                    let single = [("from", sides.from), ("to", sides.to), ("amount", sides.amount)];
                    refuse(&single, "a transfer in legs", problems);
                    several_legs(legs, currency, problems).map(Moved::Between)
                }
            }
        }
    }
}

fn refuse(values: &[(&str, Option<Value<'_>>)], what: &str, problems: &mut Problems) {
    for (name, _) in values.iter().filter(|(_, value)| value.is_some()) {
        problems.note(Problem::new(Code::UnknownField, format!("{what} has no `{name}`; leave it out")));
    }
}

fn leg(
    from: Option<Value<'_>>,
    to: Option<Value<'_>>,
    amount: Option<Value<'_>>,
    currency: Option<Currency>,
    problems: &mut Problems,
) -> Option<Leg> {
    let from = required_id("from", from, problems);
    let to = required_id("to", to, problems);
    let amount = leg_amount(amount, currency, true, problems);
    Some(Leg { from: from?, to: to?, amount: amount? })
}

/// One amount of one account, in parts for several: the parts sum to the whole.
fn split_legs(
    sides: &Sides<'_>,
    splits: Value<'_>,
    currency: Option<Currency>,
    problems: &mut Problems,
) -> Option<Legs> {
    let from = required_id("from", sides.from, problems);
    let amount = leg_amount(sides.amount, currency, false, problems);
    let count = splits.items().take(LEGS_MAX + 1).count();
    if splits.kind() != Kind::Array || !(1..=LEGS_MAX).contains(&count) {
        problems.note(Problem::malformed(format!("`splits` must be a list of 1 to {LEGS_MAX} objects")));
        return None;
    }
    let parts: Vec<(Option<AccountId>, Option<Portion>)> = splits
        .items()
        .map(|item| {
            let [to, percent, remainder] = fields(item, ["to", "percent", "remainder"], problems);
            (required_id("to", to, problems), portion(percent, remainder, problems))
        })
        .collect();
    let portions: Vec<Portion> = parts.iter().filter_map(|(_, portion)| *portion).collect();
    if portions.len() < count {
        return None;
    }
    let (from, LegAmount::Exactly(amount)) = (from?, amount?) else { return None };
    let amounts = split(amount, &portions).map_err(|error| match error {
        SplitError::Nothing(_) => Problem::new(Code::AmountInvalid, error.to_string()),
        SplitError::NotWhole | SplitError::RemainderTwice => Problem::malformed(format!("`splits`: {error}")),
    });
    let amounts = problems.keep(amounts)?;
    let legs = parts
        .iter()
        .zip(amounts)
        .map(|((to, _), amount)| Some(Leg { from, to: (*to)?, amount: LegAmount::Exactly(amount) }));
    Some(Legs::Many(legs.collect::<Option<_>>()?))
}

fn portion(percent: Option<Value<'_>>, remainder: Option<Value<'_>>, problems: &mut Problems) -> Option<Portion> {
    let remainder = boolean("remainder", remainder, problems).unwrap_or(false);
    let text = amount_text("percent", percent, problems);
    match (text, remainder) {
        (Some(text), false) => {
            let read = text.parse().map_err(|error| Problem::malformed(format!("`percent`: {error}")));
            problems.keep(read).map(Portion::Percent)
        }
        (None, true) => Some(Portion::Remainder),
        _ => {
            problems.note(Problem::malformed("each of `splits` has either `percent`, or `remainder` that is true"));
            None
        }
    }
}

fn several_legs(value: Value<'_>, currency: Option<Currency>, problems: &mut Problems) -> Option<Legs> {
    let count = value.items().take(LEGS_MAX + 1).count();
    if value.kind() != Kind::Array || !(1..=LEGS_MAX).contains(&count) {
        problems.note(Problem::malformed(format!("`legs` must be a list of 1 to {LEGS_MAX} objects")));
        return None;
    }
    let mut legs = Vec::with_capacity(count);
    for item in value.items() {
        let [from, to, amount] = fields(item, ["from", "to", "amount"], problems);
        legs.extend(leg(from, to, amount, currency, problems));
    }
    match <[Leg; 1]>::try_from(legs) {
        Ok(one) => Some(Legs::One(one)),
        Err(many) => Some(Legs::Many(many.into())),
    }
}
