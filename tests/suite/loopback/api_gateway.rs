use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};

use super::Server;

/// Answers GETs by their path and query; everything else is a 404.
pub struct ApiGateway {
    server: Server,
    state: Arc<Answers>,
}

struct Answers {
    answers: Vec<(&'static str, u16, String)>,
    requests: Mutex<Vec<(String, String)>>,
}

impl ApiGateway {
    /// Gives these answers: path with query, status, body.
    pub fn start(answers: Vec<(&'static str, u16, String)>) -> Self {
        let state = Arc::new(Answers { answers, requests: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        Self { server: Server::start(router), state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The requests so far: path with query, and the header `authorization`.
    pub fn requests(&self) -> Vec<(String, String)> {
        self.state.requests.lock().unwrap().clone()
    }
}

async fn answer(State(state): State<Arc<Answers>>, uri: Uri, headers: HeaderMap) -> (StatusCode, String) {
    let uri = uri.to_string();
    let authorization = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    state.requests.lock().unwrap().push((uri.clone(), authorization.to_owned()));
    let known = state.answers.iter().find(|(path, ..)| *path == uri);
    let not_found =
        || (StatusCode::NOT_FOUND, "{\"message\":\"Invalid API identifier specified\"}".to_owned());
    known.map_or_else(not_found, |(_, status, body)| (StatusCode::from_u16(*status).unwrap(), body.clone()))
}
