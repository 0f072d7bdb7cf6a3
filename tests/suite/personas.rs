//! Who may do what in the sample store.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::time::UnixTime;
use serde_json::json;

use crate::world::{ISSUED_AT, answer, event, golden, root, sample_bundle, sample_store, token};

#[test]
fn every_persona_on_every_route_is_decided_as_the_table_says() {
    let bundle = sample_bundle();
    let now = UnixTime::from_seconds(ISSUED_AT + 1);
    let text = fs::read_to_string(sample_store().join("personas.toml")).unwrap();
    let personas: toml::Table = text.parse().unwrap();
    let routes: BTreeSet<String> = bundle.routes().routes().iter().map(ToString::to_string).collect();

    let mut table = String::new();
    for persona in personas.keys() {
        let token = token(persona, json!({}));
        for route in &routes {
            let (method, template) = route.split_once(' ').unwrap();
            let path = template.replace("{petId}", "7");
            let call = Call::from_event(event(&token, &method.to_uppercase(), &path)).unwrap();
            let outcome = answer(&call, &bundle, now).unwrap();
            assert_eq!(outcome.route.as_ref().unwrap().to_string(), *route);
            let decision = &outcome.decision;
            let policies: Vec<String> = decision.policies.iter().map(ToString::to_string).collect();
            let row =
                format!("{persona:<8} {route:<18} {:<20} {}", decision.reason.code(), policies.join(" "));
            writeln!(table, "{}", row.trim_end()).unwrap();
        }
    }
    golden(&root().join("tests/data/decisions.txt"), &table);
}
