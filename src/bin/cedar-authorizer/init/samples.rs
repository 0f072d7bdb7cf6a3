//! Sample stores. Their files are those of the repository, which the tests use too.

use super::files::Files;
use crate::output::Failure;

/// A store that teaches something.
pub struct Sample {
    /// Its name.
    pub name: &'static str,
    /// What it teaches.
    pub teaches: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

impl Sample {
    /// The sample of this name.
    pub fn named(name: &str) -> Result<&'static Self, Failure> {
        SAMPLES.iter().find(|sample| sample.name == name).ok_or_else(|| {
            let known: Vec<String> =
                SAMPLES.iter().map(|sample| format!("{} ({})", sample.name, sample.teaches)).collect();
            let failure =
                Failure::could_not_run(format_args!("there is no sample `{}`", super::text::comment(name)));
            failure.hint(format!("there is: {}", known.join(", ")))
        })
    }

    /// Its files.
    pub fn files(&self) -> Files {
        self.files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect()
    }
}

/// The files of a folder of the repository, by their paths in it.
macro_rules! folder {
    ($folder:literal: $($path:literal)+) => {
        &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $folder, "/", $path)))),+]
    };
}

/// All samples. A test compares each list with the files of its folder.
const SAMPLES: &[Sample] = &[
    Sample {
        name: "petstore",
        teaches: "groups, scopes, a template link and a forbid policy",
        files: folder!("policies":
            "README.md"
            "entities.json"
            "identity-sources/cognito.json"
            "jwks/cognito.json"
            "personas.toml"
            "policies/attributes.cedar"
            "policies/everyone.cedar"
            "policies/groups.cedar"
            "schema.cedarschema"
            "store.toml"
            "template-links.json"
            "templates/auditor.cedar"
            "tests/pets.yaml"
            "tests/properties.yaml"
            "tests/tokens.yaml"
        ),
    },
    Sample {
        name: "photoflash",
        teaches: "ownership, albums in albums, and sharing by template links",
        files: folder!("samples/photoflash":
            "README.md"
            "entities.json"
            "identity-sources/cognito.json"
            "personas.toml"
            "policies/members.cedar"
            "policies/owners.cedar"
            "policies/private.cedar"
            "schema.cedarschema"
            "store.toml"
            "template-links.json"
            "templates/sharing.cedar"
            "tests/albums.yaml"
            "tests/cache.yaml"
            "tests/sharing.yaml"
        ),
    },
    Sample {
        name: "tinytodo",
        teaches: "readers and editors by template links, teams in teams, and an address",
        files: folder!("samples/tinytodo":
            "README.md"
            "entities.json"
            "identity-sources/cognito.json"
            "personas.toml"
            "policies/owners.cedar"
            "policies/teams.cedar"
            "schema.cedarschema"
            "store.toml"
            "template-links.json"
            "templates/sharing.cedar"
            "tests/cache.yaml"
            "tests/lists.yaml"
            "tests/teams.yaml"
        ),
    },
    Sample {
        name: "digitalpetstore",
        teaches: "roles and claims of ID tokens, compared with the path",
        files: folder!("samples/digitalpetstore":
            "README.md"
            "entities.json"
            "identity-sources/cognito.json"
            "personas.toml"
            "policies/customers.cedar"
            "policies/employees.cedar"
            "schema.cedarschema"
            "store.toml"
            "tests/orders.yaml"
            "tests/stores.yaml"
            "tests/tokens.yaml"
        ),
    },
    Sample {
        name: "multitenant",
        teaches: "tenants kept apart by a claim, a support role, and suspended tenants",
        files: folder!("samples/multitenant":
            "README.md"
            "entities.json"
            "identity-sources/provider.json"
            "personas.toml"
            "policies/roles.cedar"
            "policies/support.cedar"
            "policies/tenants.cedar"
            "schema.cedarschema"
            "store.toml"
            "tests/roles.yaml"
            "tests/tenants.yaml"
            "tests/tokens.yaml"
        ),
    },
];
