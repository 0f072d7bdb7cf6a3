use crate::options::Options;
use crate::process::Life;
use crate::report::{Lives, cold, median, ratio, table};
use crate::subject::{Kind, Subject};

/// Prints what was to be reached beside what was measured, for what was measured. It judges nothing: times are those
/// of one machine on one day.
pub fn print(subjects: &[Subject], lives: &[Lives], function_bytes: u64, options: &Options) {
    let of = |kind: Kind| {
        let position = subjects.iter().position(|subject| subject.kind == kind)?;
        lives.get(position)
    };
    let (Some(echo), Some(raw)) = (of(Kind::Echo), of(Kind::Raw)) else {
        return;
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

    let mut rows = vec![["", "goal", "measured", "met"].map(str::to_owned).to_vec()];
    rows.extend(goals.into_iter().map(|Goal { what, limit, unit, measured }| {
        let met = if measured <= limit { "yes" } else { "no" };
        vec![what, format!("{limit} {unit}"), format!("{measured:.2}"), met.to_owned()]
    }));
    table(&rows, options);
}

struct Goal {
    what: String,
    limit: f64,
    unit: &'static str,
    measured: f64,
}

const X_LEAST: &str = "x the smallest";
