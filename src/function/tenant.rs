//! Tenants: whose API it is that is called, where each has a bundle of its own.
//!
//! The name of a tenant becomes part of the key or path of its bundle, so it is text of a few harmless
//! characters, and comes from what API Gateway says of a call or from a claim that was verified, never
//! from what the caller wrote: no header, query parameter or path has a say in it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::bundle::Tenant;
use crate::function::source::BundleUri;
use crate::gateway::cache_key::CacheKey;
use crate::gateway::call::Call;
use crate::gateway::input::Input;
use crate::gateway::response::SimpleResponses;

/// How the function is set up for tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenancy {
    /// What says whose call it is (`TENANT_FROM`).
    pub from: TenantFrom,
    /// How many bundles are open at once (`MAX_TENANTS`).
    pub max_open: usize,
}

/// What says whose call it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantFrom {
    /// The call.
    Call(CallPart),
    /// A claim of the token (`claim:NAME`), which the identity sources of a bundle for all tenants vouch for.
    Claim {
        /// The name of the claim.
        name: String,
        /// Where that bundle is (`ROOT_BUNDLE_URI`).
        root_uri: BundleUri,
    },
}

/// A part of a call that API Gateway sets, and no header does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPart {
    /// The id of the API, out of the method ARN.
    ApiId,
    /// The domain name that was called, `requestContext.domainName`. Events of TOKEN authorizers have none.
    DomainName,
    /// The stage of the API, out of the method ARN.
    Stage,
}

impl CallPart {
    /// Whose call it is. `None`: it does not say.
    pub fn tenant_of(self, call: &Call) -> Option<Tenant> {
        match self {
            Self::ApiId => call.method_arn().api_id().parse().ok(),
            // The same in any case (RFC 4343); the keys of S3 are not.
            Self::DomainName => call.host()?.to_ascii_lowercase().parse().ok(),
            Self::Stage => call.method_arn().stage().parse().ok(),
        }
    }

    /// Whether all requests that API Gateway applies one answer to are of one tenant.
    ///
    /// An authorizer, and with it its cache, is of one API. Its answers are kept for each stage by itself
    /// (API references of `FlushStageAuthorizersCache` and `ResetAuthorizersCache`), and a policy names the
    /// stage in every statement all the same; a boolean does not. Several domains may lead to one stage.
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

/// Nothing that can say whose call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither `stage`, `api-id`, `domain-name` nor `claim:` and the name of a claim")]
pub struct InvalidCallPart;

/// Where the bundles of all tenants are: a [`BundleUri`] with `{tenant}` in its key or path, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantUri(BundleUri);

impl TenantUri {
    /// Where the bundle of a tenant is.
    pub fn of(&self, tenant: &Tenant) -> BundleUri {
        let named = |text: &str| text.replace(PLACEHOLDER, tenant.as_str());
        match &self.0 {
            BundleUri::File(path) => BundleUri::File(PathBuf::from(named(&path.to_string_lossy()))),
            BundleUri::S3 { bucket, key, version_id } => {
                BundleUri::S3 { bucket: bucket.clone(), key: named(key), version_id: version_id.clone() }
            }
        }
    }

    /// Whether the folder is there that all tenants are in. A file system that is not mounted must not make every tenant
    /// an unknown one. S3 has no folders, and says more than that something is not there.
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

/// Why a URI is not one for the bundles of all tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTenantUri {
    /// `publish` keeps every revision as `<key>.<revision>`, which could be what another name makes of the URI.
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
    /// One version of an object is that of one tenant.
    #[error("has a versionId, which only one object can have")]
    Version,
}

/// Whether a URI has a place for the name of a tenant.
pub fn has_placeholder(uri: &BundleUri) -> bool {
    uri.to_string().contains(PLACEHOLDER)
}

/// Where the name of the tenant goes.
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
            assert_eq!(read(text).unwrap().of(&acme).to_string(), expected);
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
            // That it is the same as the domain name is documented as what should be.
            for key in ["token", token, "$request.header.Authorization,$request.header.Host"] {
                assert!(!settled(part, key, enabled), "{key}");
            }
        }
        assert!(!settled(CallPart::DomainName, "token", disabled));
    }
}
