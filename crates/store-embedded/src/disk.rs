//! The one seam between the engine and the file system: every file operation of the engine goes through a [`Disk`].
//!
//! Promises: every change (create, write, sync, rename, remove) is numbered, so that a test can let any one of them fail
//! or crash the process there, see [`fault`]. A file whose write or sync failed is poisoned: what is on disk is unknown,
//! syncing again proves nothing, so every further use of that handle is [`StorageError::Poisoned`].

pub mod fault;
#[cfg(test)]
mod tests;

use crate::error::StorageError;
use fault::{Action, FaultPlan, Point};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Zeros are written in steps of this size: large enough to be fast, small enough to be a constant.
const ZERO_STEP_BYTES: usize = 1 << 20;
static ZEROS: [u8; ZERO_STEP_BYTES] = [0; ZERO_STEP_BYTES];

/// The file system, as the engine sees it. A clone shares the counters and the fault plan.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    plan: FaultPlan,
    reads: AtomicU64,
    writes: AtomicU64,
    syncs: AtomicU64,
    operations: AtomicU64,
}

/// How many operations were made so far; their numbers in a [`FaultPlan`] begin at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationCounts {
    /// Reads from a file.
    pub reads: u64,
    /// Writes into a file, each step of a zero fill by itself, and changes of its length.
    pub writes: u64,
    /// Syncs of files and folders.
    pub syncs: u64,
    /// Everything that changes the disk: writes, syncs, creations, renames, removals.
    pub operations: u64,
}

impl Disk {
    /// The real file system.
    pub fn real() -> Disk {
        Disk::default()
    }

    /// The real file system with planned faults.
    pub fn with_faults(plan: FaultPlan) -> Disk {
        Disk { shared: Arc::new(Shared { plan, ..Shared::default() }) }
    }

    /// What was counted so far.
    pub fn counts(&self) -> OperationCounts {
        OperationCounts {
            reads: self.shared.reads.load(Ordering::Relaxed),
            writes: self.shared.writes.load(Ordering::Relaxed),
            syncs: self.shared.syncs.load(Ordering::Relaxed),
            operations: self.shared.operations.load(Ordering::Relaxed),
        }
    }

    /// Opens an existing file for reading.
    pub fn open_to_read(&self, path: &Path) -> Result<DiskFile, StorageError> {
        let file = OpenOptions::new().read(true).open(path).map_err(|e| StorageError::io(path, "open", e))?;
        Ok(self.file(path, file))
    }

    /// Opens an existing file for reading and writing.
    pub fn open(&self, path: &Path) -> Result<DiskFile, StorageError> {
        let file =
            OpenOptions::new().read(true).write(true).open(path).map_err(|e| StorageError::io(path, "open", e))?;
        Ok(self.file(path, file))
    }

    /// Opens a file for reading and writing, creating it empty if it does not exist, keeping what is in it if it does.
    pub fn open_or_create(&self, path: &Path) -> Result<DiskFile, StorageError> {
        self.create_with(path, OpenOptions::new().create(true).truncate(false))
    }

    /// Creates a file, emptying one that exists.
    pub fn create(&self, path: &Path) -> Result<DiskFile, StorageError> {
        self.create_with(path, OpenOptions::new().create(true).truncate(true))
    }

    /// Creates a file that must not exist yet.
    pub fn create_new(&self, path: &Path) -> Result<DiskFile, StorageError> {
        self.create_with(path, OpenOptions::new().create_new(true))
    }

    /// Creates a file that must not exist yet and that only its owner can read (mode 0600).
    pub fn create_new_secret(&self, path: &Path) -> Result<DiskFile, StorageError> {
        self.create_with(path, OpenOptions::new().create_new(true).mode(0o600))
    }

    fn create_with(&self, path: &Path, options: &mut OpenOptions) -> Result<DiskFile, StorageError> {
        let file = self.change(Point::Other, path, "create", || options.read(true).write(true).open(path))?;
        Ok(self.file(path, file))
    }

    fn file(&self, path: &Path, file: File) -> DiskFile {
        DiskFile { disk: self.clone(), path: path.into(), file, poisoned: AtomicBool::new(false) }
    }

    /// Creates a folder and those above it, each synced into its parent.
    pub fn create_folder(&self, path: &Path) -> Result<(), StorageError> {
        if self.exists(path)? {
            return Ok(());
        }
        let parent = parent(path);
        self.create_folder(parent)?;
        self.change(Point::Other, path, "create", || fs::create_dir(path))?;
        self.sync_folder(parent)
    }

    /// Makes creations, renames and removals in a folder durable.
    pub fn sync_folder(&self, folder: &Path) -> Result<(), StorageError> {
        self.change(Point::Sync, folder, "sync", || File::open(folder)?.sync_all())
    }

