//! Freezing an account, where what is already frozen stays at least as frozen.

use crate::error::BankError;
use crate::submit::ClientKey;
use crate::{Bank, Caller};
use ledger::account::{FreezeKind, Status};
use ledger::command::{Command, Freeze};
use ledger::ids::AccountId;
use store::Answer;

impl Bank {
    /// Stops debits, or everything, on an account. Without a kind it stops debits, unless the account is frozen in full
    /// already: somebody who freezes once more, for another reason, must not let money in that another kept out. Who
    /// names the kind gets that kind.
    ///
    /// # Errors
    /// As [`Bank::submit`].
    pub async fn freeze(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        account: AccountId,
        kind: Option<FreezeKind>,
        reason: Option<Box<str>>,
    ) -> Result<Answer, BankError> {
        let kind = match kind {
            Some(kind) => kind,
            None => match self.account(account).await?.map(|account| account.status) {
                Some(Status::Frozen(kind)) => kind,
                _ => FreezeKind::Debit,
            },
        };
        let command = Command::Freeze(Box::new(Freeze { account, kind, reason }));
        self.submit(caller, key, command, false).await
    }
}
