//! Holds: money reserved, then captured or given up.

use super::rates::exchanges;
use super::transfers::transferred;
use crate::answer::{Reply, fingerprint, json, respond};
use crate::call::{Ask, LIMIT_DEFAULT, Read};
use crate::input::{Problems, amount, amount_text, boolean, currency, document, fields, id, note, required_id, time};
use crate::problem::{Code, Problem};
use crate::render::{page, push_hold};
use crate::schema;
use bank::exchange::{ExchangeAsked, Sold};
use bank::submit::ClientKey;
use ledger::amount::Amount;
use ledger::command::{CaptureHold, Command, PlaceHold};
use ledger::event::Event;
use ledger::hold::Hold;
use ledger::ids::{AccountId, HoldId, QuoteId};
use store::query::PageQuery;

/// Reserves money.
#[utoipa::path(post, path = "/api/v1/holds", tag = "holds", params(schema::parameters::IdempotencyKey, schema::parameters::DryRun),
    request_body = schema::requests::NewHold,
    responses((status = 201, description = "The hold.", body = schema::answers::Hold), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    let dry_run = call.parameters(&["dry_run"], &mut problems).dry_run(&mut problems);
    let key = call.required_key(dry_run, &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = ["from", "to", "amount", "currency", "expires_at"];
    let [from, to, amount_value, currency_value, expires_at] = fields(document.root(), names, &mut problems);
    let from: Option<AccountId> = required_id("from", from, &mut problems);
    let to = id("to", to, &mut problems);
    let expires_at = time("expires_at", expires_at, &mut problems);
    let currency = currency(currency_value, &mut problems);
    problems.required("amount", amount_value);
    let text = amount_text("amount", amount_value, &mut problems);
    let amount = text.and_then(|text| amount("amount", &text, currency, &mut problems));
    let (Some(from), Some(currency), Some(amount)) = (from, currency, amount) else {
        return Err(problems.into_problem());
    };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /holds", &[], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let command = Command::PlaceHold(PlaceHold { from, to, amount, currency, expires_at });
    let answer = call.app.bank().submit(&call.caller, key, command, dry_run).await?;
    Ok(respond(&answer, 201, |effect, out| {
        if let Event::HoldChanged(changed) = effect.event {
            push_hold(out, &changed.hold, dry_run);
        }
    }))
}

/// A hold as it is now.
#[utoipa::path(get, path = "/api/v1/holds/{hold_id}", tag = "holds",
    params(("hold_id" = schema::Id, Path, description = "The hold.")),
    responses((status = 200, description = "The hold.", body = schema::answers::Hold), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<HoldId> = call.path_id("hold_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let hold = call.app.bank().hold(id).await?.ok_or_else(|| hold_not_found(id))?;
    let mut out = Vec::with_capacity(256);
    push_hold(&mut out, &hold, false);
    Ok(json(200, out))
}

fn hold_not_found(id: HoldId) -> Problem {
    Problem::not_found(Code::HoldNotFound, "hold_id", id.number())
}

/// An account's holds, newest first.
#[utoipa::path(get, path = "/api/v1/accounts/{account_id}/holds", tag = "holds",
    params(("account_id" = schema::Id, Path, description = "The account."), schema::parameters::Page),
    responses((status = 200, description = "A page of holds.", body = schema::answers::Holds), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["limit", "cursor"], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    super::accounts::find(&call.app, id).await?;
    let query = PageQuery { before: asked.before(), limit: asked.limit, status: None };
    let holds = call.app.bank().holds_of(id, query).await?;
    let next = asked.next_before(holds.next);
    Ok(json(200, page(&holds.items, next.as_deref(), |out, hold| push_hold(out, hold, false))))
}

/// Takes reserved money.
#[utoipa::path(post, path = "/api/v1/holds/{hold_id}/capture", tag = "holds",
    params(("hold_id" = schema::Id, Path, description = "The hold."), schema::parameters::IdempotencyKey, schema::parameters::DryRun),
    request_body(content = Option<schema::requests::Capture>),
    responses((status = 201, description = "The transfer.", body = schema::answers::Transfer),
        (status = 202, description = "The transfer, on its way to another shard.", body = schema::answers::Transfer), schema::Errors))]
