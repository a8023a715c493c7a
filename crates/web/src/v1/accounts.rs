//! Accounts: opening, reading, changing their terms and status.

use crate::App;
use crate::answer::{Reply, fingerprint, json, respond};
use crate::call::{Ask, LIMIT_DEFAULT, Read};
use crate::input::{
    Problems, amount_or_zero, amount_text, currency, document, fields, id, required_id, short_string, word,
};
use crate::json::Value;
use crate::problem::{Code, Problem};
use crate::render::{page, push_account, push_optional_time};
use crate::schema;
use crate::text::{push_id, push_money};
use bank::submit::ClientKey;
use ledger::account::{Account, AccountKind, FreezeKind};
use ledger::amount::Amount;
use ledger::command::{ChangeTerms, Command, Freeze, NewLimit, OpenAccount};
use ledger::currency::Currency;
use ledger::event::Event;
use ledger::ids::{AccountId, CLIENT_ID_END, CustomerId};
use store::Answer;
use store::query::BalanceQuery;

/// Longest reason of a freeze in bytes.
const REASON_BYTES_MAX: usize = 255;

/// Opens an account for a user.
#[utoipa::path(post, path = "/api/v1/accounts", tag = "accounts", params(schema::parameters::OptionalIdempotencyKey),
    request_body = schema::requests::NewAccount,
    responses((status = 201, description = "The account.", body = schema::answers::Account), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = ["user_id", "currency", "type", "overdraft_limit", "account_id"];
    let [user, currency_value, kind, overdraft_limit, account] = fields(document.root(), names, &mut problems);
    let customer: Option<CustomerId> = required_id("user_id", user, &mut problems);
    problems.required("type", kind);
    let kind =
        word("type", kind, &[("checking", AccountKind::Checking), ("savings", AccountKind::Savings)], &mut problems);
    let account: Option<AccountId> = id("account_id", account, &mut problems);
    if account.is_some_and(|id| CLIENT_ID_END <= id.number()) {
        problems.note(Problem::malformed("`account_id`: an id that you choose must be below 2^62"));
    }
    let currency = currency(currency_value, &mut problems);
    let overdraft_limit = limit("overdraft_limit", overdraft_limit, currency, &mut problems).unwrap_or(Amount::ZERO);
    let (Some(customer), Some(kind), Some(currency)) = (customer, kind, currency) else {
        return Err(problems.into_problem());
    };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /accounts", &[], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let command = Command::OpenAccount(OpenAccount { id: account, customer, kind, currency, overdraft_limit });
    let answer = call.app.bank().submit(&call.caller, key, command, false).await?;
    Ok(account_answer(&answer, 201))
}

/// The answer to what opened or changed an account.
pub(crate) fn account_answer(answer: &Answer, status: u16) -> axum::http::Response<axum::body::Body> {
    respond(answer, status, |effect, out| {
        if let Event::AccountChanged(changed) = effect.event {
            push_account(out, &changed.account);
        }
    })
}

/// A limit, which may be zero.
fn limit(name: &str, value: Option<Value<'_>>, currency: Option<Currency>, problems: &mut Problems) -> Option<Amount> {
    let text = amount_text(name, value, problems)?;
    amount_or_zero(name, &text, currency, problems)
}

/// An account that must be there.
///
/// # Errors
/// `account_not_found`, or a fault.
pub(crate) async fn find(app: &App, id: AccountId) -> Result<Account, Problem> {
    let account = app.bank().account(id).await?;
    account.ok_or_else(|| Problem::not_found(Code::AccountNotFound, "account_id", id.number()))
}

/// An account as it is now.
#[utoipa::path(get, path = "/api/v1/accounts/{account_id}", tag = "accounts",
    params(("account_id" = schema::Id, Path, description = "The account.")),
    responses((status = 200, description = "The account.", body = schema::answers::Account), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let account = find(&call.app, id).await?;
    let mut out = Vec::with_capacity(512);
    push_account(&mut out, &account);
    Ok(json(200, out))
}

