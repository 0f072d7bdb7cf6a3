//! Random stores, changes of them, and requests.

use serde_json::{Value, json};

use super::stores::{PolicyText, StoreText};

/// A generator of numbers (splitmix64), the same on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(count.max(1)).unwrap()).unwrap()
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    fn is_one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// A store with a few policies.
    pub fn store(&mut self) -> StoreText {
        let count = 1 + self.below(4);
        let mut policies: Vec<PolicyText> = (0..count).map(|_| self.policy("permit")).collect();
        policies.extend((0..self.below(3)).map(|_| self.policy("forbid")).collect::<Vec<_>>());
        let links = if self.is_one_in(3) { vec![self.pick(&USERS).to_owned()] } else { Vec::new() };
        StoreText { policies, links, ..StoreText::default() }
    }

    fn policy(&mut self, effect: &'static str) -> PolicyText {
        PolicyText {
            effect,
            principal: self.pick(&PRINCIPALS).to_owned(),
            action: self.pick(&ACTIONS).to_owned(),
            resource: self.pick(&RESOURCES).to_owned(),
            condition: self.condition(2),
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        if depth == 0 || self.is_one_in(2) {
            return self.pick(&CONDITIONS).to_owned();
        }
        let (left, right) = (self.condition(depth - 1), self.condition(depth - 1));
        match self.below(4) {
            0 => format!("({left}) && ({right})"),
            1 => format!("({left}) || ({right})"),
            2 => format!("!({left})"),
            _ => format!("if {left} then {right} else {}", self.pick(&CONDITIONS)),
        }
    }

    /// Changes something, in whatever direction.
    pub fn mutate(&mut self, store: &mut StoreText) {
        match self.below(8) {
            0 => {
                let effect = self.pick(&["permit", "forbid"]);
                store.policies.push(self.policy(effect));
            }
            1 if store.policies.len() > 1 => {
                let at = self.below(store.policies.len());
                store.policies.remove(at);
            }
            2 => store.links.push(self.pick(&USERS).to_owned()),
            3 => store.links.clear(),
            // The same in other words: to be proved equal.
            4 => self.change(store, |_, policy| policy.condition = format!("!(!({}))", policy.condition)),
            5 => self.change(store, |random, policy| policy.condition = random.condition(2)),
            6 => self.change(store, |random, policy| policy.principal = random.pick(&PRINCIPALS).to_owned()),
            _ => self.change(store, |random, policy| policy.action = random.pick(&ACTIONS).to_owned()),
        }
    }

    fn change(&mut self, store: &mut StoreText, change: impl Fn(&mut Self, &mut PolicyText)) {
        let at = self.below(store.policies.len());
        change(self, &mut store.policies[at]);
    }

    /// Injects what widens access, as slips of a pen do, unless other policies close it again.
    pub fn widen(&mut self, store: &mut StoreText) {
        let forbids: Vec<usize> =
            (0..store.policies.len()).filter(|at| store.policies[*at].effect == "forbid").collect();
        let permits: Vec<usize> =
            (0..store.policies.len()).filter(|at| store.policies[*at].effect == "permit").collect();
        let at = self.pick(&permits);
        match self.below(8) {
            0 if !forbids.is_empty() => {
                let gone = self.pick(&forbids);
                store.policies.remove(gone);
            }
            1 if !forbids.is_empty() => {
                let weak = self.pick(&forbids);
                let policy = &mut store.policies[weak];
                policy.condition = format!("({}) && context.n == 7", policy.condition);
            }
            2 => store.policies[at].principal = "principal".to_owned(),
            3 => store.policies[at].condition = "true".to_owned(),
            4 => store.policies[at].condition = format!("!({})", store.policies[at].condition),
            5 => {
                let text = &store.policies[at].condition;
                store.policies[at].condition =
                    text.replace("10.0.0.0/8", "0.0.0.0/0").replace("sales", "sale").replace("> 3", "> 2");
            }
            6 => store.policies[at].action = "action".to_owned(),
            _ => store.links.push(self.pick(&USERS).to_owned()),
        }
    }

    /// A request, of the kind that the conditions tell apart.
    pub fn request(&mut self, action: &str) -> Value {
        let action = if action.contains("read") { "read" } else { "write" };
        let principal = json!({"type": "Z::User", "id": format!("pool|{}", self.pick(&USERS))});
        let mut attributes = json!({"level": self.pick(&LONGS)});
        if self.is_one_in(2) {
            attributes["department"] = self.pick(&["sales", "sale", "ops", "a*", ""]).into();
        }
        if self.is_one_in(2) {
            let tags = ["red", "blue", ""];
            attributes["tags"] = tags.iter().filter(|_| self.is_one_in(2)).copied().collect();
        }
        let groups = ["staff", "members", "guests", "nobody"];
        let mut parents = Vec::new();
        for group in groups {
            if self.is_one_in(3) {
                parents.push(json!({"type": "Z::Group", "id": group}));
            }
        }
        let mut context = json!({"n": self.pick(&LONGS)});
        if self.is_one_in(2) {
            context["text"] = self.pick(&["a", "abc", "x", ""]).into();
        }
        if self.is_one_in(2) {
            context["geo"] = self.pick(&["x", "y"]).into();
        }
        if self.is_one_in(2) {
            attributes["rank"] = self.pick(&LONGS).into();
        }
        let extension = |function: &str, text: &str| json!({"__extn": {"fn": function, "arg": text}});
        if self.is_one_in(2) {
            context["ip"] = extension("ip", self.pick(&["10.1.2.3", "192.0.2.1", "::1"]));
        }
        if self.is_one_in(2) {
            context["at"] = extension("datetime", self.pick(&["2025-06-01", "2026-06-01", "1969-01-01"]));
        }
        if self.is_one_in(2) {
            context["price"] = extension("decimal", self.pick(&["0.5", "1.5", "100.0"]));
        }
        json!({
            "version": 1, "principal": principal,
            "action": {"type": "Z::Action", "id": action},
            "resource": {"type": "Z::Doc", "id": self.pick(&["open", "closed", "lost"])},
            "context": context,
            "entities": [{"uid": principal, "attrs": attributes, "parents": parents}],
        })
    }
}

