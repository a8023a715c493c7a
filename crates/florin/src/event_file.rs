//! Files of events: NDJSON or a JSON array, plain, gzipped or in zstd, told apart by how they begin.
//!
//! Promises: NDJSON is read as a stream, however long; of a line beyond the limit of an event no more is kept than shows
//! that it is too long.

use crate::failure::Failure;
use bank::ingest::events_of_array;
use bank::line::Lines;
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read};
use std::path::Path;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Frames of zstd that carry no content begin with one of sixteen numbers that end like this.
const ZSTD_SKIPPED_END: &[u8] = &[0x2a, 0x4d, 0x18];
/// A JSON array has to be held as a whole; NDJSON is there for more.
const ARRAY_BYTES_MAX: u64 = 256 * 1024 * 1024;
const READ_BYTES: usize = 256 * 1024;

/// The events of a file, in order.
pub(crate) struct EventFile {
    name: String,
    source: Box<dyn BufRead>,
    lines: Lines,
    ready: VecDeque<Vec<u8>>,
    is_at_end: bool,
}

impl EventFile {
    /// A file, or stdin for `-`.
    ///
    /// # Errors
    /// Wrong usage, if it cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<EventFile, Failure> {
        if path.as_os_str() == "-" {
            return EventFile::from_reader("stdin".into(), Box::new(std::io::stdin()));
        }
        let name = path.display().to_string();
        let refuse =
            |what: String| Failure::usage(format!("cannot open {name}: {what}"), "name an existing file of events");
        let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(refuse("it is a folder".into()));
        }
        EventFile::from_reader(name, Box::new(file))
    }

    /// Anything that gives the bytes of such a file.
    ///
    /// # Errors
    /// A fault, if its beginning cannot be read.
    pub(crate) fn from_reader(name: String, raw: Box<dyn Read>) -> Result<EventFile, Failure> {
        let mut raw = BufReader::with_capacity(READ_BYTES, raw);
        let beginning = raw.fill_buf().map_err(|error| unreadable(&name, &error))?;
        let source: Box<dyn BufRead> = if beginning.starts_with(GZIP) {
            Box::new(BufReader::with_capacity(READ_BYTES, MultiGzDecoder::new(raw)))
        } else if beginning.starts_with(ZSTD) || beginning.get(1..4) == Some(ZSTD_SKIPPED_END) {
            Box::new(BufReader::with_capacity(READ_BYTES, Frames { state: FrameState::Between(raw) }))
        } else {
            Box::new(raw)
        };
        let mut file = EventFile { name, source, lines: Lines::default(), ready: VecDeque::new(), is_at_end: false };
        file.read_if_array()?;
        Ok(file)
    }

    /// The next events, at most so many; none at the end.
    ///
    /// # Errors
    /// A fault, if the file cannot be read or decompressed.
    pub(crate) fn next(&mut self, count: usize) -> Result<Vec<Vec<u8>>, Failure> {
        while self.ready.len() < count && !self.is_at_end {
            let mut lines = Vec::new();
            let bytes = self.source.fill_buf().map_err(|error| unreadable(&self.name, &error))?;
            let length = bytes.len();
            self.lines.push(bytes, &mut lines);
            self.source.consume(length);
            self.ready.extend(lines);
            if length == 0 {
                self.is_at_end = true;
                self.ready.extend(std::mem::take(&mut self.lines).finish());
            }
        }
        Ok(self.ready.drain(..count.min(self.ready.len())).collect())
    }

    /// An array cannot be cut into lines: it is read as a whole.
    fn read_if_array(&mut self) -> Result<(), Failure> {
        let beginning = self.source.fill_buf().map_err(|error| unreadable(&self.name, &error))?;
        if beginning.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
            return Ok(());
        }
        let mut text = Vec::new();
        let read = (&mut self.source).take(ARRAY_BYTES_MAX + 1).read_to_end(&mut text);
        read.map_err(|error| unreadable(&self.name, &error))?;
        if ARRAY_BYTES_MAX < text.len() as u64 {
            let what = format!("the JSON array in {} is larger than 256 MiB", self.name);
            return Err(Failure::usage(what, "write one event a line (NDJSON); that has no limit"));
        }
        let events = events_of_array(&text).ok_or_else(|| {
            Failure::usage(
                format!("{} begins like a JSON array but is none", self.name),
                "correct it, or write one event a line",
            )
        })?;
        self.ready = events.into_iter().map(<[u8]>::to_vec).collect();
        self.is_at_end = true;
        Ok(())
    }
}

