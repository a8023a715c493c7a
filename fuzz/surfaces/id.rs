//! The text of ids and currencies, and what the ids of the bank's own accounts say.

use ledger::account::SystemAccount;
use ledger::currency::Currency;
use ledger::ids::{AccountId, SLOTS, SYSTEM_ID_START, slot};

/// Reads the text; what was read is written as exactly that text.
pub(crate) fn exercise(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<AccountId>() {
        Ok(id) => {
            assert_eq!(id.to_string(), text);
            assert!(0 < id.number() && id.number() < 1 << 63);
            assert!(slot(id.number()) < SLOTS);
            if let Some(system) = SystemAccount::from_id(id) {
                assert!(SYSTEM_ID_START <= id.number());
                assert_eq!(system.id(), id);
            }
        }
        // Another reading of the same rule.
        Err(_) => {
            let number = text.parse::<u64>().ok();
            assert!(number.is_none_or(|id| id == 0 || 1 << 63 <= id || id.to_string() != text), "{text} is an id");
        }
    }
    if let Ok(currency) = text.parse::<Currency>() {
        assert_eq!(currency.code(), text);
        assert_eq!(Currency::from_number(currency.number()), Some(currency));
    }
}
