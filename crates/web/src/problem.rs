//! The one mapping of everything that can go wrong to an answer: `application/problem+json` with a stable code.
//!
//! The codes stand in the order in which they win when several apply, which is part of the contract.

use crate::text::{push_id, push_json_string};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use ledger::ids::InvalidId;
use ledger::rejection::Rejection;
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use store::Fault;

/// The media type of every error.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// Seconds after which a client may try again what met a full queue.
const RETRY_AFTER_S: &str = "1";

macro_rules! codes {
    ($($name:ident = $number:literal, $status:literal $code:literal $title:literal;)*) => {
        /// What an answer that is not a success says, first the one that wins.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// Every code in the order of precedence.
            pub(crate) const ALL: &[Code] = &[$(Code::$name),*];

            /// The stable number in fixed rows, see docs/format.md. New codes get new numbers, wherever they stand.
            pub(crate) const fn number(self) -> u16 {
                match self { $(Code::$name => $number,)* }
            }

            /// The stable word on the wire.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            /// The status it is answered with.
            pub(crate) const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// The same in a few words for people; one for each code.
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
        }
    };
}

codes! {
    Unauthenticated = 1, 401 "unauthenticated" "A valid token is needed";
    Forbidden = 2, 403 "forbidden" "This is not allowed";
    BodyTooLarge = 3, 413 "body_too_large" "The body is too large";
    UnsupportedMediaType = 4, 415 "unsupported_media_type" "The content type is not understood here";
    RateLimited = 5, 429 "rate_limited" "Too many requests";
    NotFound = 6, 404 "not_found" "There is nothing here";
    MethodNotAllowed = 7, 405 "method_not_allowed" "This method is not allowed here";
    Malformed = 8, 400 "malformed" "The request is malformed";
    UnknownField = 9, 400 "unknown_field" "A field or parameter is not known";
    IdempotencyKeyMissing = 10, 400 "idempotency_key_missing" "An idempotency key is needed";
    IdempotencyKeyInvalid = 11, 400 "idempotency_key_invalid" "The idempotency key is invalid";
    AmountInvalid = 12, 400 "amount_invalid" "The amount is invalid";
    CurrencyUnknown = 13, 400 "currency_unknown" "The currency is not known";
    CursorInvalid = 14, 400 "cursor_invalid" "The cursor is invalid";
    IdempotencyKeyReused = 15, 422 "idempotency_key_reused" "The idempotency key was used for something else";
    UserNotFound = 16, 404 "user_not_found" "There is no such user";
    AccountNotFound = 17, 404 "account_not_found" "There is no such account";
    HoldNotFound = 18, 404 "hold_not_found" "There is no such hold";
    TransferNotFound = 19, 404 "transfer_not_found" "There is no such transfer";
    DeadLetterNotFound = 20, 404 "dead_letter_not_found" "There is no such dead letter";
    ProductNotFound = 48, 404 "product_not_found" "There is no such product";
    StatementNotFound = 47, 404 "statement_not_found" "There is no such statement";
    DeliveryNotFound = 60, 404 "delivery_not_found" "There is no such delivery";
    WebhookNotFound = 61, 404 "webhook_not_found" "There is no such webhook";
    QuoteNotFound = 70, 404 "quote_not_found" "There is no such quote";
    FeeNotFound = 71, 404 "fee_not_found" "There is no such fee";
    RequestInProgress = 21, 409 "request_in_progress" "The same request is being processed";
    IdTaken = 22, 409 "id_taken" "The id is taken";
    AlreadyReversed = 23, 409 "already_reversed" "The transfer was reversed before";
    ReversalPending = 24, 409 "reversal_pending" "A reversal is under way";
    HoldNotOpen = 25, 409 "hold_not_open" "The hold is no longer open";
    AccountNotEmpty = 26, 409 "account_not_empty" "The account is not empty";
    DayClosed = 49, 409 "day_closed" "The day is closed";
    DayNotOver = 50, 409 "day_not_over" "The day is not over";
    QuoteUsed = 72, 409 "quote_used" "The quote was used before";
    SameAccount = 27, 422 "same_account" "Both sides are the same account";
    AccountClosed = 28, 422 "account_closed" "The account is closed";
    AccountFrozen = 29, 422 "account_frozen" "The account is frozen";
    CurrencyMismatch = 30, 422 "currency_mismatch" "The account has another currency";
    RateUnknown = 73, 422 "rate_unknown" "There is no such rate";
    RateStale = 74, 422 "rate_stale" "The rate is too old";
    QuoteMismatch = 75, 422 "quote_mismatch" "The quote is for something else";
    QuoteExpired = 76, 422 "quote_expired" "The quote is no longer good";
    EffectiveAtInvalid = 31, 422 "effective_at_invalid" "The value date is not taken";
    ExpiresAtInvalid = 32, 422 "expires_at_invalid" "The expiry is not in the future";
    HoldAmountExceeded = 33, 422 "hold_amount_exceeded" "More than is left of the hold";
    InsufficientFunds = 34, 422 "insufficient_funds" "Insufficient funds";
    LimitExceeded = 35, 422 "limit_exceeded" "A limit is exceeded";
    BalanceOverflow = 36, 422 "balance_overflow" "The balance would become too large";
    LinkedTransferFailed = 37, 422 "linked_transfer_failed" "Another transfer of the batch was rejected";
    InvariantBroken = 38, 500 "invariant_broken" "The request broke an invariant";
    NotAvailableYet = 39, 501 "not_available_yet" "This is not available yet";
    Fault = 40, 500 "fault" "Something failed";
    Unavailable = 41, 503 "unavailable" "The bank is not available right now";
    TransferNotSucceeded = 42, 409 "transfer_not_succeeded" "The transfer did not succeed";
    MessageOutOfOrder = 44, 409 "message_out_of_order" "A message between shards is not the next one";
    WrongShard = 45, 409 "wrong_shard" "It is moving to another shard";
    AccountInUse = 46, 409 "account_in_use" "The account has a part in an open transfer between shards";
    Cancelled = 43, 409 "cancelled" "An operator cancelled the transfer";
}

