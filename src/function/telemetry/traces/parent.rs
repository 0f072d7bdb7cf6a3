//! The trace that an event is part of.
//!
//! ```text
//! traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01      of the request, by whoever made it
//! X-Ray:       Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1     of the function
//! ```
//!
//! Both have a trace id of 32 hexadecimal digits and a span id of 16, so spans can join either. What is not exactly in
//! its form is taken for absent, because a client may write anything into a header.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::function::telemetry::invocation::Invocation;
use crate::function::telemetry::trace_ids;

/// The span around an event, in the request's trace or otherwise in Lambda's. `None`: there is none.
pub(super) fn of(invocation: &Invocation<'_>) -> Option<SpanContext> {
    let header = invocation.call.and_then(|call| call.headers().get(TRACEPARENT).ok().flatten());
    let of_request = header.and_then(from_traceparent);
    of_request.or_else(|| from_x_ray(invocation.context.trace_id.as_deref()?))
}

/// `00-<trace>-<span>-<flags>`
fn from_traceparent(header: &str) -> Option<SpanContext> {
    let mut parts = trace_ids::traceparent(header.trim())?.split('-').skip(1);
    let (trace, span, flags) = (parts.next()?, parts.next()?, number(parts.next()?, 2)?);
    context(trace, span, flags & SAMPLED != 0)
}

/// Lambda sends `Sampled=0` if the function has no active tracing. Where it is left to the receiver, the event is
/// recorded.
fn from_x_ray(header: &str) -> Option<SpanContext> {
    let field = |name: &str| {
        let mut fields = header.split(';').filter_map(|field| field.trim().split_once('='));
        fields.find_map(|(known, value)| (known == name).then_some(value))
    };
    let trace: String = trace_ids::x_ray_root(header)?.split('-').skip(1).collect();
    context(&trace, field("Parent")?, field("Sampled") != Some("0"))
}

fn context(trace: &str, span: &str, is_sampled: bool) -> Option<SpanContext> {
    let trace = TraceId::from(number(trace, 32)?);
    let span = SpanId::from(u64::try_from(number(span, 16)?).ok()?);
    let flags = TraceFlags::default().with_sampled(is_sampled);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE)).filter(SpanContext::is_valid)
}

/// So many hexadecimal digits in lower case, and nothing else.
fn number(digits: &str, count: usize) -> Option<u128> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != count || !digits.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok()
}

const TRACEPARENT: &str = "traceparent";
const SAMPLED: u128 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn parts(context: Option<SpanContext>) -> Option<(String, String, bool)> {
        let context = context?;
        Some((context.trace_id().to_string(), context.span_id().to_string(), context.is_sampled()))
    }

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_has_it() {
        let expected = |is_sampled| Some((TRACE.to_owned(), SPAN.to_owned(), is_sampled));
        for (header, is_sampled) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), false),
            // Flags that nobody knows yet.
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            (format!("00-{TRACE}-{SPAN}-fe"), false),
            (format!(" 00-{TRACE}-{SPAN}-01 "), true),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), true),
        ] {
            assert_eq!(parts(from_traceparent(&header)), expected(is_sampled), "{header}");
        }
        let zeros = "0".repeat(32);
        for header in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{:016}-01", 0),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.replacen('0', "+", 1)),
            format!("00-{TRACE}-{SPAN}-01\n00-{TRACE}-{SPAN}-01"),
            "00-".repeat(100_000),
        ] {
            assert_eq!(parts(from_traceparent(&header)), None, "{header:.80}");
        }
    }

    #[test]
    fn the_header_of_x_ray_is_read_as_lambda_sends_it() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=";
        let expected = |is_sampled| {
            Some(("5759e988bd862e3fe1be46a994272793".to_owned(), "53995c3f42cd8ad8".to_owned(), is_sampled))
        };
        for (tail, is_sampled) in
            [("1", true), ("0", false), ("?", true), ("1;Lineage=a87bd80c:1|68fd508a:5", true)]
        {
            assert_eq!(parts(from_x_ray(&format!("{header}{tail}"))), expected(is_sampled), "{tail}");
        }
        for header in [
            "",
            "Root",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988bd-862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e98\u{e9}-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000",
        ] {
            assert_eq!(parts(from_x_ray(header)), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_taken_for_absent(text in ".*", form in "[0-9a-f-]{0,80}", x_ray in "(Root|Parent|Sampled|[=;1-9a-f-]){0,40}") {
            for text in [text, form, x_ray] {
                for context in [from_traceparent(&text), from_x_ray(&text)].into_iter().flatten() {
                    prop_assert!(context.is_valid() && context.is_remote());
                }
            }
        }
    }
}
