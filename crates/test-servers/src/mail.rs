//! A mail server that speaks SMTP, keeps what it took, and misbehaves as it is told: by recipient, or to everybody.

use crate::kept::{Kept, Port, lock};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// To whom, as the envelope says.
    pub to: String,
    /// Headers and body, as they came.
    pub content: String,
}

impl Mail {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.content.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }
}

/// What the server does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailAnswer {
    /// Takes it.
    Take,
    /// Refuses the recipient with this code.
    RefuseRecipient(u16),
    /// Refuses the message with this code, once it has it.
    RefuseMessage(u16),
    /// Hangs up in the middle of the message.
    HangUp,
    /// Takes it, and hangs up before it says so.
    TakeAndHangUp,
    /// Reads it and says nothing.
    Silence,
    /// Takes it after so many milliseconds.
    TakeAfter(u64),
    /// Greets with this code instead of serving.
    RefuseConnection(u16),
}

/// See the module. It stops when this is dropped.
#[derive(Debug)]
pub struct MailServer {
    port: Port,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    answers: Mutex<(MailAnswer, HashMap<String, MailAnswer>)>,
    taken: Kept<Mail>,
    connections: AtomicUsize,
}

impl MailServer {
    /// A server that takes everything.
    ///
    /// # Panics
    /// If the loopback interface has no free port.
    pub fn start() -> MailServer {
        let shared = Arc::new(Shared {
            answers: Mutex::new((MailAnswer::Take, HashMap::new())),
            taken: Kept::default(),
            connections: AtomicUsize::new(0),
        });
        let serving = shared.clone();
        MailServer { port: Port::open(move |stream, is_over| serving.serve(stream, is_over)), shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What it does from now on with messages to anybody it was told nothing else of.
    pub fn answer(&self, answer: MailAnswer) {
        lock(&self.shared.answers).0 = answer;
    }

    /// What it does from now on with messages to this address.
    pub fn answer_to(&self, to: &str, answer: MailAnswer) {
        lock(&self.shared.answers).1.insert(to.to_owned(), answer);
    }

    /// Only counts messages from now on, as load tests want.
    pub fn only_count(&self) {
        self.shared.taken.only_count();
    }

    /// All that it took so far.
    pub fn taken(&self) -> Vec<Mail> {
        self.shared.taken.all()
    }

    /// How many it took.
    pub fn count(&self) -> usize {
        self.shared.taken.count()
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until it took so many, and gives them.
    ///
    /// # Panics
    /// If a minute passes before.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        self.shared.taken.wait_for(count)
    }
}

impl Shared {
    fn answer_to(&self, to: &str) -> MailAnswer {
        let answers = lock(&self.answers);
        answers.1.get(to).copied().unwrap_or(answers.0)
    }

    fn serve(&self, stream: &TcpStream, is_over: &AtomicBool) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        _ = stream.set_nodelay(true);
        _ = self.speak(stream, is_over);
        _ = stream.shutdown(std::net::Shutdown::Both);
    }

    /// Ends where the protocol does, or the connection.
    fn speak(&self, mut stream: &TcpStream, is_over: &AtomicBool) -> std::io::Result<()> {
        if let MailAnswer::RefuseConnection(code) = self.answer_to("") {
            return stream.write_all(format!("{code} not now\r\n").as_bytes());
        }
        stream.write_all(b"220 test.example ready\r\n")?;
        let mut reader = BufReader::new(stream);
        let (mut to, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || is_over.load(Ordering::SeqCst) {
                return Ok(());
            }
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => stream.write_all(b"250-test.example\r\n250 8BITMIME\r\n")?,
                "RCPT" => {
                    let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                    address.clone_into(&mut to);
                    match self.answer_to(&to) {
                        MailAnswer::RefuseRecipient(code) => {
                            stream.write_all(format!("{code} not this one\r\n").as_bytes())?;
                        }
                        _ => stream.write_all(b"250 ok\r\n")?,
                    }
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n")?;
                    let answer = self.answer_to(&to);
                    if answer == MailAnswer::HangUp {
                        reader.read_line(&mut line)?;
                        return Ok(());
                    }
                    let content = read_content(&mut reader)?;
                    if !self.end(stream, answer, &to, content)? {
                        return Ok(());
                    }
                }
                "QUIT" => return stream.write_all(b"221 bye\r\n"),
                _ => stream.write_all(b"250 ok\r\n")?,
            }
        }
    }

    /// Says what becomes of a message; whether the connection goes on.
    fn end(&self, mut stream: &TcpStream, answer: MailAnswer, to: &str, content: String) -> std::io::Result<bool> {
        match answer {
            MailAnswer::RefuseMessage(code) => {
                stream.write_all(format!("{code} not this one\r\n").as_bytes())?;
                return Ok(true);
            }
            MailAnswer::Silence => {
                // Until whoever waits gives up.
                _ = stream.set_read_timeout(Some(Duration::from_secs(120)));
                _ = BufReader::new(stream).read_line(&mut String::new());
                return Ok(false);
            }
            MailAnswer::TakeAfter(milliseconds) => {
                self.taken.pause(Duration::from_millis(milliseconds));
            }
            _ => {}
        }
        self.taken.push(Mail { to: to.to_owned(), content });
        if answer == MailAnswer::TakeAndHangUp {
            return Ok(false);
        }
        stream.write_all(b"250 ok: queued as 4711\r\n")?;
        Ok(true)
    }
}

fn read_content(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut content = String::new();
    loop {
        let start = content.len();
        if reader.read_line(&mut content)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if &content[start..] == ".\r\n" {
            content.truncate(start);
            return Ok(content);
        }
        if content[start..].starts_with('.') {
            content.remove(start);
        }
    }
}
