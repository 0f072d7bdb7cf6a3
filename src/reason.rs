//! The reason codes: one closed set for every outcome of a call.
//!
//! A code says why, never who. It contains nothing from a token, a key or a URL, so it may go to logs, metrics
//! and the backend. `docs/reasons.md` lists the same set for people; a test compares the two.

use std::fmt;

use serde::{Serialize, Serializer};

/// What API Gateway does with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// An IAM policy that allows; the backend is called.
    Allow,
    /// An IAM policy that denies explicitly; the client sees 403.
    Deny,
    /// An error whose message is exactly `Unauthorized`; the client sees 401.
    Unauthorized,
    /// Any other error; the client sees 500, and API Gateway caches nothing.
    Fault,
}

impl Status {
    /// The stable name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Unauthorized => "unauthorized",
            Self::Fault => "fault",
        }
    }
}

/// What a reason has to do with: a small set, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonClass {
    /// The policies decided.
    Policy,
    /// The call, its path or its parameters.
    Request,
    /// What API Gateway can be told, and may reuse.
    Cache,
    /// The tenant.
    Tenant,
    /// The token.
    Token,
    /// The keys of an identity source.
    Keys,
    /// The bundle.
    Bundle,
}

impl ReasonClass {
    /// The stable name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Request => "request",
            Self::Cache => "cache",
            Self::Tenant => "tenant",
            Self::Token => "token",
            Self::Keys => "keys",
            Self::Bundle => "bundle",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident, $code:literal, $status:ident, $class:ident;)+) => {
        /// Why a call ended as it did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason, in the order of the documented table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable kebab-case code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// What API Gateway does with it.
            pub fn status(self) -> Status {
                match self { $(Self::$name => Status::$status,)+ }
            }

            /// What it has to do with.
            pub fn class(self) -> ReasonClass {
                match self { $(Self::$name => ReasonClass::$class,)+ }
            }

            /// One sentence for people, as in the documented table.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// A permit policy applies and no forbid policy does.
    AllowedByPolicy, "allowed-by-policy", Allow, Policy;

    /// No permit policy applies.
    NoMatchingPermit, "no-matching-permit", Deny, Policy;
    /// A forbid policy applies.
    ForbiddenByPolicy, "forbidden-by-policy", Deny, Policy;
    /// The condition of a forbid policy could not be evaluated, so it counts as applying.
    ForbidError, "forbid-error", Deny, Policy;
    /// No route of the policy store has this method and path.
    RouteUnmapped, "route-unmapped", Deny, Request;
    /// The path could mean another route or resource to API Gateway than it does here.
    PathUnsafe, "path-unsafe", Deny, Request;
    /// The stage is `*`, as in the console's test of an authorizer: an answer would count for every stage.
    StageWildcard, "stage-wildcard", Deny, Request;
    /// The token lacks a claim, or has one of the wrong type, that the schema requires.
    RequiredClaimMissing, "required-claim-missing", Deny, Token;
    /// The call lacks something, or has it of the wrong type, that the schema requires in the context.
    RequiredContextMissing, "required-context-missing", Deny, Request;
    /// A header or query parameter that the schema reads has several values that differ.
    ParameterAmbiguous, "parameter-ambiguous", Deny, Request;
    /// The request asks for another method than the one that it was made with.
    MethodOverridden, "method-overridden", Deny, Request;
    /// The schema does not let this action apply to this principal and resource.
    RequestInvalid, "request-invalid", Deny, Request;
    /// The caller is the resource, and the path gives it another value for an attribute than the token.
    ResourceConflict, "resource-conflict", Deny, Request;
    /// There is no tenant of this name, or the call does not say whose it is.
    TenantUnknown, "tenant-unknown", Deny, Tenant;
    /// The answer would not be right for all that API Gateway's cache applies it to; see `CACHE_KEY`.
    NotCacheable, "not-cacheable", Deny, Cache;
    /// The ARN of the method is longer than the resource of a policy may be.
    ResourceTooLong, "resource-too-long", Deny, Cache;
    /// The answer with principal and claims would be longer than API Gateway takes, 8 KB.
    ResponseTooLarge, "response-too-large", Deny, Cache;

    /// The call carries no token.
    TokenMissing, "token-missing", Unauthorized, Token;
    /// The token is not a JWS in compact form with a JSON header and payload.
    TokenMalformed, "token-malformed", Unauthorized, Token;
    /// The token is longer than is accepted.
    TokenTooLarge, "token-too-large", Unauthorized, Token;
    /// The header of the token asks for what is not supported, such as `crit` or `b64`.
    HeaderUnsupported, "header-unsupported", Unauthorized, Token;
    /// The token is signed with an algorithm that is not accepted, or not with this key.
    AlgorithmUnsupported, "algorithm-unsupported", Unauthorized, Token;
    /// No key of the identity source has the key id of the token.
    KeyUnknown, "key-unknown", Unauthorized, Token;
    /// The signature does not belong to the token.
    SignatureInvalid, "signature-invalid", Unauthorized, Token;
    /// A claim that is checked is missing, or is not of its type.
    ClaimInvalid, "claim-invalid", Unauthorized, Token;
    /// No identity source has the issuer of the token.
    IssuerUnknown, "issuer-unknown", Unauthorized, Token;
    /// The token was issued to another client or for another audience.
    ClientMismatch, "client-mismatch", Unauthorized, Token;
    /// The token is an ID token where an access token is expected, or the other way round.
    TokenTypeMismatch, "token-type-mismatch", Unauthorized, Token;
    /// The token has expired.
    TokenExpired, "token-expired", Unauthorized, Token;
    /// The token is not valid yet, or issued in the future.
    TokenNotYetValid, "token-not-yet-valid", Unauthorized, Token;
    /// The token is bound to a key of its holder, which a bearer cannot prove.
    TokenBound, "token-bound", Unauthorized, Token;

    /// The event is not one of an API Gateway authorizer.
    EventMalformed, "event-malformed", Fault, Request;
    /// A part of the bundle that the decision depends on could not be fetched.
    BundleAway, "bundle-away", Fault, Bundle;
    /// A part of the bundle that the decision depends on is not as a bundle is built.
    BundleUnreadable, "bundle-unreadable", Fault, Bundle;
    /// For too long the bundle could not be found to be the current one.
    BundleStale, "bundle-stale", Fault, Bundle;
    /// No keys of the identity source could be had, so no token of it can be verified.
    KeysUnavailable, "keys-unavailable", Fault, Keys;
    /// The bundle of the tenant could not be had, or cannot be used.
    TenantUnavailable, "tenant-unavailable", Fault, Tenant;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for Reason {}

/// As its code.
impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}
