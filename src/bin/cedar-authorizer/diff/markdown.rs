//! The report for the comment of a pull request.
//!
//! Names are text of others. They are shown in `<code>`, with every character that Markdown could take for its own as a
//! number: so no name is a link, a mention, markup or the end of a table.

use super::report::Judged;
use super::sheet::{Entry, Sheet, Weight};
use crate::output::{plural, printable};

/// The report, in at most [`MOST`] characters.
pub fn markdown(judged: &Judged) -> String {
    let verdict = match (judged.entries().next(), judged.is_changed()) {
        _ if judged.report.old.is_none() => "New",
        (None, _) => "The same",
        (Some(_), false) => "Agreed",
        (Some(_), true) => "Changed",
    };
    let old = judged.report.old.as_ref().map_or_else(|| "nothing".to_owned(), |old| old.shown());
    let mut page = Page::default();
    page.push(&format!("**{verdict}**: {}\n\n", judged.headline()));
    page.push(&format!("From {} to {}.\n\n", code(&old), code(&judged.report.new.shown())));
    let changed = judged.report.changed.lines();
    if !changed.is_empty() {
        page.push("<details><summary>Files and policies that changed</summary>\n\n");
        page.list(&changed, MOST / 8);
        page.push("\n</details>\n\n");
    }
    let sheets = judged.sheets.iter().filter(|sheet| !sheet.entries.is_empty() || !sheet.notes.is_empty());
    let sheets: Vec<&Sheet> = sheets.collect();
    let needs: Vec<usize> = sheets.iter().map(|sheet| need(sheet)).collect();
    // The agreements that name no change come last, and are not what somebody has to look at.
    let shares = shares(&needs, page.room().saturating_sub(if judged.stale.is_empty() { 0 } else { STALE }));
    for (sheet, share) in sheets.iter().zip(shares) {
        page.sheet(sheet, share);
    }
    if !judged.stale.is_empty() {
        let lines: Vec<String> =
            judged.stale.iter().map(|(number, line)| format!("line {number}: {line}")).collect();
        page.push("<details><summary>Agreements that name no change</summary>\n\n");
        let room = page.room();
        page.list(&lines, room);
        page.push("\n</details>\n");
    }
    page.text
}

/// What is written so far.
#[derive(Default)]
struct Page {
    text: String,
    characters: usize,
}

impl Page {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.characters += text.chars().count();
    }

    /// How many characters are left, without those for the ends of tables and folds.
    fn room(&self) -> usize {
        MOST.saturating_sub(self.characters + RESERVE)
    }

    /// Adds a list, in at most so many characters.
    fn list(&mut self, lines: &[String], most: usize) {
        let end = self.characters + most.min(self.room());
        for (number, line) in lines.iter().enumerate() {
            let line = format!("- {}\n", code(line));
            if self.characters + line.chars().count() + SENTENCE > end {
                self.push(&format!("\n{} left out.\n", plural(lines.len() - number, "line")));
                return;
            }
            self.push(&line);
        }
    }

    /// Adds a view, in at most so many characters.
    fn sheet(&mut self, sheet: &Sheet, most: usize) {
        let end = self.characters + most;
        let count = match sheet.entries.len() {
            0 => "no change".to_owned(),
            count => sheet.noun.count(count),
        };
        // What was not agreed to is what somebody has to look at.
        let is_open = if sheet.entries.iter().any(|entry| !entry.agreed) { " open" } else { "" };
        self.push(&format!(
            "<details{is_open}><summary>{}: {count} ({})</summary>\n\n",
            sheet.title, sheet.looked_at
        ));
        if !sheet.entries.is_empty() {
            let rule: String = sheet.columns.iter().map(|_| "---|").collect();
            self.push(&format!("| | {} |\n|---|{rule}\n", sheet.columns.join(" | ")));
        }
        for (number, entry) in sheet.entries.iter().enumerate() {
            let row = row(entry);
            if self.characters + row.chars().count() + SENTENCE > end {
                let left = sheet.entries.get(number..).unwrap_or_default();
                let widening = left.iter().filter(|entry| entry.weight == Weight::Widens).count();
                self.push(&format!(
                    "\n{} left out here, {widening} of which widen access. `--format json` has all.\n",
                    plural(left.len(), "row")
                ));
                break;
            }
            self.push(&row);
        }
        if !sheet.notes.is_empty() {
            self.push("\n");
            let room = end.saturating_sub(self.characters);
            self.list(&sheet.notes, room.max(SENTENCE));
        }
        self.push("\n</details>\n\n");
    }
}

