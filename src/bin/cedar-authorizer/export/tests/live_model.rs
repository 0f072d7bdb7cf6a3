//! A policy store in AWS, in memory: every request of a plan changes it, and may be the last.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicyId, PolicySet, Request, SlotId,
};
use proptest::prelude::*;

use crate::avp::contents::{
    EntityIdentifier, PolicyTemplate, StaticPolicy, StoreContents, TemplateLinkedPolicy,
};
use crate::export::names::live_name;
use crate::export::plan::{Action, Plan, Verb};

/// The store, and the next id.
#[derive(Clone, Debug, Default)]
struct Live {
    contents: StoreContents,
    next: usize,
}

impl Live {
    fn id(&mut self) -> String {
        self.next += 1;
        format!("{:022}", self.next)
    }

    /// Does a request as AVP does: names are unique, and a template takes its policies with it.
    fn ask(&mut self, action: &Action<'_>, own: &StoreContents) {
        let id = self.id();
        let names: Vec<Option<String>> = self
            .contents
            .policies
            .iter()
            .map(|policy| policy.name.clone())
            .chain(self.contents.links.iter().map(|link| link.name.clone()))
            .collect();
        let is_free = |name: &String| assert!(!names.contains(&Some(name.clone())), "{name} is taken");
        let contents = &mut self.contents;
        match action {
            Action::UpdateStore { validation } => contents.validation = *validation,
            Action::TagStore(tags) => contents.tags.extend(tags.clone()),
            Action::PutSchema(schema) => contents.schema = Some((*schema).to_owned()),
            Action::RenamePolicy { id, name } => {
                is_free(name);
                let policies = contents.policies.iter_mut().map(|policy| (&policy.id, &mut policy.name));
                let links = contents.links.iter_mut().map(|link| (&link.id, &mut link.name));
                let (_, known) = policies.chain(links).find(|(known, _)| *known == id).unwrap();
                *known = Some(name.clone());
            }
            Action::RenameTemplate { id, name, .. } => {
                assert!(contents.templates.iter().all(|known| known.name.as_ref() != Some(name)));
                contents.templates.iter_mut().find(|known| known.id == *id).unwrap().name =
                    Some(name.clone());
            }
            Action::CreatePolicy { policy, name } => {
                is_free(name);
                contents.policies.push(StaticPolicy { id, name: Some(name.clone()), ..(*policy).clone() });
            }
            Action::UpdatePolicy { id, policy } => {
                let known = contents.policies.iter_mut().find(|known| known.id == *id).unwrap();
                known.statement.clone_from(&policy.statement);
                known.description.clone_from(&policy.description);
            }
            Action::CreateLink { link, name } => {
                is_free(name);
                let template = own.templates.iter().find(|template| template.id == link.template_id).unwrap();
                let wanted = live_name(&template.id);
                let named = contents.templates.iter().find(|known| known.name.as_ref() == Some(&wanted));
                let known = named.or_else(|| contents.templates.iter().find(|known| known.id == template.id));
                let template_id = known.unwrap().id.clone();
                contents.links.push(TemplateLinkedPolicy {
                    id,
                    name: Some(name.clone()),
                    template_id,
                    ..(*link).clone()
                });
            }
            Action::DeletePolicy { id } => {
                contents.policies.retain(|known| known.id != *id);
                contents.links.retain(|known| known.id != *id);
            }
            Action::CreateTemplate { template, name } => {
                assert!(
                    contents.templates.iter().all(|known| known.name.as_ref() != Some(name)),
                    "{name} is taken"
                );
                contents.templates.push(PolicyTemplate {
                    id,
                    name: Some(name.clone()),
                    ..(*template).clone()
                });
            }
            Action::UpdateTemplate { id, template } => {
                let known = contents.templates.iter_mut().find(|known| known.id == *id).unwrap();
                known.statement.clone_from(&template.statement);
                known.description.clone_from(&template.description);
            }
            Action::DeleteTemplate { id } => {
                contents.templates.retain(|known| known.id != *id);
                contents.links.retain(|link| link.template_id != *id);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The requests, of a few, that a store allows.
fn allowed(contents: &StoreContents) -> BTreeSet<(usize, usize, usize)> {
    let mut set = PolicySet::new();
    for template in &contents.templates {
        let parsed =
            cedar_policy::Template::parse(Some(PolicyId::new(&template.id)), &template.statement).unwrap();
        set.add_template(parsed).unwrap();
    }
    for policy in &contents.policies {
        set.add(cedar_policy::Policy::parse(Some(PolicyId::new(&policy.id)), &policy.statement).unwrap())
            .unwrap();
    }
    for link in &contents.links {
        let principal = link.principal.as_ref().unwrap();
        let uid: EntityUid =
            format!("{}::\"{}\"", principal.entity_type, principal.entity_id).parse().unwrap();
        let values = [(SlotId::principal(), uid)].into_iter().collect();
        set.link(PolicyId::new(&link.template_id), PolicyId::new(&link.id), values).unwrap();
    }
    let all = (0..2).flat_map(|p| (0..2).flat_map(move |a| (0..2).map(move |r| (p, a, r))));
    all.filter(|(p, a, r)| {
        let uid =
            |kind: &str, number: &usize| -> EntityUid { format!("{kind}::\"{number}\"").parse().unwrap() };
        let request =
            Request::new(uid("User", p), uid("Action", a), uid("Thing", r), Context::empty(), None).unwrap();
        Authorizer::new().is_authorized(&request, &set, &Entities::empty()).decision() == Decision::Allow
    })
    .collect()
}

fn statement(slot: bool) -> impl Strategy<Value = String> {
    let effect = prop_oneof![Just("permit"), Just("forbid")];
    let part = |kind: &'static str, name: &'static str| {
        prop_oneof![
            Just(name.to_owned()),
            Just(format!("{name} == {kind}::\"0\"")),
            Just(format!("{name} == {kind}::\"1\"")),
        ]
    };
    (effect, part("User", "principal"), part("Action", "action"), part("Thing", "resource")).prop_map(
        move |(effect, principal, action, resource)| {
            let principal = if slot { "principal == ?principal".to_owned() } else { principal };
            format!("{effect} ({principal}, {action}, {resource});")
        },
    )
}

fn contents() -> impl Strategy<Value = StoreContents> {
    let policies = proptest::collection::btree_map("[abc]", statement(false), 0..4);
    let templates = proptest::collection::btree_map("[tu]", statement(true), 0..3);
    let links = proptest::collection::btree_map("[xyz]", ("[tu]", "[01]"), 0..4);
    (policies, templates, links).prop_map(|(policies, templates, links)| StoreContents {
        policies: policies
            .into_iter()
            .map(|(id, statement)| StaticPolicy { id, name: None, description: None, statement })
            .collect(),
        links: links
            .into_iter()
            .filter(|(_, (template, _))| templates.contains_key(template))
            .map(|(id, (template_id, principal))| {
                let principal = EntityIdentifier { entity_type: "User".to_owned(), entity_id: principal };
                TemplateLinkedPolicy {
                    id,
                    name: None,
                    template_id,
                    principal: Some(principal),
                    resource: None,
                }
            })
            .collect(),
        templates: templates
            .into_iter()
            .map(|(id, statement)| PolicyTemplate { id, name: None, description: None, statement })
            .collect(),
        ..StoreContents::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stops_it_nothing_opens_and_the_next_run_continues(
        old in contents(),
        new in contents(),
        own_ids: bool,
        stops in proptest::collection::vec(0_usize..12, 0..3),
    ) {
        // What others made has AVP's ids as ours, and no names; what an export made has names.
        let mut live = Live::default();
        if own_ids {
            live.contents = old.clone();
        } else {
            for step in &Plan::new(&old, &StoreContents::default(), true).steps {
                live.ask(&step.action, &old);
            }
        }
        let (before, after) = (allowed(&old), allowed(&new));
        prop_assert_eq!(&allowed(&live.contents), &before);
        let may: BTreeSet<_> = before.union(&after).copied().collect();
        for stop in stops.into_iter().chain([usize::MAX]) {
            let there = live.contents.clone();
            let plan = Plan::new(&new, &there, true);
            for step in plan.steps.iter().take(stop) {
                live.ask(&step.action, &new);
                let now = allowed(&live.contents);
                prop_assert!(now.is_subset(&may), "{:?} opens {:?}", step, now.difference(&may));
            }
        }
        prop_assert_eq!(&allowed(&live.contents), &after);
        let again = Plan::new(&new, &live.contents, true);
        prop_assert!(again.steps.is_empty() && again.kept.is_empty(), "{:?}", again);
    }

    #[test]
    fn without_deleting_what_is_there_only_stays(old in contents(), new in contents()) {
        let plan = Plan::new(&new, &old, false);
        prop_assert!(plan.steps.iter().all(|step| step.verb != Some(Verb::Delete)), "{:?}", plan);
    }
}
