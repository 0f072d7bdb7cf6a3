//! Policy stores of any size, of which a call concerns a handful of policies.

use std::fmt::Write;
use std::fs;

use cedar_authorizer::bundle::StoreFiles;
use serde_json::{Value, json};

use super::root;

/// How large a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Permits for groups and for users, and links of a template, a third of each.
    pub policies: usize,
    /// Resources with an owner. Where there are any, `GET /items/{id}` is for the owner of the item.
    pub entities: usize,
    /// Routes on the API as a whole. Beyond those of an API of the usual size, the caller may take every other one,
    /// each by a policy of its own.
    pub routes: usize,
    /// Links of a template, each of which shares a document with a person, five for each person. Where there are any,
    /// `GET /documents/{id}` is for those it is shared with.
    pub shares: usize,
    pub keys: Keys,
}

/// Where the keys of the issuer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// In the bundle.
    Pinned,
    /// At the issuer.
    Fetched,
}

impl Shape {
    /// A store with so many policies, and else as small as can be.
    pub const fn of_policies(policies: usize) -> Self {
        Self { policies, entities: 0, routes: ROUTES, shares: 0, keys: Keys::Pinned }
    }

    /// A store with so many entities and few policies.
    pub const fn of_entities(entities: usize) -> Self {
        Self { entities, ..Self::of_policies(12) }
    }

    /// A store with so many routes and few policies.
    pub const fn of_routes(routes: usize) -> Self {
        Self { routes, ..Self::of_policies(12) }
    }

    /// A store with so many shares and few policies.
    pub const fn of_shares(shares: usize) -> Self {
        Self { shares, ..Self::of_policies(12) }
    }

    /// The same store, without the keys of the issuer.
    pub const fn with_fetched_keys(self) -> Self {
        Self { keys: Keys::Fetched, ..self }
    }

    /// The name of its bundle.
    pub fn name(&self) -> String {
        let Self { policies, entities, routes, shares, keys } = self;
        let keys = match keys {
            Keys::Pinned => "pinned",
            Keys::Fetched => "fetched",
        };
        format!("{policies}-policies-{entities}-entities-{routes}-routes-{shares}-shares-{keys}-keys")
    }

    pub fn files(&self) -> StoreFiles {
        let mut files = StoreFiles::default();
        let mut insert = |path: &str, text: String| files.insert(path.to_owned(), text.into_bytes());
        let keys = fs::read_to_string(root().join("policies/jwks/cognito.json")).unwrap();
        insert("store.toml", self.settings());
        insert("schema.cedarschema", self.schema());
        insert("identity-sources/cognito.json", SOURCE.to_string());
        if self.keys == Keys::Pinned {
            insert("jwks/cognito.json", keys);
        }
        insert("templates/reader.cedar", TEMPLATE.to_owned());
        if self.shares > 0 {
            insert("templates/share.cedar", SHARE.to_owned());
        }
        insert("template-links.json", self.links());
        insert("entities.json", Value::from(self.items()).to_string());
        for (number, text) in self.policies().into_iter().enumerate() {
            insert(&format!("policies/p{number}.cedar"), text);
        }
        files
    }

    fn settings(&self) -> String {
        let mut settings = String::from(
            "[store]\nname = 'bench'\nnamespace = 'Shop'\nvalidation = 'strict'\n\
             [tokens]\ntype = 'access'\n[response]\nclaims = ['username']\n",
        );
        if self.entities > 0 {
            settings += "[[routes]]\nmethod = 'GET'\npath = '/items/{id}'\naction = 'readItem'\n\
                         resource = 'Shop::Item::\"{id}\"'\n";
        }
        if self.shares > 0 {
            settings += "[[routes]]\nmethod = 'GET'\npath = '/documents/{id}'\naction = 'readDocument'\n\
                         resource = 'Shop::Document::\"{id}\"'\n";
        }
        settings
    }

