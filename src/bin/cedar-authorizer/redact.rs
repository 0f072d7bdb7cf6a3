//! `redact`: takes people out of recorded requests.

mod callers;
mod hash;
mod known;
mod record;
mod values;
mod whole_file;

use std::fs;
use std::path::{Path, PathBuf};

use cedar_authorizer::cedar::EntityUid;
use cedar_authorizer::decide::Gate;
use clap::{Args, ValueEnum};

use crate::output::{Exit, Failure, HINT, SUCCESS, WARNING, many, paint, printable, warn};
use crate::recorded::input::{Input, inputs};
use crate::recorded::judge::Judge;
use crate::recorded::left_out::{LeftOuts, Why};
use crate::recorded::line::{Line, Record};
use crate::recorded::message::Place;
use crate::recorded::pipeline::{Item, each};
use crate::recorded::policies::PoliciesArgs;
use crate::recorded::request::RecordedRequest;
use crate::recorded::traffic::nothing;
use callers::Callers;
use hash::Hasher;
use known::Known;
use record::Redactor;
use whole_file::WholeFile;

/// Take people out of recorded requests
///
/// For giving recorded traffic to others: a reviewer, a test, another team. The ids of callers are hashed or numbered
/// everywhere, and so are other people. Claims and all other values are hashed, the same value always to the same hash.
/// Groups, actions, routes and policies stay, because decisions depend on them. What is not known is removed.
///
/// Name the policies, by --store or --bundle: then the values that they compare with stay, and requests that would be
/// decided otherwise without their values are left out, and counted. The result can be replayed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  openssl rand -base64 32 > redact.key
  cedar-authorizer redact calls.jsonl --store policies --key redact.key --output shared.jsonl
  cedar-authorizer redact logs/ --bundle petstore.bundle --principals remove --output shared.jsonl
  cedar-authorizer redact calls.jsonl --key redact.key --keep context.token.scope --output out.jsonl
  cedar-authorizer replay shared.jsonl --store policies

Exit codes: 0 fine; 1 could not run, or there is nothing to redact; 3 invalid policy store or bundle")]
pub struct Redact {
    /// The records: files, folders, or `-`, as for `replay`
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The file to write, whole or not at all
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// What becomes of people
    #[arg(long, value_enum, default_value_t)]
    principals: Principals,

    /// What becomes of groups, and of whatever else callers are in
    #[arg(long, value_enum, default_value_t)]
    groups: Groups,

    /// A file with the key of the hashes: base64 of 16 or more random bytes [default: REDACT_KEY]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Keep these values: paths such as `context.token.scope`, `principal.department`, `resource`; separated by commas
    #[arg(long, value_name = "PATHS", value_delimiter = ',')]
    keep: Vec<String>,

    #[command(flatten)]
    policies: PoliciesArgs,
}

/// What becomes of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Principals {
    /// The same id always has the same hash under one key
    #[default]
    Hash,
    /// They are numbered: `caller-1`. Nothing can be linked to another file
    Remove,
}

/// What becomes of groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Groups {
    /// They stay: decisions depend on them
    #[default]
    Keep,
    /// They are hashed, but for those that policies and entities of the store name
    Hash,
}

