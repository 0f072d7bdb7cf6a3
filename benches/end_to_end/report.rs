use std::fs;

use crate::options::Options;
use crate::process::Life;
use crate::subject::{Kind, Subject};

/// The lives of one subject.
pub type Lives = Vec<Life>;

/// Prints what was measured: medians over the rounds, and ratios within each round.
pub fn print(subjects: &[Subject], lives: &[Lives], options: &Options) {
    let header = [
        "",
        "cold start, ms",
        "x echo",
        "new token, us: p50",
        "p99",
        "x raw",
        "CPU",
        "seen token, us: p50",
        "p99",
        "x echo",
        "CPU",
        "memory, MB",
    ];
    let of = |kind: Kind| &lives[subjects.iter().position(|subject| subject.kind == kind).unwrap()];
    let (echo, raw) = (of(Kind::Echo), of(Kind::Raw));
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (subject, lives) in subjects.iter().zip(lives) {
        let number = |value: &dyn Fn(&Life) -> f64| median(lives.iter().map(value));
        rows.push(vec![
            subject.kind.name(),
            format!("{:.2}", number(&cold)),
            format!("{:.2}", ratio(lives, echo, cold)),
            format!("{:.1}", number(&|life| life.new.median)),
            format!("{:.0}", number(&|life| life.new.p99)),
            format!("{:.2}", ratio(lives, raw, |life| life.new.median)),
            format!("{:.1}", number(&|life| life.new.cpu)),
            format!("{:.1}", number(&|life| life.seen.median)),
            format!("{:.0}", number(&|life| life.seen.p99)),
            format!("{:.2}", ratio(lives, echo, |life| life.seen.median)),
            format!("{:.1}", number(&|life| life.seen.cpu)),
            format!("{:.1}", number(&|life| life.memory)),
        ]);
    }
    table(&rows, options);
}

/// The CPUs of this machine.
pub fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("an unknown machine", |(_, model)| model).to_owned()
}

/// The median of what one takes compared with the other, in the same round.
pub fn ratio(lives: &Lives, others: &Lives, value: impl Fn(&Life) -> f64) -> f64 {
    median(lives.iter().zip(others).map(|(life, other)| value(life) / value(other)))
}

pub fn cold(life: &Life) -> f64 {
    median(life.cold.iter().copied())
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints rows, the first of them as the header.
pub fn table(rows: &[Vec<String>], options: &Options) {
    if options.markdown {
        for (number, row) in rows.iter().enumerate() {
            println!("| {} |", row.join(" | "));
            if number == 0 {
                println!("|---{}|", "|--:".repeat(row.len() - 1));
            }
        }
    } else {
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap();
        let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
        for row in rows {
            let cells = row.iter().zip(&widths).enumerate();
            let line: Vec<String> = cells
                .map(|(column, (cell, width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            println!("{}", line.join("  ").trim_end());
        }
    }
    println!();
}
