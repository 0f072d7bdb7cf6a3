//! Guesses: what was probably meant by a name that does not exist.

/// The candidate that is nearest to a name, if any is near enough to be a misspelling of it. Of several that are as
/// near, the first.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances =
        candidates.into_iter().filter_map(|candidate| Some((distance(name, candidate)?, candidate)));
    let nearest = distances.min_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest.map(|(_, candidate)| candidate)
}

/// How far two names are from each other; 0 is the same. `None`: too far.
fn distance(name: &str, candidate: &str) -> Option<f64> {
    match (route(name), route(candidate)) {
        (Some(name), Some(candidate)) => route_distance(&name, &candidate),
        _ => Some(word_distance(name, candidate)).filter(|distance| *distance <= MAX_WORD_DISTANCE),
    }
}

/// The method and the segments of a route, such as `get /pets/{petId}`.
fn route(name: &str) -> Option<(&str, Vec<&str>)> {
    let (method, path) = name.split_once(' ')?;
    let path = path.strip_prefix('/')?;
    Some((method, path.split('/').filter(|segment| !segment.is_empty()).collect()))
}

/// The path counts more than the method: people misspell paths, and copy a line with another method.
fn route_distance((method, path): &(&str, Vec<&str>), (other, candidate): &(&str, Vec<&str>)) -> Option<f64> {
    let of_path = edits(path, candidate, |a, b| segment_distance(a, b));
    let longest = path.len().max(candidate.len()).max(1);
    // As many segments may differ as are the same.
    let is_near = of_path * 2.0 <= as_number(longest);
    let of_method = if method.eq_ignore_ascii_case(other) { 0.0 } else { METHOD };
    is_near.then_some(of_path + of_method)
}

fn segment_distance(a: &str, b: &str) -> f64 {
    let is_parameter = |segment: &str| segment.starts_with('{');
    match (is_parameter(a), is_parameter(b)) {
        (true, true) if a != b => PARAMETER,
        (true, false) | (false, true) => 1.0,
        _ => word_distance(a, b),
    }
}

/// How much of the longer word has to be edited: 0 is nothing, 1 is all of it. Upper and lower case differ little.
fn word_distance(a: &str, b: &str) -> f64 {
    if a.len().max(b.len()) > MAX_BYTES {
        return if a == b { 0.0 } else { 1.0 };
    }
    let [a, b] = [a, b].map(|word| word.chars().collect::<Vec<_>>());
    let longest = a.len().max(b.len()).max(1);
    let cost = |a: &char, b: &char| match a == b {
        true => 0.0,
        false if a.to_lowercase().eq(b.to_lowercase()) => CASE,
        false => 1.0,
    };
    edits(&a, &b, cost) / as_number(longest)
}

/// The least cost of edits that make one list of the other: to insert and to leave out costs 1, to replace what
/// `cost` says, and to swap two neighbours 1.
fn edits<T: PartialEq>(a: &[T], b: &[T], cost: impl Fn(&T, &T) -> f64) -> f64 {
    let mut before_last: Vec<f64> = Vec::new();
    let mut last: Vec<f64> = (0..=b.len()).map(as_number).collect();
    let mut previous: Option<&T> = None;
    for (row, item) in a.iter().enumerate() {
        let mut line = vec![as_number(row + 1)];
        for (column, other) in b.iter().enumerate() {
            let known = |line: &[f64], at: usize| line.get(at).copied().unwrap_or(f64::MAX);
            let mut best = (known(&last, column) + cost(item, other))
                .min(known(&last, column + 1) + 1.0)
                .min(known(&line, column) + 1.0);
            let is_swapped = column > 0
                && previous == Some(other)
                && b.get(column - 1).is_some_and(|before| before == item)
                && item != other;
            if is_swapped {
                best = best.min(known(&before_last, column - 1) + 1.0);
            }
            line.push(best);
        }
        before_last = std::mem::replace(&mut last, line);
        previous = Some(item);
    }
    last.last().copied().unwrap_or_default()
}

/// Lengths are far below the numbers that an `f64` cannot hold.
fn as_number(length: usize) -> f64 {
    u32::try_from(length).map_or(f64::MAX, f64::from)
}

/// Two names of one parameter are nearly the same route to API Gateway.
const PARAMETER: f64 = 0.25;

const CASE: f64 = 0.3;

/// Less than half a segment.
const METHOD: f64 = 0.4;

/// About one letter in three.
const MAX_WORD_DISTANCE: f64 = 0.4;

/// Longer names are not compared letter by letter, which takes the square of their length.
const MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_route_has_the_nearest_path() {
        let routes = ["get /", "get /pets", "post /pets", "get /pets/{petId}", "delete /pets/{petId}"];
        for (name, expected) in [
            ("get /pet/{petId}", Some("get /pets/{petId}")),
            ("get /pets/{id}", Some("get /pets/{petId}")),
            ("post /pets/{petId}", Some("get /pets/{petId}")),
            ("GET /pets", Some("get /pets")),
            ("put /pets", Some("get /pets")),
            ("get /pest", Some("get /pets")),
            ("put /pet", Some("get /pets")),
            ("get /orders/{orderId}/items", None),
            ("ViewPet", None),
        ] {
            assert_eq!(nearest(name, routes), expected, "{name}");
        }
    }

    #[test]
    fn the_nearest_word_differs_in_a_few_letters() {
        let words = ["email", "level", "PetStore::UserGroup", "permit-for-everyone"];
        for (name, expected) in [
            ("emial", Some("email")),
            ("Email", Some("email")),
            ("levels", Some("level")),
            ("PetStore::Usergroup", Some("PetStore::UserGroup")),
            ("permit-for-everbody", Some("permit-for-everyone")),
            ("name", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, words), expected, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), words), None);
    }
}
