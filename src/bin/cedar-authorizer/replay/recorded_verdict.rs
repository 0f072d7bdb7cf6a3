//! The verdict of a record, beside the one that is made now.

use crate::recorded::Verdict;
use crate::recorded::judge::Judged;
use crate::recorded::line::Record;

/// What was recorded, and what is decided now.
pub fn both(record: &Record<'_>, judged: &Judged) -> Option<(Verdict, Verdict)> {
    let after = judged.verdicts.first()?.clone();
    let mut before = Verdict::new(record.reason, record.policies.clone());
    // The decision log masks and cuts long ids. What can be seen of them is compared.
    if is_same(&before.policies, &after.policies) {
        before.policies.clone_from(&after.policies);
    }
    before.policies.sort();
    Some((before, after))
}

/// Whether these ids may be what the decision log made of those.
fn is_same(logged: &[String], ids: &[String]) -> bool {
    let is_it = |(logged, id): (&String, &String)| {
        let begins =
            || logged.strip_suffix(CUT).is_some_and(|begin| begin.len() <= id.len() && id.starts_with(begin));
        logged == id || logged == MASKED || begins()
    };
    logged.len() == ids.len() && logged.iter().zip(ids).all(is_it)
}

/// What the decision log writes in place of a text with part of a token in it.
const MASKED: &str = "***";

/// What it writes at the end of a text that it cuts.
const CUT: char = '…';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_the_log_masks_or_cuts_are_the_same_as_far_as_they_can_be_seen() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let now = ids(&["aaa", "long-id"]);
        for (logged, expected) in [
            (ids(&["aaa", "long-id"]), true),
            (ids(&["***", "long…"]), true),
            (ids(&["aaa", "lang…"]), false),
            (ids(&["aaa"]), false),
            (ids(&["long-id", "aaa"]), false),
        ] {
            assert_eq!(is_same(&logged, &now), expected, "{logged:?}");
        }
    }
}
