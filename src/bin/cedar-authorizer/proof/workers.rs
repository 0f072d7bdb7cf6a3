//! Several solvers at work at once.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cedar_authorizer::bundle::with_room;

use super::Settings;
use super::solver::{Inquirer, Program};
use crate::output::Failure;

/// Does each piece of work with a solver. The results are in the order of the work.
///
/// # Errors
/// The system gives no thread or runtime.
pub fn each<W: Sync, R: Send>(
    program: &Program,
    settings: &Settings,
    work: &[W],
    run: impl Fn(&mut Inquirer<'_>, &W) -> R + Sync,
) -> Result<Vec<R>, Failure> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::default();
    let worker = || -> Result<(), Failure> {
        let mut inquirer = Inquirer::new(program, settings)?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = work.get(index) else { return Ok(()) };
            let result = run(&mut inquirer, piece);
            results.lock().map_err(Failure::could_not_run)?.push((index, result));
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        // Cedar walks expressions recursively.
        let spawn = |_| scope.spawn(|| with_room(worker).map_err(Failure::could_not_run).flatten());
        let threads: Vec<_> = (0..cores.min(work.len())).map(spawn).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<(), Failure>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().try_for_each(join)
    })?;
    let mut results = results.into_inner().map_err(|error| Failure::could_not_run(error.to_string()))?;
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
