//! Small stores, made of policies.

use std::fmt;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::Store;
use serde_json::json;

use crate::test_bench::{Personas, TestBench};

/// A store by its policies. All else is the same for all of them, but for what a test changes in the schema.
#[derive(Clone, Debug, Default)]
pub struct StoreText {
    pub policies: Vec<PolicyText>,
    /// The users who have the template.
    pub links: Vec<String>,
    /// Texts of the schema, and what stands there instead.
    pub schema: Vec<(&'static str, &'static str)>,
}

/// A policy in parts.
#[derive(Clone, Debug)]
pub struct PolicyText {
    pub effect: &'static str,
    pub principal: String,
    pub action: String,
    pub resource: String,
    pub condition: String,
}

impl PolicyText {
    /// A policy for all actions.
    pub fn new(effect: &'static str, principal: &str, resource: &str, condition: &str) -> Self {
        let own = str::to_owned;
        Self {
            effect,
            principal: own(principal),
            action: own("action"),
            resource: own(resource),
            condition: own(condition),
        }
    }
}

impl fmt::Display for PolicyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { effect, principal, action, resource, condition } = self;
        write!(f, "{effect}({principal}, {action}, {resource}) when {{ {condition} }};")
    }
}

impl fmt::Display for StoreText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policies.iter().try_for_each(|policy| writeln!(f, "{policy}"))?;
        write!(f, "links: {:?}", self.links)
    }
}

impl StoreText {
    /// The store, ready to answer.
    #[track_caller]
    pub fn bench(&self) -> TestBench {
        let mut files = StoreFiles::default();
        let mut add = |path: &str, text: String| files.insert(path.to_owned(), text.into_bytes());
        add("store.toml", STORE.to_owned());
        let change = |schema: String, (text, instead): &(&str, &str)| {
            assert!(schema.contains(text), "{text}");
            schema.replace(text, instead)
        };
        add("schema.cedarschema", self.schema.iter().fold(SCHEMA.to_owned(), change));
        add("entities.json", entities());
        add("identity-sources/pool.json", SOURCE.to_owned());
        for (number, policy) in self.policies.iter().enumerate() {
            add(&format!("policies/{number:02}.cedar"), format!("@id(\"p{number}\")\n{policy}\n"));
        }
        add("templates/friend.cedar", TEMPLATE.to_owned());
        let links = self.links.iter().enumerate().map(|(number, user)| {
            json!({
                "id": format!("link{number}"), "templateId": "friend",
                "principal": {"entityType": "Z::User", "entityId": format!("pool|{user}")},
            })
        });
        add("template-links.json", json!(links.collect::<Vec<_>>()).to_string());
        let (store, findings) = Store::check(&files);
        let store = store.unwrap_or_else(|| panic!("{findings:#?}\n{self}"));
        let personas = Personas::read("nowhere".as_ref()).unwrap();
        TestBench::new("random".to_owned(), store, files, personas)
            .unwrap_or_else(|failure| panic!("{failure}"))
    }
}

fn entities() -> String {
    let entity = |name: &str, id: &str, attrs: serde_json::Value, parents: &[&str]| {
        let parents: Vec<_> = parents.iter().map(|id| json!({"type": "Z::Group", "id": id})).collect();
        json!({"uid": {"type": format!("Z::{name}"), "id": id}, "attrs": attrs, "parents": parents})
    };
    let none = || json!({});
    json!([
        entity("Group", "staff", none(), &["members"]),
        entity("Group", "members", none(), &[]),
        entity("Group", "guests", none(), &[]),
        entity(
            "Doc",
            "open",
            json!({"open": true, "owner": {"__entity": {"type": "Z::User", "id": "pool|ann"}}}),
            &[]
        ),
        entity(
            "Doc",
            "closed",
            json!({"open": false, "owner": {"__entity": {"type": "Z::User", "id": "pool|bob"}}}),
            &[]
        ),
    ])
    .to_string()
}

const STORE: &str = "[store]\nname = \"random\"\nnamespace = \"Z\"\nvalidation = \"strict\"\n\n\
    [tokens]\ntype = \"id\"\n\n\
    [[routes]]\nmethod = \"GET\"\npath = \"/docs/{docId}\"\naction = \"read\"\nresource = 'Z::Doc::\"{docId}\"'\n\n\
    [[routes]]\nmethod = \"PUT\"\npath = \"/docs/{docId}\"\naction = \"write\"\nresource = 'Z::Doc::\"{docId}\"'\n\n\
    [api]\nresource = 'Z::Doc::\"open\"'\n";

const SOURCE: &str = r#"{
  "principalEntityType": "Z::User",
  "configuration": {"openIdConnectConfiguration": {
    "issuer": "https://issuer.example.com",
    "entityIdPrefix": "pool",
    "groupConfiguration": {"groupClaim": "groups", "groupEntityType": "Z::Group"},
    "tokenSelection": {"identityTokenOnly": {"clientIds": ["app"]}}
  }}
}"#;

const SCHEMA: &str = r#"
namespace Z {
  entity Group in [Group];
  entity User in [Group] = { level: Long, department?: String, tags?: Set<String> };
  entity Doc = { open: Bool, owner: User };
  action all;
  action read, write in [all] appliesTo {
    principal: User, resource: Doc,
    context: { n: Long, text?: String, ip?: ipaddr, at?: datetime, price?: decimal },
  };
}
"#;

const TEMPLATE: &str =
    "@id(\"friend\")\npermit(principal == ?principal, action == Z::Action::\"read\", resource);\n";
