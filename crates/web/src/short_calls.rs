//! The short calls: an older interface of few words, with its own statuses and with amounts as JSON numbers in whole
//! units of the account's currency. Behind them is the same bank; a key means the same here and there. The month of an
//! account is in `month`.

use crate::answer::{Reply, effect, fingerprint, json, marked};
use crate::call::{Ask, Read};
use crate::input::{Problems, amount, document, fields, key, required_id, word};
use crate::json::{Kind, Value};
use crate::problem::{Code, Problem};
use crate::schema;
use crate::text::{push_decimal, push_id, push_optional_id};
use crate::v1::accounts::find;
use axum::body::Body;
use axum::http::Response;
use bank::submit::ClientKey;
use bank::transfer::Terms;
use ledger::account::Account;
use ledger::amount::Amount;
use ledger::command::Command;
use ledger::currency::Currency;
use ledger::event::Event;
use ledger::ids::{AccountId, TransferId};
use ledger::transfer::{Leg, LegAmount, Legs, Posting, Side, Transfer, TransferKind, Transferred};
use store::Answer;
use store::query::TransferStatus;

/// A problem with the status these calls give it: what is wrong with a request is 400, whatever the bank's code.
fn old_status(mut problem: Problem) -> Problem {
    problem.status = match problem.status {
        409 | 422 => 400,
        status => status,
    };
    problem
}

/// The money of these calls: a number, without decimals when it is whole.
pub(crate) fn push_short_money(out: &mut Vec<u8>, minor_units: i128, currency: Currency) {
    let unit = 10i128.pow(u32::from(currency.scale()));
    if minor_units % unit == 0 {
        push_decimal(out, minor_units / unit, 0);
    } else {
        push_decimal(out, minor_units, currency.scale());
    }
}

/// The digits of an amount, which must be a number.
fn number<'a>(value: Option<Value<'a>>, problems: &mut Problems) -> Option<&'a str> {
    let value = problems.required("amount", value)?;
    if value.kind() != Kind::Number {
        problems.note(Problem::new(Code::AmountInvalid, "`amount` must be a JSON number such as 1000 or 10.5"));
        return None;
    }
    amount("amount", value.text(), None, problems)?;
    Some(value.text())
}

/// An amount in an account's currency.
fn amount_of(account: &Account, text: &str) -> Result<Amount, Problem> {
    let mut problems = Problems::none();
    amount("amount", text, Some(account.currency), &mut problems).ok_or_else(|| problems.into_problem())
}

/// A movement on one account: what the three oldest calls have in common.
struct Movement {
    account: AccountId,
    side: Side,
    answer: Answer,
}

