//! What a connection of PostgreSQL says about COMMIT, read from both directions as the pieces come. Statements are known
//! by their text, prepared ones and portals by the names they were given. What is not PostgreSQL is left alone.
//!
//! Florin's statement that writes a block commits by itself when no transaction was begun.

use std::collections::BTreeMap;

/// How much of a message is looked at: more than the texts and names that matter here.
const KEPT_BYTES: usize = 64 * 1024;
/// No message is longer; what claims to be is another protocol.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// Requests to encrypt, which the client sends before it begins.
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];
/// What the statement has that writes a block.
const WRITES_BLOCK: &str = "insert into florin.blocks";
const CLIENT_TYPES: &[u8] = b"BCDEFHPQSXcdfp";
const SERVER_TYPES: &[u8] = b"123ACDEGHIKNRSTVWZcdnstv";

/// Messages cut out of a stream: their type and the beginning of their body.
#[derive(Debug)]
struct Messages {
    types: &'static [u8],
    /// The head and the kept part of the message that is coming in.
    kept: Vec<u8>,
    /// Bytes of its body that were passed over.
    skipped: usize,
    is_foreign: bool,
}

impl Messages {
    fn new(types: &'static [u8]) -> Messages {
        Messages { types, kept: Vec::new(), skipped: 0, is_foreign: false }
    }

    /// Takes a piece of the stream and shows every message that is whole now.
    fn take(&mut self, piece: &[u8], mut show: impl FnMut(u8, &[u8])) {
        let mut rest = piece;
        while !self.is_foreign {
            let wanted = self.wanted();
            let (taken, after) = rest.split_at(wanted.min(rest.len()));
            let room = KEPT_BYTES.saturating_sub(self.kept.len()).min(taken.len());
            self.kept.extend_from_slice(&taken[..room]);
            self.skipped += taken.len() - room;
            rest = after;
            if taken.len() < wanted {
                return;
            }
            self.is_foreign = !self.has_sense();
            if 5 <= self.kept.len() && self.wanted() == 0 && !self.is_foreign {
                show(self.kept[0], &self.kept[5..]);
                (self.kept, self.skipped) = (Vec::new(), 0);
            }
        }
    }

    /// How many more bytes the head, and then the message, needs.
    fn wanted(&self) -> usize {
        match self.kept.len() {
            head @ 0..5 => 5 - head,
            kept => (1 + self.length()).saturating_sub(kept + self.skipped),
        }
    }

    /// What the message says its length is, without the byte of its type.
    fn length(&self) -> usize {
        number(&self.kept[1..5])
    }

    fn has_sense(&self) -> bool {
        self.types.contains(&self.kept[0]) && (4..MESSAGE_BYTES_MAX).contains(&self.length())
    }
}

/// Follows what a client sends.
#[derive(Debug)]
pub(super) struct Commits {
    /// What came of the message without a type that a connection begins with; `None` when it is over.
    beginning: Option<Vec<u8>>,
    messages: Messages,
    /// Prepared statements and portals that mean something here.
    statements: BTreeMap<Vec<u8>, Meaning>,
    portals: BTreeMap<Vec<u8>, Meaning>,
    is_in_transaction: bool,
}

/// What a text does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Begins,
    Commits,
    RollsBack,
    WritesBlock,
}

impl Default for Commits {
    fn default() -> Commits {
        Commits {
            beginning: Some(Vec::new()),
            messages: Messages::new(CLIENT_TYPES),
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            is_in_transaction: false,
        }
    }
}

impl Commits {
    /// Whether a COMMIT is whole with this piece.
    pub(super) fn has_commit(&mut self, piece: &[u8]) -> bool {
        let mut has_commit = false;
        let rest = self.after_beginning(piece);
        let Commits { messages, statements, portals, is_in_transaction, .. } = self;
        let mut run = |meaning: Meaning| {
            has_commit |= meaning == Meaning::Commits || (meaning == Meaning::WritesBlock && !*is_in_transaction);
            *is_in_transaction = match meaning {
                Meaning::Begins => true,
                Meaning::Commits | Meaning::RollsBack => false,
                Meaning::WritesBlock => *is_in_transaction,
            };
        };
        messages.take(&rest, |kind, body| {
            let mut texts = body.split(|byte| *byte == 0);
            let mut text = || texts.next().unwrap_or_default();
            match kind {
                b'Q' => meanings(text()).into_iter().for_each(&mut run),
                b'P' => note(statements, text(), meanings(text()).first().copied()),
                b'B' => {
                    let portal = text();
                    note(portals, portal, statements.get(text()).copied());
                }
                b'E' => portals.get(text()).copied().into_iter().for_each(&mut run),
                _ => {}
            }
        });
        has_commit
    }

    /// The part of a piece that comes after the beginning of the connection.
    fn after_beginning(&mut self, piece: &[u8]) -> Vec<u8> {
        let Some(mut beginning) = self.beginning.take() else { return piece.to_vec() };
        beginning.extend_from_slice(piece);
        loop {
            let length = match beginning.get(..4).map(number) {
                Some(length) if length <= beginning.len() => length,
                Some(length) if KEPT_BYTES < length => {
                    self.messages.is_foreign = true;
                    return Vec::new();
                }
                _ => {
                    self.beginning = Some(beginning);
                    return Vec::new();
                }
            };
            let rest = beginning.split_off(length.max(4));
            let asks_for_encryption = beginning
                .get(4..8)
                .is_some_and(|code| ENCRYPTION_REQUESTS.iter().any(|known| known.to_be_bytes() == code));
            if !asks_for_encryption {
                return rest;
            }
            beginning = rest;
        }
    }
}

