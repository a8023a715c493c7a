//! The data folder: its lock, its `format` file and a folder for each shard.
//!
//! ```text
//! florin.lock           locked while a process uses the folder; holds its process id
//! format                what the folder is, below
//! shard-000/journal     segments
//! shard-000/runs        index runs
//! shard-000/checkpoints state snapshots
//! ```
//!
//! Promises: one process at a time; the lock goes with its process. `format` is written last, so a folder either is a
//! complete data folder or has no `format` and no data. A small file is replaced whole or not at all.
//!
//! `format`, 44 bytes, little-endian:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `FLORINDF` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 2 | number of shards |
//! | 14 | 2 | number of shards the slots were dealt to; 0: all of them |
//! | 16 | 16 | data id |
//! | 32 | 8 | created, microseconds since 1970 |
//! | 40 | 4 | CRC-32 of bytes 0..40 |

#[cfg(test)]
mod tests;

use crate::aside::AsideFile;
use crate::bytes::{get, get_u32, get_u64, put};
use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use ledger::ids::SLOTS;
use std::path::{Path, PathBuf};

const FORMAT_MAGIC: &[u8; 8] = b"FLORINDF";
const FORMAT_VERSION: u32 = 1;
const FORMAT_BYTES: usize = 44;
const LOCK_NAME: &str = "florin.lock";
const FORMAT_NAME: &str = "format";
/// What a folder may hold and still become a data folder: traces of an earlier first start, and what file systems put
/// into their root.
const EMPTY_ENOUGH: [&str; 3] = [LOCK_NAME, "format.aside", "lost+found"];

/// What a new data folder is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFolder {
    /// How many shards the bank has.
    pub shard_count: u16,
    /// How many it was made with: slots were dealt to these, and those added since get theirs by moves.
    pub dealt: u16,
    /// Names this bank's data for ever.
    pub data_id: [u8; 16],
    /// Microseconds since 1970.
    pub created_at_us: u64,
}

/// An open, locked data folder. The lock is held until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    format: NewFolder,
    is_new: bool,
    _lock: DiskFile,
}

/// The folders of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardFolder {
    /// The number of the shard.
    pub shard: u16,
    /// Segments.
    pub journal: PathBuf,
    /// Index runs.
    pub runs: PathBuf,
    /// Checkpoints.
    pub checkpoints: PathBuf,
}

impl Folder {
    /// Opens the folder, or makes it from `new` when it does not exist or is empty.
    /// An existing folder keeps its own id and time; a different shard count is an error.
    pub fn open_or_create(disk: &Disk, root: &Path, new: NewFolder) -> Result<Folder, StorageError> {
        disk.create_folder(root)?;
        if !disk.exists(&root.join(FORMAT_NAME))? {
            refuse_strangers(disk, root, new.shard_count)?;
        }
        let lock = lock(disk, root)?;
        let is_new = !disk.exists(&root.join(FORMAT_NAME))?;
        if is_new {
            create(disk, root, &new)?;
        }
        let folder = Folder { root: root.into(), format: read_format(disk, root)?, is_new, _lock: lock };
        if folder.shard_count() != new.shard_count {
            return Err(StorageError::ShardCountDiffers { folder: folder.shard_count(), asked: new.shard_count });
        }
        Ok(folder)
    }

    /// Adds a shard without slots to an existing folder; its number.
    ///
    /// # Errors
    /// As [`Folder::open`]; `ShardCountImpossible` for more than [`SLOTS`].
    pub fn add_shard(disk: &Disk, root: &Path) -> Result<u16, StorageError> {
        let folder = Folder::open(disk, root)?;
        let number = folder.shard_count();
        if SLOTS <= number {
            return Err(StorageError::ShardCountImpossible { asked: number.saturating_add(1), most: SLOTS });
        }
        // The folders first: one that a crash leaves is not counted, and is empty when this is asked for again.
        create_shard(disk, root, number)?;
        write_format(disk, root, &NewFolder { shard_count: number + 1, ..folder.format })?;
        Ok(number)
    }

    /// Opens an existing folder as it is.
    pub fn open(disk: &Disk, root: &Path) -> Result<Folder, StorageError> {
        let format = read_format(disk, root)?;
        Ok(Folder { root: root.into(), format, is_new: false, _lock: lock(disk, root)? })
    }

    /// Whether this call made the folder.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// How many shards the bank has.
    pub fn shard_count(&self) -> u16 {
        self.format.shard_count
    }

    /// How many shards the slots were dealt to: those that the bank was made with.
    pub fn dealt(&self) -> u16 {
        self.format.dealt
    }

    /// Names this bank's data for ever.
    pub fn data_id(&self) -> [u8; 16] {
        self.format.data_id
    }

    /// When the folder was made: microseconds since 1970.
    pub fn created_at_us(&self) -> u64 {
        self.format.created_at_us
    }

    /// Where the folder is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folders of one shard.
    pub fn shard(&self, shard: u16) -> ShardFolder {
        shard_folder(&self.root, shard)
    }
}

fn shard_folder(root: &Path, shard: u16) -> ShardFolder {
    let folder = root.join(format!("shard-{shard:03}"));
    ShardFolder {
        shard,
        journal: folder.join("journal"),
        runs: folder.join("runs"),
        checkpoints: folder.join("checkpoints"),
    }
}