pub(crate) async fn capture(call: Ask) -> Reply {
    let mut problems = Problems::none();
    let dry_run = call.parameters(&["dry_run"], &mut problems).dry_run(&mut problems);
    let key = call.required_key(dry_run, &mut problems);
    let id: Option<HoldId> = call.path_id("hold_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = ["amount", "to", "final", "quote_id", "reference", "metadata"];
    let [amount_value, to, is_final, quote, reference, metadata] = fields(document.root(), names, &mut problems);
    let quote: Option<QuoteId> = self::id("quote_id", quote, &mut problems);
    if quote.is_some() && to.is_none() {
        problems.note(Problem::malformed("with `quote_id` a capture needs `to`: who gets what is bought"));
    }
    let to: Option<AccountId> = self::id("to", to, &mut problems);
    let is_final = boolean("final", is_final, &mut problems).unwrap_or(true);
    let note = note(reference, metadata, &mut problems);
    let text = amount_text("amount", amount_value, &mut problems);
    // How many decimals an amount may have depends on the hold; whatever no currency allows is wrong before that.
    let roughly = text.as_deref().map(|text| amount("amount", text, None, &mut problems));
    let Some(hold) = id else { return Err(problems.into_problem()) };
    if roughly == Some(None) {
        return Err(problems.into_problem());
    }
    problems.check()?;
    let amount = match text {
        Some(text) => Some(exact_amount(&call, hold, &text).await?),
        None => None,
    };
    let fingerprint = fingerprint(&call.app, "POST /holds/capture", &[hold.number()], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    if let Some((quote, to)) = quote.zip(to) {
        let sold = Sold::Captured(hold, is_final);
        let asked = ExchangeAsked { quote, sold, to, amount, currency: None, effective_at: None, note };
        return Ok(transferred(&exchanges(&call.app)?.exchange(&call.caller, key, &asked, dry_run).await?));
    }
    let command = Command::CaptureHold(Box::new(CaptureHold { hold, amount, to, is_final, note }));
    let answer = call.app.bank().submit(&call.caller, key, command, dry_run).await?;
    Ok(transferred(&answer))
}

/// An amount in the currency of a hold. Where there is no such hold the bank says so, whatever the amount.
async fn exact_amount(call: &Ask, id: HoldId, text: &str) -> Result<Amount, Problem> {
    let currency = call.app.bank().hold(id).await?.map(|hold: Hold| hold.currency);
    let mut problems = Problems::none();
    let read = match currency {
        Some(currency) => amount("amount", text, Some(currency), &mut problems),
        None => Amount::new(1),
    };
    read.ok_or_else(|| problems.into_problem())
}

/// Gives reserved money up.
#[utoipa::path(post, path = "/api/v1/holds/{hold_id}/void", tag = "holds",
    params(("hold_id" = schema::Id, Path, description = "The hold."), schema::parameters::IdempotencyKey, schema::parameters::DryRun),
    request_body(content = Option<schema::Nothing>),
    responses((status = 200, description = "The hold.", body = schema::answers::Hold), schema::Errors))]
pub(crate) async fn void(call: Ask) -> Reply {
    let mut problems = Problems::none();
    let dry_run = call.parameters(&["dry_run"], &mut problems).dry_run(&mut problems);
    let key = call.required_key(dry_run, &mut problems);
    let id: Option<HoldId> = call.path_id("hold_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [] = fields(document.root(), [], &mut problems);
    let Some(hold) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /holds/void", &[hold.number()], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = call.app.bank().submit(&call.caller, key, Command::VoidHold(hold), dry_run).await?;
    Ok(respond(&answer, 200, |effect, out| {
        if let Event::HoldChanged(changed) = effect.event {
            push_hold(out, &changed.hold, false);
        }
    }))
}
