//! Counters for whoever watches, in the text format of Prometheus. Written by hand with integers: times in seconds are
//! decimals of microseconds, so that no float is needed anywhere.

use crate::App;
use crate::answer::with_type;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use bank::clearing::Traffic;
use bank::history::{Answered, HistoryFigures, Refused};
use ledger::amount::Decimal;
use ledger::time::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use store::report::{Histogram, Stats};

/// Upper bounds of the latency buckets in microseconds.
const LATENCY_BOUNDS_US: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

/// What is counted at the edge.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, String, u16), u64>>,
    latency: Mutex<Latency>,
}

#[derive(Default)]
struct Latency {
    buckets: [u64; LATENCY_BOUNDS_US.len()],
    count: u64,
    sum_us: u64,
}

impl Metrics {
    /// Counts an answer. The route is the pattern, never the path a client sent, so that their number is bounded.
    pub(crate) fn observe(&self, method: &str, route: &str, status: u16, took: Duration) {
        let method = if KNOWN_METHODS.contains(&method) { method } else { "OTHER" };
        let key = (method.to_string(), route.to_string(), status);
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(0) += 1;
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        latency.count += 1;
        latency.sum_us = latency.sum_us.saturating_add(took_us);
        for (bound, bucket) in LATENCY_BOUNDS_US.iter().zip(&mut latency.buckets) {
            *bucket += u64::from(took_us <= *bound);
        }
    }

    fn write(&self, out: &mut String) {
        header(out, "florin_http_requests_total", "counter", "Answers by route and status.");
        for ((method, route, status), count) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            line(
                out,
                "florin_http_requests_total",
                &format!("method=\"{method}\",route=\"{route}\",status=\"{status}\""),
                count,
            );
        }
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = LATENCY_BOUNDS_US.into_iter().zip(latency.buckets).collect();
        let histogram = Histogram { buckets, count: latency.count, sum: latency.sum_us };
        header(out, "florin_http_latency_seconds", "histogram", "Time from request to answer.");
        write_histogram(out, "florin_http_latency_seconds", "", &histogram, 6);
    }
}

const KNOWN_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"];

