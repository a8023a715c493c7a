//! A disk of its own for a server: a file system in a file, which can be filled to the last byte, and whose power can be
//! cut. Needs the rights to mount it: as root, or through `sudo` where that asks for no password.
//!
//! What a power cut proves: everything that was written and not synced is gone, as the file system sees it. It says
//! nothing of a disk that lies about syncing, nor of sectors torn in the middle.

use crate::comes_true;
use crate::process::is_root;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

const INSTALL: &str = "run it as root or with sudo, where loop devices are allowed, after xtask/install-test-tools.sh";
/// Longest that the processes of a server that was killed may keep its files open.
const BUSY_MAX: Duration = Duration::from_secs(60);

/// A mounted disk. It is gone when this is dropped.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
    mount: PathBuf,
}

fn as_root(program: &str, arguments: &[&str]) -> Output {
    let mut command = if is_root() { Command::new(program) } else { Command::new("sudo") };
    if !is_root() {
        command.args(["-n", program]);
    }
    let output = command.args(arguments).output();
    output.unwrap_or_else(|error| panic!("this test needs `{program}` ({error}): {INSTALL}"))
}

fn run(program: &str, arguments: &[&str]) {
    let output = as_root(program, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}: {INSTALL}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have UTF-8 paths")
}

impl Disk {
    /// An empty disk of so many megabytes.
    ///
    /// # Panics
    /// If it cannot be made or mounted; the message says what is needed.
    pub fn new(megabytes: u64) -> Disk {
        let folder = TempDir::new().expect("a temporary folder");
        let mount = folder.path().join("mount");
        std::fs::create_dir(&mount).expect("a folder");
        let image = std::fs::File::create(folder.path().join("image")).expect("a file");
        image.set_len(megabytes << 20).expect("room");
        let disk = Disk { folder, mount };
        // A server under another user must come through; nothing is kept for root, so that full is full.
        run("chmod", &["755", text(disk.folder.path())]);
        run("mkfs.ext4", &["-q", "-m", "0", text(&disk.image())]);
        disk.attach();
        run("chmod", &["777", text(&disk.mount)]);
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Leaves no byte free.
    ///
    /// # Panics
    /// If it cannot be filled.
    pub fn fill(&self) {
        // The first takes all but what the file system needs to note the file itself, the second the rest.
        let script = "size=$(df --output=avail -B1 \"$1\" | tail -n 1); fallocate -l \"$size\" \"$1/filler\" || true; \
            cat /dev/zero >>\"$1/filler\" 2>/dev/null; sync -f \"$1\"";
        run("sh", &["-c", script, "sh", text(&self.mount)]);
    }

    /// Gives back what `fill` took.
    ///
    /// # Panics
    /// If it was not filled.
    pub fn free(&self) {
        run("rm", &[text(&self.mount.join("filler"))]);
    }

    /// Makes durable all that was written so far.
    ///
    /// # Panics
    /// If it cannot.
    pub fn sync(&self) {
        run("sync", &["-f", text(&self.mount)]);
    }

    /// Cuts the power: what was not synced is gone, and nothing can be read or written any more.
    ///
    /// # Panics
    /// If it cannot be cut.
    pub fn cut_power(&self) {
        run("xfs_io", &["-x", "-c", "shutdown", text(&self.mount)]);
    }

    /// Has it work again after `cut_power`, once nobody holds its files any more.
    ///
    /// # Panics
    /// If somebody holds them for a minute, or it cannot be mounted.
    pub fn restore_power(&self) {
        let is_free = comes_true(BUSY_MAX, || as_root("umount", &[text(&self.mount)]).status.success());
        assert!(is_free, "somebody holds files in {}", self.mount.display());
        self.attach();
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn attach(&self) {
        run("mount", &["-o", "loop", text(&self.image()), text(&self.mount)]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still holds its files keeps it until they are closed.
        _ = as_root("umount", &["--lazy", text(&self.mount)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_full_disk_takes_nothing_until_room_is_made() {
        let disk = Disk::new(32);
        disk.fill();
        let write = || {
            let mut file = std::fs::File::options().create(true).append(true).open(disk.path().join("file"))?;
            file.write_all(&[7; 1 << 16]).and_then(|()| file.sync_all())
        };
        assert_eq!(write().map_err(|error| error.kind()), Err(std::io::ErrorKind::StorageFull));
        disk.free();
        write().expect("there is room again");
    }

    #[test]
    fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
        let disk = Disk::new(32);
        let (synced, other) = (disk.path().join("synced"), disk.path().join("other"));
        std::fs::write(&synced, "kept").expect("a file");
        disk.sync();
        std::fs::write(&other, "lost").expect("a file");
        disk.cut_power();
        disk.restore_power();
        assert_eq!(std::fs::read_to_string(&synced).ok().as_deref(), Some("kept"));
        assert!(!other.exists());
    }
}
