//! Reads JSON exactly: what a client wrote is kept as text, so that no number ever passes through a float.
//!
//! One pass over the bytes makes a flat list of values that point into them. Nothing is copied, nothing is built per
//! value, nesting is bounded, and the same reading serves to tell what was meant apart from how it was written: see
//! [`Value::canonical`]. The grammar is RFC 8259 and nothing more.

use std::borrow::Cow;
use std::cmp::Ordering;

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 128;

/// Objects of so many fields are put in order without allocating.
const FEW_FIELDS: usize = 16;

/// Why a text is not JSON, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotJson {
    /// What was expected.
    pub(crate) reason: &'static str,
    /// The offset in the text.
    pub(crate) at: usize,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, kept as text.
    Number,
    /// A string without escapes: its text stands in the document as it is.
    PlainString,
    /// A string with escapes.
    EscapedString,
    /// A list.
    Array,
    /// An object: its names and values alternate in the list.
    Object,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    start: u32,
    end: u32,
    /// The index of what follows this value and all within it.
    next: u32,
}

/// A text that was read as JSON.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    document: &'a Document<'a>,
    index: usize,
}

impl<'a> Document<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is not exactly one JSON value, nests too deeply, or an object names a field twice.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Document<'a>, NotJson> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| NotJson { reason: "text in UTF-8 was expected", at: error.valid_up_to() })?;
        if u32::try_from(bytes.len()).is_err() {
            return Err(NotJson { reason: "the text is too long", at: 0 });
        }
        let mut reader = Reader { bytes, at: 0, nodes: Vec::with_capacity(bytes.len() / 12 + 8) };
        reader.skip_space();
        reader.value(0)?;
        reader.skip_space();
        if reader.at < bytes.len() {
            return Err(reader.error("nothing more was expected"));
        }
        Ok(Document { text, nodes: reader.nodes })
    }

    /// The value that is the whole text.
    pub(crate) fn root(&'a self) -> Value<'a> {
        Value { document: self, index: 0 }
    }
}

impl<'a> Value<'a> {
    /// What it is.
    pub(crate) fn kind(self) -> Kind {
        self.node().kind
    }

    /// Whether it is `null`.
    pub(crate) fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// Its text as the client wrote it, without the quotes of a string.
    pub(crate) fn text(self) -> &'a str {
        let node = self.node();
        &self.document.text[node.start as usize..node.end as usize]
    }

    /// Its text as the client wrote it, with the quotes of a string: JSON by itself.
    pub(crate) fn raw(self) -> &'a str {
        let node = self.node();
        let quote = usize::from(matches!(node.kind, Kind::PlainString | Kind::EscapedString));
        &self.document.text[node.start as usize - quote..node.end as usize + quote]
    }

    /// The string it is, if it is one.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::PlainString => Some(Cow::Borrowed(self.text())),
            Kind::EscapedString => Some(Cow::Owned(unescape(self.text()))),
            _ => None,
        }
    }

    /// The values of a list; of anything else none.
    pub(crate) fn items(self) -> impl Iterator<Item = Value<'a>> {
        let is_array = self.kind() == Kind::Array;
        Children { document: self.document, at: self.index + 1, end: if is_array { self.end() } else { 0 } }
    }

    /// The names and values of an object; of anything else none.
    pub(crate) fn fields(self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> {
        let is_object = self.kind() == Kind::Object;
        let mut children =
            Children { document: self.document, at: self.index + 1, end: if is_object { self.end() } else { 0 } };
        std::iter::from_fn(move || {
            let name = children.next()?.string()?;
            Some((name, children.next()?))
        })
    }

    /// Appends what was meant, whatever the order of fields, spaces and escapes: equal for equal meaning. Numbers stay
    /// as they were written.
    pub(crate) fn canonical(self, out: &mut Vec<u8>) {
        match self.kind() {
            Kind::Null | Kind::Bool | Kind::Number => out.extend_from_slice(self.text().as_bytes()),
            Kind::PlainString => {
                out.push(b'"');
                out.extend_from_slice(self.text().as_bytes());
                out.push(b'"');
            }
            Kind::EscapedString => crate::text::push_json_string(out, &unescape(self.text())),
            Kind::Array => {
                out.push(b'[');
                for item in self.items() {
                    item.canonical(out);
                    out.push(b',');
                }
                out.push(b']');
            }
            Kind::Object => self.canonical_object(out),
        }
    }

    /// A field that is `null` is one that is absent.
    fn canonical_object(self, out: &mut Vec<u8>) {
        let mut few = [0; FEW_FIELDS];
        let mut many = Vec::new();
        let mut count = 0;
        let mut at = self.index + 1;
        while at < self.end() {
            let value = self.at(at + 1); // a name is one value, so what it names is the next
            if !value.is_null() {
                match few.get_mut(count) {
                    Some(place) => *place = at,
                    None if many.is_empty() => many.extend(few.iter().copied().chain([at])),
                    None => many.push(at),
                }
                count += 1;
            }
            at = value.end();
        }
        let names = if many.is_empty() { &mut few[..count] } else { &mut many[..] };
        names.sort_unstable_by(|left, right| self.at(*left).compare_name(self.at(*right)));
        out.push(b'{');
        for name in names {
            self.at(*name).canonical(out);
            out.push(b':');
            self.at(*name + 1).canonical(out);
            out.push(b',');
        }
        out.push(b'}');
    }

    fn compare_name(self, other: Value<'a>) -> Ordering {
        if self.kind() == Kind::PlainString && other.kind() == Kind::PlainString {
            return self.text().as_bytes().cmp(other.text().as_bytes());
        }
        self.string().cmp(&other.string())
    }

    fn at(self, index: usize) -> Value<'a> {
        Value { document: self.document, index }
    }

    /// Whether this object names a field twice.
    pub(crate) fn names_a_field_twice(self) -> bool {
        let count = self.fields().count();
        if count <= FEW_FIELDS {
            let mut names: [Cow<'a, str>; FEW_FIELDS] = Default::default();
            for (index, (name, _)) in self.fields().enumerate() {
                if names[..index].contains(&name) {
                    return true;
                }
                names[index] = name;
            }
            return false;
        }
        let mut names: Vec<_> = self.fields().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }

    fn node(self) -> &'a Node {
        &self.document.nodes[self.index]
    }

    fn end(self) -> usize {
        self.node().next as usize
    }
}

