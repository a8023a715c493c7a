//! Deposit products, and which account has which.

use crate::answer::{Reply, serialised};
use crate::call::{Ask, Read};
use crate::input::{Problems, amount_or_zero, amount_text, currency, day, document, fields, short_string, word};
use crate::json::{Kind, Value};
use crate::problem::{Code, Problem};
use crate::schema;
use crate::schema::interest as shapes;
use crate::v1::accounts::find;
use crate::{App, v1::system};
use bank::interest::Interest;
use bank::interest::catalogue::{Assignment, DEFAULT_KINDS, kind_name};
use bank::interest::day_count::DayCount;
use bank::interest::parts::Rate;
use bank::interest::product::{PRODUCT_ID_BYTES_MAX, PostingPlan, Product, TIERS_MAX, Tier, Tiering, Version};
use ledger::account::Account;
use ledger::amount::{Amount, Decimal};
use ledger::currency::Currency;
use ledger::ids::AccountId;
use ledger::time::Day;

/// Bytes of a rate as it is written.
const RATE_BYTES: usize = 12;

/// All products, by name.
#[utoipa::path(get, path = "/api/v1/products", tag = "interest",
    responses((status = 200, description = "The products.", body = shapes::Products), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let catalogue = system::interest(&call.app)?.catalogue().await?;
    serialised(200, &shapes::Products { items: catalogue.products().map(shown).collect() })
}

/// Sets up a product. Its currency, day count and posting never change; its rates do, by further versions.
#[utoipa::path(post, path = "/api/v1/products", tag = "interest", request_body = shapes::NewProduct,
    responses((status = 201, description = "The product.", body = shapes::Product), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = [
        "product_id",
        "currency",
        "day_count",
        "posting",
        "tiering",
        "default_for",
        "from",
        "minimum_balance",
        "tiers",
    ];
    let [id, currency_value, day_count, posting, tiering, default_for, from, minimum, tiers] =
        fields(document.root(), names, &mut problems);
    problems.required("product_id", id);
    let id = short_string("product_id", id, PRODUCT_ID_BYTES_MAX, &mut problems);
    let currency = currency(currency_value, &mut problems);
    let ways = ways(day_count, posting, tiering, &mut problems);
    let default_for = word("default_for", default_for, &DEFAULT_KINDS, &mut problems);
    problems.required("from", from);
    let from = day("from", from, &mut problems);
    let Some(currency) = currency else { return Err(problems.into_problem()) };
    let version = version(from, minimum, tiers, currency, &mut problems);
    let (Some(id), Some((day_count, posting, tiering)), Some(version)) = (id, ways, version) else {
        return Err(problems.into_problem());
    };
    problems.check()?;
    let versions = vec![version];
    let product = Product { id: (*id).into(), currency, day_count, posting, tiering, default_for, versions };
    system::interest(&call.app)?.create_product(&call.caller, &product).await?;
    serialised(201, &shown(&product))
}

/// A product.
#[utoipa::path(get, path = "/api/v1/products/{product_id}", tag = "interest",
    params(("product_id" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The product.", body = shapes::Product), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let product = named(system::interest(&call.app)?, call.path_value("product_id")).await?;
    serialised(200, &shown(&product))
}

/// Adds what a product pays from a day on. What it paid before stays as it was.
#[utoipa::path(post, path = "/api/v1/products/{product_id}/versions", tag = "interest", request_body = shapes::NewVersion,
    params(("product_id" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The product.", body = shapes::Product), schema::Errors))]
pub(crate) async fn add_version(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [from, minimum, tiers] = fields(document.root(), ["from", "minimum_balance", "tiers"], &mut problems);
    problems.required("from", from);
    let from = day("from", from, &mut problems);
    let interest = system::interest(&call.app)?;
    let id = call.path_value("product_id");
    let known = named(interest, id).await?;
    let version = version(from, minimum, tiers, known.currency, &mut problems);
    let Some(version) = version else { return Err(problems.into_problem()) };
    problems.check()?;
    let product = interest.add_version(&call.caller, id, version).await?;
    serialised(200, &shown(&product))
}

/// The product of an account.
#[utoipa::path(get, path = "/api/v1/accounts/{account_id}/product", tag = "interest",
    params(("account_id" = schema::Id, Path, description = "The account.")),
    responses((status = 200, description = "Its product.", body = shapes::AccountProduct), schema::Errors))]
pub(crate) async fn of_account(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let account = find(&call.app, id).await?;
    let assigned = system::interest(&call.app)?.assignments(id).await?;
    account_product(&call.app, &account, &assigned).await
}

/// Gives an account a product from a day on, or takes its product away.
#[utoipa::path(put, path = "/api/v1/accounts/{account_id}/product", tag = "interest",
    params(("account_id" = schema::Id, Path, description = "The account.")), request_body = shapes::ProductOfAccount,
    responses((status = 200, description = "Its product.", body = shapes::AccountProduct), schema::Errors))]
