//! A small HTTP server in the process of a test: it keeps every request and answers as a function says, or not at all.

use crate::kept::{Kept, Port, lock};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Such as `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case with their values, in order.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

impl Received {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A field of a form.
    pub fn field(&self, name: &str) -> Option<String> {
        let text = self.text();
        let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| decoded(value))
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: String,
}

impl Said {
    /// An answer of this status and content.
    pub fn new(status: u16, body: &str) -> Said {
        Said { status, headers: Vec::new(), body: body.to_owned() }
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Said {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Answer = Box<dyn Fn(&Received) -> Option<Said> + Send + Sync>;

/// See the module. It stops when this is dropped.
pub struct HttpServer {
    port: Port,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpServer").field("port", &self.port()).finish_non_exhaustive()
    }
}

struct Shared {
    answer: Mutex<Arc<Answer>>,
    received: Kept<Received>,
}

impl HttpServer {
    /// A server that answers so; `None` is no answer.
    ///
    /// # Panics
    /// If the loopback interface has no free port.
    pub fn start(answer: impl Fn(&Received) -> Option<Said> + Send + Sync + 'static) -> HttpServer {
        let answer: Answer = Box::new(answer);
        let shared = Arc::new(Shared { answer: Mutex::new(Arc::new(answer)), received: Kept::default() });
        let serving = shared.clone();
        HttpServer { port: Port::open(move |stream, _| _ = serving.serve(stream)), shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Answers so from now on.
    pub fn answer(&self, answer: impl Fn(&Received) -> Option<Said> + Send + Sync + 'static) {
        let answer: Answer = Box::new(answer);
        *lock(&self.shared.answer) = Arc::new(answer);
    }

    /// Only counts requests from now on, as load tests want.
    pub fn only_count(&self) {
        self.shared.received.only_count();
    }

    /// All that came so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.all()
    }

    /// How many came.
    pub fn count(&self) -> usize {
        self.shared.received.count()
    }

    /// Waits until so many came, and gives them.
    ///
    /// # Panics
    /// If a minute passes before.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        self.shared.received.wait_for(count)
    }
}

impl Shared {
    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader)? {
            let answer = Arc::clone(&lock(&self.answer));
            let said = answer(&request);
            self.received.push(request);
            let Some(said) = said else {
                // Until whoever waits gives up.
                stream.set_read_timeout(Some(Duration::from_secs(120)))?;
                _ = reader.read(&mut [0]);
                return Ok(());
            };
            let mut text = format!("HTTP/1.1 {} said\r\ncontent-length: {}\r\n", said.status, said.body.len());
            for (name, value) in &said.headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            stream.write_all(format!("{text}\r\n{}", said.body).as_bytes())?;
        }
        Ok(())
    }
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Received>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Received { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}
