//! Small files that only their owner may read. Each is there whole and durable, or not at all.

use crate::failure::Failure;
use std::fs::{File, OpenOptions};
use std::io::{Error, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file of mode 0600: aside, synced, renamed, its folder synced.
///
/// # Errors
/// A fault that names the file.
pub(crate) fn create(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    write(path, contents).map_err(|error| {
        Failure::fault(
            format!("cannot write {}: {error}", path.display()),
            "check the folder's permissions and its disk",
        )
    })
}

fn write(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".aside");
    let aside = Path::new(&name);
    // What an earlier attempt left there may have another mode.
    if aside.exists() {
        std::fs::remove_file(aside)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(aside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    std::fs::rename(aside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
