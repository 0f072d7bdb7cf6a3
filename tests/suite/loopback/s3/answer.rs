use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

pub(super) fn error(status: u16, code: &str) -> Response {
    failure(StatusCode::from_u16(status).unwrap(), code)
}

pub(super) fn redirect(region: &'static str) -> Response {
    let answer = failure(StatusCode::MOVED_PERMANENTLY, "PermanentRedirect");
    ([("x-amz-bucket-region", region)], answer).into_response()
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
pub(super) fn failure(status: StatusCode, code: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>{code}, says the stand-in</Message>\
         <RequestId>4442587FB7D0A2F9</RequestId></Error>"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}
