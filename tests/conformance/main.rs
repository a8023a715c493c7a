//! The running server against its own OpenAPI document, as schemathesis sees it.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use support::bank::Bank;

const SCHEMATHESIS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-tools/schemathesis/bin/schemathesis");

#[test]
fn every_answer_is_what_the_openapi_document_says() {
    assert!(
        Path::new(SCHEMATHESIS).exists(),
        "this test needs schemathesis: run ./xtask/install-test-tools.sh, which puts it under target/test-tools"
    );
    let bank = Bank::open();
    let output = Command::new(SCHEMATHESIS)
        .args(["run", "--max-examples", "12", "--seed", "1", "--no-color", "--phases", "examples,coverage,fuzzing"])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        // Streams have no end.
        .args(["--exclude-path-regex", "/(accounts|transfers)/[^/]*/events$"])
        .arg(format!("{}/openapi.json", bank.url()))
        .current_dir(bank.folder().parent().expect("a parent folder"))
        .output()
        .expect("schemathesis can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    bank.expect_sums_of_zero();
}
