use std::time::Duration;

/// What goes wrong with the next GETs, or with the PUTs of a key. A request that is not signed fails in any case.
#[derive(Clone, Copy)]
pub enum S3Fault {
    None,
    /// 403 `AccessDenied`.
    Forbidden,
    /// 404 `NoSuchKey`, though the object is there.
    NotFound,
    /// 500 `InternalError`, which the SDK retries.
    InternalError,
    /// The right answer, but only after this time.
    Slow(Duration),
    /// The `Content-Length` of the whole object, but only half of its bytes before the connection ends.
    Truncated,
    /// The right answer, but its body comes one byte at a time, each after this time. A body that has begun
    /// continues like this, whatever fault is set later.
    Drips(Duration),
    /// The connection ends with no answer. Nothing was stored.
    Reset,
    /// An error with this status and code.
    Error(u16, &'static str),
    /// This status and this body, whatever it is.
    Answer(u16, &'static str),
    /// A redirect to another region, which the SDK does not follow.
    Region(&'static str),
    /// Of a PUT: the object was stored, but the connection ends with no answer.
    AnswerLost,
    /// Of a PUT: nothing was stored, and there is no answer until the client goes away.
    Hang,
}
