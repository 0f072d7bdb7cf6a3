//! Tenants: which tenant a call belongs to, if each tenant has a bundle of its own.
//!
//! The name of a tenant becomes part of the key or path of its bundle, so only a few harmless characters are allowed
//! in it. It comes from what API Gateway says of a call, or from a verified claim. It never comes from a header,
//! query parameter or path, which the caller writes.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::bundle::Tenant;
use crate::function::source::BundleUri;
use crate::gateway::cache_key::CacheKey;
use crate::gateway::call::Call;
use crate::gateway::input::Input;
use crate::gateway::response::SimpleResponses;

/// The settings for tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenancy {
    /// What names the tenant of a call (`TENANT_FROM`).
    pub from: TenantFrom,
    /// How many bundles are open at once (`MAX_TENANTS`).
    pub max_open: usize,
}

impl Tenancy {
    /// Whether there is a bundle that serves before any tenant is known.
    pub(in crate::function) fn has_root(&self) -> bool {
        matches!(self.from, TenantFrom::Claim { .. })
    }
}

/// What names the tenant of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantFrom {
    /// A part of the call.
    Call(CallPart),
    /// A claim of the token (`claim:NAME`). The identity sources of the root, a bundle for all tenants, vouch for it.
    Claim {
        /// The name of the claim.
        name: String,
        /// Where the root is (`ROOT_BUNDLE_URI`).
        root_uri: BundleUri,
    },
}

/// A part of a call that API Gateway sets and no header can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPart {
    /// The id of the API, from the method ARN.
    ApiId,
    /// The domain name that was called, `requestContext.domainName`. Events of TOKEN authorizers have none.
    DomainName,
    /// The stage of the API, from the method ARN.
    Stage,
}

impl CallPart {
    /// The tenant of a call. `None`: the call does not name one.
    pub fn tenant_of(self, call: &Call) -> Option<Tenant> {
        match self {
            Self::ApiId => call.method_arn().api_id().parse().ok(),
            // Domain names have no case (RFC 4343), but keys in S3 do.
            Self::DomainName => call.host()?.to_ascii_lowercase().parse().ok(),
            Self::Stage => call.method_arn().stage().parse().ok(),
        }
    }

    /// Whether API Gateway applies each cached answer to requests of only one tenant.
    ///
    /// An authorizer belongs to one API, and so does its cache. Answers are cached separately for each stage (API
    /// references of `FlushStageAuthorizersCache` and `ResetAuthorizersCache`). A policy still names the stage in
    /// every statement; a boolean cannot. Several domains may lead to one stage.
    pub fn is_settled_by(self, key: &CacheKey, simple_responses: SimpleResponses) -> bool {
        match self {
            Self::ApiId => true,
            Self::DomainName => key.covers(&Input::Host),
            Self::Stage => {
                simple_responses == SimpleResponses::Disabled
                    || *key == CacheKey::None
                    || key.has_context("stage")
            }
        }
    }
}

impl FromStr for CallPart {
    type Err = InvalidCallPart;

    fn from_str(text: &str) -> Result<Self, InvalidCallPart> {
        match text {
            "api-id" => Ok(Self::ApiId),
            "domain-name" => Ok(Self::DomainName),
            "stage" => Ok(Self::Stage),
            _ => Err(InvalidCallPart),
        }
    }
}

/// This cannot name the tenant of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither `stage`, `api-id`, `domain-name` nor `claim:` and the name of a claim")]
pub struct InvalidCallPart;

/// Where the bundles of all tenants are: a [`BundleUri`] with `{tenant}` once in its key or path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantUri(BundleUri);

impl TenantUri {
    /// Where the bundle of a tenant is.
    pub fn for_tenant(&self, tenant: &Tenant) -> BundleUri {
        let named = |text: &str| text.replace(PLACEHOLDER, tenant.as_str());
        match &self.0 {
            BundleUri::File(path) => BundleUri::File(PathBuf::from(named(&path.to_string_lossy()))),
            BundleUri::S3 { bucket, key, version_id } => {
                BundleUri::S3 { bucket: bucket.clone(), key: named(key), version_id: version_id.clone() }
            }
        }
    }

    /// Whether the folder of all tenants exists. If a file system is not mounted, that must not turn every tenant
    /// into an unknown one. S3 has no folders, and its errors say more than "not found".
    pub fn has_home(&self) -> bool {
        let BundleUri::File(path) = &self.0 else {
            return true;
        };
        let path = path.to_string_lossy();
        let home = path.split_once(PLACEHOLDER).and_then(|(before, _)| before.rsplit_once('/'));
        home.is_some_and(|(home, _)| Path::new(&format!("{home}/")).is_dir())
    }
}

