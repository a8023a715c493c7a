//! Products and which accounts have them, as they are kept in records.

use super::Interest;
use super::day_count::DayCount;
use super::parts::Rate;
use super::product::{Period, PostingPlan, Product, Tier, Tiering, Version};
use crate::Caller;
use crate::business_date::{self, OpenDays};
use crate::error::{BankError, refused};
use crate::ports::{Expected, RecordChange, Records};
use crate::records;
use crate::submit::allow;
use ledger::account::{Account, AccountKind};
use ledger::amount::{Amount, Decimal};
use ledger::currency::Currency;
use ledger::ids::{AccountId, slot};
use ledger::time::Day;
use ledger::token::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::Fault;

/// Accounts are kept in so many chunks, each of sixteen slots.
pub(crate) const CHUNKS: u16 = ledger::ids::SLOTS / SLOTS_A_CHUNK;
const SLOTS_A_CHUNK: u16 = 16;
/// Records read at a time.
const PAGE: usize = 1000;

/// The chunk an account is kept in.
pub(crate) fn chunk_of(account: AccountId) -> u16 {
    slot(account.number()) / SLOTS_A_CHUNK
}

/// A product as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptProduct {
    currency: String,
    day_count: String,
    posting: String,
    tiering: String,
    default_for: Option<String>,
    versions: Vec<KeptVersion>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptVersion {
    from: String,
    minimum_balance: String,
    tiers: Vec<KeptTier>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptTier {
    above: String,
    rate: String,
}

/// What an account was assigned, as it is kept: from each day on a product or, without a name, none.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptAssignments {
    from: Vec<(String, Option<String>)>,
}

/// From which day an account has which product; `None` takes the one before away.
pub type Assignment = (Day, Option<Box<str>>);

fn decimal(amount: Amount, currency: Currency) -> String {
    Decimal { minor_units: amount.signed(), scale: currency.scale() }.to_string()
}

/// The words for the kinds of accounts that can have a product without being assigned to it.
pub const DEFAULT_KINDS: [(&str, AccountKind); 2] =
    [("checking", AccountKind::Checking), ("savings", AccountKind::Savings)];

/// The word for a kind of customers' accounts.
pub fn kind_name(kind: AccountKind) -> Option<&'static str> {
    DEFAULT_KINDS.iter().find(|(_, known)| *known == kind).map(|(name, _)| *name)
}

impl KeptProduct {
    fn of(product: &Product) -> KeptProduct {
        let version = |version: &Version| KeptVersion {
            from: version.from.to_string(),
            minimum_balance: decimal(version.minimum_balance, product.currency),
            tiers: version
                .tiers
                .iter()
                .map(|tier| KeptTier { above: decimal(tier.above, product.currency), rate: tier.rate.to_string() })
                .collect(),
        };
        KeptProduct {
            currency: product.currency.code().to_owned(),
            day_count: product.day_count.name().to_owned(),
            posting: product.posting.name().to_owned(),
            tiering: product.tiering.name().to_owned(),
            default_for: product.default_for.and_then(kind_name).map(str::to_owned),
            versions: product.versions.iter().map(version).collect(),
        }
    }

    fn product(&self, id: &str) -> Option<Product> {
        let currency: Currency = self.currency.parse().ok()?;
        let amount = |text: &str| Amount::parse_or_zero(text, currency.scale()).ok();
        let version = |version: &KeptVersion| {
            let tier =
                |tier: &KeptTier| Some(Tier { above: amount(&tier.above)?, rate: Rate::from_percent(&tier.rate)? });
            Some(Version {
                from: version.from.parse().ok()?,
                minimum_balance: amount(&version.minimum_balance)?,
                tiers: version.tiers.iter().map(tier).collect::<Option<_>>()?,
            })
        };
        let named = |name: &String| DEFAULT_KINDS.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
        let default_for = match &self.default_for {
            Some(name) => Some(named(name)?),
            None => None,
        };
        Some(Product {
            id: id.into(),
            currency,
            day_count: DayCount::ALL.into_iter().find(|count| count.name() == self.day_count)?,
            posting: PostingPlan::ALL.into_iter().find(|(name, _)| *name == self.posting)?.1,
            tiering: Tiering::ALL.into_iter().find(|(name, _)| *name == self.tiering)?.1,
            default_for,
            versions: self.versions.iter().map(version).collect::<Option<_>>()?,
        })
    }
}

