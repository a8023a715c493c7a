//! The short calls, as they are shown in the contract.

use super::world::World;

#[tokio::test]
async fn the_short_calls_answer_as_shown() {
    let world = World::new();
    world.open(&[(123, "0"), (2, "0")]).await;
    let deposit = world.post("/deposit", "", r#"{"accountId":"123","amount":5000}"#).await;
    assert_eq!(
        (deposit.status, deposit.text().as_str()),
        (200, r#"{"message":"Deposit successful.","newBalance":5000}"#)
    );
    let withdraw = world.post("/withdraw", "", r#"{"accountId":"123","amount":499.5}"#).await;
    assert_eq!(withdraw.text(), r#"{"message":"Withdrawal successful.","newBalance":4500.50}"#);
    assert_eq!(world.get("/balance/123").await.text(), r#"{"accountId":"123","balance":4500.50}"#);
    let credit = world.post("/transaction", "", r#"{"accountId":"123","amount":200,"type":"credit"}"#).await;
    let id = credit.json()["transactionId"].as_str().expect("an id").to_string();
    let expected =
        format!(r#"{{"status":"success","transactionId":"{id}","accountId":"123","amount":200,"type":"credit"}}"#);
    assert_eq!((credit.status, credit.text()), (200, expected));
    let body = r#"{"idempotency_key":"t1","from_acc":"123","to_acct":"2","amount":50}"#;
    let transfer = world.post("/api/v1/transactions/123/account", "", body).await;
    let id = transfer.json()["transfer_id"].as_str().expect("an id").to_string();
    assert_eq!((transfer.status, transfer.text()), (202, format!(r#"{{"transfer_id":"{id}"}}"#)));
    let again = world.post("/api/v1/transactions/123/account", "", body).await;
    assert!(again.is_replayed());
    assert_eq!(again.text(), transfer.text());
    let status = world.get(&format!("/api/v1/transactions/{id}/status")).await;
    assert_eq!(status.text(), r#"{"code":200,"status":"success"}"#);
    let month = world.get("/api/v1/transactions/123/month/2027-01?limit=1").await.json();
    assert_eq!(month["code"], 200);
    assert_eq!(month["trx"][0]["transaction_id"], "123-4");
    assert_eq!(month["trx"][0]["type"], "debit");
    assert_eq!(month["trx"][0]["current_balance"].to_string(), "4650.5");
    assert!(month["next_cursor"].is_string());
    assert_eq!(
        world.get("/api/v1/transactions/123/month/2026-12").await.text(),
        r#"{"code":200,"trx":[],"next_cursor":null}"#
    );
}

#[tokio::test]
async fn the_short_calls_have_statuses_of_their_own() {
    let world = World::new();
    world.open(&[(123, "10"), (2, "0"), (3, "0")]).await;
    world.post("/api/v1/accounts/3/freeze", "", "").await;
    world
        .check(
            r#"
        POST /deposit {"accountId":"9","amount":1} => 404 account_not_found
        POST /deposit {"accountId":"123","amount":"1"} => 400 amount_invalid
        POST /deposit {"accountId":"123","amount":1.001} => 400 amount_invalid
        POST /deposit {"accountId":"123","amount":0} => 400 amount_invalid
        POST /deposit {"accountId":"123"} => 400 malformed
        POST /deposit {"accountId":"123","amount":1,"currency":"EUR"} => 400 unknown_field
        POST /withdraw {"accountId":"123","amount":11} => 400 insufficient_funds
        POST /withdraw {"accountId":"3","amount":1} => 400 account_frozen
        POST /transaction {"accountId":"123","amount":11,"type":"debit"} => 400 insufficient_funds
        POST /transaction {"accountId":"123","amount":1,"type":"gift"} => 400 malformed
        POST /deposit key=k {"accountId":"123","amount":1} => 200
        POST /deposit key=k {"accountId":"123","amount":2} => 400 idempotency_key_reused
        GET /balance/9 => 404 account_not_found
        POST /api/v1/transactions/2/account {"from_acc":"123","to_acct":"2","amount":1} => 400 malformed
        POST /api/v1/transactions/123/account {"from_acc":"123","to_acct":"9","amount":1} => 404 account_not_found
        POST /api/v1/transactions/123/account {"from_acc":"123","to_acct":"123","amount":1} => 400 same_account
        GET /api/v1/transactions/9/status => 404 transfer_not_found
        GET /api/v1/transactions/123/month/2026-13 => 400 malformed
        GET /api/v1/transactions/123/month/2026-1 => 400 malformed
        GET /api/v1/transactions/9/month/2026-11 => 404 account_not_found
        GET /api/v1/transactions/123/month/2026-10/download => 501 not_available_yet
    "#,
        )
        .await;
    assert_eq!(world.ledger(123).await, "11.00");
}

#[tokio::test]
async fn the_short_transfer_also_says_the_older_names() {
    let world = World::new();
    world.open(&[(1, "10"), (2, "0"), (3, "0")]).await;
    world.post("/api/v1/accounts/3/close", "", "").await;
    let send = async |key: &str, to: u64, amount: u64| {
        let body = format!(r#"{{"idempotency_key":"{key}","from_acc":"1","to_acct":"{to}","amount":{amount}}}"#);
        let answered = world.post("/api/v1/transactions/1/account", "", &body).await;
        (answered.status, answered.json()["400"].as_str().unwrap_or("").to_string(), answered.json()["status"].as_u64())
    };
    assert_eq!(send("a", 2, 11).await, (400, "insufficient_fund".to_string(), Some(400)));
    assert_eq!(send("b", 3, 1).await, (400, "inactive_account".to_string(), Some(400)));
    assert_eq!(send("c", 2, 1).await.0, 202);
    assert_eq!(send("c", 2, 2).await, (400, "duplicate_transaction".to_string(), Some(400)));
}