impl TryFrom<&BundleUri> for TenantUri {
    type Error = InvalidTenantUri;

    fn try_from(uri: &BundleUri) -> Result<Self, InvalidTenantUri> {
        let text = match uri {
            BundleUri::File(path) => path.to_string_lossy().into_owned(),
            BundleUri::S3 { version_id: Some(_), .. } => return Err(InvalidTenantUri::Version),
            BundleUri::S3 { key, .. } => key.clone(),
        };
        let (_, rest) = text.split_once(PLACEHOLDER).ok_or(InvalidTenantUri::NoPlaceholder)?;
        let is_number = rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match uri {
            _ if rest.contains(PLACEHOLDER) => Err(InvalidTenantUri::SeveralPlaceholders),
            BundleUri::S3 { .. } if is_number => Err(InvalidTenantUri::Ending),
            _ => Ok(Self(uri.clone())),
        }
    }
}

/// Why a URI cannot name the bundles of all tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTenantUri {
    /// `publish` keeps every revision as `<key>.<revision>`. That could be the key of another tenant's bundle.
    #[error(
        "ends with `{PLACEHOLDER}` or with a number behind it, so that the tenant `a.1` would be revision 1 of the \
         tenant `a`; add an ending such as `.bundle`"
    )]
    Ending,
    /// There is no `{tenant}`.
    #[error("has no `{PLACEHOLDER}` in its key or path")]
    NoPlaceholder,
    /// There are several.
    #[error("has `{PLACEHOLDER}` more than once")]
    SeveralPlaceholders,
    /// A version of an object belongs to one tenant.
    #[error("has a versionId, which only one object can have")]
    Version,
}

/// Whether a URI has a place for the name of a tenant.
pub fn has_placeholder(uri: &BundleUri) -> bool {
    uri.to_string().contains(PLACEHOLDER)
}

/// Stands for the name of the tenant.
const PLACEHOLDER: &str = "{tenant}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_for_all_tenants_has_one_place_for_their_name() {
        let read = |text: &str| TenantUri::try_from(&text.parse::<BundleUri>().unwrap());
        let acme: Tenant = "acme".parse().unwrap();
        for (text, expected) in [
            ("s3://b/tenants/{tenant}.bundle", "s3://b/tenants/acme.bundle"),
            ("s3://b/{tenant}/p.1", "s3://b/acme/p.1"),
            ("file:///stores/{tenant}", "file:///stores/acme"),
            ("file:///stores/{tenant}/a.bundle", "file:///stores/acme/a.bundle"),
        ] {
            assert_eq!(read(text).unwrap().for_tenant(&acme).to_string(), expected);
        }
        for (text, error) in [
            ("s3://b/petstore.bundle", InvalidTenantUri::NoPlaceholder),
            ("s3://b/{Tenant}.bundle", InvalidTenantUri::NoPlaceholder),
            ("s3://b/{tenant}/{tenant}.bundle", InvalidTenantUri::SeveralPlaceholders),
            ("s3://b/{tenant}.bundle?versionId=1", InvalidTenantUri::Version),
            ("s3://b/x?versionId={tenant}", InvalidTenantUri::Version),
            ("s3://b/{tenant}", InvalidTenantUri::Ending),
            ("s3://b/{tenant}.1", InvalidTenantUri::Ending),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        assert!("s3://{tenant}/x".parse::<BundleUri>().is_err());
    }

    #[test]
    fn an_answer_is_kept_for_one_tenant_alone() {
        let settled = |part: CallPart, key: &str, simple| part.is_settled_by(&key.parse().unwrap(), simple);
        let token = "$request.header.Authorization";
        let (disabled, enabled) = (SimpleResponses::Disabled, SimpleResponses::Enabled);
        for key in ["token", "none", token] {
            assert!(settled(CallPart::ApiId, key, enabled));
            assert!(settled(CallPart::Stage, key, disabled));
        }
        for (part, name) in [(CallPart::DomainName, "domainName"), (CallPart::Stage, "stage")] {
            assert!(settled(part, "none", enabled));
            assert!(settled(part, &format!("{token},$context.{name}"), enabled));
            // A Host header is documented only as one that should be the same as the domain name.
            for key in ["token", token, "$request.header.Authorization,$request.header.Host"] {
                assert!(!settled(part, key, enabled), "{key}");
            }
        }
        assert!(!settled(CallPart::DomainName, "token", disabled));
    }
}
