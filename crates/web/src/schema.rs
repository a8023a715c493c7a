//! The shapes of requests and answers as the OpenAPI document tells them, and the cold answers that are written from
//! them. What is read or written by hand on the hot paths is only described here; tests hold the two together.
#![expect(dead_code, reason = "most shapes only describe what hand-written code reads and writes")]

pub(crate) mod answers;
pub(crate) mod interest;
pub(crate) mod jobs;
pub(crate) mod notifications;
pub(crate) mod parameters;
pub(crate) mod requests;
pub(crate) mod short;

use crate::problem::Code;
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

/// An id: canonical decimal, 1 to 2^63-1.
#[derive(Deserialize, ToSchema)]
#[schema(value_type = String, pattern = "^([1-9][0-9]{0,17}|[1-8][0-9]{18}|9([01][0-9]|2[0-2])[0-9]{16})$", example = "7300000000000000001")]
pub(crate) struct Id(String);

/// An id that the client chooses: below 2^62.
#[derive(Deserialize, ToSchema)]
#[schema(value_type = String, pattern = "^([1-9][0-9]{0,17}|[1-3][0-9]{18}|4[0-5][0-9]{17})$", example = "1001")]
pub(crate) struct ChosenId(String);

/// An amount with at most the currency's decimals, 18 digits in all, without sign; a JSON number is taken by its text.
#[derive(Deserialize, ToSchema)]
#[schema(value_type = String, pattern = "^(0|[1-9][0-9]{0,17})([.][0-9]{1,4})?$", example = "10.50")]
pub(crate) struct Amount(String);

/// An amount, or `max`: what is available.
#[derive(Deserialize, ToSchema)]
#[schema(value_type = String, pattern = "^(max|(0|[1-9][0-9]{0,17})([.][0-9]{1,4})?)$", example = "10.50")]
pub(crate) struct AmountOrMax(String);

/// Money with all decimals of its currency; negative where a balance is.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^-?[0-9]+([.][0-9]+)?$", example = "-60.00")]
pub(crate) struct Money(String);

/// An exchange rate: an exact decimal above zero, at most 15 digits that count.
#[derive(Deserialize, ToSchema)]
#[schema(value_type = String, pattern = "^(0|[1-9][0-9]*)([.][0-9]+)?$", example = "1.0842")]
pub(crate) struct ExactRate(String);

/// A currency of ISO 4217.
#[derive(Deserialize)]
pub(crate) struct Currency(String);

impl PartialSchema for Currency {
    fn schema() -> RefOr<Schema> {
        let codes = ledger::currency::Currency::all().map(|currency| currency.code());
        let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes));
        schema.description(Some("A currency of ISO 4217.")).build().into()
    }
}

impl ToSchema for Currency {}

/// A body without fields.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Every answer that is not a success.
#[derive(ToSchema)]
pub(crate) struct Problem {
    /// `urn:florin:problem:` and the code.
    #[schema(format = "uri")]
    r#type: String,
    /// The code in a few words.
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong, where, and what to do.
    detail: String,
    /// The stable code.
    code: String,
    /// Whether the same request may succeed later.
    retryable: bool,
}

/// The problems that any call may answer.
pub(crate) struct Errors;

impl IntoResponses for Errors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let reference = |status: u16| Ref::from_response_name(format!("Problem{status}"));
        Errors::by_status().into_keys().map(|status| (status.to_string(), reference(status).into())).collect()
    }
}

impl Errors {
    /// The answers that [`Errors`] refers to, by their names.
    pub(crate) fn components() -> Vec<(String, Response)> {
        let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = |codes: Vec<&str>| {
            ResponseBuilder::new()
                .description(codes.join(", "))
                .content(crate::problem::PROBLEM_JSON, content())
                .build()
        };
        Errors::by_status().into_iter().map(|(status, codes)| (format!("Problem{status}"), response(codes))).collect()
    }

    fn by_status() -> BTreeMap<u16, Vec<&'static str>> {
        let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for code in Code::ALL {
            codes.entry(code.status()).or_default().push(code.name());
        }
        codes
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($word:ident),* })*) => {$(
        $(#[$doc])*
        #[derive(Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name { $($word),* }
    )*};
}

words! {
    /// Where a transfer stands.
    TransferStatus { Succeeded, Pending, Failed }
    /// Which time counts.
    Axis { Booking, Effective }
    /// Debit lowers a balance, credit raises it.
    Side { Debit, Credit }
    /// Where a dead letter stands.
    DeadLetterStatus { Waiting, Redriven, Discarded }
    /// What an account is for.
    AccountType { Checking, Savings }
    /// What an account is for, the bank's own included.
    AnyAccountType { Checking, Savings, System }
    /// Who may still move money.
    AccountStatus { Active, Frozen, Closed }
    /// What a freeze stops: debits, or everything.
    FreezeKind { Debit, Full }
    /// Where a hold stands.
    HoldStatus { Held, Captured, Voided, Expired }
    /// What the bearer of a token may do.
    Role { Admin, Teller, Auditor }
    /// How the transfers of a batch belong together.
    BatchMode { Independent, Atomic }
    /// What a transfer is called.
    TransferType { Deposit, Withdrawal, Transfer, Capture, Reversal, Move, Interest, Fee, Exchange }
    /// The word for a deposit.
    OnlyDeposit { Deposit }
    /// The word for a withdrawal.
    OnlyWithdrawal { Withdrawal }
    /// The word for a transfer between accounts.
    OnlyTransfer { Transfer }
    /// The word for an exchange.
    OnlyExchange { Exchange }
    /// Who pays a fee: whoever pays, on top; or whoever is paid, out of the amount.
    PaidBy { Sender, Recipient }
    /// Which amount of a quote was asked for; the other follows from it.
    FixedAmount { SellAmount, BuyAmount }
    /// What one of the bank's own accounts is for.
    SystemAccountKind { Cash, Expense, Income, Suspense, Atm, Correspondent, Other, FxPosition, FxResult }
}