fn note(names: &mut BTreeMap<Vec<u8>, Meaning>, name: &[u8], meaning: Option<Meaning>) {
    match meaning {
        Some(meaning) => names.insert(name.to_vec(), meaning),
        None => names.remove(name),
    };
}

/// What the statements of a text do, as far as it matters here.
fn meanings(text: &[u8]) -> Vec<Meaning> {
    let text = String::from_utf8_lossy(text);
    let meaning = |statement: &str| match statement.split_whitespace().next()?.to_ascii_lowercase().as_str() {
        "begin" | "start" => Some(Meaning::Begins),
        "commit" | "end" => Some(Meaning::Commits),
        "rollback" | "abort" => Some(Meaning::RollsBack),
        _ => statement.contains(WRITES_BLOCK).then_some(Meaning::WritesBlock),
    };
    text.split(';').filter_map(meaning).collect()
}

/// Follows what a server answers.
#[derive(Debug)]
pub(super) struct Answers {
    messages: Messages,
    has_begun: bool,
}

impl Default for Answers {
    fn default() -> Answers {
        Answers { messages: Messages::new(SERVER_TYPES), has_begun: false }
    }
}

impl Answers {
    /// Whether the server has ended a transaction with this piece: it waits for the next one, or has failed.
    pub(super) fn answers_commit(&mut self, piece: &[u8]) -> bool {
        // A server that does not encrypt says so by one byte, and then waits.
        if !self.has_begun && matches!(piece, b"N" | b"S" | b"G") {
            return false;
        }
        self.has_begun = true;
        let mut answers = false;
        self.messages.take(piece, |kind, body| {
            answers |= kind == b'E' || (kind == b'Z' && body.starts_with(b"I"));
        });
        answers
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("a short message");
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    fn beginning() -> Vec<u8> {
        let body = b"\x00\x03\x00\x00user\0bank\0\0";
        [&u32::try_from(body.len() + 4).expect("short").to_be_bytes()[..], body].concat()
    }

    /// Whether a stream has a COMMIT, which must not depend on how it is cut into pieces.
    fn has_commit(stream: &[u8]) -> bool {
        let whole = Commits::default().has_commit(stream);
        let mut commits = Commits::default();
        let found = stream.iter().filter(|byte| commits.has_commit(std::slice::from_ref(byte))).count();
        assert_eq!(whole, 0 < found, "{stream:?}");
        whole
    }

    #[test]
    fn a_commit_is_known_as_a_query_and_as_a_prepared_statement() {
        let query = |text: &str| has_commit(&[beginning(), message(b'Q', format!("{text}\0").as_bytes())].concat());
        assert!(
            query("COMMIT") && query("commit;") && query("BEGIN; INSERT INTO a VALUES (1); COMMIT") && query("END")
        );
        assert!(!query("SELECT 'x'") && !query("SELECT commit FROM block") && !query("ROLLBACK"));
        let prepared = |text: &str| {
            let parse = message(b'P', format!("s1\0{text}\0\0\0").as_bytes());
            let bind = message(b'B', b"p1\0s1\0\0\0\0\0\0\0");
            let execute = message(b'E', b"p1\0\0\0\0\0");
            has_commit(&[beginning(), parse, bind, execute].concat())
        };
        assert!(prepared("COMMIT") && !prepared("SELECT 1"));
    }

    #[test]
    fn writing_a_block_commits_unless_a_transaction_was_begun() {
        let block = format!("with a as ({WRITES_BLOCK} values (1)) select\0");
        let query = |texts: &[&str]| {
            let queries = texts.iter().flat_map(|text| message(b'Q', format!("{text}\0").as_bytes()));
            has_commit(&[beginning(), queries.collect(), message(b'Q', block.as_bytes())].concat())
        };
        assert!(query(&[]) && query(&["begin", "rollback"]) && !query(&["begin"]));
    }

    #[test]
    fn requests_to_encrypt_and_long_messages_do_not_hide_a_commit() {
        let request = [&8_u32.to_be_bytes()[..], &ENCRYPTION_REQUESTS[0].to_be_bytes()].concat();
        let long = message(b'd', &vec![7; 3 * KEPT_BYTES]);
        assert!(has_commit(&[request, beginning(), long, message(b'Q', b"COMMIT\0")].concat()));
    }

    #[test]
    fn other_protocols_are_left_alone() {
        assert!(!has_commit(b"GET /COMMIT HTTP/1.1\r\n\r\nQ\0\0\0\x0bCOMMIT\0"));
        let kafka = [&20_u32.to_be_bytes()[..], &[0; 20], &30_u32.to_be_bytes(), &[0; 30]].concat();
        assert!(!has_commit(&[kafka, message(b'Q', b"COMMIT\0")].concat()));
    }

    #[test]
    fn an_answer_to_a_commit_is_told_from_other_answers() {
        let answers = |stream: &[u8]| Answers::default().answers_commit(stream);
        let committed = [message(b'C', b"COMMIT\0"), message(b'Z', b"I")].concat();
        assert!(answers(&committed) && answers(&message(b'E', b"SERROR\0\0")));
        assert!(!answers(&[message(b'C', b"INSERT 0 1\0"), message(b'Z', b"T")].concat()));
        let mut answers = Answers::default();
        assert!(!answers.answers_commit(b"N") && answers.answers_commit(&committed));
    }
}