impl Redact {
    pub fn run(self) -> Result<Exit, Failure> {
        let inputs = inputs(&self.files)?;
        self.check_output(&inputs)?;
        let hasher = self.hasher()?;
        let gate = if self.policies.is_given() { Some(self.policies.open()?.1) } else { None };
        let known = gate.as_ref().map(known_of).transpose()?;
        let redactor = Redactor {
            hasher,
            principals: self.principals,
            groups: self.groups,
            keep: self.keep.clone(),
            known: known.unwrap_or_default(),
        };
        let judge = gate.as_ref().map(Judge::new);
        let mut file = WholeFile::create(&self.output)?;
        let (mut written, mut left_out, mut callers) = (0_u64, LeftOuts::default(), Callers::default());
        let work = |line: Line<'_>, _: &Place| match line {
            Line::Decision(record) => Some(redacted(&redactor, judge.as_ref(), &record)),
            Line::LeftOut(why) => Some(Err(why)),
            Line::Shadow(_) | Line::OfFunction | Line::Other => None,
        };
        each("redacting", &inputs, &work, |Item { place, value }| {
            match value {
                Ok(line) => {
                    written += 1;
                    file.write_line(&callers.numbered(line))?;
                }
                Err(why) => left_out.add(why, &place),
            }
            Ok(())
        })?;
        if written == 0 {
            return Err(nothing(left_out));
        }
        file.keep()?;
        self.tell(written, left_out, judge.is_some());
        Ok(Exit::Fine)
    }

    /// The output must not be one of the inputs: it would be lost if something is left out.
    fn check_output(&self, inputs: &[Input]) -> Result<(), Failure> {
        let is_output = |input: &Input| input.path.as_deref().is_some_and(|path| is_same(path, &self.output));
        match inputs.iter().find(|input| is_output(input)) {
            Some(input) => {
                let message = format!("`{}` is both read and written", printable(&input.name));
                Err(Failure::could_not_run(message).hint("name another file by --output FILE"))
            }
            None => Ok(()),
        }
    }

    fn hasher(&self) -> Result<Hasher, Failure> {
        match (&self.key, self.principals) {
            (Some(path), _) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    Failure::could_not_run(format_args!("cannot read `{}`: {error}", path.display()))
                })?;
                Hasher::parse(&text).ok_or_else(|| invalid_key(&format!("`{}`", path.display())))
            }
            (None, principals) => match std::env::var(KEY_VARIABLE) {
                Ok(text) if !text.is_empty() => {
                    Hasher::parse(&text).ok_or_else(|| invalid_key(KEY_VARIABLE))
                }
                _ if principals == Principals::Remove => Hasher::random(),
                _ => Err(Failure::could_not_run("there is no key to hash with").hint(format!(
                    "`openssl rand -base64 32 > redact.key` makes one for --key; {KEY_VARIABLE} may have it, too; \
                     or number people by --principals remove"
                ))),
            },
        }
    }

    fn tell(&self, written: u64, left_out: LeftOuts, is_checked: bool) {
        let requests = many(usize::try_from(written).unwrap_or(usize::MAX), "request", "requests");
        let path = printable(&self.output.display().to_string());
        warn(&format_args!("{}: {requests} in `{path}`", paint(SUCCESS, "ok")));
        for left_out in left_out.into_vec() {
            let line = format!("left out {}: {}; first: {}", left_out.count, left_out.why, left_out.first);
            warn(&format_args!("  {}", printable(&line)));
        }
        if !is_checked {
            let text =
                "values that policies compare with are hashed, too, so requests may be decided otherwise";
            warn(&format_args!("{}: {text}", paint(WARNING, "warning")));
            warn(&format_args!(
                "  {} name the policies by --store DIR or --bundle BUNDLE",
                paint(HINT, "help:")
            ));
        }
    }
}

/// The line of a record without people. It is decided as before.
fn redacted(redactor: &Redactor, judge: Option<&Judge<'_>>, record: &Record<'_>) -> Result<String, Why> {
    let recorded = RecordedRequest::read(record.request)?;
    let line = redactor.line(record)?;
    // Whoever reads it has only the line. So that is what is tried.
    let again = RecordedRequest::of_value(line.get("request").cloned().unwrap_or_default());
    let again = again.map_err(|_| Why::NotReplaceable)?;
    match judge {
        Some(judge) if judge.decide(&recorded) != judge.decide(&again) => Err(Why::WouldChange),
        _ => Ok(line.to_string()),
    }
}

fn known_of(gate: &Gate) -> Result<Known, Failure> {
    let bundle = gate.bundle();
    let policies = bundle.policies().map_err(Failure::invalid)?;
    let mut known = Known::of_policies(&policies);
    let fixed = bundle.bundled_routes().filter(|route| route.route.resource.is_none()).count();
    if fixed > 0 {
        known.add(bundle.resource());
    }
    known.is_in_store = Some(bundle.entities().clone());
    Ok(known)
}

/// Whether two paths lead to the same file.
fn is_same(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Links of any kind lead to one file.
        let id = |path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
        id(one).is_some_and(|one| Some(one) == id(other))
    }
    #[cfg(not(unix))]
    {
        fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
    }
}

fn invalid_key(place: &str) -> Failure {
    Failure::could_not_run(format_args!("{place}: not the base64, with padding, of 16 or more bytes"))
        .hint("`openssl rand -base64 32 > redact.key` makes a key")
}

/// A name for an entity that is compared.
pub(crate) fn name_of(uid: &EntityUid) -> (String, String) {
    (uid.type_name().to_string(), uid.id().unescaped().to_owned())
}

/// The key of the hashes.
const KEY_VARIABLE: &str = "REDACT_KEY";
