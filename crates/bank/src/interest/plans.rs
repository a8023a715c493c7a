//! What accounts bear. Most have what all of their kind have, which is made once.

use super::catalogue::{Assignment, Catalogue, Plan};
use super::product::Product;
use super::state::Row;
use ledger::account::AccountKind;
use ledger::currency::Currency;
use ledger::ids::AccountId;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module.
pub(crate) struct Plans<'a> {
    catalogue: &'a Catalogue,
    assigned: &'a BTreeMap<AccountId, Vec<Assignment>>,
    usual: Vec<((AccountKind, Currency), Plan<'a>)>,
    names: Vec<Arc<str>>,
}

impl<'a> Plans<'a> {
    /// With these assignments of accounts.
    pub(crate) fn new(catalogue: &'a Catalogue, assigned: &'a BTreeMap<AccountId, Vec<Assignment>>) -> Plans<'a> {
        Plans { catalogue, assigned, usual: Vec::new(), names: Vec::new() }
    }

    /// A product's name, of which rows share one.
    pub(crate) fn name(&mut self, product: &Product) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| ***known == *product.id) {
            return known.clone();
        }
        let name: Arc<str> = (*product.id).into();
        self.names.push(name.clone());
        name
    }

    /// What an account bears.
    pub(crate) fn of(&mut self, row: &Row) -> Cow<'_, Plan<'a>> {
        if let Some(assigned) = self.assigned.get(&row.account) {
            return Cow::Owned(self.catalogue.plan(row.kind, row.currency, assigned));
        }
        let kind = (row.kind, row.currency);
        let index = self.usual.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            self.usual.push((kind, self.catalogue.plan(row.kind, row.currency, &[])));
            self.usual.len() - 1
        });
        Cow::Borrowed(&self.usual[index].1)
    }
}
