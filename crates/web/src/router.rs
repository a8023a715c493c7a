//! All routes, as one list. Each takes its method and path from the handler it names, and so does the OpenAPI document.

use crate::edge::{around, method_not_allowed, not_found};
use crate::v1::{
    accounts, business_date, dead_letters, deliveries, events, fees, holds, interest, journal, postings, preferences,
    products, quotes, rates, shards, statements, streams, system, tokens, transfer_batch, transfers, users, webhooks,
};
use crate::{App, docs, metrics, month, short_calls};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use std::sync::LazyLock;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes with what describes them.
pub(crate) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(docs::base())
        .routes(routes!(users::create, users::list))
        .routes(routes!(users::read, users::change))
        .routes(routes!(accounts::list_of_user))
        .routes(routes!(accounts::create))
        .routes(routes!(accounts::read, accounts::change))
        .routes(routes!(accounts::balance))
        .routes(routes!(streams::of_account))
        .routes(routes!(postings::list))
        .merge(statements())
        .routes(routes!(accounts::freeze))
        .routes(routes!(accounts::unfreeze))
        .routes(routes!(accounts::close))
        .merge(currencies())
        .routes(routes!(transfers::create, transfers::list))
        .routes(routes!(transfer_batch::create))
        .routes(routes!(transfers::read))
        .routes(routes!(streams::of_transfer))
        .routes(routes!(transfers::reverse))
        .routes(routes!(transfers::cancel))
        .routes(routes!(holds::create))
        .routes(routes!(holds::read))
        .routes(routes!(holds::list))
        .routes(routes!(holds::capture))
        .routes(routes!(holds::void))
        .routes(routes!(events::ingest))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::read))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(journal::read))
        .routes(routes!(system::balances))
        .routes(routes!(system::open))
        .merge(slots())
        .routes(routes!(products::create, products::list))
        .routes(routes!(products::read))
        .routes(routes!(products::add_version))
        .routes(routes!(products::of_account, products::assign))
        .routes(routes!(interest::explain))
        .routes(routes!(interest::simulate))
        .routes(routes!(business_date::read))
        .routes(routes!(business_date::close))
        .routes(routes!(preferences::read, preferences::replace))
        .routes(routes!(preferences::devices, preferences::add_device))
        .routes(routes!(preferences::remove_device))
        .routes(routes!(deliveries::list_of_user))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::read))
        .routes(routes!(deliveries::redrive))
        .routes(routes!(deliveries::discard))
        .routes(routes!(webhooks::create, webhooks::list))
        .routes(routes!(webhooks::read, webhooks::remove))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::enable))
        .routes(routes!(tokens::create, tokens::list))
        .routes(routes!(tokens::revoke))
        .routes(routes!(short_calls::deposit))
        .routes(routes!(short_calls::withdraw))
        .routes(routes!(short_calls::balance))
        .routes(routes!(short_calls::transaction))
        .routes(routes!(short_calls::transfer))
        .routes(routes!(short_calls::status))
        .routes(routes!(month::month))
        .routes(routes!(month::download))
        .routes(routes!(metrics::live))
        .routes(routes!(metrics::ready))
        .routes(routes!(metrics::metrics))
}

fn slots() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(shards::list)).routes(routes!(shards::move_slots))
}

fn statements() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(statements::list, statements::create))
        .routes(routes!(statements::several))
        .routes(routes!(statements::file))
}

fn currencies() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(rates::create, rates::list))
        .routes(routes!(fees::create, fees::list))
        .routes(routes!(quotes::create))
        .routes(routes!(quotes::read))
}

/// The whole bank as a service.
pub fn router(app: App) -> Router {
    // Made once for all banks of a process: nearly all of the time goes into the descriptions, which are dropped.
    static ROUTES: LazyLock<Router<App>> = LazyLock::new(|| documented().split_for_parts().0);
    ROUTES
        .clone()
        .route("/", axum::routing::get(docs::welcome))
        .route("/openapi.json", axum::routing::get(docs::document))
        .route("/docs", axum::routing::get(docs::page))
        .route("/docs/rapidoc.js", axum::routing::get(docs::script))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::disable()) // each handler bounds its own
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app)
}
