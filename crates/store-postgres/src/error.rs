//! What can go wrong between a node and its databases.

use store::Fault;

/// Why a shard could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The text that says where the database is cannot be read, or its TLS settings cannot.
    #[error(
        "the database URL of shard {shard} is not usable: {reason}; write postgres://user:password@host:port/database"
    )]
    Url {
        /// Which shard.
        shard: u16,
        /// Why.
        reason: String,
    },
    /// The database does not answer, or refuses.
    #[error("the database {place}: {reason}")]
    Database {
        /// Host, port and name, without the password.
        place: String,
        /// What the database or the network said.
        reason: String,
    },
    /// The database is not what the configuration says, or not fit for a bank.
    #[error("the database {place} cannot be used: {reason}")]
    Unfit {
        /// Host, port and name, without the password.
        place: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A thread or a runtime could not be started.
    #[error("the threads that talk to the databases could not be started: {0}")]
    Threads(std::io::Error),
}

/// A database's error on one line, with what led to it.
pub(crate) fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(known) => {
            let detail = known.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
            format!("{}{detail} [{}]", known.message(), known.code().code())
        }
        None => chain(error),
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A failed statement as a fault: the database may answer the next one.
pub(crate) fn unavailable(error: &tokio_postgres::Error) -> Fault {
    Fault::Unavailable { reason: format!("the database failed: {}", told(error)) }
}

/// A stored row that cannot be read back.
pub(crate) fn corrupt(what: impl std::fmt::Display) -> Fault {
    Fault::Corrupt { detail: what.to_string() }
}
