//! Lists: whole when paged, and cursors that serve nowhere but where they were made.

use super::world::World;
use crate::Settings;
use serde_json::Value;

async fn world_with_postings() -> World {
    let world = World::new();
    world.open(&[(5, "0"), (6, "0")]).await;
    for number in 0..7 {
        let reference = if number % 2 == 0 { "even" } else { "odd" };
        let body = format!(
            r#"{{"type":"deposit","to":"5","amount":"{}","currency":"EUR","reference":"{reference}","metadata":{{"n":"{number}"}}}}"#,
            number + 1
        );
        assert_eq!(world.post("/api/v1/transfers", &format!("k{number}"), &body).await.status, 201);
    }
    world
}

async fn all(world: &World, path: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world
            .get(&format!("{path}{}limit={limit}{cursor}", if path.contains('?') { "&" } else { "?" }))
            .await
            .json();
        items.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[tokio::test]
async fn paging_gives_each_item_once_in_order() {
    let world = world_with_postings().await;
    for limit in [1, 2, 3, 7, 50] {
        let versions: Vec<_> = all(&world, "/api/v1/accounts/5/postings", limit)
            .await
            .iter()
            .map(|item| item["version"].as_u64())
            .collect();
        assert_eq!(versions, [7, 6, 5, 4, 3, 2, 1].map(Some));
        assert_eq!(all(&world, "/api/v1/transfers?reference=odd", limit).await.len(), 3);
        assert_eq!(all(&world, "/api/v1/accounts/5/postings?metadata.n=4", limit).await.len(), 1);
        assert_eq!(all(&world, "/api/v1/accounts/5/postings?side=debit", limit).await.len(), 0);
        assert_eq!(all(&world, "/api/v1/users/1/accounts", limit).await.len(), 2);
        assert_eq!(all(&world, "/api/v1/users", limit).await.len(), 1);
        assert_eq!(all(&world, "/api/v1/transfers?account_id=5&status=succeeded", limit).await.len(), 7);
        assert_eq!(all(&world, "/api/v1/transfers?status=pending", limit).await.len(), 0);
    }
}

#[tokio::test]
async fn a_cursor_is_bound_to_its_path_and_filters_but_not_to_its_limit() {
    let world = world_with_postings().await;
    let page = world.get("/api/v1/accounts/5/postings?limit=2&reference=even").await.json();
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    let changed = format!("{}{}", &cursor[..cursor.len() - 1], if cursor.ends_with('A') { "E" } else { "A" });
    world
        .check(&format!(
            r#"
        GET /api/v1/accounts/5/postings?reference=even&limit=3&cursor={cursor} => 200
        GET /api/v1/accounts/5/postings?cursor={cursor}&reference=even => 200
        GET /api/v1/accounts/5/postings?cursor={cursor} => 400 cursor_invalid
        GET /api/v1/accounts/5/postings?cursor={cursor}&reference=odd => 400 cursor_invalid
        GET /api/v1/accounts/6/postings?cursor={cursor}&reference=even => 400 cursor_invalid
        GET /api/v1/transfers?cursor={cursor}&reference=even => 400 cursor_invalid
        GET /api/v1/accounts/5/postings?reference=even&cursor={changed} => 400 cursor_invalid
        GET /api/v1/accounts/5/postings?reference=even&cursor= => 400 cursor_invalid
        GET /api/v1/accounts/5/postings?limit=0 => 400 malformed
        GET /api/v1/accounts/5/postings?limit=1001 => 400 malformed
        GET /api/v1/accounts/5/postings?limit=1&limit=1 => 400 malformed
        GET /api/v1/accounts/5/postings?side=left => 400 malformed
        GET /api/v1/accounts/5/postings?metadata=1 => 400 unknown_field
        GET /api/v1/accounts/9/postings => 404 account_not_found
        GET /api/v1/users/9/accounts => 404 user_not_found
    "#
        ))
        .await;
}

#[tokio::test]
async fn balances_of_the_past_are_by_booking_or_by_value_date() {
    let world = World::new();
    world.open(&[(5, "10")]).await;
    world.pass_days(10);
    let body =
        r#"{"type":"deposit","to":"5","amount":"5","currency":"EUR","effective_at":"2027-01-10T00:00:00+01:00"}"#;
    assert_eq!(world.post("/api/v1/transfers", "k", body).await.json()["effective_at"], "2027-01-09T23:00:00Z");
    let at = |query: &str| format!("/api/v1/accounts/5/balance?{query}");
    assert_eq!(world.get(&at("at=2027-01-20T00:00:00Z")).await.json()["ledger"], "10.00");
    assert_eq!(world.get(&at("at=2027-01-20T00:00:00Z&by=effective")).await.json()["ledger"], "15.00");
    assert_eq!(world.get(&at("at=2027-01-10T01:00:00+01:00&by=effective")).await.json()["ledger"], "5.00");
    assert_eq!(world.get(&at("")).await.json()["ledger"], "15.00");
}

#[tokio::test]
async fn the_balance_of_now_has_what_was_booked_by_a_clock_that_is_ahead() {
    let world = World::booked_ahead(Settings { no_auth: true, is_loopback: true, ..Settings::default() }, 3_000_000);
    world.open(&[(5, "10")]).await;
    for query in ["", "?by=effective"] {
        let balance = world.get(&format!("/api/v1/accounts/5/balance{query}")).await.json();
        assert_eq!(balance["ledger"], "10.00", "{query}");
    }
}

#[tokio::test]
async fn the_books_and_the_journal_can_be_read() {
    let world = world_with_postings().await;
    let books = world.get("/api/v1/system/balances").await.json();
    assert_eq!(books["items"][0]["total"], "0.00");
    assert_eq!(books["items"][0]["customers"], "28.00");
    assert_eq!(books["items"][0]["accounts"][0]["balance"], "-28.00");
    let journal = world.get("/api/v1/journal?after=3&limit=2").await.json();
    assert_eq!(journal["items"].as_array().map(Vec::len), Some(2));
    assert_eq!((journal["items"][0]["id"].as_str(), journal["next_after"].as_u64()), (Some("0-4"), Some(5)));
}

#[tokio::test]
async fn a_page_ends_early_when_its_rows_are_large_and_the_next_goes_on_without_a_seam() {
    let world = World::new();
    world.open(&[(5, "1000"), (6, "0")]).await;
    let legs = vec![r#"{"from":"5","to":"6","amount":"0.01"}"#; 50].join(",");
    let metadata: Vec<String> = (0..32).map(|key| format!("\"{key}\":\"{}\"", "x".repeat(500))).collect();
    for number in 0..6 {
        let body = format!(
            r#"{{"type":"transfer","currency":"EUR","legs":[{legs}],"metadata":{{{}}},"reference":"{number}"}}"#,
            metadata.join(",")
        );
        assert_eq!(world.post("/api/v1/transfers", &format!("k{number}"), &body).await.status, 201);
    }
    for (path, expected) in [("/api/v1/transfers?account_id=6", 6), ("/api/v1/accounts/6/postings", 300)] {
        let first = world.get(&format!("{path}{}limit=1000", if path.contains('?') { "&" } else { "?" })).await;
        assert!(first.body.len() < 7_000_000, "{path}: {} bytes", first.body.len());
        let listed = first.json()["items"].as_array().map_or(0, Vec::len);
        assert!((1..expected).contains(&listed), "{path}: {listed}");
        let small = all(&world, path, 1).await;
        assert_eq!(small.len(), expected, "{path}");
        assert_eq!(all(&world, path, 1000).await, small, "{path}");
    }
}

#[tokio::test]
async fn the_journal_goes_on_where_a_large_part_of_it_ended() {
    let world = World::new();
    world.open(&[(5, "1000"), (6, "0")]).await;
    let metadata: Vec<String> = (0..32).map(|key| format!("\"{key}\":\"{}\"", "x".repeat(500))).collect();
    let transfer = format!(
        r#"{{"type":"transfer","currency":"EUR","from":"5","to":"6","amount":"0.01","metadata":{{{}}}}}"#,
        metadata.join(",")
    );
    let batch = format!(r#"{{"mode":"atomic","transfers":[{}]}}"#, vec![&*transfer; 150].join(","));
    for key in ["a", "b", "c"] {
        assert_eq!(world.post("/api/v1/transfers/batch", key, &batch).await.status, 200);
    }
    let (mut after, mut sequences, mut parts) = (0, Vec::new(), 0);
    loop {
        let part = world.get(&format!("/api/v1/journal?limit=1000&after={after}")).await;
        assert!(part.body.len() < 8_000_000, "{} bytes", part.body.len());
        let part = part.json();
        let items = part["items"].as_array().expect("items");
        if items.is_empty() {
            break;
        }
        sequences.extend(items.iter().map(|item| item["sequence"].as_str().expect("a sequence").to_string()));
        (after, parts) = (part["next_after"].as_u64().expect("a number"), parts + 1);
    }
    let expected: Vec<String> = (1..=sequences.len()).map(|sequence| sequence.to_string()).collect();
    assert_eq!((sequences, parts), (expected, 2));
}
