//! Cuts a stream into lines without ever holding more of a line than an event may have.

use crate::ingest::EVENT_BYTES_MAX;

/// Collects bytes as they come and gives out lines. Empty lines are left out. Of a line beyond [`EVENT_BYTES_MAX`] only
/// the first bytes are kept, one more than allowed, so that whoever takes it sees that it is too long.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes; the lines that they complete go to `lines`.
    pub fn push(&mut self, bytes: &[u8], lines: &mut Vec<Vec<u8>>) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.keep(&rest[..end]);
            lines.extend(self.take());
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    /// The last line, if it had no line break.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        self.take()
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (EVENT_BYTES_MAX + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.partial);
        let is_blank = line.iter().all(u8::is_ascii_whitespace);
        (!is_blank).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut splitter, mut lines) = (Lines::default(), Vec::new());
        parts.iter().for_each(|part| splitter.push(part, &mut lines));
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn lines_may_be_cut_anywhere_and_need_no_last_break() {
        let whole = b"one\n\ntwo\r\n \nthree";
        for cut in 0..=whole.len() {
            let lines = lines_of(&[&whole[..cut], &whole[cut..]]);
            assert_eq!(lines, [&b"one"[..], b"two\r", b"three"], "cut at {cut}");
        }
    }

    #[test]
    fn of_a_line_too_long_one_byte_more_than_allowed_is_kept() {
        let long = vec![b'x'; 3 * EVENT_BYTES_MAX];
        let lines = lines_of(&[&long, &long, b"\nnext\n"]);
        assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [EVENT_BYTES_MAX + 1, 4]);
    }
}
