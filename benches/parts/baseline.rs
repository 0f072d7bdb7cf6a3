use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::part::PARTS;
use crate::world::root;

/// The counts that are checked in.
pub struct Baseline(BTreeMap<String, u64>);

impl Baseline {
    pub fn read() -> Self {
        let text = fs::read_to_string(path()).unwrap_or_default();
        Self(toml::from_str(&text).unwrap())
    }

    /// A part with what is known of it, for people.
    pub fn line(&self, name: &str, count: u64) -> String {
        match self.change(name, count) {
            Some(change) => format!("{name:<28} {count:>12} {change:>+8.2}%"),
            None => format!("{name:<28} {count:>12}     new"),
        }
    }

    /// Whether all parts take what they did before.
    pub fn judge(&self, counted: &[(&str, u64)]) -> ExitCode {
        if ARCH != "x86_64" {
            eprintln!(
                "not judged: the counts of benches/instructions.toml are those of x86-64, this is {ARCH}"
            );
            return ExitCode::SUCCESS;
        }
        let mut exit = ExitCode::SUCCESS;
        for (name, count) in counted {
            match self.change(name, *count) {
                Some(change) if change > TOLERATED => {
                    eprintln!("{name}: {change:.1}% more instructions than in benches/instructions.toml");
                    exit = ExitCode::FAILURE;
                }
                Some(change) if change < -TOLERATED => {
                    eprintln!("{name}: {:.1}% fewer instructions; keep it so: {UPDATE}", -change);
                }
                Some(_) => {}
                None => {
                    eprintln!("{name}: not in benches/instructions.toml; add it: {UPDATE}");
                    exit = ExitCode::FAILURE;
                }
            }
        }
        for name in self.0.keys().filter(|name| !is_part(name)) {
            eprintln!("{name}: in benches/instructions.toml, but no part; remove it: {UPDATE}");
            exit = ExitCode::FAILURE;
        }
        if exit == ExitCode::FAILURE {
            eprintln!("if that is meant: {UPDATE}");
        }
        exit
    }

    /// Takes these counts for those to compare with from now on.
    pub fn update(&mut self, counted: &[(&str, u64)]) {
        self.0.retain(|name, _| is_part(name));
        self.0.extend(counted.iter().map(|(name, count)| ((*name).to_owned(), *count)));
        let lines = self.0.iter().map(|(name, count)| format!("{name} = {count}\n"));
        fs::write(path(), HEADER.to_owned() + &lines.collect::<String>()).unwrap();
    }

    /// By how many percent a count is above.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    fn change(&self, name: &str, count: u64) -> Option<f64> {
        let before = *self.0.get(name)? as f64;
        Some((count as f64 - before) / before * 100.0)
    }
}

fn is_part(name: &str) -> bool {
    PARTS.iter().any(|part| part.name == name)
}

fn path() -> PathBuf {
    root().join("benches/instructions.toml")
}

const HEADER: &str = "# Instructions of one call of each part, counted by `cargo bench --bench parts` on x86-64 with AVX2 (Rust 1.95).\n";

const UPDATE: &str = "UPDATE_BASELINE=1 cargo bench --bench parts";

/// In percent. The counts of two runs of one build differ by far less, see docs/performance.md.
const TOLERATED: f64 = 5.0;
