use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::runtime_api::{Answered, RuntimeApi};
use crate::subject::Subject;
use crate::world::{events, tokens};

/// What was measured of one subject in one round.
pub struct Life {
    /// From the start of the process to its first answer, milliseconds.
    pub cold: Vec<f64>,
    /// The first call itself, milliseconds.
    pub first: f64,
    pub new: Warm,
    pub seen: Warm,
    /// The most memory that it held, MB.
    pub memory: f64,
}

/// Calls of a process that has answered before, in microseconds.
pub struct Warm {
    pub median: f64,
    pub p99: f64,
    /// The time that the process itself was running for each.
    pub cpu: f64,
}

/// The tokens of the calls.
pub struct Calls {
    new: Vec<String>,
    seen: String,
}

impl Calls {
    pub fn sign(options: &Options) -> Self {
        let mut new = tokens::sign(0..options.new_tokens + 1);
        Self { seen: new.pop().unwrap(), new }
    }

    /// The events with them: each of the new ones, and the one that is seen.
    pub fn events(&self, subject: &Subject) -> (Vec<Arc<str>>, Arc<str>) {
        let event = |token: &String| Arc::<str>::from(events::token(token, subject.kind.path()));
        (self.new.iter().map(event).collect(), event(&self.seen))
    }
}

impl Life {
    pub fn of(subject: &Subject, calls: &Calls, options: &Options) -> Self {
        let (new, seen) = calls.events(subject);
        let mut cold = Vec::new();
        for _ in 1..options.starts {
            cold.push(Process::start(subject, &seen).1);
        }
        let (process, last, first) = Process::start(subject, &seen);
        cold.push(last);
        let warm = |events: &[Arc<str>]| process.calls(subject, events);
        let new = warm(&new);
        let seen = warm(&vec![seen; options.seen_tokens]);
        Self { cold, first, new, seen, memory: process.peak_memory() }
    }
}

/// Ended when dropped.
pub struct Process {
    child: Child,
    pub runtime_api: RuntimeApi,
    pub started: Instant,
}

impl Process {
    /// Starts an executable as Lambda does, and waits for its first answer; gives what that took, and of it
    /// the call.
    fn start(subject: &Subject, event: &Arc<str>) -> (Self, f64, f64) {
        let runtime_api = RuntimeApi::start();
        runtime_api.give([event].into_iter());
        let process = Self::under(runtime_api, subject);
        let answer = process.take(subject)[0];
        let cold = milliseconds(answer.answered - process.started);
        (process, cold, milliseconds(answer.took()))
    }

    /// Starts an executable as Lambda does.
    pub fn under(runtime_api: RuntimeApi, subject: &Subject) -> Self {
        let mut command = Command::new(&subject.executable);
        command
            .env_clear()
            .envs(LAMBDA_ENVIRONMENT)
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api.address.to_string())
            .envs(subject.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let started = Instant::now();
        let child = command.spawn().unwrap();
        Self { child, runtime_api, started }
    }

    pub fn calls(&self, subject: &Subject, events: &[Arc<str>]) -> Warm {
        let warm_up = events.len() / 10;
        let give = |events: &[Arc<str>]| {
            self.runtime_api.give(events.iter());
            self.take(subject)
        };
        give(&events[..warm_up]);
        let before = self.cpu_nanoseconds();
        let answers = give(&events[warm_up..]);
        let cpu = self.cpu_nanoseconds() - before;
        let mut took: Vec<f64> = answers.iter().map(|answer| milliseconds(answer.took()) * 1000.0).collect();
        took.sort_by(f64::total_cmp);
        Warm {
            median: took[took.len() / 2],
            p99: took[took.len() * 99 / 100],
            cpu: cpu / took.len() as f64 / 1000.0,
        }
    }

    /// A fast answer that is wrong would be a fine number.
    pub fn take(&self, subject: &Subject) -> Vec<Answered> {
        let answers = self.runtime_api.take();
        let allows = |answered: &Answered| answered.allows || subject.kind.is_floor();
        assert!(answers.iter().all(allows), "{}: an answer allows nothing", subject.kind.name());
        answers
    }

    /// The time that its threads were running (proc(5), `schedstat`).
    pub fn cpu_nanoseconds(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let of_task = |task: fs::DirEntry| {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or_default()
        };
        tasks.map(|task| of_task(task.unwrap())).sum()
    }

    pub fn peak_memory(&self) -> f64 {
        peak_memory(&self.child).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The most memory that a process held, MB. `None`: it has ended.
pub fn peak_memory(process: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))?;
    Some(peak.trim().parse::<f64>().unwrap() / 1024.0)
}

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
const LAMBDA_ENVIRONMENT: [(&str, &str); 8] = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_NAME", "cedar-authorizer"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
];
