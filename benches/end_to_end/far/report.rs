use crate::far::servers::Asked;
use crate::far::{Far, FarLife, Row, Start};
use crate::options::Options;
use crate::report::{median, table};

/// Prints what was measured: medians over the rounds, and ratios within each round.
pub fn print(far: &Far, options: &Options) {
    let header = [
        "from afar",
        "init, ms",
        "first call, ms",
        "both",
        "x floor",
        "CPU of init, ms",
        "CPU of first call, us",
        "x new token",
        "new token, us: p50",
        "CPU",
        "seen token, us: p50",
        "requests",
        "connections",
        "fetched, KB",
        "of the bundle",
        "memory, MB",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for row in &far.rows {
        rows.push(of_floor(row));
        rows.push(of_function(row));
    }
    table(&rows, options);
    if options.trace {
        far.rows.iter().for_each(trace);
    }
}

fn of_floor(row: &Row) -> Vec<String> {
    let number = |value: fn(&Start) -> f64| median(row.floors.iter().map(|starts| middle(starts, value)));
    let mut cells = vec![
        format!("{}: floor", row.name()),
        format!("{:.2}", number(|start| start.init)),
        format!("{:.2}", number(|start| start.first)),
        format!("{:.2}", number(Start::total)),
        "1.00".to_owned(),
        format!("{:.2}", number(|start| start.cpu_init)),
        format!("{:.0}", number(|start| start.cpu_first * 1000.0)),
    ];
    cells.resize(FUNCTION_COLUMNS, String::new());
    cells
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn of_function(row: &Row) -> Vec<String> {
    let number = |value: fn(&Start) -> f64| row.number(value);
    let warm = |value: fn(&FarLife) -> f64| median(row.lives.iter().map(value));
    let fetched = number(|start| objects(start).map(|asked| asked.body as f64).sum());
    let bundle = row.bundle_bytes as f64;
    vec![
        row.name(),
        format!("{:.2}", number(|start| start.init)),
        format!("{:.2}", number(|start| start.first)),
        format!("{:.2}", number(Start::total)),
        format!("{:.2}", row.to_floor()),
        format!("{:.2}", number(|start| start.cpu_init)),
        format!("{:.0}", number(|start| start.cpu_first * 1000.0)),
        format!("{:.2}", row.first_to_new()),
        format!("{:.1}", warm(|life| life.new.median)),
        format!("{:.1}", warm(|life| life.new.cpu)),
        format!("{:.1}", warm(|life| life.seen.median)),
        format!("{:.0}", number(|start| all(start).count() as f64)),
        format!("{:.0}", number(|start| start.connections.len() as f64)),
        format!("{:.1}", fetched / 1000.0),
        format!("{:.1} %", 100.0 * fetched / bundle),
        format!("{:.1}", row.memory()),
    ]
}

impl Row {
    /// The median over the rounds.
    fn number(&self, value: fn(&Start) -> f64) -> f64 {
        median(self.lives.iter().map(|life| middle(&life.starts, value)))
    }

    /// How much longer it takes from the start of the process to the first answer than the floor.
    pub fn to_floor(&self) -> f64 {
        let rounds = self.lives.iter().zip(&self.floors);
        median(rounds.map(|(life, floors)| middle(&life.starts, Start::total) / middle(floors, Start::total)))
    }

    /// How much longer it takes from the start of the process to the first answer than another one.
    pub fn to(&self, other: &Self) -> f64 {
        self.ratio(other, |life| middle(&life.starts, Start::total))
    }

    /// The median of what it takes compared with another one, in the same round.
    pub fn ratio(&self, other: &Self, value: fn(&FarLife) -> f64) -> f64 {
        median(self.lives.iter().zip(&other.lives).map(|(life, other)| value(life) / value(other)))
    }

    /// The CPU time of the first call, compared with a later one with a token that was not seen before.
    pub fn first_to_new(&self) -> f64 {
        median(
            self.lives
                .iter()
                .map(|life| middle(&life.starts, |start| start.cpu_first * 1000.0) / life.new.cpu),
        )
    }

    /// The most memory that it held, MB.
    pub fn memory(&self) -> f64 {
        median(self.lives.iter().map(|life| life.memory))
    }
}

/// Prints what the start asked for that took as long as half of them.
fn trace(row: &Row) {
    println!("{}, one start, ms from the start of the process:", row.name());
    let mut starts: Vec<&Start> = row.lives.iter().flat_map(|life| &life.starts).collect();
    starts.sort_by(|one, other| one.total().total_cmp(&other.total()));
    let start = starts[starts.len() / 2];
    let mut lines = vec![
        (start.init, "asks for its first event".to_owned()),
        (start.total(), "has answered it (if that was given at once)".to_owned()),
    ];
    let at = |moment: u64| (moment.saturating_sub(start.started)) as f64 / 1000.0;
    for connection in &start.connections {
        lines.push((at(connection.opened), format!("connects to {}", connection.server)));
        for Asked { host, line, range, status, body, at: asked, answered } in &connection.requests {
            let range = range.iter().map(|range| format!(" {range}")).collect::<String>();
            let what = format!("{line}{range} of {host}");
            lines.push((at(*answered), format!("has got {status}, {body} bytes: {what}")));
            lines.push((at(*asked), what));
        }
    }
    lines.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    for (moment, line) in lines {
        println!("{moment:9.2}  {line}");
    }
    println!();
}

fn all(start: &Start) -> impl Iterator<Item = &Asked> {
    start.connections.iter().flat_map(|connection| &connection.requests)
}

/// What was asked of S3.
fn objects(start: &Start) -> impl Iterator<Item = &Asked> {
    let of_s3 = start.connections.iter().filter(|connection| connection.server == "s3");
    of_s3.flat_map(|connection| &connection.requests)
}

fn middle(starts: &[Start], value: fn(&Start) -> f64) -> f64 {
    median(starts.iter().map(value))
}

const FUNCTION_COLUMNS: usize = 16;