impl Code {
    /// Whether the same request may succeed later.
    pub(crate) const fn is_retryable(self) -> bool {
        matches!(self, Code::Fault | Code::Unavailable | Code::RequestInProgress | Code::RateLimited)
    }

    /// The code of the bank's no.
    pub(crate) fn of_rejection(rejection: &Rejection) -> Code {
        let name = rejection.code();
        Code::ALL.iter().copied().find(|code| code.name() == name).unwrap_or(Code::InvariantBroken)
    }
}

/// One thing that went wrong, ready to be answered.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// Which.
    pub(crate) code: Code,
    /// The status it is answered with: the code's, except in calls that are older than the codes.
    pub(crate) status: u16,
    /// What was wrong, where, and what to do.
    pub(crate) detail: Cow<'static, str>,
    /// The ids concerned, by the name of their field.
    pub(crate) ids: Vec<(&'static str, u64)>,
}

impl Problem {
    /// A problem that concerns no id.
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { code, status: code.status(), detail: detail.into(), ids: Vec::new() }
    }

    /// A body, parameter or path that cannot be read.
    pub(crate) fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(Code::Malformed, detail)
    }

    /// An id in this place that is none.
    pub(crate) fn invalid_id(place: &str, error: InvalidId) -> Problem {
        Problem::malformed(format!("{place}: {error}"))
    }

    /// An id that names nothing.
    pub(crate) fn not_found(code: Code, field: &'static str, id: u64) -> Problem {
        let kind = field.trim_end_matches("_id").replace('_', " ");
        Problem::new(code, format!("there is no {kind} {id}")).with_id(field, id)
    }

    /// The same problem, concerning this id too.
    #[must_use]
    pub(crate) fn with_id(mut self, field: &'static str, id: u64) -> Problem {
        self.ids.push((field, id));
        self
    }

    /// Writes it as a JSON object.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.write_after(b"{", out);
    }

    /// Writes it as a JSON object whose beginning is already there.
    pub(crate) fn write_after(&self, beginning: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(beginning);
        out.extend_from_slice(b"\"type\":\"urn:florin:problem:");
        out.extend_from_slice(self.code.name().as_bytes());
        out.extend_from_slice(b"\",\"title\":");
        push_json_string(out, self.code.title());
        out.extend_from_slice(format!(",\"status\":{},\"detail\":", self.status).as_bytes());
        push_json_string(out, &self.detail);
        out.extend_from_slice(b",\"code\":\"");
        out.extend_from_slice(self.code.name().as_bytes());
        out.extend_from_slice(if self.code.is_retryable() {
            b"\",\"retryable\":true"
        } else {
            b"\",\"retryable\":false"
        });
        for (field, id) in &self.ids {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(field.as_bytes());
            out.extend_from_slice(b"\":");
            push_id(out, *id);
        }
        out.push(b'}');
    }

    /// The answer.
    pub(crate) fn into_response(self) -> Response<Body> {
        self.response_after(b"{")
    }

    /// The answer with another beginning, for calls that are older than the codes.
    pub(crate) fn response_after(&self, beginning: &[u8]) -> Response<Body> {
        let status = self.status;
        let mut body = Vec::with_capacity(256);
        self.write_after(beginning, &mut body);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == 503 || status == 429 || self.code == Code::Fault {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        if status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        Problem::into_response(self)
    }
}