pub(crate) async fn assign(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<AccountId> = call.path_id("account_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [product, from] = fields(document.root(), ["product_id", "from"], &mut problems);
    let names_product = document.root().fields().any(|(name, _)| name == "product_id");
    if !names_product {
        problems.note(Problem::malformed("`product_id` is missing; `null` takes the product away"));
    }
    let product = short_string("product_id", product, PRODUCT_ID_BYTES_MAX, &mut problems);
    let from = day("from", from, &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let account = find(&call.app, id).await?;
    let interest = system::interest(&call.app)?;
    let from = match from {
        Some(from) => from,
        None => interest.business_date().await?,
    };
    let assigned = interest.assign(&call.caller, &account, from, product.as_deref()).await?;
    account_product(&call.app, &account, &assigned).await
}

async fn account_product(app: &App, account: &Account, assigned: &[Assignment]) -> Reply {
    let interest = system::interest(app)?;
    let (catalogue, date) = (interest.catalogue().await?, interest.business_date().await?);
    let plan = catalogue.plan(account.kind, account.currency, assigned);
    serialised(
        200,
        &shapes::AccountProduct {
            account_id: account.id.to_string(),
            product_id: plan.on(date).map(|(product, _)| product.id.to_string()),
            assigned: assigned
                .iter()
                .map(|(from, id)| shapes::Assigned {
                    from: from.to_string(),
                    product_id: id.as_deref().map(str::to_owned),
                })
                .collect(),
        },
    )
}

/// The product of this name.
///
/// # Errors
/// `product_not_found`, or a fault.
pub(crate) async fn named(interest: &Interest, id: &str) -> Result<Product, Problem> {
    let shown: String = id.chars().take(PRODUCT_ID_BYTES_MAX).collect();
    let found = interest.product(id).await?;
    found.ok_or_else(|| Problem::new(Code::ProductNotFound, format!("there is no product `{shown}`")))
}

/// Day count, posting and tiering.
pub(crate) fn ways(
    day_count: Option<Value<'_>>,
    posting: Option<Value<'_>>,
    tiering: Option<Value<'_>>,
    problems: &mut Problems,
) -> Option<(DayCount, PostingPlan, Tiering)> {
    problems.required("day_count", day_count);
    problems.required("posting", posting);
    let day_counts = DayCount::ALL.map(|count| (count.name(), count));
    let day_count = word("day_count", day_count, &day_counts, problems);
    let posting = word("posting", posting, &PostingPlan::ALL, problems);
    let tiering = word("tiering", tiering, &Tiering::ALL, problems).unwrap_or(Tiering::Slices);
    Some((day_count?, posting?, tiering))
}

/// What is paid from a day on.
pub(crate) fn version(
    from: Option<Day>,
    minimum: Option<Value<'_>>,
    tiers: Option<Value<'_>>,
    currency: Currency,
    problems: &mut Problems,
) -> Option<Version> {
    let minimum = amount_text("minimum_balance", minimum, problems);
    let minimum = minimum.and_then(|text| amount_or_zero("minimum_balance", &text, Some(currency), problems));
    problems.required("tiers", tiers);
    let tiers = tiers?;
    if tiers.kind() != Kind::Array || TIERS_MAX < tiers.items().count() {
        problems.note(Problem::malformed(format!("`tiers` must be a list of 1 to {TIERS_MAX} tiers")));
        return None;
    }
    let tiers: Option<Vec<Tier>> = tiers.items().map(|item| tier(item, currency, problems)).collect();
    let version = Version { from: from?, minimum_balance: minimum.unwrap_or(Amount::ZERO), tiers: tiers? };
    problems.keep(version.check().map_err(Problem::malformed))?;
    Some(version)
}

fn tier(value: Value<'_>, currency: Currency, problems: &mut Problems) -> Option<Tier> {
    let [above, rate] = fields(value, ["above", "rate_percent"], problems);
    problems.required("above", above);
    problems.required("rate_percent", rate);
    let above = amount_text("above", above, problems);
    let above = above.and_then(|text| amount_or_zero("above", &text, Some(currency), problems));
    let rate = short_string("rate_percent", rate, RATE_BYTES, problems)?;
    let read = Rate::from_percent(&rate).ok_or_else(|| {
        Problem::malformed(
            "`rate_percent` must be per cent a year such as 2.5, from 0 to 1000 with at most six decimals",
        )
    });
    Some(Tier { above: above?, rate: problems.keep(read)? })
}

/// Money with all decimals of its currency.
pub(crate) fn money(minor_units: i128, currency: Currency) -> String {
    Decimal { minor_units, scale: currency.scale() }.to_string()
}

fn shown(product: &Product) -> shapes::Product {
    let money = |amount: Amount| money(amount.signed(), product.currency);
    let version = |version: &Version| shapes::Version {
        from: version.from.to_string(),
        minimum_balance: money(version.minimum_balance),
        tiers: version
            .tiers
            .iter()
            .map(|tier| shapes::Tier { above: money(tier.above), rate_percent: tier.rate.to_string() })
            .collect(),
    };
    shapes::Product {
        product_id: product.id.to_string(),
        currency: product.currency.code().to_owned(),
        day_count: product.day_count.name().to_owned(),
        posting: product.posting.name().to_owned(),
        tiering: product.tiering.name().to_owned(),
        default_for: product.default_for.and_then(kind_name).map(str::to_owned),
        versions: product.versions.iter().map(version).collect(),
    }
}
