//! The bank's own accounts: what it can show of its books, and those it opens besides.

use super::accounts::account_answer;
use crate::App;
use crate::answer::{Reply, fingerprint, serialised};
use crate::call::{Ask, Read};
use crate::input::{NAME_BYTES_MAX, Problems, currency, document, fields, short_string, word};
use crate::problem::{Code, Problem};
use crate::schema;
use bank::interest::Interest;
use bank::read::SystemBalance;
use bank::submit::ClientKey;
use ledger::account::{Account, AccountKind, SystemKind};
use ledger::amount::Decimal;
use ledger::command::{Command, OpenSystemAccount};

/// The books of each shard and currency: the bank's own accounts, the customers together, and their total of zero.
#[utoipa::path(get, path = "/api/v1/system/balances", tag = "system",
    responses((status = 200, description = "The books.", body = schema::answers::SystemBalances), schema::Errors))]
pub(crate) async fn balances(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let balances = call.app.bank().system_balances().await?;
    serialised(200, &schema::answers::SystemBalances { items: balances.iter().map(shown).collect() })
}

fn shown(balance: &SystemBalance) -> schema::answers::SystemBalance {
    let money = |minor_units| Decimal { minor_units, scale: balance.currency.scale() }.to_string();
    let account = |account: &Account| schema::answers::SystemAccountBalance {
        account_id: account.id.to_string(),
        kind: match account.kind {
            AccountKind::System(kind) => kind.name().to_string(),
            AccountKind::Checking | AccountKind::Savings => "customer".to_string(),
        },
        balance: money(account.balance),
    };
    schema::answers::SystemBalance {
        shard: balance.shard.number(),
        currency: balance.currency.to_string(),
        accounts: balance.accounts.iter().map(account).collect(),
        customers: money(balance.customers),
        total: money(balance.total),
    }
}

/// Opens an account of the bank's own, such as a cash machine's.
#[utoipa::path(post, path = "/api/v1/system/accounts", tag = "system", params(schema::parameters::OptionalIdempotencyKey),
    request_body = schema::requests::NewSystemAccount,
    responses((status = 201, description = "The account.", body = schema::answers::Account), schema::Errors))]
pub(crate) async fn open(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [kind, name, currency_value] = fields(document.root(), ["kind", "name", "currency"], &mut problems);
    problems.required("kind", kind);
    problems.required("name", name);
    // Clearing accounts belong to transfers between shards; nobody opens one.
    let kinds = SystemKind::ALL.map(|kind| (kind.name(), kind));
    let kinds: Vec<_> = kinds.into_iter().filter(|(_, kind)| *kind != SystemKind::Clearing).collect();
    let kind = word("kind", kind, &kinds, &mut problems);
    let name = short_string("name", name, NAME_BYTES_MAX, &mut problems);
    if name.as_deref() == Some("") {
        problems.note(Problem::malformed("`name` must not be empty"));
    }
    let currency = currency(currency_value, &mut problems);
    let (Some(kind), Some(name), Some(currency)) = (kind, name, currency) else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /system/accounts", &[], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let command = Command::OpenSystemAccount(Box::new(OpenSystemAccount { kind, name: name.into(), currency }));
    let answer = call.app.bank().submit(&call.caller, key, command, false).await?;
    Ok(account_answer(&answer, 201))
}

/// Interest, if this server has it.
///
/// # Errors
/// `not_available_yet`.
pub(crate) fn interest(app: &App) -> Result<&Interest, Problem> {
    let interest = app.settings().interest.as_ref();
    interest.ok_or_else(|| Problem::new(Code::NotAvailableYet, "this server reckons no interest"))
}
