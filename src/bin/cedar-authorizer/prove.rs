//! `prove`: properties of a policy store that hold for every possible request.

use std::path::PathBuf;

use clap::Args;

use crate::output::OutputFormat;
use crate::store::StoreArgs;

/// Prove properties of the policies for every possible request
///
/// A test tries one request. A property says something about all of them, such as "no one without group admin ever
/// deletes anything", and is decided for every token, path and time that there could be, by a solver. A property that
/// does not hold is shown by a request that breaks it. What the solver could not decide does not count as proved.
///
/// Properties are in `tests/properties.yaml` of the policy store. The solver is cvc5: `CVC5`, or `cvc5` on the PATH.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer prove
  cedar-authorizer prove --store policies --property 'only admins delete'
  cedar-authorizer prove --seconds-per-query 60 --format json

A property:
  properties:
    - name: suspended users reach nothing but the front page
      never:
        in_group: suspended
        except_action: get /

Exit codes: 0 all hold, 1 could not run, 2 one does not hold or is undecided, 3 invalid store")]
pub struct Prove {
    #[command(flatten)]
    store: StoreArgs,

    /// The file of properties [default: `tests/properties.yaml` in the policy store]
    #[arg(long, value_name = "FILE")]
    properties: Option<PathBuf>,

    /// Prove only this property; may be repeated
    #[arg(long = "property", value_name = "NAME")]
    names: Vec<String>,

    /// How long the solver may think about one question
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    seconds_per_query: u32,

    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

#[cfg(not(feature = "prove"))]
impl Prove {
    pub fn run(self) -> Result<crate::output::Exit, crate::output::Failure> {
        let Self { store: _, properties: _, names: _, seconds_per_query: _, format: _ } = self;
        Err(crate::proof::unavailable())
    }
}

#[cfg(feature = "prove")]
mod run {
    use std::path::Path;

    use serde_json::json;

    use super::Prove;
    use crate::nearest::choice;
    use crate::output::{Exit, Failure, OutputFormat, plural, print, printable, warn};
    use crate::proof::Settings;
    use crate::proof::policies::Provable;
    use crate::proof::property::report::{Outcome, Proven};
    use crate::proof::property::{Property, decide, read};
    use crate::proof::solver::Program;
    use crate::test_bench::TestBench;

    impl Prove {
        pub fn run(self) -> Result<Exit, Failure> {
            let program = Program::find()?;
            let bench = TestBench::open(&self.store)?;
            let store = Provable::new(&bench)?;
            let default = || self.store.store.join("tests").join("properties.yaml");
            let path = self.properties.clone().unwrap_or_else(default);
            let properties = self.chosen(read_properties(&store, &path)?)?;
            let settings = Settings { seconds_per_query: self.seconds_per_query };
            let verdicts = decide::decide(&store, &properties, &program, &settings)?;
            let pairs = properties.iter().zip(&verdicts);
            let proven: Vec<Proven<'_>> =
                pairs.map(|(property, verdicts)| Proven { property, verdicts }).collect();
            self.write(&proven, &program, &path)?;
            let holds = proven.iter().all(|proven| proven.outcome() == Outcome::Holds);
            Ok(if holds { Exit::Fine } else { Exit::Denied })
        }

        /// The properties that are asked for.
        fn chosen(&self, properties: Vec<Property>) -> Result<Vec<Property>, Failure> {
            for name in &self.names {
                let known = || properties.iter().map(|property| property.name.as_str());
                if !known().any(|known| known == name) {
                    let message = format!("there is no property `{}`", printable(name));
                    return Err(Failure::could_not_run(message).hint(printable(&choice(name, known()))));
                }
            }
            let is_chosen =
                |property: &Property| self.names.is_empty() || self.names.contains(&property.name);
            Ok(properties.into_iter().filter(is_chosen).collect())
        }

        fn write(&self, proven: &[Proven<'_>], program: &Program, path: &Path) -> Result<(), Failure> {
            let file = path.display().to_string();
            if let OutputFormat::Json = self.format {
                let properties: Vec<_> = proven.iter().map(Proven::json).collect();
                let report = json!({
                    "store": self.store.name(), "file": file, "solver": program.name, "properties": properties,
                });
                return print(&format_args!("{report:#}"));
            }
            for proven in proven {
                for line in proven.lines(&file) {
                    print(&line)?;
                }
            }
            let holding = proven.iter().filter(|proven| proven.outcome() == Outcome::Holds).count();
            let all = match proven.len() {
                1 => "1 property holds".to_owned(),
                count => format!("{count} properties hold"),
            };
            print(&format_args!("\n{holding} of {all}, by {}", program.name))
        }
    }

    fn read_properties(store: &Provable<'_>, path: &Path) -> Result<Vec<Property>, Failure> {
        if !path.exists() {
            let name = printable(&path.display().to_string());
            let failure =
                Failure::could_not_run(format_args!("there are no properties: `{name}` does not exist"));
            return Err(failure.hint("write the first one into it, see `prove --help`"));
        }
        read::read_file(store, path).map_err(|problems| {
            problems.iter().take(MAX_SHOWN).for_each(|problem| warn(&problem.shown()));
            if problems.len() > MAX_SHOWN {
                warn(&format_args!("and {} more", problems.len() - MAX_SHOWN));
            }
            let count = plural(problems.len(), "error");
            Failure::could_not_run(format_args!("the properties cannot be read: {count}"))
        })
    }

    /// How many problems of a file are printed.
    const MAX_SHOWN: usize = 50;
}
