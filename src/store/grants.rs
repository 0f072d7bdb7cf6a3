//! What can be said of grants before there is a token: which routes cannot be told apart, and whether the
//! grants of some callers are larger than a response may be.
//!
//! Both matter where API Gateway keeps answers for more than one method and path, which is the default.

use std::collections::BTreeMap;

use super::finding::{Code, Finding, Position};
use super::schema::StoreSchema;
use super::{Store, settings};
use crate::cache_key::CacheKey;
use crate::grant::{Grant, Separation};

/// Finds them, in the order of the routes.
pub(super) fn check(store: &Store, schema: Option<&StoreSchema>, findings: &mut Vec<Finding>) {
    let routes = store.routes.routes();
    let position = |index: usize| match routes.get(index) {
        Some(route) => store.settings.position_of(route, schema),
        None => Position::file(settings::FILE),
    };
    let Ok(separation) = Separation::of(routes, store.settings.is_complete) else {
        let message = "the routes overlap in too many ways to be told apart by patterns: every answer allows one \
                       method and path alone";
        let finding = Finding::new(Code::GrantInexact, Position::file(settings::FILE), message);
        findings.push(finding.hint(KEY_HINT));
        return;
    };
    // What reads more than the token is denied under such a key, so it stands in nobody's way.
    let is_grantable = |index: usize| {
        let of_route = routes.get(index).zip(store.reads.get(index));
        of_route.is_some_and(|(route, reads)| CacheKey::Token.lacking(reads, route).next().is_none())
    };
    let decided_alike = |a: usize, b: usize| {
        let same = routes
            .get(a)
            .zip(routes.get(b))
            .is_some_and(|(a, b)| a.action == b.action && a.resource.is_none() && b.resource.is_none());
        same && is_grantable(a) == is_grantable(b)
    };
    // One line for two routes, whatever the reasons are.
    let mut pairs: BTreeMap<(usize, usize), Option<usize>> = BTreeMap::new();
    for overlap in separation.overlaps(decided_alike) {
        if is_grantable(overlap.route) && is_grantable(overlap.harmed) {
            let because_of = pairs.entry((overlap.route, overlap.harmed)).or_insert(overlap.because_of);
            // That nothing takes a path happens to every caller, so it is the better reason.
            *because_of = overlap.because_of.and(*because_of);
        }
    }
    let text = |index: usize| routes.get(index).map(|route| format!("`{route}`")).unwrap_or_default();
    let count = pairs.len();
    for ((route, harmed), because_of) in pairs.into_iter().take(MAX_PAIRS) {
        let (wide, harmed_text) = (text(route), text(harmed));
        let what = match (route == harmed, because_of) {
            (false, None) => format!(
                "a grant cannot have both {wide} and {harmed_text} and nothing beyond: a caller who may call both \
                 is denied {harmed_text}"
            ),
            (false, Some(denied)) => format!(
                "a grant cannot have both {wide} and {harmed_text} without {}: a caller who may call the two but \
                 not that one is denied some or all of {harmed_text}",
                text(denied)
            ),
            (true, None) => format!("a grant for {wide} cannot have all its paths and nothing beyond"),
            (true, Some(denied)) => format!(
                "a grant for {wide} cannot have all its paths without {}: a caller who may not call that one is \
                 denied some",
                text(denied)
            ),
        };
        let hint = match because_of {
            None => COMPLETE_HINT,
            Some(_) => KEY_HINT,
        };
        findings.push(Finding::new(Code::GrantInexact, position(harmed), what).hint(hint));
    }
    if count > MAX_PAIRS {
        let message = format!("{} more pairs of routes cannot be told apart", count - MAX_PAIRS);
        findings.push(Finding::new(Code::GrantInexact, Position::file(settings::FILE), message));
    }

    // All routes, and all but one, for which there is no short pattern.
    let all: Vec<usize> = (0..routes.len()).filter(|index| is_grantable(*index)).collect();
    let largest = [all.as_slice(), all.get(1..).unwrap_or_default()].into_iter();
    let left_out = largest.map(|allowed| match Grant::of_routes(LONG_PREFIX, &separation, allowed, None) {
        Some(of_routes) => of_routes.left_out,
        None => allowed.len(),
    });
    if let Some(left_out) = left_out.max().filter(|left_out| *left_out > 0) {
        let message = format!(
            "a caller who may call nearly all {} routes gets a grant with the requested and some others of them; \
             there is no room for {left_out}, which are denied until API Gateway asks again",
            all.len()
        );
        findings
            .push(Finding::new(Code::GrantTooLarge, Position::file(settings::FILE), message).hint(KEY_HINT));
    }
}

const KEY_HINT: &str = "key the cache by method and path (CACHE_KEY and the identity sources \
                        `method.request.header.Authorization,context.httpMethod,context.path`), or set the TTL to 0 \
                        with CACHE_KEY=none";

const COMPLETE_HINT: &str = "if the API has no routes but those of the store, say so with `complete = true` in `[api]`; \
                             otherwise key the cache by method and path";

/// More would hide what else there is to say.
const MAX_PAIRS: usize = 20;

/// As long as the ARN of an API usually is, with a stage of some length.
const LONG_PREFIX: &str = "arn:aws-us-gov:execute-api:us-gov-west-1:123456789012:abcdefghij/production/";
