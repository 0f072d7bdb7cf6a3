//! The least that verifying a token can take: a plain socket for a runtime, and one RS256 signature of each event.
//!
//! `PUBLIC_KEY` is that of the tokens: modulus and exponent in base64url, with a dot between. Nothing else of a token is
//! looked at: this shows a limit, not a way.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::var("PUBLIC_KEY")?;
    let (n, e) = key.split_once('.').ok_or("PUBLIC_KEY has no dot")?;
    let key = RsaPublicKeyComponents { n: URL_SAFE_NO_PAD.decode(n)?, e: URL_SAFE_NO_PAD.decode(e)? };
    let key = key.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)?;
    let host = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let mut connection = BufReader::new(TcpStream::connect(&host)?);
    connection.get_ref().set_nodelay(true)?;
    loop {
        let (id, event) =
            exchange(&mut connection, &format!("GET {API}/next HTTP/1.1\r\nHost: {host}\r\n\r\n"))?;
        let event: Value = serde_json::from_slice(&event)?;
        let bearer = event.get("authorizationToken").and_then(Value::as_str).ok_or("no token")?;
        let token = bearer.strip_prefix("Bearer ").ok_or("no scheme")?;
        let (input, signature) = token.rsplit_once('.').ok_or("no signature")?;
        key.verify_sig(input.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?)?;
        let answer = r#"{"isAuthorized":true}"#;
        let length = answer.len();
        let head =
            format!("POST {API}/{id}/response HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        exchange(&mut connection, &(head + answer))?;
    }
}

/// Sends a request; gives the id of an invocation and the body.
fn exchange(
    connection: &mut BufReader<TcpStream>,
    request: &str,
) -> Result<(String, Vec<u8>), Box<dyn Error>> {
    connection.get_mut().write_all(request.as_bytes())?;
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Err("the runtime API is gone".into());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("lambda-runtime-aws-request-id") => {
                value.clone_into(&mut id)
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse()?,
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok((id, body))
}

const API: &str = "/2018-06-01/runtime/invocation";