/// How many characters a view takes if nothing of it is left out.
fn need(sheet: &Sheet) -> usize {
    let rows = sheet.entries.iter().map(|entry| row(entry).chars().count());
    let notes = sheet.notes.iter().map(|note| code(note).chars().count() + 3);
    rows.chain(notes).sum::<usize>() + 3 * SENTENCE
}

/// Shares of so many characters: who needs less than an equal share leaves the rest to the others.
fn shares(needs: &[usize], mut room: usize) -> Vec<usize> {
    let mut order: Vec<(usize, usize)> = needs.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, need)| *need);
    let mut shares = Vec::new();
    for (taken, (place, need)) in order.into_iter().enumerate() {
        let share = need.min(room / (needs.len() - taken));
        room -= share;
        shares.push((place, share));
    }
    shares.sort_unstable();
    shares.into_iter().map(|(_, share)| share).collect()
}

fn row(entry: &Entry) -> String {
    let agreed = if entry.agreed { " (agreed)" } else { "" };
    let word = match entry.weight {
        Weight::Widens if !entry.agreed => format!("**{}**", entry.word),
        _ => entry.word.to_owned(),
    };
    let last = entry.cells.len().saturating_sub(1);
    let mut row = format!("| {word}{agreed} |");
    for (number, cell) in entry.cells.iter().enumerate() {
        let details = entry.details.iter().filter(|_| number == last).take(MOST_DETAILS);
        let lines: Vec<String> = [cell].into_iter().chain(details).map(|line| code(line)).collect();
        row += &format!(" {} |", lines.join("<br>"));
    }
    row + "\n"
}

/// Text of others.
fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<code>{}</code>", plain(text)) }
}

/// Text without a character that Markdown could take for its own, and not longer than a line.
fn plain(text: &str) -> String {
    let text = printable(text);
    let mut plain = String::new();
    for (number, char) in text.chars().enumerate() {
        if number == LONGEST {
            plain.push('…');
            break;
        }
        if char.is_alphanumeric() || " /{}-,()=+;".contains(char) {
            plain.push(char);
        } else {
            plain += &format!("&#{};", u32::from(char));
        }
    }
    plain
}

/// GitHub takes comments of 65,536 characters.
pub const MOST: usize = 65_000;

/// For the ends of tables and folds.
const RESERVE: usize = 1_000;

/// For the sentence about what is left out.
const SENTENCE: usize = 160;

/// For agreements that name no change.
const STALE: usize = 2_000;

/// The longest name that is shown, and the most lines about one change.
const LONGEST: usize = 300;
const MOST_DETAILS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_less_leaves_the_rest() {
        assert_eq!(shares(&[10, 1_000, 30], 100), [10, 60, 30]);
        assert_eq!(shares(&[1_000, 10, 1_000], 110), [50, 10, 50]);
        assert_eq!(shares(&[5, 5], 100), [5, 5]);
        assert_eq!(shares(&[], 100), [0; 0]);
    }

    #[test]
    fn a_name_is_only_a_name() {
        for name in [
            "a | b",
            "`x`",
            "<img src=x>",
            "@everyone",
            "fixes #12",
            "[a](http://b.example)",
            "https://b.example/x",
            "www.b.example",
            "*x* _y_ ~z~",
            "&amp; &lt;",
            "a\n\n# b",
            "</code></details>",
            "\u{202e}x",
            "user@b.example",
            "$x^2$",
            ":tada:",
            "!note",
            "\\|",
        ] {
            let code = code(name);
            let inner = code.strip_prefix("<code>").unwrap().strip_suffix("</code>").unwrap();
            let left = inner.replace("&#", "").replace(';', "");
            assert!(
                !left.contains([
                    '|', '`', '<', '>', '@', '#', '[', ']', ':', '.', '*', '_', '~', '&', '\n', '\\', '$',
                    '!'
                ]),
                "{name}: {code}"
            );
        }
        assert!(plain(&"x".repeat(1_000)).chars().count() == LONGEST + 1);
    }
}
