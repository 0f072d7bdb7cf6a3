//! What API Gateway keeps.

use axum::extract::{Request, State};
use serde_json::{Value, json};

use super::Page;
use super::reply::{Json, Refusal, require_json};

/// `GET /_bench/api/cache`
pub async fn list(State(page): State<Page>) -> Json<Value> {
    let (kept, count) = page.served.gateway.cached(MOST);
    Json(json!({"kept": kept, "more": count.saturating_sub(kept.len())}))
}

/// `DELETE /_bench/api/cache`
pub async fn flush(State(page): State<Page>, request: Request) -> Result<Json<Value>, Refusal> {
    require_json(request.headers())?;
    Ok(Json(json!({"dropped": page.served.gateway.flush()})))
}

/// Nobody reads more of them, and the page asks often.
const MOST: usize = 100;
