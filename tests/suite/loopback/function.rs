use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::runtime_api::Event;
use super::{Answer, Init, PATIENCE, RuntimeApi};

/// The executable, started as Lambda starts it. Its environment has only what Lambda sets and what the test
/// gives. It is killed when this is dropped.
#[derive(Debug)]
pub struct Function {
    process: Mutex<Child>,
    runtime_api: RuntimeApi,
    /// A file, not a pipe: when an answer arrives, everything that was written before it is already there.
    logs: File,
    _home: TempDir,
}

/// Why a function failed before it asked for an event.
pub struct InitFailure {
    /// The function's own error type, or `Runtime.ExitError`, Lambda's word for a process that just ended.
    pub error_type: String,
    /// The function's own message, or how the process ended.
    pub message: String,
    pub logs: String,
}

impl Function {
    /// Starts the executable and waits until it is ready. `env` adds to Lambda's variables and overrides them.
    #[track_caller]
    pub fn start(
        executable: impl AsRef<Path>,
        env: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Result<Self, InitFailure> {
        let runtime_api = RuntimeApi::start();
        let logs = tempfile::tempfile().unwrap();
        let home = tempfile::tempdir().unwrap();
        let process = Command::new(executable.as_ref())
            .env_clear()
            .envs(LAMBDA_ENVIRONMENT)
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api.address())
            .env("HOME", home.path())
            .envs(env)
            .stdin(Stdio::null())
            // Two handles of one open file: they share the position, so the streams interleave.
            .stdout(logs.try_clone().unwrap())
            .stderr(logs.try_clone().unwrap())
            .spawn()
            .expect("an executable that can be started");
        let function = Self { process: Mutex::new(process), runtime_api, logs, _home: home };
        let init = function.watch("start", |glance| function.runtime_api.init_within(glance));
        let (error_type, message) = match init {
            Ok(Init::Ready) => return Ok(function),
            Ok(Init::Failed { error_type, error_message }) => (error_type, error_message),
            Err(status) => ("Runtime.ExitError".to_owned(), status.to_string()),
        };
        Err(InitFailure { error_type, message, logs: function.logs() })
    }

    /// Gives the function an event and waits for its answer. Fails with the logs if the process
    /// ends instead.
    #[track_caller]
    pub fn invoke(&self, event: impl Into<Event>) -> Answer {
        let pending = self.runtime_api.begin(event.into());
        match self.watch("answer", |glance| pending.within(glance)) {
            Ok(answer) => answer,
            Err(status) => panic!("the function ended: {status}; its logs:\n{}", self.logs()),
        }
    }

    /// Everything that the function has written so far, to stdout and stderr.
    pub fn logs(&self) -> String {
        let length = self.logs.metadata().unwrap().len();
        let mut logs = vec![0; usize::try_from(length).unwrap()];
        // `read_exact_at` does not move the position, which is where the function writes.
        self.logs.read_exact_at(&mut logs, 0).unwrap();
        String::from_utf8_lossy(&logs).into_owned()
    }

    /// Stops the process where it is, as Lambda does between calls.
    #[cfg(unix)]
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets the process continue.
    #[cfg(unix)]
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let id = self.process.lock().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// The memory that the process holds now, in KiB: Linux's `VmRSS`.
    pub fn resident_kb(&self) -> u64 {
        let id = self.process.lock().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"))
            .expect("a process that still runs");
        resident.trim().parse().unwrap()
    }

    /// Polls until there is a result, the process has ended without one, or `PATIENCE` is over.
    #[track_caller]
    fn watch<T>(&self, awaited: &str, poll: impl Fn(Duration) -> Option<T>) -> Result<T, ExitStatus> {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            // Checked before the poll, so that what the process sent last is not missed.
            let ended = self.process.lock().unwrap().try_wait().unwrap();
            if let Some(result) = poll(GLANCE) {
                return Ok(result);
            }
            if let Some(status) = ended {
                return Err(status);
            }
        }
        panic!("no {awaited} within {PATIENCE:?}; the function's logs:\n{}", self.logs())
    }
}

/// Made for `unwrap`: it shows the logs as they were written, not as one line with escapes.
impl fmt::Debug for InitFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error_type, message, logs } = self;
        write!(f, "{error_type}: {message}; the function's logs:\n{logs}")
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        if let Ok(process) = self.process.get_mut() {
            // It may have ended by itself; `wait` leaves no zombie in either case.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// How often to check that the process still runs. This does not delay an answer.
const GLANCE: Duration = Duration::from_millis(20);

/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
const LAMBDA_ENVIRONMENT: [(&str, &str); 8] = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_NAME", "cedar-authorizer"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("AWS_REGION", "eu-west-1"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
];

#[test]
fn a_process_that_just_ends_is_a_failed_start_with_its_logs() {
    let failure = Function::start("/usr/bin/env", [("CACHE_KEY", "none")]).unwrap_err();
    assert_eq!(failure.error_type, "Runtime.ExitError");
    assert_eq!(failure.message, "exit status: 0");
    // `env` prints its environment: the variables of Lambda and of the test, but none of Cargo's.
    assert!(failure.logs.contains("AWS_LAMBDA_RUNTIME_API=127.0.0.1:"), "{failure:?}");
    assert!(failure.logs.contains("CACHE_KEY=none\n"), "{failure:?}");
    assert!(!failure.logs.contains("CARGO"), "{failure:?}");
}
