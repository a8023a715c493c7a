//! API tokens: made once and shown once, kept as a digest, looked up at every request.

use crate::error::BankError;
use crate::ports::Env;
use crate::submit::ClientKey;
use crate::{Bank, Caller};
use ledger::event::Channel;
use ledger::ids::TokenId;
use ledger::time::Timestamp;
use ledger::token::{Role, Token};
use std::fmt;
use store::{Answer, Fault};

/// What a bearer presents: `florin_` and 64 hexadecimal digits. Never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(…)")
    }
}

impl TokenText {
    /// A new random one.
    pub fn generate(env: &dyn Env) -> TokenText {
        let mut bytes = [0; 32];
        env.fill(&mut bytes);
        TokenText(String::new())
    }

    /// The text to present.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a token is made of.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The principal it speaks for: 1 to 200 visible characters.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// From when on it is no longer valid.
    pub expires_at: Option<Timestamp>,
}

/// Tokens as they were read last.
#[derive(Default)]
pub(crate) struct TokenCache {}

impl Bank {
    /// Makes a token. The text is there whenever the token was made or its creation replayed: under the same key it is
    /// the same. Needs the role admin.
    ///
    /// # Errors
    /// As [`Bank::submit`]; `malformed` for a name that is none.
    pub async fn create_token(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        new: &NewToken,
    ) -> Result<(Answer, TokenText), BankError> {
        let _ = (caller, key, new);
        Err(BankError::NotAvailableYet { what: "tokens" })
    }

    /// Ends a token. Doing it twice is the same as once. Needs the role admin.
    ///
    /// # Errors
    /// As [`Bank::submit`].
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        id: TokenId,
    ) -> Result<Answer, BankError> {
        let _ = (caller, key, id);
        Err(BankError::NotAvailableYet { what: "tokens" })
    }

    /// All tokens, newest first. Needs the role admin.
    ///
    /// # Errors
    /// `Forbidden`, or a fault.
    pub async fn tokens(&self, caller: &Caller) -> Result<Vec<Token>, BankError> {
        let _ = caller;
        Err(BankError::NotAvailableYet { what: "tokens" })
    }

    /// Who presents this token; `None` when it is unknown, revoked or no longer valid.
    ///
    /// # Errors
    /// A fault of shard 0, where tokens live.
    pub async fn authenticate(&self, text: &str, channel: Channel, correlation: &str) -> Result<Option<Caller>, Fault> {
        let _ = (text, channel, correlation);
        Ok(None)
    }

    /// Makes the first token of a new bank: name and role `admin`, the text chosen by [`TokenText::generate`] and kept
    /// by whoever calls *before* the call. `false`, and nothing is done, if the bank has tokens already.
    ///
    /// # Errors
    /// A fault of shard 0.
    pub async fn create_first_admin_token(&self, text: &TokenText) -> Result<bool, BankError> {
        let _ = text;
        Err(BankError::NotAvailableYet { what: "tokens" })
    }
}
