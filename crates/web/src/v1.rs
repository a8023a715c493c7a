//! The resources under `/api/v1`, one file each.

pub(crate) mod accounts;
pub(crate) mod business_date;
pub(crate) mod dead_letters;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod fees;
pub(crate) mod holds;
pub(crate) mod interest;
pub(crate) mod jobs;
pub(crate) mod journal;
pub(crate) mod postings;
pub(crate) mod preferences;
pub(crate) mod products;
pub(crate) mod quotes;
pub(crate) mod rates;
pub(crate) mod shards;
pub(crate) mod standing_orders;
pub(crate) mod statements;
pub(crate) mod streams;
pub(crate) mod system;
pub(crate) mod tokens;
pub(crate) mod transfer_batch;
pub(crate) mod transfer_input;
pub(crate) mod transfers;
pub(crate) mod users;
pub(crate) mod webhooks;
