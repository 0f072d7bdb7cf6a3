use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::options::{Options, Part};
use crate::s3::ObjectServer;
use crate::world::store::Shape;
use crate::world::{bundle_file, root, target};

/// An executable with its settings.
pub struct Subject {
    pub kind: Kind,
    pub executable: PathBuf,
    pub environment: Vec<(&'static str, String)>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `lambda_runtime` alone.
    Echo,
    /// A socket and the verification of a token.
    Raw,
    /// So many policies, from a file.
    Policies(usize),
    /// The same, out of S3.
    S3(usize),
    /// The same with `CACHE_KEY=none`: each call is decided.
    Undecided(usize),
    /// So many entities, with `CACHE_KEY=none`: each call is about one of them.
    Entities(usize),
    /// So many routes.
    Routes(usize),
    /// A bundle that is far away.
    Far(FarStore),
    /// A plain client that gets the same before the first call of an echo.
    FarFloor(FarStore),
}

/// The store of a bundle that is far away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FarStore {
    /// So many policies.
    Policies(usize),
    /// So many policies, and the keys are with the issuer.
    FetchedKeys(usize),
    /// So many links of a template that share documents, with `CACHE_KEY=none`.
    Shares(usize),
}

impl FarStore {
    pub fn shape(self) -> Shape {
        match self {
            Self::Policies(policies) => Shape::of_policies(policies),
            Self::FetchedKeys(policies) => Shape::of_policies(policies).with_fetched_keys(),
            Self::Shares(shares) => Shape::of_shares(shares),
        }
    }

    pub fn name(self) -> String {
        match self {
            Self::Policies(policies) => format!("{policies} policies"),
            Self::FetchedKeys(policies) => format!("{policies} policies, keys from the issuer"),
            Self::Shares(shares) => format!("{shares} links of a template"),
        }
    }
}

impl Kind {
    fn shape(self) -> Option<Shape> {
        match self {
            Self::Echo | Self::Raw => None,
            Self::Policies(policies) | Self::S3(policies) | Self::Undecided(policies) => {
                Some(Shape::of_policies(policies))
            }
            Self::Entities(entities) => Some(Shape::of_entities(entities)),
            Self::Routes(routes) => Some(Shape::of_routes(routes)),
            Self::Far(store) | Self::FarFloor(store) => Some(store.shape()),
        }
    }

    /// The path of its calls.
    pub fn path(self) -> &'static str {
        match self {
            // It belongs to the caller.
            Self::Entities(_) => "/items/i7",
            // It is shared with the caller, if there are ten shares or more.
            Self::Far(FarStore::Shares(_)) | Self::FarFloor(FarStore::Shares(_)) => "/documents/d5",
            _ => "/r0",
        }
    }

    pub fn name(self) -> String {
        match self {
            Self::Echo => "`lambda_runtime` echo".to_owned(),
            Self::Raw => "raw limit".to_owned(),
            Self::Policies(policies) => format!("{policies} policies"),
            Self::S3(policies) => format!("{policies} policies, from S3"),
            Self::Undecided(policies) => format!("{policies} policies, `CACHE_KEY=none`"),
            Self::Entities(entities) => format!("{entities} entities, `CACHE_KEY=none`"),
            Self::Routes(routes) => format!("{routes} routes, half of them granted"),
            Self::Far(store) => store.name(),
            Self::FarFloor(store) => format!("{}: floor", store.name()),
        }
    }

    /// Whether it answers with something else than a decision.
    pub fn is_floor(self) -> bool {
        matches!(self, Self::Echo | Self::Raw | Self::FarFloor(_))
    }

    pub fn cache_key(self) -> &'static str {
        match self {
            Self::Undecided(_) | Self::Entities(_) | Self::Far(FarStore::Shares(_)) => "none",
            _ => "token",
        }
    }
}