fn unreadable(name: &str, error: &Error) -> Failure {
    Failure::fault(
        format!("cannot read {name}: {error}"),
        "check the file; what was read before took effect, and counts as replayed when it comes again",
    )
}

/// A zstd file: any number of frames, one after the other.
struct Frames<R: BufRead> {
    state: FrameState<R>,
}

enum FrameState<R: BufRead> {
    Between(R),
    Inside(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Gone,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match std::mem::replace(&mut self.state, FrameState::Gone) {
                FrameState::Gone => return Ok(0),
                FrameState::Between(mut source) => {
                    if source.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    self.state = next_frame(source)?;
                }
                FrameState::Inside(mut decoder) => {
                    let length = decoder.read(buffer)?;
                    if length != 0 || buffer.is_empty() {
                        self.state = FrameState::Inside(decoder);
                        return Ok(length);
                    }
                    self.state = FrameState::Between(decoder.into_inner());
                }
            }
        }
    }
}

fn next_frame<R: BufRead>(mut source: R) -> Result<FrameState<R>, Error> {
    if source.fill_buf()?.get(1..4) == Some(ZSTD_SKIPPED_END) {
        let mut head = [0; 8];
        source.read_exact(&mut head)?;
        let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        std::io::copy(&mut (&mut source).take(length), &mut std::io::sink())?;
        return Ok(FrameState::Between(source));
    }
    match StreamingDecoder::new(source) {
        Ok(decoder) => Ok(FrameState::Inside(Box::new(decoder))),
        Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::MagicNumberReadError(error))) => Err(error),
        Err(error) => Err(Error::other(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write;

    fn events_of(bytes: Vec<u8>) -> Result<Vec<String>, Failure> {
        let mut file = EventFile::from_reader("a file".into(), Box::new(std::io::Cursor::new(bytes)))?;
        let mut events = Vec::new();
        loop {
            let next = file.next(2)?;
            if next.is_empty() {
                return Ok(events);
            }
            events.extend(next.into_iter().map(|event| String::from_utf8(event).expect("text")));
        }
    }

    fn gzipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("written");
        encoder.finish().expect("finished")
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    #[test]
    fn events_are_the_same_however_the_file_is_written() {
        let lines = b"{\"a\":1}\n{\"b\":2}\n\n{\"c\":3}";
        let expected = ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"];
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
        for bytes in [
            lines.to_vec(),
            gzipped(lines),
            [gzipped(&lines[..9]), gzipped(&lines[9..])].concat(),
            zstd(lines),
            [skipped, zstd(&lines[..9]), zstd(&lines[9..])].concat(),
            b" [{\"a\":1}, {\"b\":2},\n{\"c\":3}] ".to_vec(),
            gzipped(b"[{\"a\":1},{\"b\":2},{\"c\":3}]"),
        ] {
            assert_eq!(events_of(bytes).expect("events"), expected);
        }
    }

    #[test]
    fn empty_files_have_no_events() {
        for bytes in [Vec::new(), b"\n\n".to_vec(), b"[]".to_vec(), gzipped(b"")] {
            assert_eq!(events_of(bytes).expect("no events"), Vec::<String>::new());
        }
    }

    #[test]
    fn damaged_files_are_faults_with_a_way_out() {
        let mut cut = gzipped(b"{\"a\":1}\n");
        cut.truncate(cut.len() - 5);
        assert!(events_of(cut).expect_err("a fault").next.contains("replayed"));
        assert!(events_of(b"[{\"a\":1}".to_vec()).is_err());
    }
}
