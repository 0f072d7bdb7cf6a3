/// What is measured, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    pub policies: Vec<usize>,
    pub entities: Vec<usize>,
    pub routes: usize,
    /// Policies of bundles that are far away.
    pub far: Vec<usize>,
    /// Links of a template, in bundles that are far away.
    pub shares: Vec<usize>,
    pub only: Option<Part>,
    /// Whether what was asked at a start from afar is printed.
    pub trace: bool,
    /// Whether the command line builds the largest stores.
    pub build: bool,
    pub rounds: usize,
    /// Calls with tokens that were not seen before, in each round.
    pub new_tokens: usize,
    /// Calls with one token, in each round.
    pub seen_tokens: usize,
    /// Starts in each round.
    pub starts: usize,
    pub markdown: bool,
}

/// A part of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first table.
    Near,
    /// Bundles that are far away.
    Far,
}

impl Options {
    /// Reads the command line; `None` asks for help.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            policies: vec![10, 100, 1000, 10_000, 100_000],
            entities: vec![10, 100_000],
            routes: 1000,
            far: vec![12, 10_000, 100_000],
            shares: vec![12, 1_000_000],
            only: None,
            trace: false,
            build: false,
            rounds: 9,
            new_tokens: 400,
            seen_tokens: 2000,
            starts: 3,
            markdown: false,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            if argument == "--only" {
                options.only = Some(match arguments.next().as_deref() {
                    Some("near") => Part::Near,
                    Some("far") => Part::Far,
                    _ => return Err("`--only` is followed by neither `near` nor `far`".to_owned()),
                });
                continue;
            }
            let mut numbers = || -> Result<Vec<usize>, String> {
                let value = arguments.next().unwrap_or_default();
                let numbers: Result<Vec<usize>, _> = value.split(',').map(str::parse).collect();
                numbers.ok().filter(|numbers| !numbers.contains(&0)).ok_or_else(|| {
                    format!("`{argument} {value}`: not a number, or several with commas between")
                })
            };
            match argument.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--build" => options.build = true,
                "--entities" => options.entities = numbers()?,
                "--far" => options.far = numbers()?,
                "--help" | "-h" => return Ok(None),
                "--markdown" => options.markdown = true,
                "--policies" => options.policies = numbers()?,
                "--quick" => {
                    options.policies = vec![10, 10_000];
                    options.entities = vec![10, 10_000];
                    (options.far, options.shares) = (vec![12], vec![12]);
                    (options.rounds, options.new_tokens, options.seen_tokens, options.starts) =
                        (3, 100, 500, 1);
                }
                "--routes" => options.routes = numbers()?[0],
                "--runs" => options.rounds = numbers()?[0],
                "--shares" => options.shares = numbers()?,
                "--trace" => options.trace = true,
                _ => return Err(format!("`{argument}` is not an option")),
            }
        }
        // Goals compare the smallest with the largest.
        options.far.sort_unstable();
        options.shares.sort_unstable();
        if options.shares.iter().any(|shares| *shares < 10) {
            return Err("`--shares`: with fewer than ten, nothing is shared with the caller".to_owned());
        }
        Ok(Some(options))
    }

    /// The fewest policies and the most.
    pub fn ends(&self) -> (usize, usize) {
        let all = || self.policies.iter().copied();
        (all().min().unwrap_or_default(), all().max().unwrap_or_default())
    }
}

pub const HELP: &str = "\
Measures the function in whole: cold start, latency, CPU and memory, beside a bare echo, in the same run

cargo bench --bench end_to_end -- [OPTIONS]

  --policies N,...   sizes of stores [10,100,1000,10000,100000]
  --entities N,...   sizes of stores with entities [10,100000]
  --routes N         routes of an API that is granted as a whole [1000]
  --far N,...        policies of bundles that are far away [12,10000,100000]
  --shares N,...     links of a template, in bundles that are far away, from 10 [12,1000000]
  --only PART        only `near`, the first table, or only `far`
  --trace            what a start from afar asks for, and when
  --build            also what the command line takes to build the largest store of --far and of --shares
  --runs N           rounds in which all are measured in turns [9]
  --quick            three short rounds with small stores, to see whether it works
  --markdown         the tables as docs/performance.md has them

It builds the function first, in the release profile, and bundles, which takes minutes the first time. A store that is
too large for a bundle is left out. What is far away is an S3 and an issuer on this machine, with TLS, 15 ms a round
trip and 80 MB/s a connection.
";