const USERS: [&str; 3] = ["ann", "bob", "cid"];

const LONGS: [i64; 7] = [0, 2, 3, 4, 7, i64::MAX, i64::MIN];

const PRINCIPALS: [&str; 6] = [
    "principal",
    "principal in Z::Group::\"staff\"",
    "principal in Z::Group::\"members\"",
    "principal is Z::User in Z::Group::\"guests\"",
    "principal == Z::User::\"pool|ann\"",
    "principal is Z::User",
];

const ACTIONS: [&str; 4] = [
    "action",
    "action == Z::Action::\"read\"",
    "action in Z::Action::\"all\"",
    "action in [Z::Action::\"write\", Z::Action::\"read\"]",
];

const RESOURCES: [&str; 3] = ["resource", "resource == Z::Doc::\"open\"", "resource is Z::Doc"];

/// Conditions of every kind that symbolic compilation knows, some that err.
const CONDITIONS: [&str; 24] = [
    "true",
    "principal.level > 3",
    "principal.level + context.n > 3",
    "context.n * 2 == 8",
    "principal.level - 1 <= context.n",
    "-context.n < 3",
    "principal has department && principal.department == \"sales\"",
    "principal has department && principal.department like \"s*\"",
    "principal has department && principal.department like \"a\\*\"",
    "principal has tags && principal.tags.contains(\"red\")",
    "principal has tags && principal.tags.containsAll([\"red\", \"blue\"])",
    "principal has tags && principal.tags.isEmpty()",
    "context has ip && context.ip.isInRange(ip(\"10.0.0.0/8\"))",
    "context has ip && context.ip.isLoopback()",
    "context has at && context.at < datetime(\"2026-01-01\")",
    "context has at && context.at.offset(duration(\"1d\")) > datetime(\"2026-01-01\")",
    "context has price && context.price.lessThan(decimal(\"1.0\"))",
    "context has text && context.text like \"a*c\"",
    "resource.open",
    "resource has open && resource.open",
    "resource.owner == principal",
    "principal in Z::Group::\"members\"",
    "principal in [Z::Group::\"guests\", Z::Group::\"staff\"]",
    "action == Z::Action::\"read\"",
];
