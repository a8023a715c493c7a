//! Why the bank gave no answer. What the rule book says, rejections included, is an answer and not here.

use ledger::amount::AmountError;
use ledger::currency::Currency;
use ledger::token::Role;
use store::Fault;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BankError {
    /// Machinery failed; the outcome may be unknown, the same request with the same key may be sent again.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The caller may not do this.
    #[error("this needs a token with the role `{}`", needs.name())]
    Forbidden {
        /// The least role that may.
        needs: Role,
    },
    /// A part of the bank that does not exist yet.
    #[error("{what} is not available yet")]
    NotAvailableYet {
        /// Which.
        what: &'static str,
    },
    /// The bank says no to what moves no money, so that nothing is recorded.
    #[error("{detail}")]
    Refused {
        /// The stable code.
        code: &'static str,
        /// Why, and what to do.
        detail: String,
    },
    /// What was sent cannot be understood. Only profiles, events and dead letters are checked here; the rest is
    /// checked where it is parsed.
    #[error("{detail}")]
    Malformed {
        /// The stable code, such as `malformed` or `unknown_field`.
        code: &'static str,
        /// What is wrong, where, and what to do; nothing personal.
        detail: String,
    },
}

impl BankError {
    /// The fault that it is for whoever can do no more than try again.
    pub(crate) fn into_fault(self) -> Fault {
        match self {
            BankError::Fault(fault) => fault,
            other => Fault::Unavailable { reason: other.to_string() },
        }
    }

    /// The stable code of the interface.
    pub fn code(&self) -> &'static str {
        match self {
            BankError::Fault(fault) if fault.retryable() => "unavailable",
            BankError::Fault(_) => "fault",
            BankError::Forbidden { .. } => "forbidden",
            BankError::NotAvailableYet { .. } => "not_available_yet",
            BankError::Malformed { code, .. } | BankError::Refused { code, .. } => code,
        }
    }
}

/// What is said of an amount that is none, with its currency where that is known: how many decimals it may have.
pub fn invalid_amount(name: &str, error: AmountError, currency: Option<Currency>) -> String {
    match currency.map(|currency| (currency, currency.scale())) {
        None => format!("`{name}`: {error}"),
        Some((currency, 0)) => format!("`{name}`: {error}; {currency} has no decimals"),
        Some((currency, 1)) => format!("`{name}`: {error}; {currency} has 1 decimal"),
        Some((currency, scale)) => format!("`{name}`: {error}; {currency} has {scale} decimals"),
    }
}

/// A no that follows from what was set up, with its stable code.
pub(crate) fn refused(code: &'static str, detail: impl Into<String>) -> BankError {
    BankError::Malformed { code, detail: detail.into() }
}
