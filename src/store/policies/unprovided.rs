//! Claims and groups that policies ask for and no identity source provides.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{Entities, EntityUid, Policy, PolicyId};
use rayon::prelude::*;

use super::{Code, Facts, Finding, StorePolicies};
use crate::store::inputs::{AttributeRead, Variable};
use crate::store::links::literals_of;
use crate::token::TokenType;
use crate::token::identity_source::{IdentitySource, Provider};

impl StorePolicies<'_> {
    /// Finds claims that policies read and none of the identity sources has.
    pub(in crate::store) fn check_claims(&self, sources: &[&IdentitySource], findings: &mut Vec<Finding>) {
        let missing: Vec<Vec<Missing>> = self.shapes.all().map(|facts| Missing::of(facts, sources)).collect();
        for (id, shape) in self.shapes.policies() {
            for Missing { claim, what, cause } in missing.get(shape).into_iter().flatten() {
                let message = format!("policy `{id}` reads `{what}`, but {cause}");
                let position = self.position(id, claim);
                findings.push(Finding::new(Code::ClaimUnprovided, position, message).about(id));
            }
        }
    }

    /// Finds groups in policies that neither a token nor an entity of the store leads to, because their prefix is
    /// wrong or missing.
    pub(in crate::store) fn check_groups(
        &self,
        sources: &[&IdentitySource],
        entities: &Entities,
        findings: &mut Vec<Finding>,
    ) {
        // An identity source with groups of this type, if none makes this one.
        let unprovided = |group: &EntityUid| {
            let of_type = || sources.iter().filter(|source| source.group_type() == Some(group.type_name()));
            let makes = |source: &&IdentitySource| match source.id_prefix() {
                Some(prefix) => {
                    group.id().unescaped().strip_prefix(prefix).is_some_and(|id| id.starts_with('|'))
                }
                None => true,
            };
            let example = of_type().next()?;
            let is_known = of_type().any(makes) || entities.get(group).is_some();
            (!is_known).then_some(*example)
        };
        let of_literals = |literals: Vec<EntityUid>| -> Vec<(EntityUid, &IdentitySource)> {
            literals
                .into_iter()
                .filter_map(|group| unprovided(&group).map(|example| (group, example)))
                .collect()
        };
        let mut report = |id: &PolicyId, groups: &[(EntityUid, &IdentitySource)]| {
            for (group, example) in groups {
                let message = format!("policy `{id}` names `{group}`, which no token leads to");
                let position = self.position(id, group.id().unescaped());
                let name = example.entity(group.type_name(), "GROUP");
                let finding = Finding::new(Code::GroupUnprovided, position, message).about(id);
                findings.push(finding.hint(format!("the groups of `{}` read `{name}`", example.name())));
            }
        };
        let policies: Vec<&Policy> = self.set.policies().collect();
        let of_policies: Vec<_> = policies
            .into_par_iter()
            .map(|policy| (policy.id(), of_literals(policy.entity_literals())))
            .filter(|(_, groups)| !groups.is_empty())
            .collect();
        for (id, groups) in of_policies {
            report(id, &groups);
        }
        // What a template names, each of its links does.
        let templates = self.links.templates().iter();
        let of_templates: HashMap<&PolicyId, Vec<_>> = templates
            .map(|template| (template, of_literals(literals_of(template, &self.set))))
            .filter(|(_, groups)| !groups.is_empty())
            .collect();
        if !of_templates.is_empty() {
            for link in self.links.iter() {
                if let Some(groups) = of_templates.get(link.template_id) {
                    report(&PolicyId::new(link.id), groups);
                }
            }
        }
    }
}

/// A claim that a policy reads and no identity source has.
struct Missing {
    claim: String,
    /// As the policy reads it.
    what: String,
    cause: &'static str,
}

impl Missing {
    fn of(facts: Option<&Facts>, sources: &[&IdentitySource]) -> Vec<Self> {
        let claim_of = |read: &AttributeRead| match (read.variable, read.path.as_slice()) {
            (Variable::Principal, [claim, ..]) => Some((TokenType::Id, claim.clone())),
            (Variable::Context, [token, claim, ..]) if token == "token" => {
                Some((TokenType::Access, claim.clone()))
            }
            _ => None,
        };
        let claims: BTreeSet<_> =
            facts.into_iter().flat_map(|facts| facts.reads.iter().filter_map(claim_of)).collect();
        let missing = |(token_type, claim): (TokenType, String)| {
            let cause = unprovided(&claim, token_type, sources)?;
            let what = match token_type {
                TokenType::Id => format!("principal[{claim:?}]"),
                TokenType::Access => format!("context.token[{claim:?}]"),
            };
            Some(Self { claim, what, cause })
        };
        claims.into_iter().filter_map(missing).collect()
    }
}

/// Why no identity source has a claim. `None`: one may have it.
fn unprovided(claim: &str, token_type: TokenType, sources: &[&IdentitySource]) -> Option<&'static str> {
    let mut of_type = sources.iter().filter(|source| source.token_type() == Some(token_type)).peekable();
    if of_type.peek().is_none() {
        return Some(match token_type {
            TokenType::Access => "only access tokens fill it, and no identity source accepts those",
            TokenType::Id => {
                "only ID tokens give attributes to principals, and no identity source accepts those"
            }
        });
    }
    let causes: Option<Vec<&'static str>> = of_type
        .map(|source| match source.provider() {
            _ if source.group_claim() == claim => {
                Some("groups are parents, never attributes: ask `principal in ...`")
            }
            Provider::Cognito(_) if token_type == TokenType::Access && USER_ATTRIBUTES.contains(&claim) => {
                Some("Cognito puts it into access tokens only through a pre token generation trigger")
            }
            _ => None,
        })
        .collect();
    causes?.first().copied()
}

/// The standard claims that describe a user (OpenID Connect Core 5.1). Cognito puts them into ID tokens (Cognito
/// Developer Guide, "Understanding the access token").
const USER_ATTRIBUTES: [&str; 19] = [
    "address",
    "birthdate",
    "email",
    "email_verified",
    "family_name",
    "gender",
    "given_name",
    "locale",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "phone_number_verified",
    "picture",
    "preferred_username",
    "profile",
    "updated_at",
    "website",
    "zoneinfo",
];
