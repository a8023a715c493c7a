//! What a server costs that only parses and answers: the calls that the benchmarks ask of Florin, without a bank behind
//! them. It answers about as many bytes as Florin does, keeps nothing and checks nothing.
//!
//! `bare 127.0.0.1:7979`

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::post;
use axum::serve::ListenerExt;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(1);

#[derive(Deserialize)]
struct TransferIn {
    r#type: String,
    from: String,
    to: String,
    amount: String,
    currency: String,
}

#[derive(Deserialize)]
struct BatchIn {
    transfers: Vec<TransferIn>,
}

#[derive(Serialize)]
struct Posting {
    transfer_id: String,
    account_id: String,
    side: &'static str,
    amount: String,
    currency: String,
    balance_after: String,
    version: u64,
    r#type: String,
    reference: Option<String>,
    metadata: Option<String>,
    effective_at: &'static str,
    created_at: &'static str,
}

#[derive(Serialize)]
struct TransferOut {
    transfer_id: String,
    r#type: String,
    status: &'static str,
    amount: String,
    currency: String,
    created_at: &'static str,
    effective_at: &'static str,
    reference: Option<String>,
    metadata: Option<String>,
    postings: [Posting; 2],
    hold_id: Option<String>,
    reverses: Option<String>,
    reversed_by: Option<String>,
    failure: Option<String>,
}

#[derive(Serialize)]
struct Item {
    status: u16,
    transfer: TransferOut,
}

#[derive(Serialize)]
struct BatchOut {
    results: Vec<Item>,
}

const TIME: &str = "2026-01-01T00:00:00.000000Z";

fn answer(transfer: TransferIn) -> TransferOut {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let id = (number << 22).to_string();
    let posting = |account_id, side| Posting {
        transfer_id: id.clone(),
        account_id,
        side,
        amount: transfer.amount.clone(),
        currency: transfer.currency.clone(),
        balance_after: transfer.amount.clone(),
        version: number,
        r#type: transfer.r#type.clone(),
        reference: None,
        metadata: None,
        effective_at: TIME,
        created_at: TIME,
    };
    let postings = [posting(transfer.from, "debit"), posting(transfer.to, "credit")];
    TransferOut {
        transfer_id: id.clone(),
        r#type: transfer.r#type,
        status: "succeeded",
        amount: transfer.amount.clone(),
        currency: transfer.currency.clone(),
        created_at: TIME,
        effective_at: TIME,
        reference: None,
        metadata: None,
        postings,
        hold_id: None,
        reverses: None,
        reversed_by: None,
        failure: None,
    }
}

async fn transfer(Json(transfer): Json<TransferIn>) -> (StatusCode, Json<TransferOut>) {
    (StatusCode::CREATED, Json(answer(transfer)))
}

async fn batch(Json(batch): Json<BatchIn>) -> Json<BatchOut> {
    let results = batch.transfers.into_iter().map(|transfer| Item { status: 201, transfer: answer(transfer) }).collect();
    Json(BatchOut { results })
}

#[tokio::main]
async fn main() -> Result<(), std::io::Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7979".to_string());
    let router = axum::Router::new()
        .route("/api/v1/transfers", post(transfer))
        .route("/api/v1/transfers/batch", post(batch))
        .layer(DefaultBodyLimit::max(16 << 20));
    let listener = tokio::net::TcpListener::bind(address).await?;
    // Without this every answer would wait for the client's delayed acknowledgement.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).await
}
