use crate::far::Row;
use crate::options::Options;
use crate::process::Life;
use crate::report::{Lives, cold, median, ratio, table};
use crate::subject::{FarStore, Kind, Subject};

/// What was to be reached, and what was measured.
pub struct Goal {
    what: String,
    limit: f64,
    unit: &'static str,
    measured: f64,
}

/// Of the first table, what was measured.
pub fn near(subjects: &[Subject], lives: &[Lives], function_bytes: u64, options: &Options) -> Vec<Goal> {
    let of = |kind: Kind| {
        let position = subjects.iter().position(|subject| subject.kind == kind)?;
        lives.get(position)
    };
    let (Some(echo), Some(raw)) = (of(Kind::Echo), of(Kind::Raw)) else {
        return Vec::new();
    };
    let (least, most) = options.ends();
    let mut goals = Vec::new();
    let mut goal = |what: String, limit: f64, unit: &'static str, measured: Option<f64>| {
        goals.extend(measured.map(|measured| Goal { what, limit, unit, measured }));
    };
    let new = |life: &Life| life.new.median;
    let seen = |life: &Life| life.seen.median;
    let compared = |kind: Kind, other: &Lives, value: fn(&Life) -> f64| Some(ratio(of(kind)?, other, value));
    let number = |kind: Kind, value: fn(&Life) -> f64| Some(median(of(kind)?.iter().map(value)));

    let few = Kind::Policies(least);
    goal(format!("cold start, {least} policies"), 1.6, "x echo", compared(few, echo, cold));
    goal(
        format!("cold start from S3, {least} policies"),
        2.0,
        "x echo",
        compared(Kind::S3(least), echo, cold),
    );
    goal("new token".to_owned(), 1.8, "x raw limit", compared(few, raw, new));
    goal("seen token".to_owned(), 1.2, "x echo", compared(few, echo, seen));
    let undecided = of(Kind::Undecided(least)).and_then(|few| compared(Kind::Undecided(most), few, seen));
    goal(format!("a decision, {most} policies"), 1.2, X_LEAST, undecided);
    if let [first, .., last] = options.entities.as_slice() {
        let entities = of(Kind::Entities(*first)).and_then(|few| compared(Kind::Entities(*last), few, seen));
        goal(format!("a decision, {last} entities"), 1.2, X_LEAST, entities);
    }
    for (policies, milliseconds, factor) in [(10_000, 10.0, 5.0), (100_000, 50.0, 25.0)] {
        let many = Kind::Policies(policies);
        goal(format!("cold start, {policies} policies"), milliseconds, "ms", number(many, cold));
        goal(format!("cold start, {policies} policies"), factor, "x echo", compared(many, echo, cold));
    }
    for (policies, megabytes) in [(least, 8.0), (10_000, 20.0), (100_000, 100.0)] {
        goal(
            format!("memory, {policies} policies"),
            megabytes,
            "MB",
            number(Kind::Policies(policies), |life| life.memory),
        );
    }
    let routes = Kind::Routes(options.routes);
    let of_routes = |what: &str| format!("{what}, {} routes", options.routes);
    goal(of_routes("first call of all"), 5.0, "ms", number(routes, |life| life.first));
    goal(of_routes("first call of a token"), 5.0, "ms", number(routes, |life| life.new.median / 1000.0));
    goal(of_routes("seen token"), 1.2, "x echo", compared(routes, echo, seen));
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    goal("size of the executable".to_owned(), 9.0, "MB", Some(function_bytes as f64 / 1e6));

    goals
}

/// Of bundles that are far away, what was measured.
pub fn far(rows: &[Row]) -> Vec<Goal> {
    let policies = || rows.iter().filter(|row| matches!(row.store, FarStore::Policies(_)));
    let fetched = rows.iter().filter(|row| matches!(row.store, FarStore::FetchedKeys(_)));
    let shares = || rows.iter().filter(|row| matches!(row.store, FarStore::Shares(_)));
    let mut goals = Vec::new();
    let mut goal = |what: String, limit: f64, unit: &'static str, measured: f64| {
        goals.push(Goal { what, limit, unit, measured });
    };
    if let Some(few) = policies().next() {
        goal(format!("from afar, {}", few.name()), 1.15, X_FLOOR, few.to_floor());
    }
    for row in fetched {
        goal(format!("from afar, {}", row.name()), 1.25, X_FLOOR, row.to_floor());
    }
    for row in policies() {
        goal(format!("from afar, CPU of first call, {}", row.name()), 1.3, "x new token", row.first_to_new());
    }
    if let (Some(few), Some(many)) = (policies().next(), policies().nth(1).and(policies().next_back())) {
        goal(format!("from afar, {}", many.name()), 1.5, X_LEAST, many.to(few));
    }
    if let (Some(few), Some(many)) = (shares().next(), shares().nth(1).and(shares().next_back())) {
        let name = many.name();
        goal(format!("from afar, {name}"), 2.0, X_LEAST, many.to(few));
        goal(format!("memory, {name}"), 64.0, "MB", many.memory());
        let seen = many.ratio(few, |life| life.seen.median);
        goal(format!("a decision, {name}"), 1.2, X_LEAST, seen);
    }
    goals
}

/// Prints what was to be reached beside what was measured. It judges nothing: times are those of one machine on one
/// day.
pub fn print(goals: Vec<Goal>, options: &Options) {
    let mut rows = vec![["", "goal", "measured", "met"].map(str::to_owned).to_vec()];
    rows.extend(goals.into_iter().map(|Goal { what, limit, unit, measured }| {
        let met = if measured <= limit { "yes" } else { "no" };
        vec![what, format!("{limit} {unit}"), format!("{measured:.2}"), met.to_owned()]
    }));
    table(&rows, options);
}

const X_FLOOR: &str = "x floor";
const X_LEAST: &str = "x the smallest";
