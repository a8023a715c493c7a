//! API tokens: who may ask for what. Only their digest is kept.

use crate::ids::TokenId;
use crate::time::Timestamp;

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// Everything but tokens, discarding, forced postings and accounts of the bank.
    Teller,
    /// Reading.
    Auditor,
}

impl Role {
    /// Every role, in the order of its number in files.
    pub const ALL: [Role; 3] = [Role::Admin, Role::Teller, Role::Auditor];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Teller => "teller",
            Role::Auditor => "auditor",
        }
    }

    /// The role with this name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A token as it stands, or as it stood when an entry was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// The principal it speaks for. A replaced token keeps the name, so that keys go on meaning the same.
    pub name: Box<str>,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is no longer valid.
    pub expires_at: Option<Timestamp>,
    /// Whether somebody ended it.
    pub revoked: bool,
}