fn product_key(id: &str) -> String {
    format!("product/{id}")
}

fn assigned_key(account: AccountId) -> String {
    format!("interest/assigned/{:02}/{account}", chunk_of(account))
}

/// All products, by name, and what follows from them for accounts.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    products: BTreeMap<Box<str>, Product>,
}

/// What an account bears over time: spans of days, each of one product, in their order.
#[derive(Clone, Debug, Default)]
pub struct Plan<'a> {
    spans: Vec<(Period, &'a Product)>,
}

impl<'a> Plan<'a> {
    /// An account that always had one product.
    pub fn always(product: &'a Product) -> Plan<'a> {
        let first = product.versions.first().map_or(Day::new(0), |version| version.from);
        Plan { spans: vec![(Period { first, last: Day::new(i32::MAX) }, product)] }
    }

    /// The product of a day, and the period of its postings that the day lies in. A period ends early where the product
    /// ends.
    pub fn on(&self, day: Day) -> Option<(&'a Product, Period)> {
        let (span, product) = self.spans.iter().find(|(span, _)| span.first <= day && day <= span.last)?;
        let period = product.posting.period(day);
        Some((product, Period { first: period.first.max(span.first), last: period.last.min(span.last) }))
    }

    /// The product that ended last before this day, and its last day.
    pub fn last_before(&self, day: Day) -> Option<(Day, &'a Product)> {
        self.spans.iter().rev().find(|(span, _)| span.last < day).map(|(span, product)| (span.last, *product))
    }

    /// The first day with a product.
    pub fn first_day(&self) -> Option<Day> {
        self.spans.first().map(|(span, _)| span.first)
    }
}

impl Catalogue {
    /// All products, by name.
    pub fn products(&self) -> impl Iterator<Item = &Product> {
        self.products.values()
    }

    /// The product of this name.
    pub fn get(&self, id: &str) -> Option<&Product> {
        self.products.get(id)
    }

    /// The first day on which any product pays.
    pub fn first_day(&self) -> Option<Day> {
        self.products.values().filter_map(|product| product.versions.first()).map(|version| version.from).min()
    }

    /// What an account of this kind bears with these assignments.
    pub fn plan(&self, kind: AccountKind, currency: Currency, assigned: &[Assignment]) -> Plan<'_> {
        let default = self
            .products
            .values()
            .find(|product| product.default_for == Some(kind) && product.currency == currency)
            .and_then(|product| Some((product.versions.first()?.from, Some(product))));
        let assigned = assigned.iter().map(|(from, id)| (*from, id.as_deref().and_then(|id| self.get(id))));
        let starts: Vec<(Day, Option<&Product>)> = default.into_iter().chain(assigned).collect();
        let mut spans: Vec<(Period, &Product)> = Vec::new();
        for (index, (first, product)) in starts.iter().enumerate() {
            let next = starts.get(index + 1..).and_then(|later| later.iter().map(|(from, _)| *from).min());
            let last = next.map_or(Day::new(i32::MAX), |next| Day::new(next.number() - 1));
            if let Some(product) = product
                && *first <= last
            {
                spans.push((Period { first: *first, last }, product));
            }
        }
        Plan { spans }
    }
}

