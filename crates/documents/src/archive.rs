//! Several files in one, as a ZIP archive. They are kept as they are: PDF is compressed already, and so the same files give
//! the same bytes whatever compresses elsewhere. They have no time but the first that the format knows.

use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The archive of these files, in their order.
///
/// # Errors
/// Two files of one name, or more than the format has room for.
pub fn write(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, zip::result::ZipError> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    for (name, bytes) in files {
        archive.start_file(name.as_str(), options)?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn an_archive_has_its_files_in_order_and_the_same_bytes_each_time() {
        let files: Vec<(String, Vec<u8>)> =
            [("b.pdf", "one"), ("a.csv", "two")].map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into();
        let archive = write(&files).expect("an archive");
        assert_eq!(write(&files).expect("an archive"), archive);
        let mut read = zip::ZipArchive::new(Cursor::new(archive)).expect("readable");
        for (index, (name, bytes)) in files.iter().enumerate() {
            let mut file = read.by_index(index).expect("a file");
            let mut found = Vec::new();
            file.read_to_end(&mut found).expect("readable");
            assert_eq!((file.name(), &found), (name.as_str(), bytes));
        }
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        let file = ("a".to_owned(), Vec::new());
        assert!(write(&[file.clone(), file]).is_err());
    }
}
