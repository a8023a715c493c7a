//! `florin products`: sets up what interest accounts bear.

use crate::cli::{Products, Rates, Ways};
use crate::door::Door;
use crate::failure::Failure;
use crate::program::Program;
use serde_json::{Value, json};

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Products) -> Result<(), Failure> {
    let (Products::List { remote }
    | Products::Create { remote, .. }
    | Products::AddVersion { remote, .. }
    | Products::Assign { remote, .. }) = command;
    let mut door = Door::open(program, remote)?;
    let result = ask(program, &mut door, command);
    door.close().and(result)
}

fn ask(program: &Program, door: &mut Door, command: &Products) -> Result<(), Failure> {
    let answer = match command {
        Products::List { .. } => {
            let products = door.call("GET", "/api/v1/products", None, None)?;
            products["items"].as_array().into_iter().flatten().try_for_each(|product| print(program, product))?;
            return program.output.object(&products);
        }
        Products::Create { id, rates, currency, ways, default_for, .. } => {
            let mut asked = terms(rates);
            add_ways(&mut asked, ways);
            (asked["product_id"], asked["currency"]) = (json!(id), json!(currency));
            asked["default_for"] = json!(default_for);
            door.call("POST", "/api/v1/products", None, Some(&asked))?
        }
        Products::AddVersion { id, rates, .. } => {
            check_name(id)?;
            door.call("POST", &format!("/api/v1/products/{id}/versions"), None, Some(&terms(rates)))?
        }
        Products::Assign { account, product, from, .. } => {
            let asked = json!({"product_id": product, "from": from.map(|day| day.to_string())});
            let assigned = door.call("PUT", &format!("/api/v1/accounts/{account}/product"), None, Some(&asked))?;
            let last = assigned["assigned"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
            let product = last["product_id"].as_str().unwrap_or("no product");
            let from = last["from"].as_str().unwrap_or_default();
            program.output.line(format!("account {account} has {product} from {from} on"))?;
            return program.output.object(&assigned);
        }
    };
    print(program, &answer)?;
    program.output.object(&answer)
}

fn terms(rates: &Rates) -> Value {
    let minimum = rates.minimum_balance.as_deref().unwrap_or("0");
    json!({"from": rates.from.to_string(), "minimum_balance": minimum, "tiers": tiers(&rates.rates)})
}

/// Tiers as the interface has them, the lowest first.
pub(crate) fn tiers(rates: &[(String, String)]) -> Vec<Value> {
    let tier = |(percent, above): &(String, String)| json!({"above": above, "rate_percent": percent});
    rates.iter().map(tier).collect()
}

/// Adds how a product reckons.
pub(crate) fn add_ways(asked: &mut Value, ways: &Ways) {
    asked["day_count"] = json!(ways.day_count);
    asked["posting"] = json!(ways.posting);
    asked["tiering"] = json!(ways.tiering);
}

/// Names go into paths, so that nothing else may.
///
/// # Errors
/// Wrong usage.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(Failure::usage(format!("{name:?} is no name"), "a name has small letters, digits and -"))
}

fn print(program: &Program, product: &Value) -> Result<(), Failure> {
    let text = |field: &str| product[field].as_str().unwrap_or_default().to_owned();
    let [id, currency, day_count, posting, tiering] =
        ["product_id", "currency", "day_count", "posting", "tiering"].map(text);
    let default = product["default_for"].as_str().map_or_else(String::new, |kind| format!(", default for {kind}"));
    program.output.line(format!("{id}  {currency}, {day_count}, posted {posting}, tiers {tiering}{default}"))?;
    for version in product["versions"].as_array().into_iter().flatten() {
        let tiers = version["tiers"].as_array().into_iter().flatten().map(|tier| {
            let [rate, above] = ["rate_percent", "above"].map(|field| tier[field].as_str().unwrap_or_default());
            format!("{rate} % above {above}")
        });
        let tiers: Vec<String> = tiers.collect();
        let [from, minimum] = ["from", "minimum_balance"].map(|field| version[field].as_str().unwrap_or_default());
        program.output.line(format!("  from {from}: {}; minimum balance {minimum}", tiers.join(", ")))?;
    }
    Ok(())
}