fn lock(disk: &Disk, root: &Path) -> Result<DiskFile, StorageError> {
    let path = root.join(LOCK_NAME);
    let file = disk.open_or_create(&path)?;
    if !file.try_lock()? {
        let holder = String::from_utf8(disk.read(&path)?).unwrap_or_default();
        let holder = if holder.trim().is_empty() { "unknown".into() } else { holder.trim().into() };
        return Err(StorageError::Locked { path, holder });
    }
    let holder = format!("{}\n", std::process::id());
    file.set_len(0)?;
    file.write_all_at(holder.as_bytes(), 0)?;
    Ok(file)
}

/// A folder without `format` may hold only what an unfinished first start left: no file of another kind, no data.
fn refuse_strangers(disk: &Disk, root: &Path, shard_count: u16) -> Result<(), StorageError> {
    let shards: Vec<ShardFolder> = (0..shard_count).map(|shard| shard_folder(root, shard)).collect();
    for found in disk.list(root)? {
        let is_shard = shards.iter().any(|shard| shard.journal.parent() == Some(&root.join(&found)));
        if !is_shard && !EMPTY_ENOUGH.contains(&found.as_str()) {
            return Err(StorageError::NotDataFolder { path: root.into(), found });
        }
    }
    for folder in shards.iter().flat_map(|shard| [&shard.journal, &shard.runs, &shard.checkpoints]) {
        if disk.exists(folder)?
            && let Some(found) = disk.list(folder)?.into_iter().next()
        {
            return Err(StorageError::NotDataFolder { path: root.into(), found });
        }
    }
    Ok(())
}

fn create(disk: &Disk, root: &Path, new: &NewFolder) -> Result<(), StorageError> {
    refuse_strangers(disk, root, new.shard_count)?; // now that nobody else can make it
    for shard in 0..new.shard_count {
        create_shard(disk, root, shard)?;
    }
    write_format(disk, root, new)
}

fn create_shard(disk: &Disk, root: &Path, shard: u16) -> Result<(), StorageError> {
    let shard = shard_folder(root, shard);
    [&shard.journal, &shard.runs, &shard.checkpoints].into_iter().try_for_each(|folder| disk.create_folder(folder))
}

fn write_format(disk: &Disk, root: &Path, format: &NewFolder) -> Result<(), StorageError> {
    let mut bytes = [0; FORMAT_BYTES];
    put(&mut bytes, 0, FORMAT_MAGIC);
    put(&mut bytes, 8, &FORMAT_VERSION.to_le_bytes());
    let dealt = if format.dealt == format.shard_count { 0 } else { format.dealt };
    put(&mut bytes, 12, &format.shard_count.to_le_bytes());
    put(&mut bytes, 14, &dealt.to_le_bytes());
    put(&mut bytes, 16, &format.data_id);
    put(&mut bytes, 32, &format.created_at_us.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..40]);
    put(&mut bytes, 40, &checksum.to_le_bytes());
    replace_file(disk, &root.join(FORMAT_NAME), &bytes)
}

fn read_format(disk: &Disk, root: &Path) -> Result<NewFolder, StorageError> {
    let path = root.join(FORMAT_NAME);
    let bytes = disk.read(&path)?;
    let corrupt = |what| Err(StorageError::corrupt(&path, 0, what));
    if bytes.len() < 12 || &bytes[..8] != FORMAT_MAGIC {
        return corrupt("not a data folder's format: the magic bytes are missing");
    }
    let found = get_u32(&bytes, 8);
    if FORMAT_VERSION < found {
        return Err(StorageError::NewerFormat { path, found, known: FORMAT_VERSION });
    }
    if bytes.len() != FORMAT_BYTES || crc32fast::hash(&bytes[..40]) != get_u32(&bytes, 40) {
        return corrupt("it does not match its checksum");
    }
    let shard_count = u16::from_le_bytes(get(&bytes, 12));
    let dealt = match u16::from_le_bytes(get(&bytes, 14)) {
        0 => shard_count,
        dealt => dealt,
    };
    if shard_count == 0 || shard_count < dealt {
        return corrupt("it has fewer shards than slots were dealt to");
    }
    Ok(NewFolder { shard_count, dealt, data_id: get(&bytes, 16), created_at_us: get_u64(&bytes, 32) })
}

/// Replaces a small file so that a crash leaves the old or the new one whole: written aside, synced, renamed, folder
/// synced. Only one thread at a time replaces the same file.
pub fn replace_file(disk: &Disk, path: &Path, contents: &[u8]) -> Result<(), StorageError> {
    let aside = AsideFile::create(disk, path)?;
    aside.file().write_all_at(contents, 0)?;
    aside.publish()
}

/// As [`replace_file`], readable by its owner only (mode 0600), from the first byte on.
pub fn replace_secret_file(disk: &Disk, path: &Path, contents: &[u8]) -> Result<(), StorageError> {
    let aside = AsideFile::create_secret(disk, path)?;
    aside.file().write_all_at(contents, 0)?;
    aside.publish()
}

/// Removes what unfinished writes left aside in a folder. Called while nothing is being written there.
pub fn remove_asides(disk: &Disk, folder: &Path) -> Result<(), StorageError> {
    for name in disk.list(folder)?.iter().filter(|name| name.ends_with(".aside")) {
        disk.remove(&folder.join(name))?;
    }
    Ok(())
}