    /// Renames a file within its folder, replacing one of the new name. Durable after [`Disk::sync_folder`].
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.change(Point::Other, to, "rename", || fs::rename(from, to))
    }

    /// Removes a file. Durable after [`Disk::sync_folder`].
    pub fn remove(&self, path: &Path) -> Result<(), StorageError> {
        self.change(Point::Other, path, "remove", || fs::remove_file(path))
    }

    /// The names in a folder, sorted; a name that is not UTF-8 is shown with replacement characters.
    pub fn list(&self, folder: &Path) -> Result<Vec<String>, StorageError> {
        let names = fs::read_dir(folder)
            .and_then(|entries| entries.map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned())).collect());
        let mut names: Vec<String> = names.map_err(|e| StorageError::io(folder, "list", e))?;
        names.sort_unstable();
        Ok(names)
    }

    /// Whether there is a file or folder of this name.
    pub fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        path.try_exists().map_err(|e| StorageError::io(path, "look for", e))
    }

    /// Bytes that this process may still write on the disk of `path`.
    pub fn free_bytes(&self, path: &Path) -> Result<u64, StorageError> {
        let status =
            rustix::fs::statvfs(path).map_err(|e| StorageError::io(path, "ask for free space on", e.into()))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    /// The whole of a small file.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, StorageError> {
        let file = self.open_to_read(path)?;
        let mut contents = vec![0; crate::bytes::length(file.len()?)];
        file.read_exact_at(&mut contents, 0)?;
        Ok(contents)
    }

    /// Counts an operation and makes it, unless the plan has a fault for it.
    fn change<T>(
        &self,
        point: Point,
        path: &Path,
        operation: &'static str,
        make: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, StorageError> {
        let result = match self.count(point) {
            None => make(),
            Some(Action::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(Action::Fail | Action::Short) => Err(rustix::io::Errno::IO.into()),
            Some(Action::AbortAfter) => {
                if make().is_ok() {
                    std::process::abort();
                }
                Err(rustix::io::Errno::IO.into())
            }
            Some(Action::Abort | Action::Torn) => std::process::abort(),
        };
        result.map_err(|e| StorageError::io(path, operation, e))
    }

    fn count(&self, point: Point) -> Option<Action> {
        let next = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed) + 1;
        let number = match point {
            Point::Read => return self.shared.plan.action(point, next(&self.shared.reads), None),
            Point::Write => next(&self.shared.writes),
            Point::Sync => next(&self.shared.syncs),
            Point::Other => 0,
        };
        self.shared.plan.action(point, number, Some(next(&self.shared.operations)))
    }
}

/// The folder a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// An open file. All methods take `&self`: positions are explicit, so threads can share it.
#[derive(Debug)]
pub struct DiskFile {
    disk: Disk,
    path: PathBuf,
    file: File,
    poisoned: AtomicBool,
}

impl DiskFile {
    /// The name it was opened with; a rename does not change it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    pub fn len(&self) -> Result<u64, StorageError> {
        self.check()?;
        Ok(self.file.metadata().map_err(|e| StorageError::io(&self.path, "ask for the length of", e))?.len())
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> Result<bool, StorageError> {
        Ok(self.len()? == 0)
    }

    /// Writes all the bytes at an offset.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), StorageError> {
        self.check()?;
        let result = match self.disk.count(Point::Write) {
            None => self.file.write_all_at(bytes, offset),
            Some(Action::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(Action::Fail) => Err(rustix::io::Errno::IO.into()),
            Some(Action::Short) => {
                self.file.write_all_at(&bytes[..bytes.len() / 2], offset).and(Err(rustix::io::Errno::IO.into()))
            }
            Some(Action::Abort) => std::process::abort(),
            Some(action @ (Action::AbortAfter | Action::Torn)) => {
                let length = if action == Action::Torn { bytes.len() / 2 } else { bytes.len() };
                if self.file.write_all_at(&bytes[..length], offset).is_ok() {
                    std::process::abort();
                }
                Err(rustix::io::Errno::IO.into())
            }
        };
        self.or_poison(result.map_err(|e| StorageError::io(&self.path, "write", e)))
    }

    /// Fills the buffer from an offset. A file that ends before is damaged; a failed read does not poison.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), StorageError> {
        self.check()?;
        let result = match self.disk.count(Point::Read) {
            None => self.file.read_exact_at(buffer, offset),
            Some(Action::Abort | Action::AbortAfter | Action::Torn) => std::process::abort(),
            Some(Action::Fail | Action::Short | Action::NoSpace) => Err(rustix::io::Errno::IO.into()),
        };
        result.map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => StorageError::corrupt(&self.path, offset, "the file ends too early"),
            _ => StorageError::io(&self.path, "read", e),
        })
    }

    /// Says that these bytes will be read soon. Only a hint: it cannot fail.
    pub fn will_need(&self, offset: u64, length: u64) {
        #[cfg(target_os = "linux")]
        {
            let length = std::num::NonZeroU64::new(length);
            rustix::fs::fadvise(&self.file, offset, length, rustix::fs::Advice::WillNeed).ok();
        }
        #[cfg(not(target_os = "linux"))]
        let _unused = (offset, length);
    }

    /// Writes zeros from an offset up to another, so that the space is really there.
    pub fn zero_fill(&self, from: u64, to: u64) -> Result<(), StorageError> {
        let mut offset = from;
        while offset < to {
            let step = (to - offset).min(ZERO_STEP_BYTES as u64);
            self.write_all_at(&ZEROS[..crate::bytes::length(step)], offset)?;
            offset += step;
        }
        Ok(())
    }

    /// Cuts the file, or lengthens it by a hole.
    pub fn set_len(&self, length: u64) -> Result<(), StorageError> {
        self.check()?;
        self.or_poison(self.disk.change(Point::Write, &self.path, "write", || self.file.set_len(length)))
    }

    /// Makes what was written durable, with the file's length.
    pub fn sync_data(&self) -> Result<(), StorageError> {
        self.check()?;
        self.or_poison(self.disk.change(Point::Sync, &self.path, "sync", || self.file.sync_data()))
    }

    /// Takes the file's lock for as long as this handle is open; false if another process has it.
    pub fn try_lock(&self) -> Result<bool, StorageError> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(e)) => Err(StorageError::io(&self.path, "lock", e)),
        }
    }

    fn check(&self) -> Result<(), StorageError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(StorageError::Poisoned { path: self.path.clone() });
        }
        Ok(())
    }

    fn or_poison<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if result.is_err() {
            self.poisoned.store(true, Ordering::Release);
        }
        result
    }
}
