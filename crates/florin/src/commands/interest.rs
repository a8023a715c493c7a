//! `florin interest`: explains the interest of an account, and tries products on the past.

use super::products::{add_ways, check_name, tiers};
use crate::cli::Interest;
use crate::door::Door;
use crate::failure::Failure;
use crate::program::Program;
use bank::month::Month;
use ledger::ids::AccountId;
use serde_json::{Value, json};

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Interest) -> Result<(), Failure> {
    let (Interest::Explain { remote, .. } | Interest::Simulate { remote, .. }) = command;
    let mut door = Door::open(program, remote)?;
    let result = match command {
        Interest::Explain { account, month, .. } => explain(program, &mut door, *account, *month),
        Interest::Simulate { accounts, all, .. } => accounts_asked(&mut door, accounts, *all)
            .and_then(|accounts| simulate(program, &mut door, &accounts, command)),
    };
    door.close().and(result)
}

fn explain(program: &Program, door: &mut Door, account: AccountId, month: Month) -> Result<(), Failure> {
    let path = format!("/api/v1/accounts/{account}/interest/explain?month={month}");
    let explained = door.call("GET", &path, None, None)?;
    let days = explained["days"].as_array().map(Vec::as_slice).unwrap_or_default();
    if days.is_empty() {
        program.output.note(&format!("  account {account} has no product in {month}"));
    }
    for day in days {
        let text = |field: &str| day[field].as_str().unwrap_or_default().to_owned();
        let rates = day["rates"].as_array().into_iter().flatten();
        let rates: Vec<String> = rates
            .map(|slice| {
                let [rate, amount] = ["rate_percent", "amount"].map(|field| slice[field].as_str().unwrap_or_default());
                format!("{rate} % of {amount}")
            })
            .collect();
        let [date, base, accrual, exact, carry, posted] =
            ["day", "base", "accrual", "accrual_exact", "carry", "posted"].map(text);
        let open = if day["closed"] == true { "" } else { "  not closed" };
        let posted = if posted.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
            String::new()
        } else {
            format!("  posted {posted}")
        };
        let rates = if rates.is_empty() { "nothing".to_owned() } else { rates.join(" + ") };
        let line = format!("{date}  {base}  {rates}: {accrual} ({exact})  carry {carry}{posted}{open}");
        program.output.line(line)?;
    }
    program.output.object(&explained)
}

fn simulate(program: &Program, door: &mut Door, accounts: &[AccountId], command: &Interest) -> Result<(), Failure> {
    let Interest::Simulate { product, rates, minimum_balance, ways, from, until, .. } = command else { return Ok(()) };
    let mut asked = json!({"from": from.to_string(), "until": until.to_string()});
    match product {
        Some(name) => {
            check_name(name)?;
            asked["product_id"] = json!(name);
        }
        None => {
            let minimum = minimum_balance.as_deref().unwrap_or("0");
            let mut idea = json!({"minimum_balance": minimum, "tiers": tiers(rates)});
            add_ways(&mut idea, ways);
            asked["product"] = idea;
        }
    }
    let mut all = Vec::new();
    for account in accounts {
        let path = format!("/api/v1/accounts/{account}/interest/simulate");
        let mut simulated = door.call("POST", &path, None, Some(&asked))?;
        let total = simulated["total"].as_str().unwrap_or_default();
        let currency = simulated["currency"].as_str().unwrap_or_default();
        let count = simulated["postings"].as_array().map_or(0, Vec::len);
        program.output.line(format!("account {account}  {total} {currency} in {count} postings"))?;
        if 1 < accounts.len()
            && let Some(fields) = simulated.as_object_mut()
        {
            fields.remove("days");
        }
        all.push(simulated);
    }
    program.output.object(&json!({"items": all}))
}

/// The accounts that were named, or all of all customers.
fn accounts_asked(door: &mut Door, named: &[AccountId], all: bool) -> Result<Vec<AccountId>, Failure> {
    if !all {
        return Ok(named.to_vec());
    }
    let mut accounts = Vec::new();
    for user in items(door, "/api/v1/users")? {
        let user = user["user_id"].as_str().unwrap_or_default().to_owned();
        for account in items(door, &format!("/api/v1/users/{user}/accounts"))? {
            accounts.extend(account["account_id"].as_str().and_then(|id| id.parse::<AccountId>().ok()));
        }
    }
    accounts.sort_unstable();
    Ok(accounts)
}

fn items(door: &mut Door, path: &str) -> Result<Vec<Value>, Failure> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = door.call("GET", &format!("{path}?limit=1000{cursor}"), None, None)?;
        items.extend(page["items"].as_array().into_iter().flatten().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(items),
        }
    }
}