impl Interest {
    /// All products.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn catalogue(&self) -> Result<Catalogue, Fault> {
        let mut products = BTreeMap::new();
        for (key, value) in all(self.records(), "product/").await? {
            let id = key.trim_start_matches("product/");
            products.insert(id.into(), read_product(id, &key, &value)?);
        }
        Ok(Catalogue { products })
    }

    /// Sets up a product. Its first version begins on the business date or later.
    ///
    /// # Errors
    /// `forbidden`, `malformed`, `id_taken`, `day_closed`, or a fault.
    pub async fn create_product(&self, caller: &Caller, product: &Product) -> Result<(), BankError> {
        allow(caller, Role::Admin)?;
        product.check().map_err(|detail| refused("malformed", detail))?;
        business_date::begin(self.records(), &self.calendar, self.bank.now()).await?;
        loop {
            let open = self.open_days().await?;
            match self.product(&product.id).await? {
                Some(known) if known == *product => return Ok(()), // the same request, sent again
                Some(_) => return Err(refused("id_taken", format!("there is a product {} already", product.id))),
                None => {}
            }
            check_first_day(&open, product.versions.iter().map(|version| version.from))?;
            self.check_no_rival(product).await?;
            let key = product_key(&product.id);
            let mut changes = vec![RecordChange::put(key, &KeptProduct::of(product))?.expecting(Expected::Absent)];
            if let Some(kind) = product.default_for.and_then(kind_name) {
                // So that of two made at once one is refused.
                let key = format!("product-default/{kind}/{}", product.currency);
                changes.push(RecordChange::put(key, &product.id)?.expecting(Expected::Absent));
            }
            if open.change(self.records(), changes).await? {
                return Ok(());
            }
        }
    }

    async fn check_no_rival(&self, product: &Product) -> Result<(), BankError> {
        let Some(kind) = product.default_for else { return Ok(()) };
        let catalogue = self.catalogue().await?;
        let is_rival = |other: &&Product| other.default_for == Some(kind) && other.currency == product.currency;
        catalogue.products().find(is_rival).map_or(Ok(()), |rival| {
            let detail = format!("accounts of that kind and currency have the product {} by default", rival.id);
            Err(refused("id_taken", detail))
        })
    }

    /// The product of this name.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn product(&self, id: &str) -> Result<Option<Product>, Fault> {
        let key = product_key(id);
        self.records().get(&key).await?.map(|value| read_product(id, &key, &value)).transpose()
    }

    /// Adds what a product pays from a day on, which is later than its other versions and not closed yet.
    ///
    /// # Errors
    /// `forbidden`, `malformed`, `product_not_found`, `id_taken`, `day_closed`, or a fault.
    pub async fn add_version(&self, caller: &Caller, id: &str, version: Version) -> Result<Product, BankError> {
        allow(caller, Role::Admin)?;
        let key = product_key(id);
        loop {
            let open = self.open_days().await?;
            let Some(value) = self.records().get(&key).await? else { return Err(unknown_product(id)) };
            let mut product = read_product(id, &key, &value)?;
            if product.versions.contains(&version) {
                return Ok(product);
            }
            check_first_day(&open, [version.from].into_iter())?;
            if product.versions.iter().any(|known| version.from <= known.from) {
                let detail = format!("the product {id} has a version from {} or later", version.from);
                return Err(refused("id_taken", detail));
            }
            product.versions.push(version.clone());
            product.check().map_err(|detail| refused("malformed", detail))?;
            let change = RecordChange::put(key.as_str(), &KeptProduct::of(&product))?;
            if open.change(self.records(), vec![change.expecting(Expected::Exactly(value))]).await? {
                return Ok(product);
            }
        }
    }

    /// Gives an account a product from a day on, or takes its product away.
    ///
    /// # Errors
    /// `forbidden`, `account_not_found`, `product_not_found`, `currency_mismatch`, `day_closed`, or a fault.
    pub async fn assign(
        &self,
        caller: &Caller,
        account: &Account,
        from: Day,
        product: Option<&str>,
    ) -> Result<Vec<Assignment>, BankError> {
        allow(caller, Role::Admin)?;
        if account.is_system() {
            return Err(refused("account_not_found", "the bank's own accounts bear no interest"));
        }
        if let Some(id) = product {
            let product = self.product(id).await?.ok_or_else(|| unknown_product(id))?;
            if product.currency != account.currency {
                let detail = format!("the product {id} is for accounts in {}", product.currency);
                return Err(refused("currency_mismatch", detail));
            }
        }
        let key = assigned_key(account.id);
        loop {
            let open = self.open_days().await?;
            let value = self.records().get(&key).await?;
            let mut known = value.as_deref().map_or_else(|| Ok(Vec::new()), |value| read_assignments(&key, value))?;
            if known.last().is_some_and(|(day, id)| *day == from && id.as_deref() == product) {
                return Ok(known);
            }
            check_first_day(&open, [from].into_iter())?;
            // What was to begin later was only planned.
            known.retain(|(day, _)| *day < from);
            known.push((from, product.map(Into::into)));
            let kept = KeptAssignments {
                from: known.iter().map(|(day, id)| (day.to_string(), id.as_deref().map(str::to_owned))).collect(),
            };
            let expected = value.map_or(Expected::Absent, Expected::Exactly);
            let change = RecordChange::put(key.as_str(), &kept)?.expecting(expected);
            if open.change(self.records(), vec![change]).await? {
                return Ok(known);
            }
        }
    }

    /// What an account was assigned, the earliest first.
    ///
    /// # Errors
    /// A fault of the records.
    pub async fn assignments(&self, account: AccountId) -> Result<Vec<Assignment>, Fault> {
        let key = assigned_key(account);
        self.records().get(&key).await?.map_or_else(|| Ok(Vec::new()), |value| read_assignments(&key, &value))
    }

    /// What the accounts of a chunk were assigned.
    pub(super) async fn assignments_of(&self, chunk: u16) -> Result<BTreeMap<AccountId, Vec<Assignment>>, Fault> {
        let prefix = format!("interest/assigned/{chunk:02}/");
        let mut assigned = BTreeMap::new();
        for (key, value) in all(self.records(), &prefix).await? {
            let id = key.trim_start_matches(&prefix).parse();
            let id = id.map_err(|_| Fault::Corrupt { detail: format!("the record {key} names no account") })?;
            assigned.insert(id, read_assignments(&key, &value)?);
        }
        Ok(assigned)
    }

    async fn open_days(&self) -> Result<OpenDays, Fault> {
        OpenDays::read(self.records(), &self.calendar, self.bank.now()).await
    }
}