/// All that is to be measured. The first is what the others are compared with.
fn kinds(options: &Options) -> Vec<Kind> {
    if options.only == Some(Part::Far) {
        return Vec::new();
    }
    let (least, most) = options.ends();
    let mut kinds = vec![Kind::Echo, Kind::Raw];
    kinds.extend(options.policies.iter().copied().map(Kind::Policies));
    kinds.push(Kind::S3(least));
    kinds.extend([Kind::Undecided(least), Kind::Undecided(most)]);
    kinds.extend(options.entities.iter().copied().map(Kind::Entities));
    kinds.push(Kind::Routes(options.routes));
    kinds.dedup();
    kinds
}

/// The stores that are needed.
pub fn shapes(options: &Options) -> Vec<Shape> {
    kinds(options).into_iter().filter_map(Kind::shape).collect()
}

pub fn subjects(options: &Options, executables: &Executables, s3: &ObjectServer) -> Vec<Subject> {
    let subject = |kind: Kind| {
        let (executable, environment) = match kind {
            Kind::Echo => (&executables.echo, vec![]),
            Kind::Raw => (&executables.raw, vec![("PUBLIC_KEY", public_key())]),
            _ => (&executables.function, settings(kind, s3)),
        };
        Subject { kind, executable: executable.clone(), environment }
    };
    kinds(options).into_iter().map(subject).collect()
}

fn settings(kind: Kind, s3: &ObjectServer) -> Vec<(&'static str, String)> {
    let bundle = bundle_file(&kind.shape().unwrap());
    let uri = match kind {
        Kind::S3(_) => {
            s3.put(&bundle);
            "s3://bench/bench.bundle".to_owned()
        }
        _ => format!("file://{}", bundle.display()),
    };
    vec![
        ("ALLOW_DEVELOPMENT_KEYS", "true".to_owned()),
        ("AWS_ENDPOINT_URL_S3", format!("http://{}", s3.address)),
        ("BUNDLE_URI", uri),
        ("CACHE_KEY", kind.cache_key().to_owned()),
    ]
}

/// The key that signs the tokens, as `bench-raw` takes it.
fn public_key() -> String {
    let text = fs::read(root().join("policies/jwks/cognito.json")).unwrap();
    let keys: Value = serde_json::from_slice(&text).unwrap();
    let part = |name: &str| keys["keys"][0][name].as_str().unwrap().to_owned();
    format!("{}.{}", part("n"), part("e"))
}

/// What is started.
pub struct Executables {
    pub function: PathBuf,
    /// What gets the same as a function from afar.
    pub floor: PathBuf,
    /// What is far away.
    pub servers: PathBuf,
    echo: PathBuf,
    raw: PathBuf,
}

impl Executables {
    /// Builds them as they are shipped.
    pub fn build() {
        eprintln!("building the function and what it is compared with, in the release profile");
        let package = [
            "--no-default-features",
            "--features",
            "function",
            "--bin",
            "cedar-authorizer-lambda",
            "--manifest-path",
        ];
        cargo_build(&package, "Cargo.toml");
        let baselines = "benches/baselines/Cargo.toml";
        cargo_build(&["--bin", "bench-echo", "--bin", "bench-raw", "--manifest-path"], baselines);
        let far = ["--features", "far", "--bin", "bench-floor", "--bin", "bench-servers", "--manifest-path"];
        cargo_build(&far, baselines);
    }

    /// Builds the command line as it is shipped; gives its path.
    pub fn build_command_line() -> PathBuf {
        eprintln!("building the command line, in the release profile");
        cargo_build(&["--bin", "cedar-authorizer", "--manifest-path"], "Cargo.toml");
        target().join("release").join("cedar-authorizer")
    }

    pub fn find() -> Self {
        let executable = |name: &str| target().join("release").join(name);
        Self {
            function: executable("cedar-authorizer-lambda"),
            floor: executable("bench-floor"),
            servers: executable("bench-servers"),
            echo: executable("bench-echo"),
            raw: executable("bench-raw"),
        }
    }

    /// The size of what is shipped.
    pub fn function_bytes(&self) -> u64 {
        fs::metadata(&self.function).unwrap().len()
    }
}

fn cargo_build(arguments: &[&str], manifest: &str) {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--locked", "--release", "--target-dir"])
        .arg(target())
        .args(arguments)
        .arg(root().join(manifest))
        .status()
        .unwrap();
    assert!(status.success(), "the build failed: {status}");
}
