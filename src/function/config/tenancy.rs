//! The settings for bundles of tenants.

use super::Problems;
use crate::function::source::BundleUri;
use crate::function::tenant::{CallPart, Tenancy, TenantFrom, TenantUri, has_placeholder};
use crate::gateway::cache_key::CacheKey;
use crate::gateway::response::SimpleResponses;

/// Reads the settings. `None`: there are none, or some are wrong.
pub(super) fn read(
    lookup: impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    bundle_uri: Option<&BundleUri>,
    cache_key: Option<&CacheKey>,
    simple_responses: SimpleResponses,
) -> Option<Tenancy> {
    let max_open = problems.number("MAX_TENANTS", &lookup, DEFAULT_MAX_TENANTS);
    if !(1..=MAX_MAX_TENANTS).contains(&max_open) {
        problems.add("MAX_TENANTS", format_args!("not between 1 and {MAX_MAX_TENANTS}"));
    }
    let max_open = usize::try_from(max_open).unwrap_or(usize::MAX);
    let Some(value) = lookup("TENANT_FROM") else {
        if bundle_uri.is_some_and(has_placeholder) {
            problems.add(
                "TENANT_FROM",
                "not set; it says what `{tenant}` in BUNDLE_URI is: stage, api-id, domain-name or claim:NAME",
            );
        }
        for name in ["ROOT_BUNDLE_URI", "MAX_TENANTS"].into_iter().filter(|name| lookup(name).is_some()) {
            problems.add(name, "set without TENANT_FROM; there are no tenants");
        }
        return None;
    };
    if let Some(Err(invalid)) = bundle_uri.map(TenantUri::try_from) {
        problems
            .add("BUNDLE_URI", format_args!("{invalid}; TENANT_FROM is set, so each tenant has a bundle"));
    }
    for name in ["BUNDLE_FALLBACK_URI", "SHADOW_BUNDLE_URI"] {
        if lookup(name).is_some() {
            problems.add(name, "set with TENANT_FROM; one bundle cannot stand in for those of all tenants");
        }
    }
    let root_uri =
        lookup("ROOT_BUNDLE_URI").and_then(|value| problems.parse::<BundleUri>("ROOT_BUNDLE_URI", &value));
    if root_uri.as_ref().is_some_and(has_placeholder) {
        problems.add("ROOT_BUNDLE_URI", "has `{tenant}`; it is the bundle that says who the tenant is");
    }
    let from = match value.strip_prefix("claim:") {
        Some("") => {
            problems.add("TENANT_FROM", "names no claim behind `claim:`");
            return None;
        }
        Some(name) => {
            if lookup("ROOT_BUNDLE_URI").is_none() {
                problems.add(
                    "ROOT_BUNDLE_URI",
                    "not set; it is the bundle whose identity sources vouch for the claim that names the tenant",
                );
            }
            TenantFrom::Claim { name: name.to_owned(), root_uri: root_uri? }
        }
        None => {
            if lookup("ROOT_BUNDLE_URI").is_some() {
                problems.add("ROOT_BUNDLE_URI", "set without TENANT_FROM=claim:NAME; nothing would read it");
            }
            TenantFrom::Call(settled(problems, &value, cache_key, simple_responses)?)
        }
    };
    Some(Tenancy { from, max_open })
}

/// The part of a call that names its tenant, provided that API Gateway's cache cannot mix tenants up.
fn settled(
    problems: &mut Problems,
    value: &str,
    cache_key: Option<&CacheKey>,
    simple_responses: SimpleResponses,
) -> Option<CallPart> {
    let part: CallPart = problems.parse("TENANT_FROM", value)?;
    if let Some(key) = cache_key.filter(|key| !part.is_settled_by(key, simple_responses)) {
        let (variable, other_way) = match part {
            CallPart::Stage => ("stage", ", or return IAM policies, which name the stage"),
            CallPart::ApiId | CallPart::DomainName => ("domainName", ""),
        };
        problems.add(
            "CACHE_KEY",
            format_args!(
                "with TENANT_FROM={value} API Gateway would apply answers that it keeps under `{key}` to other \
                 tenants; add `context.{variable}` to the identity sources and to CACHE_KEY, or set a TTL of 0 and \
                 CACHE_KEY=none{other_way}"
            ),
        );
    }
    Some(part)
}

/// Open bundles take memory. docs/tenants.md says how much.
const DEFAULT_MAX_TENANTS: u64 = 100;

