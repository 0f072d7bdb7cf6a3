//! What API Gateway keeps.

use axum::extract::{Request, State};
use serde_json::{Value, json};

use super::Page;
use super::reply::{Json, Refusal, require_json};

/// `GET /_bench/api/cache`
pub async fn list(State(page): State<Page>) -> Json<Value> {
    Json(json!({"kept": page.served.gateway.cached()}))
}

/// `DELETE /_bench/api/cache`
pub async fn flush(State(page): State<Page>, request: Request) -> Result<Json<Value>, Refusal> {
    require_json(request.headers())?;
    Ok(Json(json!({"dropped": page.served.gateway.flush()})))
}