fn check_first_day(open: &OpenDays, mut days: impl Iterator<Item = Day>) -> Result<(), BankError> {
    let first = open.first;
    days.find(|day| *day < first).map_or(Ok(()), |day| {
        let detail =
            format!("{day} is closed or being closed, and what it bears stays as it is; begin on {first} or later");
        Err(refused("day_closed", detail))
    })
}

fn unknown_product(id: &str) -> BankError {
    refused("product_not_found", format!("there is no product {id:?}"))
}

fn read_product(id: &str, key: &str, value: &[u8]) -> Result<Product, Fault> {
    let kept: KeptProduct = records::parsed(key, value)?;
    let damaged = || Fault::Corrupt { detail: format!("the record {key} is no product") };
    kept.product(id).filter(|product| product.check().is_ok()).ok_or_else(damaged)
}

fn read_assignments(key: &str, value: &[u8]) -> Result<Vec<Assignment>, Fault> {
    let kept: KeptAssignments = records::parsed(key, value)?;
    let read = kept.from.into_iter().map(|(day, id)| Some((day.parse().ok()?, id.map(Into::into))));
    let read: Option<Vec<Assignment>> = read.collect();
    read.ok_or_else(|| Fault::Corrupt { detail: format!("the record {key} has a day that is none") })
}

/// All records whose keys begin so, in their order.
pub(crate) async fn all(records: &dyn Records, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    loop {
        let page = records.list(prefix, found.last().map(|(key, _)| key.as_str()), PAGE).await?;
        let is_last = page.len() < PAGE;
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}