const MAX_MAX_TENANTS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    /// Variables, and the names of those that must be reported.
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

    const URI: (&str, &str) = ("BUNDLE_URI", "s3://b/{tenant}.bundle");
    const ROOT: (&str, &str) = ("ROOT_BUNDLE_URI", "s3://b/root.bundle");

    #[test]
    fn what_names_the_tenant_is_one_part_of_the_call_or_a_claim() {
        let tenancy = |variables: &[(&str, &str)]| config(variables).unwrap().tenancy;
        for (value, part) in [("stage", CallPart::Stage), ("api-id", CallPart::ApiId)] {
            let expected = Tenancy { from: TenantFrom::Call(part), max_open: 100 };
            assert_eq!(tenancy(&[URI, ("TENANT_FROM", value)]), Some(expected));
        }
        let expected = Tenancy { from: TenantFrom::Call(CallPart::DomainName), max_open: 7 };
        for key in ["none", "method.request.header.Authorization,context.domainName"] {
            let variables = [URI, ("TENANT_FROM", "domain-name"), ("CACHE_KEY", key), ("MAX_TENANTS", "7")];
            assert_eq!(tenancy(&variables), Some(expected.clone()), "{key}");
        }
        let root_uri = "s3://b/root.bundle".parse().unwrap();
        let from = TenantFrom::Claim { name: "custom:tenant".to_owned(), root_uri };
        assert_eq!(
            tenancy(&[URI, ROOT, ("TENANT_FROM", "claim:custom:tenant")]),
            Some(Tenancy { from, max_open: 100 })
        );
        assert_eq!(tenancy(&[("BUNDLE_URI", "s3://b/petstore.bundle")]), None);
    }

    #[test]
    fn every_other_combination_is_refused_by_the_name_of_what_is_wrong() {
        let stage = ("TENANT_FROM", "stage");
        let claim = ("TENANT_FROM", "claim:tenant");
        let domain = ("TENANT_FROM", "domain-name");
        let simple = ("SIMPLE_RESPONSES", "true");
        let by_route = "$request.header.Authorization,$context.routeKey";
        let one = ("BUNDLE_URI", "s3://b/petstore.bundle");
        let rows: [Row; 25] = [
            (&[URI], &["TENANT_FROM"]),
            (&[URI, ("TENANT_FROM", "")], &["TENANT_FROM"]),
            (&[URI, ("TENANT_FROM", "Stage")], &["TENANT_FROM"]),
            (&[URI, ("TENANT_FROM", "header:X-Tenant")], &["TENANT_FROM"]),
            (&[URI, ROOT, ("TENANT_FROM", "claim:")], &["TENANT_FROM"]),
            (&[stage, one], &["BUNDLE_URI"]),
            (&[stage, ("BUNDLE_URI", "s3://b/{tenant}/{tenant}.bundle")], &["BUNDLE_URI"]),
            (&[stage, ("BUNDLE_URI", "s3://b/{tenant}.bundle?versionId=1")], &["BUNDLE_URI"]),
            (&[stage, ("BUNDLE_URI", "s3://b/x?versionId={tenant}")], &["BUNDLE_URI"]),
            (&[stage, ("BUNDLE_URI", "s3://{tenant}/x.bundle")], &["BUNDLE_URI"]),
            (&[stage, ("BUNDLE_URI", "s3://b/{tenant}")], &["BUNDLE_URI"]),
            (&[stage, URI, ROOT], &["ROOT_BUNDLE_URI"]),
            (&[one, ROOT], &["ROOT_BUNDLE_URI"]),
            (&[claim, URI], &["ROOT_BUNDLE_URI"]),
            (&[claim, URI, ("ROOT_BUNDLE_URI", "s3://b/{tenant}.root")], &["ROOT_BUNDLE_URI"]),
            (&[claim, URI, ("ROOT_BUNDLE_URI", "root.bundle")], &["ROOT_BUNDLE_URI"]),
            (&[stage, URI, ("BUNDLE_FALLBACK_URI", "file:///var/task/x")], &["BUNDLE_FALLBACK_URI"]),
            (&[stage, URI, ("SHADOW_BUNDLE_URI", "s3://b/candidate")], &["SHADOW_BUNDLE_URI"]),
            (&[stage, URI, ("MAX_TENANTS", "0")], &["MAX_TENANTS"]),
            (&[stage, URI, ("MAX_TENANTS", "10001")], &["MAX_TENANTS"]),
            (&[stage, URI, ("MAX_TENANTS", "many")], &["MAX_TENANTS"]),
            (&[one, ("MAX_TENANTS", "5")], &["MAX_TENANTS"]),
            (&[domain, URI], &["CACHE_KEY"]),
            (&[stage, URI, simple, ("CACHE_KEY", by_route)], &["CACHE_KEY"]),
            (&[claim, one, ("MAX_TENANTS", "0")], &["MAX_TENANTS", "BUNDLE_URI", "ROOT_BUNDLE_URI"]),
        ];
        for (variables, expected) in rows {
            let error = config(variables).unwrap_err();
            let names: Vec<&str> = error.0.iter().map(|problem| problem.split(':').next().unwrap()).collect();
            assert_eq!(names, expected, "{variables:?}: {error}");
        }
        assert!(config(&[stage, URI, simple, ("CACHE_KEY", "none")]).is_ok());
        let by_stage = "$request.header.Authorization,$context.routeKey,$context.stage";
        assert!(config(&[stage, URI, simple, ("CACHE_KEY", by_stage)]).is_ok());
    }
}