async fn movement(call: &Ask, operation: &str, fixed_side: Option<Side>) -> Result<Movement, Problem> {
    let mut problems = Problems::none();
    let dry_run = call.parameters(&["dry_run"], &mut problems).dry_run(&mut problems);
    let key = call.key(&mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let sides = [("credit", Side::Credit), ("debit", Side::Debit)];
    let (account, amount, side) = match fixed_side {
        Some(side) => {
            let [account, amount] = fields(document.root(), ["accountId", "amount"], &mut problems);
            (account, amount, Some(side))
        }
        None => {
            let [account, amount, side] = fields(document.root(), ["accountId", "amount", "type"], &mut problems);
            problems.required("type", side);
            (account, amount, word("type", side, &sides, &mut problems))
        }
    };
    let account: Option<AccountId> = required_id("accountId", account, &mut problems);
    let text = number(amount, &mut problems);
    let (Some(id), Some(text), Some(side)) = (account, text, side) else { return Err(problems.into_problem()) };
    problems.check()?;
    let account = find(&call.app, id).await?;
    let amount = LegAmount::Exactly(amount_of(&account, text)?);
    let terms = Terms { currency: account.currency, amount, forced: false, effective_at: None, note: None };
    let transfer = match side {
        Side::Credit => call.app.bank().deposit(id, None, terms),
        Side::Debit => call.app.bank().withdrawal(id, None, terms),
    };
    let transfer = transfer.map_err(|rejection| Problem::from(&rejection))?;
    let fingerprint = fingerprint(&call.app, operation, &[], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = call.app.bank().submit(&call.caller, key, Command::Transfer(transfer), dry_run).await?;
    Ok(Movement { account: id, side, answer })
}

/// The answer to a movement, from the posting it left on the account.
fn moved(
    movement: Result<Movement, Problem>,
    write: impl FnOnce(&mut Vec<u8>, &Movement, &Transferred, &Posting),
) -> Response<Body> {
    let movement = match movement {
        Ok(movement) => movement,
        Err(problem) => return old_status(problem).into_response(),
    };
    let is_replayed = matches!(movement.answer, Answer::Replayed(_));
    let response = match effect(&movement.answer) {
        Err(problem) => old_status(problem).into_response(),
        Ok(effect) => {
            let mut out = Vec::with_capacity(128);
            if let Event::Transferred(transferred) = effect.event
                && let Some(posting) = transferred.postings.iter().find(|posting| posting.account == movement.account)
            {
                write(&mut out, &movement, transferred, posting);
            }
            json(200, out)
        }
    };
    marked(response, is_replayed)
}

fn push_message(out: &mut Vec<u8>, message: &str, transferred: &Transferred, posting: &Posting) {
    out.extend_from_slice(format!("{{\"message\":\"{message}\",\"newBalance\":").as_bytes());
    push_short_money(out, posting.balance_after, transferred.currency);
    out.push(b'}');
}

/// Pays in.
#[utoipa::path(post, path = "/deposit", tag = "short calls", params(schema::parameters::OptionalIdempotencyKey, schema::parameters::DryRun),
    request_body = schema::short::ShortMovement,
    responses((status = 200, description = "Paid in.", body = schema::short::ShortMoved), schema::Errors))]
pub(crate) async fn deposit(call: Ask) -> Response<Body> {
    let movement = movement(&call, "POST /deposit", Some(Side::Credit)).await;
    moved(movement, |out, _, transferred, posting| push_message(out, "Deposit successful.", transferred, posting))
}

/// Pays out.
#[utoipa::path(post, path = "/withdraw", tag = "short calls", params(schema::parameters::OptionalIdempotencyKey, schema::parameters::DryRun),
    request_body = schema::short::ShortMovement,
    responses((status = 200, description = "Paid out.", body = schema::short::ShortMoved), schema::Errors))]
pub(crate) async fn withdraw(call: Ask) -> Response<Body> {
    let movement = movement(&call, "POST /withdraw", Some(Side::Debit)).await;
    moved(movement, |out, _, transferred, posting| push_message(out, "Withdrawal successful.", transferred, posting))
}

/// Pays in (credit) or out (debit).
#[utoipa::path(post, path = "/transaction", tag = "short calls", params(schema::parameters::OptionalIdempotencyKey, schema::parameters::DryRun),
    request_body = schema::short::ShortTransaction,
    responses((status = 200, description = "Done.", body = schema::short::ShortTransacted), schema::Errors))]
pub(crate) async fn transaction(call: Ask) -> Response<Body> {
    let movement = movement(&call, "POST /transaction", None).await;
    moved(movement, |out, movement, transferred, posting| {
        out.extend_from_slice(b"{\"status\":\"success\",\"transactionId\":");
        push_optional_id(out, movement.answer.entry().map(|_| transferred.id.number()));
        out.extend_from_slice(b",\"accountId\":");
        push_id(out, movement.account.number());
        out.extend_from_slice(b",\"amount\":");
        push_short_money(out, posting.amount.signed(), transferred.currency);
        let side = crate::render::side_name(movement.side);
        out.extend_from_slice(format!(",\"type\":\"{side}\"}}").as_bytes());
    })
}

/// An account's balance.
#[utoipa::path(get, path = "/balance/{account_id}", tag = "short calls",
    params(("account_id" = schema::Id, Path, description = "The account.")),
    responses((status = 200, description = "The balance.", body = schema::short::ShortBalance), schema::Errors))]
pub(crate) async fn balance(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let account = find(&call.app, id).await?;
    let mut out = b"{\"accountId\":".to_vec();
    push_id(&mut out, id.number());
    out.extend_from_slice(b",\"balance\":");
    push_short_money(&mut out, account.balance, account.currency);
    out.push(b'}');
    Ok(json(200, out))
}