    fn schema(&self) -> String {
        let actions: Vec<String> = (0..self.routes).map(|number| format!("{:?}", action(number))).collect();
        let item = match self.entities {
            0 => "",
            _ => {
                "entity Item = { owner: User };
                 action readItem appliesTo { principal: User, resource: Item, context: { token: Token } };"
            }
        };
        let document = match self.shares {
            0 => "",
            _ => {
                "entity Document;
                 action readDocument appliesTo { principal: User, resource: Document, context: { token: Token } };"
            }
        };
        format!(
            "namespace Shop {{
                entity Application;
                entity UserGroup in [UserGroup];
                entity User in [UserGroup];
                type Token = {{ client_id: String, scope?: Set<String>, username?: String }};
                action {} appliesTo {{ principal: User, resource: Application, context: {{ token: Token }} }};
                {item}
                {document}
            }}",
            actions.join(", ")
        )
    }

    /// The texts of files, as many policies in each as people still look through.
    fn policies(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for number in (0..self.policies).filter(|number| number % 3 != LINK) {
            if number % 1000 <= 1 || texts.is_empty() {
                texts.push(String::new());
            }
            let text = texts.last_mut().unwrap();
            let action = action(number % self.routes);
            let (principal, condition) = match number % 3 {
                0 => (format!("in Shop::UserGroup::\"{POOL}|g{number}\""), ""),
                _ => (
                    format!("== Shop::User::\"{POOL}|u{number}\""),
                    " when { context.token has scope && context.token.scope.contains(\"openid\") }",
                ),
            };
            writeln!(
                text,
                "@id(\"p{number}\") permit (principal {principal}, action == Shop::Action::\"{action}\", \
                 resource == Shop::Application::\"Shop\"){condition};"
            )
            .unwrap();
        }
        if self.routes > ROUTES {
            let texts_of_routes = (ROUTES..self.routes).step_by(2).map(|number| {
                format!(
                    "@id(\"r{number}\") permit (principal in Shop::UserGroup::\"{POOL}|g0\", \
                     action == Shop::Action::\"{}\", resource == Shop::Application::\"Shop\");\n",
                    action(number)
                )
            });
            texts.push(texts_of_routes.collect());
        }
        if self.entities > 0 {
            texts.push(
                "@id(\"owner\") permit (principal, action == Shop::Action::\"readItem\", resource) \
                 when { resource.owner == principal };"
                    .to_owned(),
            );
        }
        texts
    }

    /// Written piece by piece: a million of them would take gigabytes as values of JSON.
    fn links(&self) -> String {
        let links = (0..self.policies).filter(|number| number % 3 == LINK).map(|number| {
            let user = format!("{POOL}|u{}", number - 1);
            link(&format!("p{number}"), "reader", &user, "Shop::Application", "Shop")
        });
        let documents = (self.shares / 2).max(1);
        let shares = (0..self.shares).map(|number| {
            let user = format!("{POOL}|u{}", number / 5);
            // Everything is shared twice, with people who lie far from each other.
            let document = format!("d{}", number % documents);
            link(&format!("s{number}"), "share", &user, "Shop::Document", &document)
        });
        let mut text = String::from("[");
        for (number, link) in links.chain(shares).enumerate() {
            let separator = if number == 0 { "" } else { ",\n" };
            write!(text, "{separator}{link}").unwrap();
        }
        text + "]"
    }

    fn items(&self) -> Vec<Value> {
        let items = (0..self.entities).map(|number| {
            // Those of the caller lie scattered.
            let owner = format!("{POOL}|u{}", number % 7 + 1);
            json!({
                "uid": {"type": "Shop::Item", "id": format!("i{number}")},
                "attrs": {"owner": {"__entity": {"type": "Shop::User", "id": owner}}},
                "parents": []
            })
        });
        items.collect()
    }
}

fn link(id: &str, template: &str, user: &str, resource_type: &str, resource: &str) -> Value {
    json!({
        "id": id,
        "templateId": template,
        "principal": {"entityType": "Shop::User", "entityId": user},
        "resource": {"entityType": resource_type, "entityId": resource}
    })
}

/// The id of an action, and so its route: resources with sub-resources, as APIs have them.
fn action(number: usize) -> String {
    let name = number / 4;
    match number % 4 {
        0 => format!("get /r{name}"),
        1 => format!("post /r{name}"),
        2 => format!("get /r{name}/{{id}}"),
        _ => format!("get /r{name}/{{id}}/parts/{{part}}"),
    }
}

/// An API of the usual size.
const ROUTES: usize = 10;

/// Every third policy is a link to the template.
const LINK: usize = 2;

/// The user pool of the development key.
pub const POOL: &str = "us-east-1_EXAMPLE";

/// The user pool of [`SOURCE`].
pub const USER_POOL_ARN: &str = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE";

const TEMPLATE: &str = "@id(\"reader\") permit (principal == ?principal, \
    action in [Shop::Action::\"get /r0\", Shop::Action::\"get /r1\"], resource == ?resource);";

const SHARE: &str = "@id(\"share\") permit (principal == ?principal, \
    action == Shop::Action::\"readDocument\", resource == ?resource);";

const SOURCE: &str = r#"{
    "principalEntityType": "Shop::User",
    "configuration": {
        "cognitoUserPoolConfiguration": {
            "userPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE",
            "clientIds": ["1example23456789"],
            "groupConfiguration": { "groupEntityType": "Shop::UserGroup" }
        }
    }
}"#;