struct Children<'a> {
    document: &'a Document<'a>,
    at: usize,
    end: usize,
}

impl<'a> Iterator for Children<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.end <= self.at {
            return None;
        }
        let value = Value { document: self.document, index: self.at };
        self.at = value.end();
        Some(value)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
}

impl Reader<'_> {
    fn error(&self, reason: &'static str) -> NotJson {
        NotJson { reason, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Lengths were checked to fit 32 bits before anything was read; there are never more values than bytes.
    #[expect(clippy::cast_possible_truncation, reason = "the text is shorter than 4 GiB")]
    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { kind, start: start as u32, end: end as u32, next });
    }

    #[expect(clippy::cast_possible_truncation, reason = "the text is shorter than 4 GiB")]
    fn finish(&mut self, node: usize) {
        self.nodes[node].end = self.at as u32;
        self.nodes[node].next = self.nodes.len() as u32;
    }

    fn value(&mut self, depth: usize) -> Result<(), NotJson> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Kind::Bool),
            Some(b'f') => self.word(b"false", Kind::Bool),
            Some(b'n') => self.word(b"null", Kind::Null),
            Some(_) => Err(self.error("a value was expected")),
            None => Err(self.error("the text ends too early")),
        }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<(), NotJson> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.error("a value was expected"));
        }
        self.push(kind, self.at, self.at + word.len());
        self.at += word.len();
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), NotJson> {
        let node = self.open(Kind::Array, depth)?;
        self.skip_space();
        if self.peek() == Some(b']') {
            return self.close(node);
        }
        loop {
            self.skip_space();
            self.value(depth + 1)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => return self.close(node),
                _ => return Err(self.error("`,` or `]` was expected")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), NotJson> {
        let node = self.open(Kind::Object, depth)?;
        self.skip_space();
        if self.peek() == Some(b'}') {
            return self.close(node);
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.error("the name of a field was expected"));
            }
            self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.error("`:` was expected"));
            }
            self.at += 1;
            self.skip_space();
            self.value(depth + 1)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => return self.close(node),
                _ => return Err(self.error("`,` or `}` was expected")),
            }
        }
    }

    fn open(&mut self, kind: Kind, depth: usize) -> Result<usize, NotJson> {
        if depth == DEPTH_MAX {
            return Err(self.error("the text nests too deeply"));
        }
        self.push(kind, self.at, self.at);
        self.at += 1;
        Ok(self.nodes.len() - 1)
    }

    fn close(&mut self, node: usize) -> Result<(), NotJson> {
        self.at += 1;
        self.finish(node);
        Ok(())
    }

    fn string(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        let start = self.at;
        let mut kind = Kind::PlainString;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    kind = Kind::EscapedString;
                    self.escape()?;
                }
                Some(0..0x20) => return Err(self.error("a control character in a string must be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.error("the text ends within a string")),
            }
        }
        self.push(kind, start, self.at);
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = self.code_unit(self.at + 2)?;
                self.at += 6;
                if (0xD800..0xDC00).contains(&unit) {
                    let is_pair = self.bytes[self.at..].starts_with(b"\\u") && {
                        let low = self.code_unit(self.at + 2)?;
                        (0xDC00..0xE000).contains(&low)
                    };
                    if !is_pair {
                        return Err(self.error("half a surrogate pair is no character"));
                    }
                    self.at += 6;
                } else if (0xDC00..0xE000).contains(&unit) {
                    return Err(self.error("half a surrogate pair is no character"));
                }
            }
            _ => return Err(self.error("an escape was expected")),
        }
        Ok(())
    }

    fn code_unit(&self, at: usize) -> Result<u32, NotJson> {
        self.bytes
            .get(at..at + 4)
            .and_then(code_unit)
            .ok_or_else(|| self.error("four hexadecimal digits were expected"))
    }

    fn number(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.error("a digit was expected")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        self.push(Kind::Number, start, self.at);
        Ok(())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        self.digits();
        if start == self.at { Err(self.error("a digit was expected")) } else { Ok(()) }
    }
}

fn code_unit(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}

/// The text of a string whose escapes were found valid.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let (character, length) = unescape_one(&rest.as_bytes()[at..]);
        plain.push(character);
        rest = &rest[at + length..];
    }
    plain.push_str(rest);
    plain
}

fn unescape_one(escape: &[u8]) -> (char, usize) {
    let unit = |at: usize| escape.get(at..at + 4).and_then(code_unit).unwrap_or(0);
    let code = match escape.get(1) {
        Some(b'b') => 0x8,
        Some(b'f') => 0xC,
        Some(b'n') => 0xA,
        Some(b'r') => 0xD,
        Some(b't') => 0x9,
        Some(b'u') => match unit(2) {
            high @ 0xD800..0xDC00 => {
                let code = 0x1_0000 + ((high - 0xD800) << 10) + (unit(8) & 0x3ff);
                return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
            }
            unit => return (char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
        },
        Some(other) => u32::from(*other),
        None => 0,
    };
    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 2)
}

#[cfg(test)]
mod tests;
