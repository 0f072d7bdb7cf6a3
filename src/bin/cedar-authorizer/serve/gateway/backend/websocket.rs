//! WebSocket connections that may be opened: they are passed on to a server, or echoed.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use reqwest::Method;
use tokio::io::copy_bidirectional;

use super::{Failed, Server, headers};
use crate::serve::gateway::request::{ClientHead, Upgrade};
use crate::serve::gateway_response::Case;

/// Opens a connection that sends back whatever comes.
pub async fn echo(client: &ClientHead, upgrade: Upgrade) -> Result<Response<Body>, Failed> {
    let Upgrade { connection, pace } = upgrade;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::GET;
    for (name, value) in &client.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            parts.headers.append(name, value);
        }
    }
    parts.extensions.insert(connection);
    let accepted = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let accepted = accepted.map_err(|_| Failed::new(Case::BadRequest, None))?;
    // A browser closes the connection unless one of the protocols that it offers is chosen (RFC 6455, 4.1).
    let offered = parts.headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|offered| offered.to_str().ok());
    let first: Vec<String> = offered
        .and_then(|offered| offered.split(',').next())
        .map(|first| first.trim().to_owned())
        .into_iter()
        .collect();
    Ok(accepted.max_message_size(MAX_MESSAGE_BYTES).protocols(first).on_upgrade(async move |socket| {
        let _answering = pace.answering();
        send_back(socket).await;
    }))
}

async fn send_back(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        // Pings are answered and closing is done by the protocol.
        let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}

impl Server {
    /// Opens a connection to the server, and hands on what comes from either side.
    pub async fn connect(
        &self,
        client: &ClientHead,
        mut headers: HeaderMap,
        upgrade: Upgrade,
    ) -> Result<Response<Body>, Failed> {
        let url = self.url_of(&client.target).ok_or_else(|| Failed::new(Case::BadRequest, None))?;
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let request = self.client.get(url).headers(headers);
        let response = self.answer_to(request).await?;
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::without_connection(answer.headers_mut());
            *answer.body_mut() = Body::from_stream(response.bytes_stream());
            return Ok(answer);
        }
        tokio::spawn(async move {
            let (Ok(client), Ok(mut server)) = tokio::join!(upgrade.connection, response.upgrade()) else {
                return;
            };
            let _answering = upgrade.pace.answering();
            // However it ends, both sides are closed.
            let _ = copy_bidirectional(&mut TokioIo::new(client), &mut server).await;
        });
        Ok(answer)
    }
}

/// Developer Guide, "Quotas for configuring and running a WebSocket API": the payload of a message.
const MAX_MESSAGE_BYTES: usize = 128 * 1024;
