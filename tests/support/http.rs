//! A small blocking HTTP/1.1 client that shows every byte of an answer.

use serde_json::Value;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer takes, so that a hanging server fails a test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// Header names in lower case with their values, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as it came.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first header of this name (in lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text()))
    }

    /// The same answer, which must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Response {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The same answer, which must be a problem of this status and code.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Response {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.json()["status"], status);
        self
    }

    /// The `code` of a problem; empty when there is none.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether the answer was given before.
    pub(crate) fn is_replayed(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }
}

/// A request that is being put together.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub(crate) fn new(method: &str, path: &str) -> Request {
        Request { method: method.into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A `GET`.
    pub(crate) fn get(path: &str) -> Request {
        Request::new("GET", path)
    }

    /// A `POST` without a body.
    pub(crate) fn post(path: &str) -> Request {
        Request::new("POST", path)
    }

    /// The same with a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with an idempotency key.
    pub(crate) fn key(self, key: &str) -> Request {
        self.header("Idempotency-Key", key)
    }

    /// The same with a token.
    pub(crate) fn token(self, token: &str) -> Request {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// The same with a JSON body.
    pub(crate) fn json(self, body: &Value) -> Request {
        self.body("application/json", body.to_string().into_bytes())
    }

    /// The same with any body.
    pub(crate) fn body(mut self, content_type: &str, body: Vec<u8>) -> Request {
        self.body = body;
        self.header("Content-Type", content_type)
    }

    /// What it asks for.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// What goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: localhost\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.method != "GET" || !self.body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// One connection, kept open between requests.
#[derive(Debug)]
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// A new connection.
    pub(crate) fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { reader: BufReader::new(stream) })
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn send(&mut self, request: &Request) -> Result<Response> {
        // A server that refuses a large body may answer and close before it has read all of it.
        let written = self.write(&request.bytes());
        match self.read(request.method == "HEAD") {
            Ok(response) => Ok(response),
            Err(error) => Err(written.err().unwrap_or(error)),
        }
    }

    /// Sends raw bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Reads the next answer.
    pub(crate) fn read(&mut self, is_head: bool) -> Result<Response> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 =
            status.ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("not a status line: {status_line}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        if status == 100 {
            return self.read(is_head);
        }
        if !is_head && status != 204 && status != 304 {
            response.body = self.body(&response)?;
        }
        Ok(response)
    }

    fn body(&mut self, response: &Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line()?;
                let length = usize::from_str_radix(line.trim(), 16)
                    .map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
                let start = body.len();
                body.resize(start + length, 0);
                self.reader.read_exact(&mut body[start..])?;
                self.line()?;
                if length == 0 {
                    return Ok(body);
                }
            }
        }
        match response.header("content-length").and_then(|length| length.parse().ok()) {
            Some(length) => {
                body.resize(length, 0);
                self.reader.read_exact(&mut body)?;
            }
            None => {
                self.reader.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(line.trim_end().to_owned())
    }
}
