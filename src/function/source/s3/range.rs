//! Parts of an object: its end, and ranges in it.
//!
//! A bundle is read from its end. One request gets a small bundle whole, and of a large one the part that says where
//! all else is. That is read later, range by range, on the condition that the entity tag is still the same. So the
//! parts of two bundles never meet.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, RANGE};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::http::{Answer, Broken};
use super::refusal::Refusal;
use super::{ContentRange, DEADLINE, Reader, S3Failure, WrongAnswer, pause, text};
use crate::bundle::MAX_BUNDLE_BYTES;

/// What was found at the end of an object.
#[derive(Clone, Debug)]
pub enum ReadEnd {
    /// The same object as before.
    Unchanged,
    /// Another object.
    New {
        /// Its last bytes. All of it, if it has no more than were asked for, or if the server knows no ranges: what has
        /// come anyway need not come again.
        bytes: Bytes,
        /// The length of the object.
        total: u64,
        /// Its entity tag, for ranges of it and for the next conditional request.
        etag: String,
        /// Its version, in a bucket with versioning.
        version_id: Option<String>,
    },
}

impl Reader {
    /// Reads the last `length` bytes of an object, at least one, unless it still has this entity tag. `attempts` is how
    /// often this is tried. All attempts, up to the last byte, have seven seconds.
    ///
    /// # Errors
    /// [`S3Failure`]. An object that is larger than a bundle may be is one, whether or not its end is small.
    pub async fn read_end(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        etag: Option<&str>,
        length: u64,
        attempts: u32,
    ) -> Result<ReadEnd, S3Failure> {
        let request = self.part(bucket, key, version_id);
        let length = length.max(1);
        let range = format!("bytes=-{length}");
        let deadline = Deadline::of_end();
        let attempt = async || match request.end(etag, Some(&range), length, &deadline).await {
            // No range of an empty object can be satisfied, and not every server knows ranges from the end.
            Err(S3Failure::Refused { status: Some(416), .. }) => {
                request.end(etag, None, length, &deadline).await
            }
            found => found,
        };
        deadline.retry(&request, attempts, |_| attempt()).await
    }

    /// Reads a range of the object that has this entity tag. `attempts` is how often this is tried. All attempts, up to
    /// the last byte, have 2.5 seconds. Several ranges may be read at the same time.
    ///
    /// # Errors
    /// [`S3Failure`]: [`S3Failure::Replaced`] if the object has another entity tag now.
    pub async fn read_range(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        etag: &str,
        range: Range<u64>,
        attempts: u32,
    ) -> Result<Bytes, S3Failure> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let request = self.part(bucket, key, version_id);
        let deadline = Deadline::of_range();
        deadline
            .retry(&request, attempts, |answer_by| request.range(etag, &range, answer_by, &deadline))
            .await
    }

    fn part<'a>(&'a self, bucket: &str, key: &str, version_id: Option<&'a str>) -> PartRequest<'a> {
        let url = self.settings.endpoint.object(bucket, key, version_id);
        PartRequest { reader: self, url, uri: format!("s3://{bucket}/{key}"), version_id }
    }
}

/// A request for a part of an object.
struct PartRequest<'a> {
    reader: &'a Reader,
    url: Url,
    uri: String,
    version_id: Option<&'a str>,
}