/// Moves money from the path's account to another.
#[utoipa::path(post, path = "/api/v1/transactions/{account_id}/account", tag = "short calls",
    params(("account_id" = schema::Id, Path, description = "The account debited."), schema::parameters::OptionalIdempotencyKey, schema::parameters::DryRun),
    request_body = schema::short::ShortTransfer,
    responses((status = 202, description = "Done.", body = schema::short::ShortTransferred), schema::Errors))]
pub(crate) async fn transfer(call: Ask) -> Response<Body> {
    match short_transfer(&call).await {
        Ok(answer) => {
            let response = match crate::v1::transfers::transfer_id(&answer) {
                Ok(id) => {
                    let mut out = b"{\"transfer_id\":".to_vec();
                    push_optional_id(&mut out, id.map(TransferId::number));
                    out.push(b'}');
                    json(202, out)
                }
                Err(problem) => with_older_name(problem),
            };
            marked(response, matches!(answer, Answer::Replayed(_)))
        }
        Err(problem) => with_older_name(problem),
    }
}

/// The problems of a transfer also carry the names they had before there were codes.
fn with_older_name(problem: Problem) -> Response<Body> {
    let problem = old_status(problem);
    let beginning: &[u8] = match problem.code {
        Code::InsufficientFunds => b"{\"400\":\"insufficient_fund\",",
        Code::AccountClosed | Code::AccountFrozen => b"{\"400\":\"inactive_account\",",
        Code::IdempotencyKeyReused => b"{\"400\":\"duplicate_transaction\",",
        _ => b"{",
    };
    problem.response_after(beginning)
}

async fn short_transfer(call: &Ask) -> Result<Answer, Problem> {
    let mut problems = Problems::none();
    let dry_run = call.parameters(&["dry_run"], &mut problems).dry_run(&mut problems);
    let header = call.key(&mut problems);
    let path: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = ["idempotency_key", "from_acc", "to_acct", "amount"];
    let [key_value, from, to, amount] = fields(document.root(), names, &mut problems);
    let key = key(key_value, &mut problems).map(String::from).or(header);
    let from: Option<AccountId> = required_id("from_acc", from, &mut problems);
    let to: Option<AccountId> = required_id("to_acct", to, &mut problems);
    if from.is_some() && path.is_some() && from != path {
        problems.note(Problem::malformed("`from_acc` must be the account of the path"));
    }
    let text = number(amount, &mut problems);
    let (Some(from), Some(to), Some(text)) = (from, to, text) else { return Err(problems.into_problem()) };
    problems.check()?;
    let account = find(&call.app, from).await?;
    let leg = Leg { from, to, amount: LegAmount::Exactly(amount_of(&account, text)?) };
    let transfer = Transfer {
        kind: TransferKind::Transfer,
        currency: account.currency,
        legs: Legs::One([leg]),
        forced: false,
        effective_at: None,
        note: None,
    };
    let fingerprint = fingerprint(&call.app, "POST /transactions/account", &[from.number()], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    Ok(call.app.bank().submit(&call.caller, key, Command::Transfer(transfer), dry_run).await?)
}

/// Where a transfer stands.
#[utoipa::path(get, path = "/api/v1/transactions/{transfer_id}/status", tag = "short calls",
    params(("transfer_id" = schema::Id, Path, description = "The transfer.")),
    responses((status = 200, description = "Where it stands.", body = schema::short::ShortStatus), schema::Errors))]
pub(crate) async fn status(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<TransferId> = call.path_id("transfer_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let known = call.app.bank().transfer(id).await?;
    let known = known.ok_or_else(|| Problem::not_found(Code::TransferNotFound, "transfer_id", id.number()))?;
    let status = match known.view.status() {
        TransferStatus::Succeeded => "success",
        TransferStatus::Pending => "pending",
        TransferStatus::Failed(_) => "failed",
    };
    Ok(json(200, format!("{{\"code\":200,\"status\":\"{status}\"}}").into_bytes()))
}