/// A user's accounts, newest first.
#[utoipa::path(get, path = "/api/v1/users/{user_id}/accounts", tag = "accounts",
    params(("user_id" = schema::Id, Path, description = "The user."), schema::parameters::Page),
    responses((status = 200, description = "A page of accounts.", body = schema::answers::Accounts), schema::Errors))]
pub(crate) async fn list_of_user(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["limit", "cursor"], &mut problems);
    let id: Option<CustomerId> = call.path_id("user_id", &mut problems);
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    super::users::find(&call.app, id).await?;
    let merged = call.app.bank().accounts_of(id, asked.limit, asked.from.as_ref()).await?;
    let next = asked.next(merged.next.as_ref());
    Ok(json(200, page(&merged.items, next.as_deref(), push_account)))
}

/// An account's balance at a time, by booking or by value date.
#[utoipa::path(get, path = "/api/v1/accounts/{account_id}/balance", tag = "accounts",
    params(("account_id" = schema::Id, Path, description = "The account."), schema::parameters::At),
    responses((status = 200, description = "The balance.", body = schema::answers::BalanceAt), schema::Errors))]
pub(crate) async fn balance(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["at", "by"], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let at = parameters.time("at", &mut problems);
    let axis = parameters.axis(&mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let account = find(&call.app, id).await?;
    let balance = match at {
        Some(at) => call.app.bank().balance_at(BalanceQuery { account: id, at, axis }).await?.unwrap_or(0),
        // What was booked by a clock that is ahead of this node's is in it.
        None => account.balance,
    };
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(b"{\"account_id\":");
    push_id(&mut out, id.number());
    out.extend_from_slice(format!(",\"currency\":\"{}\",\"ledger\":", account.currency).as_bytes());
    push_money(&mut out, balance, account.currency);
    out.extend_from_slice(b",\"at\":");
    push_optional_time(&mut out, Some(at.unwrap_or_else(|| call.app.bank().now())));
    out.push(b'}');
    Ok(json(200, out))
}

/// What a change of terms says, before the account's currency is known.
struct Change<'a> {
    overdraft_limit: Option<Value<'a>>,
    limits: [Option<Value<'a>>; 3],
    /// Which limits are `null`, that is lifted.
    lifted: [bool; 3],
}

const LIMIT_NAMES: [&str; 3] = ["per_transfer", "daily_debit", "monthly_debit"];

impl<'a> Change<'a> {
    fn read(object: Value<'a>, problems: &mut Problems) -> Change<'a> {
        let [overdraft_limit, limits] = fields(object, ["overdraft_limit", "limits"], problems);
        let mut change = Change { overdraft_limit, limits: [None; 3], lifted: [false; 3] };
        if let Some(limits) = limits {
            change.limits = fields(limits, LIMIT_NAMES, problems);
            for (name, value) in limits.fields() {
                if let Some(index) = LIMIT_NAMES.iter().position(|known| *known == name) {
                    change.lifted[index] = value.is_null();
                }
            }
        }
        change
    }

    /// The command for an account of this currency; without one only what no currency allows is wrong.
    fn command(&self, account: AccountId, currency: Option<Currency>, problems: &mut Problems) -> ChangeTerms {
        let mut new_limit = |index: usize| -> Option<NewLimit> {
            let value = self.limits.get(index).copied().flatten();
            match limit(LIMIT_NAMES[index], value, currency, problems) {
                Some(amount) => Some(Some(amount)),
                None => self.lifted[index].then_some(None),
            }
        };
        let (per_transfer, daily_debit, monthly_debit) = (new_limit(0), new_limit(1), new_limit(2));
        let overdraft_limit = limit("overdraft_limit", self.overdraft_limit, currency, problems);
        ChangeTerms { account, overdraft_limit, per_transfer, daily_debit, monthly_debit }
    }
}

/// Changes an account's overdraft limit or limits. A limit that is `null` is lifted; what is not named stays.
#[utoipa::path(patch, path = "/api/v1/accounts/{account_id}", tag = "accounts",
    params(("account_id" = schema::Id, Path, description = "The account."), schema::parameters::OptionalIdempotencyKey),
    request_body = schema::requests::AccountChange,
    responses((status = 200, description = "The account.", body = schema::answers::Account), schema::Errors))]