impl From<&Rejection> for Problem {
    fn from(rejection: &Rejection) -> Problem {
        let problem = Problem::new(Code::of_rejection(rejection), rejection.to_string());
        match *rejection {
            Rejection::UserNotFound(id) => problem.with_id("user_id", id.number()),
            Rejection::AccountNotFound(id)
            | Rejection::AccountInUse(id)
            | Rejection::AccountNotEmpty(id)
            | Rejection::SameAccount(id)
            | Rejection::AccountClosed(id)
            | Rejection::AccountFrozen(id)
            | Rejection::BalanceOverflow(id)
            | Rejection::CurrencyMismatch { account: id, .. }
            | Rejection::InsufficientFunds { account: id, .. }
            | Rejection::LimitExceeded { account: id, .. } => problem.with_id("account_id", id.number()),
            Rejection::HoldNotFound(id)
            | Rejection::HoldNotOpen(id)
            | Rejection::HoldAmountExceeded { hold: id, .. } => problem.with_id("hold_id", id.number()),
            Rejection::TransferNotFound(id)
            | Rejection::ReversalPending(id)
            | Rejection::TransferNotSucceeded(id)
            | Rejection::Cancelled(id) => problem.with_id("transfer_id", id.number()),
            Rejection::AlreadyReversed { transfer, by } => {
                let problem = problem.with_id("transfer_id", transfer.number());
                by.into_iter().fold(problem, |problem, by| problem.with_id("reversed_by", by.number()))
            }
            Rejection::DeadLetterNotFound(id) => problem.with_id("dead_letter_id", id.number()),
            Rejection::TokenNotFound(id) => problem.with_id("token_id", id.number()),
            Rejection::QuoteNotFound(id)
            | Rejection::QuoteUsed(id)
            | Rejection::QuoteMismatch(id)
            | Rejection::QuoteExpired(id) => problem.with_id("quote_id", id.number()),
            Rejection::IdTaken(id) => problem.with_id("id", id),
            Rejection::EffectiveAtInvalid
            | Rejection::ExpiresAtInvalid
            | Rejection::LinkedTransferFailed
            | Rejection::WrongShard(_)
            | Rejection::MessageOutOfOrder { .. }
            | Rejection::InvariantBroken => problem,
        }
    }
}

/// A fault is logged here, once, under an id that the answer names.
impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        let code = if fault.retryable() { Code::Unavailable } else { Code::Fault };
        match fault {
            Fault::Overloaded => Problem::new(code, fault.to_string()),
            Fault::NoSpace | Fault::Unavailable { .. } | Fault::Corrupt { .. } => {
                fault_problem(code, &fault.to_string())
            }
        }
    }
}