/// A number of one shard: name, type, help, value.
type Gauge = (&'static str, &'static str, &'static str, fn(&Stats) -> u64);

const PER_SHARD: [Gauge; 12] = [
    ("florin_commits_total", "counter", "Blocks made durable.", |stats| stats.commits),
    ("florin_entries_total", "counter", "Entries made durable.", |stats| stats.entries),
    ("florin_transfers_total", "counter", "Transfers made durable.", |stats| stats.transfers),
    ("florin_queue_depth", "gauge", "Requests waiting.", |stats| stats.queue_depth),
    ("florin_index_lag_entries", "gauge", "Entries durable and not yet in an index on disk.", |stats| stats.index_lag),
    ("florin_dead_letters_waiting", "gauge", "Dead letters waiting for a person.", |stats| stats.dead_letters_waiting),
    ("florin_accounts", "gauge", "Accounts.", |stats| stats.accounts),
    ("florin_keys_in_memory", "gauge", "Idempotency keys in memory.", |stats| stats.keys_in_memory),
    ("florin_poison_commands_total", "counter", "Commands that made the rule book fail.", |stats| {
        stats.poison_commands
    }),
    ("florin_sagas_open", "gauge", "Transfers between shards under way, by their home.", |stats| stats.sagas_open),
    ("florin_saga_parts_open", "gauge", "Parts prepared for other shards.", |stats| stats.parts_open),
    ("florin_shard_up", "gauge", "Whether the shard serves.", |stats| u64::from(stats.poisoned.is_none())),
];

fn write_shards(out: &mut String, shards: &[(u16, Stats)]) {
    for (name, kind, help, value) in PER_SHARD {
        header(out, name, kind, help);
        for (shard, stats) in shards {
            line(out, name, &format!("shard=\"{shard}\""), value(stats));
        }
    }
    header(out, "florin_batch_size_entries", "histogram", "Entries per block.");
    for (shard, stats) in shards {
        write_histogram(out, "florin_batch_size_entries", &format!("shard=\"{shard}\","), &stats.batch_size, 0);
    }
    header(out, "florin_sync_seconds", "histogram", "Time of a block's sync.");
    for (shard, stats) in shards {
        write_histogram(out, "florin_sync_seconds", &format!("shard=\"{shard}\","), &stats.sync_us, 6);
    }
    header(out, "florin_balance_sum", "gauge", "Sum over all accounts; anything but zero is an alarm.");
    for (shard, stats) in shards {
        for (currency, sum) in &stats.sums {
            let sum = Decimal { minor_units: *sum, scale: currency.scale() };
            line(out, "florin_balance_sum", &format!("shard=\"{shard}\",currency=\"{currency}\""), sum);
        }
    }
}

fn write_oldest(out: &mut String, shards: &[(u16, Stats)], now: Timestamp) {
    header(out, "florin_saga_oldest_seconds", "gauge", "Age of the oldest transfer between shards under way.");
    for (shard, stats) in shards {
        let since = stats.oldest_saga.unwrap_or(now);
        let age = now.microseconds().saturating_sub(since.microseconds());
        let age = Decimal { minor_units: i128::from(age), scale: 6 };
        line(out, "florin_saga_oldest_seconds", &format!("shard=\"{shard}\""), age);
    }
}

fn write_histories(out: &mut String, figures: &HistoryFigures) {
    let help = "First pages of an account's postings, by where they came from.";
    header(out, "florin_history_reads_total", "counter", help);
    for (from, count) in Answered::ALL.iter().zip(figures.answered) {
        line(out, "florin_history_reads_total", &format!("from=\"{}\"", from.name()), count);
    }
    header(out, "florin_history_refused_total", "counter", "What was not used of the shared cache, by why.");
    for (why, count) in Refused::ALL.iter().zip(figures.refused) {
        line(out, "florin_history_refused_total", &format!("why=\"{}\"", why.name()), count);
    }
    let help = "Entries by which this node's follower of the journal for the shared cache is behind.";
    header(out, "florin_history_behind_entries", "gauge", help);
    line(out, "florin_history_behind_entries", "", figures.behind);
}

async fn write_between(app: &App, out: &mut String) -> Result<(), store::Fault> {
    let (pairs, traffic) = (app.bank().clearing_pairs().await?, app.bank().traffic().await?);
    header(out, "florin_clearing_pair", "gauge", "What both clearing accounts of two shards have together: under way.");
    for (pair, sum) in pairs {
        let labels = format!("first=\"{}\",second=\"{}\",currency=\"{}\"", pair.first, pair.second, pair.currency);
        line(out, "florin_clearing_pair", &labels, Decimal { minor_units: sum, scale: pair.currency.scale() });
    }
    header(out, "florin_messages_waiting", "gauge", "Messages between shards sent and not taken.");
    for Traffic { from, to, sent, received } in traffic {
        let labels = format!("from=\"{from}\",to=\"{to}\"");
        line(out, "florin_messages_waiting", &labels, sent.saturating_sub(received));
    }
    Ok(())
}

fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    write(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    write(out, format_args!("{name}{{{labels}}} {value}\n"));
}

/// A histogram of whole units, of which ten to the power of `scale` make one unit of the metric.
fn write_histogram(out: &mut String, name: &str, labels: &str, histogram: &Histogram, scale: u8) {
    let unit = |value: u64| Decimal { minor_units: i128::from(value), scale };
    for (bound, count) in &histogram.buckets {
        write(out, format_args!("{name}_bucket{{{labels}le=\"{}\"}} {count}\n", unit(*bound)));
    }
    let own_labels = labels.trim_end_matches(',');
    write(out, format_args!("{name}_bucket{{{labels}le=\"+Inf\"}} {}\n", histogram.count));
    write(out, format_args!("{name}_sum{{{own_labels}}} {}\n", unit(histogram.sum)));
    write(out, format_args!("{name}_count{{{own_labels}}} {}\n", histogram.count));
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

/// Counters in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operation", security(()),
    responses((status = 200, description = "Counters in the text format of Prometheus.", body = String, content_type = "text/plain"), crate::schema::Errors))]
pub(crate) async fn metrics(State(app): State<App>) -> Response<Body> {
    let mut text = String::with_capacity(8192);
    app.metrics().write(&mut text);
    let shards: Vec<_> = app.bank().shards().iter().map(|store| (store.shard().number(), store.stats())).collect();
    write_shards(&mut text, &shards);
    write_oldest(&mut text, &shards, app.bank().now());
    write_histories(&mut text, &app.bank().history_figures());
    if 1 < shards.len() {
        match write_between(&app, &mut text).await {
            Ok(()) => {}
            Err(fault) => tracing::warn!("what is between shards could not be counted: {fault}"),
        }
    }
    if let Some(more) = &app.settings().more_figures {
        (more.0)(&mut text);
    }
    with_type(200, "text/plain; version=0.0.4; charset=utf-8", Body::from(text))
}

/// Says that the process runs.
#[utoipa::path(get, path = "/health/live", tag = "operation", security(()),
    responses((status = 200, description = "The process runs.", body = crate::schema::answers::Health), crate::schema::Errors))]
pub(crate) async fn live() -> Response<Body> {
    crate::answer::json(200, b"{\"status\":\"live\"}".to_vec())
}

/// Says whether every shard serves.
#[utoipa::path(get, path = "/health/ready", tag = "operation", security(()),
    responses((status = 200, description = "Every shard serves.", body = crate::schema::answers::Health), crate::schema::Errors))]
pub(crate) async fn ready(State(app): State<App>) -> crate::answer::Reply {
    for store in app.bank().shards() {
        if let Some(reason) = store.stats().poisoned {
            let detail = format!(
                "shard {} does not serve: {reason}; see docs/operations.md, \"When something is wrong\"",
                store.shard()
            );
            return Err(crate::problem::Problem::new(crate::problem::Code::Unavailable, detail));
        }
    }
    Ok(crate::answer::json(200, b"{\"status\":\"ready\"}".to_vec()))
}