pub(crate) async fn change(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let asked = Change::read(document.root(), &mut problems);
    if let Some(id) = id {
        asked.command(id, None, &mut problems);
    }
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let account = call.app.bank().account(id).await?;
    let mut problems = Problems::none();
    let command = asked.command(id, account.map(|account| account.currency), &mut problems);
    problems.check()?;
    // A limit that is lifted differs from one that is not named, though both are absent values elsewhere.
    let mut canonical = Vec::with_capacity(128);
    document.root().canonical(&mut canonical);
    canonical.extend(asked.lifted.map(u8::from));
    let fingerprint = call.app.bank().fingerprint("PATCH /accounts", &[id.number()], &canonical);
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = call.app.bank().submit(&call.caller, key, Command::ChangeTerms(Box::new(command)), false).await?;
    Ok(account_answer(&answer, 200))
}

/// Stops debits, or everything, on an account. Without a kind what is frozen stays at least as frozen.
#[utoipa::path(post, path = "/api/v1/accounts/{account_id}/freeze", tag = "accounts",
    params(("account_id" = schema::Id, Path, description = "The account."), schema::parameters::OptionalIdempotencyKey),
    request_body(content = Option<schema::requests::Freeze>),
    responses((status = 200, description = "The account.", body = schema::answers::Account), schema::Errors))]
pub(crate) async fn freeze(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [reason, kind] = fields(document.root(), ["reason", "kind"], &mut problems);
    let reason = short_string("reason", reason, REASON_BYTES_MAX, &mut problems).map(Into::into);
    let kinds = [("debit", FreezeKind::Debit), ("full", FreezeKind::Full)];
    let kind = word("kind", kind, &kinds, &mut problems);
    let Some(account) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /accounts/freeze", &[account.number()], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let command = Command::Freeze(Box::new(Freeze { account, kind, reason }));
    let answer = call.app.bank().submit(&call.caller, key, command, false).await?;
    Ok(account_answer(&answer, 200))
}

/// Ends a freeze.
#[utoipa::path(post, path = "/api/v1/accounts/{account_id}/unfreeze", tag = "accounts",
    params(("account_id" = schema::Id, Path, description = "The account."), schema::parameters::OptionalIdempotencyKey),
    request_body(content = Option<schema::Nothing>),
    responses((status = 200, description = "The account.", body = schema::answers::Account), schema::Errors))]
pub(crate) async fn unfreeze(call: Ask) -> Reply {
    without_fields(call, "POST /accounts/unfreeze", Command::Unfreeze).await
}

/// Closes an account for good; its balance must be zero.
#[utoipa::path(post, path = "/api/v1/accounts/{account_id}/close", tag = "accounts",
    params(("account_id" = schema::Id, Path, description = "The account."), schema::parameters::OptionalIdempotencyKey),
    request_body(content = Option<schema::Nothing>),
    responses((status = 200, description = "The account.", body = schema::answers::Account), schema::Errors))]
pub(crate) async fn close(call: Ask) -> Reply {
    let (app, id) = (call.app.clone(), call.path_value("account_id").parse().ok());
    let closed = without_fields(call, "POST /accounts/close", Command::Close).await?;
    if let Some(account) = id.filter(|_| closed.status().is_success()) {
        super::statements::make_last(&app, account);
    }
    Ok(closed)
}

async fn without_fields(call: Ask, operation: &str, command: fn(AccountId) -> Command) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [] = fields(document.root(), [], &mut problems);
    let Some(account) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, operation, &[account.number()], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = call.app.bank().submit(&call.caller, key, command(account), false).await?;
    Ok(account_answer(&answer, 200))
}
