//! The files of the page. They are part of the program, and need nothing from elsewhere.

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};

use super::reply::Refusal;

/// The page itself.
pub async fn page() -> Response<Body> {
    answer(HTML, include_str!("files/index.html"))
}

/// A file of the page.
pub async fn file(Path(name): Path<String>) -> Result<Response<Body>, Refusal> {
    let found = FILES.iter().find(|(known, _)| *known == name);
    let (name, text) = found.ok_or_else(|| Refusal::not_found("the page has no such file"))?;
    let media_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    };
    Ok(answer(media_type, text))
}

fn answer(media_type: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

const HTML: &str = "text/html; charset=utf-8";

const FILES: [(&str, &str); 18] = [
    ("answer.js", include_str!("files/answer.js")),
    ("bench.css", include_str!("files/bench.css")),
    ("bench.js", include_str!("files/bench.js")),
    ("caller.js", include_str!("files/caller.js")),
    ("cedar.js", include_str!("files/cedar.js")),
    ("dom.js", include_str!("files/dom.js")),
    ("editor.js", include_str!("files/editor.js")),
    ("effects.js", include_str!("files/effects.js")),
    ("explanation.js", include_str!("files/explanation.js")),
    ("icon.svg", include_str!("files/icon.svg")),
    ("kept.js", include_str!("files/kept.js")),
    ("matrix.js", include_str!("files/matrix.js")),
    ("policies.js", include_str!("files/policies.js")),
    ("routes.js", include_str!("files/routes.js")),
    ("schema.js", include_str!("files/schema.js")),
    ("server.js", include_str!("files/server.js")),
    ("traffic.js", include_str!("files/traffic.js")),
    ("try.js", include_str!("files/try.js")),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/cedar-authorizer/serve/page/files");
        let entries = fs::read_dir(folder).unwrap();
        let mut there: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        there.retain(|name| name != "index.html");
        there.sort();
        assert_eq!(there, FILES.map(|(name, _)| name));
    }

    #[test]
    fn the_page_takes_text_as_text() {
        for (name, text) in FILES {
            for way in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "http://",
                "https://",
            ] {
                let is_namespace = name == "icon.svg" && way == "http://";
                assert!(is_namespace || !text.contains(way), "{name}: {way}");
            }
        }
        let page = include_str!("files/index.html");
        for way in ["<style", " style=", " onclick", "http://", "https://"] {
            assert!(!page.contains(way), "{way}");
        }
    }
}
