//! A file that appears whole or not at all: written under `<name>.aside`, synced, renamed, folder synced.

use crate::disk::{Disk, DiskFile, parent};
use crate::error::StorageError;
use std::path::{Path, PathBuf};

/// A file being written aside; removed when dropped before [`AsideFile::publish`], so that a failed write gives its space
/// back.
#[derive(Debug)]
pub(crate) struct AsideFile {
    disk: Disk,
    file: DiskFile,
    path: PathBuf,
    published: bool,
}

impl AsideFile {
    /// Starts the file that will be called `path`. What an earlier process left aside under this name is removed.
    pub(crate) fn create(disk: &Disk, path: &Path) -> Result<AsideFile, StorageError> {
        AsideFile::create_with(disk, path, Disk::create_new)
    }

    /// As [`AsideFile::create`], readable by its owner only.
    pub(crate) fn create_secret(disk: &Disk, path: &Path) -> Result<AsideFile, StorageError> {
        AsideFile::create_with(disk, path, Disk::create_new_secret)
    }

    fn create_with(
        disk: &Disk,
        path: &Path,
        create: impl Fn(&Disk, &Path) -> Result<DiskFile, StorageError>,
    ) -> Result<AsideFile, StorageError> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".aside");
        let aside = PathBuf::from(aside);
        if disk.exists(&aside)? {
            disk.remove(&aside)?;
        }
        Ok(AsideFile { disk: disk.clone(), file: create(disk, &aside)?, path: path.into(), published: false })
    }

    /// The file to write to.
    pub(crate) fn file(&self) -> &DiskFile {
        &self.file
    }

    /// The name it will have.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs it, gives it its name, replacing a file of that name, and syncs the folder.
    pub(crate) fn publish(mut self) -> Result<(), StorageError> {
        self.file.sync_data()?;
        self.disk.rename(self.file.path(), &self.path)?;
        self.published = true;
        self.disk.sync_folder(parent(&self.path))
    }
}

impl Drop for AsideFile {
    fn drop(&mut self) {
        if !self.published {
            self.disk.remove(self.file.path()).ok(); // if it stays, the next start removes it
        }
    }
}
