//! What can go wrong between the engine and its disk, by meaning: each variant asks for a different reaction.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the storage. Every text says what to do next; the cause is linked, not repeated.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused a file operation; after a write or a sync, what is on disk is unknown.
    #[error("cannot {operation} {}; check the disk and its permissions, then start again", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: a verb such as `read` or `sync`.
        operation: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The disk is full. Whoever reported it left everything usable: free space, then try again.
    #[error("no space left for {}; free space on this disk, then try again", path.display())]
    NoSpace {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// An earlier write or sync on this file failed, so nothing said about it since can be trusted.
    #[error("{} had a failed write or sync; restart, so that recovery reads what really is on the disk", path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
    /// The bytes on disk are not what was written.
    #[error("{} is damaged at byte {offset}: {what}; keep the file and restore it from a backup or a replica", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the damage shows.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The file was written by a newer version of this program.
    #[error("{} has format version {found}, this program knows up to {known}; use a newer program", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// Another process uses the data folder.
    #[error("{} is in use by process {holder}; stop that process, work through it with --url, or choose another folder", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process id the holder wrote down, or `unknown`.
        holder: String,
    },
    /// The data folder was made for another number of shards.
    #[error("the data folder has {folder} shards but {asked} were asked for; start with {folder}, or move the data")]
    ShardCountDiffers {
        /// Shards in the folder.
        folder: u16,
        /// Shards asked for.
        asked: u16,
    },
    /// A number of shards that no data folder can have.
    #[error("{asked} shards were asked for, but a data folder has 1 to {most} shards; ask for so many")]
    ShardCountImpossible {
        /// Shards asked for.
        asked: u16,
        /// The most there can be.
        most: u16,
    },
    /// The folder has files in it that are not a bank's, or lost the one that says what it is.
    #[error("{} is not a data folder: it already has {found} in it but no `format`; choose an empty folder", path.display())]
    NotDataFolder {
        /// The folder.
        path: PathBuf,
        /// A name found in it.
        found: String,
    },
    /// A block larger than a segment can promise room for.
    #[error("{asked} bytes were asked for but only {most} can be promised; use larger segments or smaller batches")]
    TooLarge {
        /// Bytes asked for, together with those already promised.
        asked: u64,
        /// The most that can be promised.
        most: u64,
    },
}

impl StorageError {
    pub(crate) fn io(path: &Path, operation: &'static str, source: io::Error) -> StorageError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::NoSpace { path: path.into() },
            _ => StorageError::Io { path: path.into(), operation, source },
        }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, what: &'static str) -> StorageError {
        StorageError::Corrupt { path: path.into(), offset, what }
    }

    /// Whether the same call may succeed later without a restart.
    pub fn retryable(&self) -> bool {
        match self {
            StorageError::NoSpace { .. } | StorageError::Locked { .. } => true,
            StorageError::Io { .. }
            | StorageError::Poisoned { .. }
            | StorageError::Corrupt { .. }
            | StorageError::NewerFormat { .. }
            | StorageError::ShardCountDiffers { .. }
            | StorageError::NotDataFolder { .. }
            | StorageError::ShardCountImpossible { .. }
            | StorageError::TooLarge { .. } => false,
        }
    }
}