impl PartRequest<'_> {
    /// One attempt to read the end. `range`: `None` asks for the whole object.
    async fn end(
        &self,
        etag: Option<&str>,
        range: Option<&str>,
        length: u64,
        deadline: &Deadline,
    ) -> Result<ReadEnd, S3Failure> {
        let headers = [(RANGE, range), (IF_NONE_MATCH, etag)];
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let response = self.send(&headers.collect::<Vec<_>>(), deadline.end).await?;
        let asked = match response.status() {
            StatusCode::NOT_MODIFIED if etag.is_some() => return Ok(ReadEnd::Unchanged),
            StatusCode::PARTIAL_CONTENT if range.is_some() => Some(length),
            StatusCode::OK => None,
            _ => return Err(self.refused(Refusal::read(response).await)),
        };
        self.check_version(response.headers())?;
        let found = text(response.headers(), ETAG).ok_or_else(|| self.wrong(WrongAnswer::NoEntityTag))?;
        let version_id = text(response.headers(), VERSION_ID);
        let (skipped, bytes, total) = match asked {
            Some(asked) => {
                let ContentRange { range, total } = self.end_of(response.headers(), asked)?;
                let total = total.unwrap_or(range.end);
                self.check_size(total)?;
                (range.start, self.body(response, 0..length_of(&range), Rest::Wrong, deadline).await?, total)
            }
            None => {
                self.check_size(response.content_length().unwrap_or_default())?;
                let bytes = self.body(response, 0..MAX_BUNDLE_BYTES as u64, Rest::TooLarge, deadline).await?;
                let total = bytes.len() as u64;
                (0, bytes, total)
            }
        };
        if skipped + bytes.len() as u64 == total {
            Ok(ReadEnd::New { bytes, total, etag: found, version_id })
        } else {
            Err(self.wrong(WrongAnswer::Length { expected: total - skipped, is_longer: false }))
        }
    }

    /// One attempt to read a range, which is not empty.
    async fn range(
        &self,
        etag: &str,
        range: &Range<u64>,
        answer_by: Instant,
        deadline: &Deadline,
    ) -> Result<Bytes, S3Failure> {
        let text_of_range = format!("bytes={}-{}", range.start, range.end - 1);
        let response = self.send(&[(RANGE, &text_of_range), (IF_MATCH, etag)], answer_by).await?;
        let is_part = match response.status() {
            StatusCode::PARTIAL_CONTENT => true,
            StatusCode::OK => false,
            StatusCode::PRECONDITION_FAILED => {
                return Err(S3Failure::Replaced { uri: self.uri.clone(), etag: etag.to_owned() });
            }
            _ => return Err(self.refused(Refusal::read(response).await)),
        };
        let found = text(response.headers(), ETAG).ok_or_else(|| self.wrong(WrongAnswer::NoEntityTag))?;
        if found != etag {
            return Err(self.wrong(WrongAnswer::OtherEntityTag { expected: etag.to_owned(), found }));
        }
        self.check_version(response.headers())?;
        let expected = length_of(range);
        let bytes = if is_part {
            let found = text(response.headers(), CONTENT_RANGE).unwrap_or_default();
            if !found.parse().is_ok_and(|found: ContentRange| found.range == *range) {
                return Err(self.wrong(WrongAnswer::Range { asked: range.clone(), found }));
            }
            self.body(response, 0..expected, Rest::Wrong, deadline).await?
        } else {
            // The whole object. It is the right one, so what comes before the range is dropped, and what comes after it
            // is not waited for.
            self.body(response, range.clone(), Rest::Ignored, deadline).await?
        };
        if bytes.len() as u64 == expected {
            Ok(bytes)
        } else {
            Err(self.wrong(WrongAnswer::Length { expected, is_longer: false }))
        }
    }

    /// Sends the request. The answer has to begin by this time.
    async fn send(&self, headers: &[(HeaderName, &str)], by: Instant) -> Result<Answer, S3Failure> {
        let response = timeout_at(by, self.reader.send(&self.url, headers)).await;
        response.unwrap_or(Err(Refusal::Timeout)).map_err(|refusal| self.refused(refusal))
    }

    /// The part that an answer has, if it is the end of the object.
    fn end_of(&self, headers: &HeaderMap, asked: u64) -> Result<ContentRange, S3Failure> {
        let found = text(headers, CONTENT_RANGE).unwrap_or_default();
        let is_end = |found: &ContentRange| {
            let total = found.total?;
            (found.range == (total.saturating_sub(asked)..total)).then_some(())
        };
        match found.parse::<ContentRange>() {
            Ok(range) if is_end(&range).is_some() => Ok(range),
            _ => Err(self.wrong(WrongAnswer::NotTheEnd { asked, found })),
        }
    }

    fn check_version(&self, headers: &HeaderMap) -> Result<(), S3Failure> {
        match (self.version_id, text(headers, VERSION_ID)) {
            (Some(expected), Some(found)) if found != expected => {
                Err(self.wrong(WrongAnswer::OtherVersion { expected: expected.to_owned(), found }))
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self, total: u64) -> Result<(), S3Failure> {
        if total <= MAX_BUNDLE_BYTES as u64 {
            Ok(())
        } else {
            Err(S3Failure::TooLarge { uri: self.uri.clone() })
        }
    }

    /// Reads the wanted bytes of a body. Fewer come if it ends before.
    async fn body(
        &self,
        mut response: Answer,
        wanted: Range<u64>,
        rest: Rest,
        deadline: &Deadline,
    ) -> Result<Bytes, S3Failure> {
        let stated = response.content_length().unwrap_or_default().min(length_of(&wanted));
        let mut bytes = Vec::with_capacity(usize::try_from(stated).unwrap_or_default().min(MAX_BUNDLE_BYTES));
        let mut at = 0;
        let interrupted =
            |cause: Broken| S3Failure::Interrupted { uri: self.uri.clone(), cause: cause.to_string() };
        let all = async {
            while let Some(mut chunk) = response.chunk().await.map_err(interrupted)? {
                let end = at + chunk.len() as u64;
                if end > wanted.end {
                    match rest {
                        Rest::Wrong => {
                            let expected = length_of(&wanted);
                            return Err(self.wrong(WrongAnswer::Length { expected, is_longer: true }));
                        }
                        Rest::TooLarge => return Err(S3Failure::TooLarge { uri: self.uri.clone() }),
                        Rest::Ignored => chunk.truncate(within(wanted.end - at.min(wanted.end), &chunk)),
                    }
                }
                let before = within(wanted.start.saturating_sub(at), &chunk);
                bytes.extend_from_slice(&chunk.split_off(before));
                at = end;
                if matches!(rest, Rest::Ignored) && at >= wanted.end {
                    break;
                }
            }
            Ok(())
        };
        // Only this limit stops a body that drips.
        let late = || S3Failure::TooSlow { uri: self.uri.clone(), limit: deadline.limit };
        timeout_at(deadline.end, all).await.unwrap_or_else(|_| Err(late()))?;
        Ok(bytes.into())
    }

    fn refused(&self, refusal: Refusal) -> S3Failure {
        S3Failure::refused(self.uri.clone(), refusal)
    }

    fn wrong(&self, problem: WrongAnswer) -> S3Failure {
        S3Failure::Wrong { uri: self.uri.clone(), problem }
    }
}

/// What a body has after the wanted bytes.
#[derive(Clone, Copy)]
enum Rest {
    /// Of no matter: it is not read.
    Ignored,
    TooLarge,
    Wrong,
}

/// The time that all attempts have.
struct Deadline {
    limit: Duration,
    end: Instant,
    /// An attempt that is not the last one is given up if no answer has begun after this time.
    answer: Duration,
    longest_pause: Duration,
}

impl Deadline {
    fn of_end() -> Self {
        Self::new(DEADLINE, DEADLINE, Duration::from_secs(1))
    }

    fn of_range() -> Self {
        Self::new(RANGE_DEADLINE, RANGE_ANSWER_TIMEOUT, RANGE_LONGEST_PAUSE)
    }

    fn new(limit: Duration, answer: Duration, longest_pause: Duration) -> Self {
        Self { limit, end: Instant::now() + limit, answer, longest_pause }
    }

    /// The result of the first attempt that is not worth repeating, or of the last one. An attempt is told by when its
    /// answer has to begin.
    async fn retry<T, F>(
        &self,
        request: &PartRequest<'_>,
        attempts: u32,
        attempt: impl Fn(Instant) -> F,
    ) -> Result<T, S3Failure>
    where
        F: Future<Output = Result<T, S3Failure>>,
    {
        let mut number = 1;
        loop {
            let is_last = number >= attempts;
            let answer_by = if is_last { self.end } else { self.end.min(Instant::now() + self.answer) };
            // This ends the body of an error, too.
            let result = timeout_at(self.end, attempt(answer_by)).await;
            let result = result.unwrap_or_else(|_| Err(request.refused(Refusal::Timeout)));
            let is_late = |failure: &S3Failure| {
                let no_answer = matches!(failure, S3Failure::Refused { status: None, .. });
                no_answer && (answer_by..self.end).contains(&Instant::now())
            };
            match result {
                Err(failure) if !is_last && (failure.is_passing() || is_late(&failure)) => {
                    let pause = pause(number).min(self.longest_pause);
                    if timeout_at(self.end, sleep(pause)).await.is_err() {
                        return Err(request.refused(Refusal::Timeout));
                    }
                }
                result => return result,
            }
            // A connection that was opened long before may be as dead as the one that has just failed.
            request.reader.close_spare();
            number += 1;
        }
    }
}

pub(super) fn length_of(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// This many bytes, or all of them.
fn within(count: u64, bytes: &[u8]) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len())
}

const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

/// The limit for all attempts to read a range. Unlike at a cold start, a call of the API waits for it, and a call may
/// need more than one. S3 begins to answer within 100 to 200 ms (Amazon S3 User Guide, "Best practices design patterns:
/// optimizing Amazon S3 performance").
const RANGE_DEADLINE: Duration = Duration::from_millis(2500);

/// A connection that was lost while Lambda had frozen the function does not answer at all. This leaves time for
/// another.
const RANGE_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

const RANGE_LONGEST_PAUSE: Duration = Duration::from_millis(200);
