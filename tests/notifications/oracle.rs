//! What others wrote for those who receive messages: Python libraries that decrypt, verify and serve, in
//! `tests/oracles/messages.py`. They are installed by `make test`.

use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The interpreter with the libraries.
pub(crate) fn python() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools/messages/bin/python3");
    assert!(path.exists(), "install what tests need with xtask/install-test-tools.sh");
    path
}

/// The script.
pub(crate) fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracles/messages.py")
}

/// Asks the script something; what it answers is JSON.
#[track_caller]
pub(crate) fn ask(what: &str, question: &Value) -> Value {
    let mut command = Command::new(python());
    let mut child = command
        .arg(script())
        .arg(what)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python can be started");
    child.stdin.take().expect("stdin is piped").write_all(question.to_string().as_bytes()).expect("asked");
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}
