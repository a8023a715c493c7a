//! Fixed rows in and out.

use super::world::{Answered, World};
use crate::rows::{MEDIA_TYPE, ROW_IN, ROW_OUT};
use axum::body::Body;
use axum::http::Request;

fn row(key: u8, kind: u8, from: u64, to: u64, amount: u64) -> [u8; ROW_IN] {
    let mut row = [0; ROW_IN];
    row[..16].fill(key);
    row[16..24].copy_from_slice(&from.to_le_bytes());
    row[24..32].copy_from_slice(&to.to_le_bytes());
    row[32..40].copy_from_slice(&amount.to_le_bytes());
    row[40..42].copy_from_slice(&978u16.to_le_bytes());
    row[42] = kind;
    row
}

async fn send(world: &World, rows: &[[u8; ROW_IN]]) -> Answered {
    let request = Request::post("/api/v1/transfers/batch").header("content-type", MEDIA_TYPE);
    world.send(request.body(Body::from(rows.concat())).expect("a request")).await
}

/// Status, code and whether it was replayed, of each row.
fn results(answered: &Answered) -> Vec<(u16, u16, u8)> {
    assert_eq!(answered.headers["content-type"], MEDIA_TYPE, "{}", answered.text());
    let number = |row: &[u8], at: usize| u16::from_le_bytes([row[at], row[at + 1]]);
    answered.body.chunks_exact(ROW_OUT).map(|row| (number(row, 0), number(row, 2), row[4])).collect()
}

#[tokio::test]
async fn rows_move_money_like_json_and_are_replayed() {
    let world = World::new();
    world.open(&[(5, "0"), (6, "0")]).await;
    let mut with_reference = row(3, 3, 5, 6, 50);
    with_reference[56..60].copy_from_slice(b"rent");
    let rows = [row(1, 1, 0, 5, 1000), row(2, 2, 5, 0, 100), with_reference, row(4, 3, 5, 6, 10_000)];
    let first = send(&world, &rows).await;
    assert_eq!(
        results(&first),
        [(201, 0, 0), (201, 0, 0), (201, 0, 0), (422, crate::problem::Code::InsufficientFunds.number(), 0)]
    );
    let again = send(&world, &rows).await;
    assert!(results(&again).iter().all(|(_, _, replayed)| *replayed == 1));
    assert_eq!(first.body[8..24], again.body[8..24]);
    assert_eq!((world.ledger(5).await, world.ledger(6).await), ("8.50".to_string(), "0.50".to_string()));
    let postings = world.get("/api/v1/accounts/6/postings").await.json();
    assert_eq!(postings["items"][0]["reference"], "rent");
}

#[tokio::test]
async fn a_row_that_is_wrong_is_that_rows_problem() {
    let world = World::new();
    world.open(&[(5, "10")]).await;
    let changed = |change: fn(&mut [u8; ROW_IN])| {
        let mut row = row(1, 2, 5, 0, 1);
        change(&mut row);
        row
    };
    let rows = [
        changed(|row| row[42] = 9),
        changed(|row| row[43] = 2),
        changed(|row| row[44] = 1),
        changed(|row| row[127] = 1),
        changed(|row| row[57] = b'x'),
        changed(|row| row[56] = 0xff),
        changed(|row| row[..16].fill(0)),
        changed(|row| row[32] = 0),
        changed(|row| row[40..42].fill(0)),
        changed(|row| row[48..56].fill(0xff)),
        row(1, 3, 5, 0, 1),
        row(1, 2, 0, 0, 1),
        row(1, 2, 5, 0, 1),
    ];
    let statuses: Vec<_> = results(&send(&world, &rows).await).iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, [[400; 12].as_slice(), &[201]].concat());
    assert_eq!(world.ledger(5).await, "9.99");
}

#[tokio::test]
async fn a_body_that_is_not_whole_rows_is_malformed() {
    let world = World::new();
    assert_eq!(send(&world, &[]).await.code(), "malformed");
    let request = Request::post("/api/v1/transfers/batch").header("content-type", MEDIA_TYPE);
    assert_eq!(world.send(request.body(Body::from(vec![0; 127])).expect("a request")).await.code(), "malformed");
    assert_eq!(send(&world, &vec![row(1, 1, 0, 5, 1); 8193]).await.code(), "body_too_large");
}

#[test]
fn the_numbers_of_codes_are_those_of_the_format() {
    let path = format!("{}/../../docs/format.md", env!("CARGO_MANIFEST_DIR"));
    let format = std::fs::read_to_string(path).expect("the description of the format");
    for code in crate::problem::Code::ALL {
        let cells = format!("| {} | `{}` |", code.number(), code.name());
        assert!(format.contains(&cells), "{cells}");
    }
}
