//! The nearest of several names, for a name that is not among them.

/// The name that was most likely meant. `None`: none of them is near enough to be a slip of the pen.
pub fn nearest<'a>(meant: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = |name: &str| name.to_lowercase().replace('_', "-");
    let meant = folded(meant);
    let most = meant.chars().count().min(LONGEST).div_ceil(3);
    let near = names.into_iter().filter_map(|name| {
        // A long text is no name. To compare it would take the square of its length.
        let distance = (name.len() <= LONGEST && meant.len() <= LONGEST)
            .then(|| distance(&meant, &folded(name)))
            .filter(|distance| *distance <= most)?;
        Some((distance, name))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The same as advice.
pub fn did_you_mean<'a>(meant: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(meant, names).map(|name| format!("did you mean `{name}`?"))
}

/// Advice for a name that is missing among these: the nearest of them, or which there are.
pub fn choice<'a>(meant: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    did_you_mean(meant, names.clone()).unwrap_or_else(|| {
        let mut names: Vec<&str> = names.into_iter().collect();
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        let also = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("there is: {}{also}", names.join(", "))
    })
}

/// How many characters have to be added, left out, replaced or swapped with their neighbour (the optimal string
/// alignment distance).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (row, char) in a.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, column) + usize::from(char != *other);
            let added = at(&current, column) + 1;
            let left_out = at(&last, column + 1) + 1;
            let is_swap = column > 0 && previous == Some(*other) && b.get(column - 1) == Some(&char);
            let swapped = if is_swap { at(&before, column - 1) + 1 } else { usize::MAX };
            current.push(replaced.min(added).min(left_out).min(swapped));
        }
        previous = Some(char);
        before = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or_default()
}

/// The longest text that is compared, in bytes.
const LONGEST: usize = 200;

/// How many names are listed.
const SHOWN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_near() {
        let names = ["alice", "bob", "source_ip", "get /pets/{petId}", "get /"];
        for (meant, expected) in [
            ("alcie", Some("alice")),
            ("Alice", Some("alice")),
            ("bbo", Some("bob")),
            ("source-ip", Some("source_ip")),
            ("get /pet/{petId}", Some("get /pets/{petId}")),
            ("mallory", None),
            ("", None),
            (&"x".repeat(100_000), None),
        ] {
            assert_eq!(nearest(meant, names), expected, "{meant}");
        }
    }

    #[test]
    fn a_swap_is_one_step() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "acb", 1), ("kitten", "sitting", 3), ("é", "e", 1)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }
}