/// Logs what failed and says under which id.
pub(crate) fn fault_problem(code: Code, what: &str) -> Problem {
    static FAULTS: AtomicU64 = AtomicU64::new(1);
    let number = FAULTS.fetch_add(1, Ordering::Relaxed);
    let id = format!("{}-{number}", std::process::id());
    tracing::error!(fault_id = %id, "a request met a fault: {what}");
    let next = if code == Code::Unavailable {
        "retry with the same key"
    } else {
        "retry with the same key, or tell the operator"
    };
    Problem::new(code, format!("the request met a fault that is logged as {id}; {next}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::amount::Amount;
    use ledger::currency::Currency;
    use ledger::limit::LimitKind;

    /// One of each kind, and a match without a wildcard, so that a new kind cannot be forgotten here.
    macro_rules! every_rejection {
        ($($kind:pat => $example:expr,)*) => {
            fn every_rejection() -> Vec<Rejection> {
                let every = vec![$($example),*];
                for rejection in &every {
                    match rejection { $($kind => {})* }
                }
                assert!([$(matches!($example, $kind)),*].iter().all(|is_of_its_kind| *is_of_its_kind));
                every
            }
        };
    }

    every_rejection! {
        Rejection::UserNotFound(_) => Rejection::UserNotFound(id()),
        Rejection::AccountNotFound(_) => Rejection::AccountNotFound(id()),
        Rejection::HoldNotFound(_) => Rejection::HoldNotFound(id()),
        Rejection::TransferNotFound(_) => Rejection::TransferNotFound(id()),
        Rejection::DeadLetterNotFound(_) => Rejection::DeadLetterNotFound(id()),
        Rejection::TokenNotFound(_) => Rejection::TokenNotFound(id()),
        Rejection::QuoteNotFound(_) => Rejection::QuoteNotFound(id()),
        Rejection::QuoteUsed(_) => Rejection::QuoteUsed(id()),
        Rejection::QuoteMismatch(_) => Rejection::QuoteMismatch(id()),
        Rejection::QuoteExpired(_) => Rejection::QuoteExpired(id()),
        Rejection::IdTaken(_) => Rejection::IdTaken(7),
        Rejection::AlreadyReversed { .. } => Rejection::AlreadyReversed { transfer: id(), by: Some(id()) },
        Rejection::ReversalPending(_) => Rejection::ReversalPending(id()),
        Rejection::TransferNotSucceeded(_) => Rejection::TransferNotSucceeded(id()),
        Rejection::Cancelled(_) => Rejection::Cancelled(id()),
        Rejection::MessageOutOfOrder { .. } => Rejection::MessageOutOfOrder { expected: 1 },
        Rejection::WrongShard(_) => Rejection::WrongShard(1),
        Rejection::AccountInUse(_) => Rejection::AccountInUse(id()),
        Rejection::HoldNotOpen(_) => Rejection::HoldNotOpen(id()),
        Rejection::AccountNotEmpty(_) => Rejection::AccountNotEmpty(id()),
        Rejection::SameAccount(_) => Rejection::SameAccount(id()),
        Rejection::AccountClosed(_) => Rejection::AccountClosed(id()),
        Rejection::AccountFrozen(_) => Rejection::AccountFrozen(id()),
        Rejection::CurrencyMismatch { .. } => Rejection::CurrencyMismatch { account: id(), currency: euro() },
        Rejection::EffectiveAtInvalid => Rejection::EffectiveAtInvalid,
        Rejection::ExpiresAtInvalid => Rejection::ExpiresAtInvalid,
        Rejection::HoldAmountExceeded { .. } =>
            Rejection::HoldAmountExceeded { hold: id(), remaining: Amount::ZERO, currency: euro() },
        Rejection::InsufficientFunds { .. } =>
            Rejection::InsufficientFunds { account: id(), available: 0, currency: euro() },
        Rejection::LimitExceeded { .. } => Rejection::LimitExceeded { account: id(), limit: LimitKind::PerTransfer },
        Rejection::BalanceOverflow(_) => Rejection::BalanceOverflow(id()),
        Rejection::LinkedTransferFailed => Rejection::LinkedTransferFailed,
        Rejection::InvariantBroken => Rejection::InvariantBroken,
    }

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>() -> T {
        "7".parse().expect("an id")
    }

    fn euro() -> Currency {
        "EUR".parse().expect("a currency")
    }

    /// Status and codes of each row of a table in docs/errors.md.
    fn documented() -> Vec<(u16, String)> {
        let row = |line: &'static str| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let (status, codes) = (cells.next()?.parse().ok()?, cells.next()?);
            let codes = codes.split(", ").map(move |code| (status, code.trim_matches('`').to_string()));
            (400 <= status).then_some(codes)
        };
        include_str!("../../../docs/errors.md").lines().filter_map(row).flatten().collect()
    }

    #[test]
    fn every_rejection_has_a_code_of_the_same_name_with_a_status_of_its_kind() {
        for rejection in every_rejection() {
            let problem = Problem::from(&rejection);
            assert_eq!(problem.code.name(), rejection.code());
            assert!([404, 409, 422, 500].contains(&problem.status), "{rejection:?}: {}", problem.status);
            assert!(!problem.code.title().is_empty() && !problem.detail.is_empty(), "{rejection:?}");
        }
    }

    #[test]
    fn every_code_is_documented_with_its_status() {
        let documented = documented();
        for code in Code::ALL {
            let row = (code.status(), code.name().to_string());
            assert!(documented.contains(&row), "docs/errors.md has no {row:?}");
        }
        let is_known = |name: &str| Code::ALL.iter().any(|code| code.name() == name);
        assert!(documented.iter().all(|(_, name)| is_known(name)), "{documented:?}");
    }

    #[test]
    fn only_what_may_succeed_later_is_retryable() {
        let retryable: Vec<_> = Code::ALL.iter().filter(|code| code.is_retryable()).map(|code| code.name()).collect();
        assert_eq!(retryable, ["rate_limited", "request_in_progress", "fault", "unavailable"]);
    }
}
