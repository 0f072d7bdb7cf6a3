//! The way of recorded lines through this program: read by one thread, worked on by all, taken in the order of the file.

use std::io;
use std::num::NonZero;
use std::thread;

use cedar_authorizer::bundle::with_room;

use super::input::Input;
use super::line::{Line, read};
use super::message::{Content, Message, Messages, Place};
use crate::output::Failure;
use crate::progress::{self, Counter};

/// What came of a line.
#[derive(Debug)]
pub struct Item<T> {
    pub place: Place,
    pub value: T,
}

/// Works on each line of the inputs, and gives what comes of it to `take`, in the order of the files.
///
/// Only two batches of lines are in memory at a time, however long the files are.
///
/// # Errors
/// A file cannot be read, or `take` fails.
pub fn each<T: Send>(
    what: &str,
    inputs: &[Input],
    work: &(impl Fn(Line<'_>, &Place) -> Option<T> + Sync),
    mut take: impl FnMut(Item<T>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    progress::counting(what, "line", |counter| {
        inputs.iter().try_for_each(|input| of_input(input, counter, work, &mut take))
    })
}

fn of_input<T: Send>(
    input: &Input,
    counter: &Counter,
    work: &(impl Fn(Line<'_>, &Place) -> Option<T> + Sync),
    take: &mut impl FnMut(Item<T>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut messages = Messages::new(&input.name, input.open()?);
    let mut next = || batch(&mut messages).map_err(|error| input.unreadable(&error));
    let mut current = next()?;
    while !current.is_empty() {
        // While all others work on a batch, this thread reads the next one.
        let (items, following) = thread::scope(|scope| {
            let size = current.len().div_ceil(threads());
            let parts: Vec<_> = current
                .chunks(size)
                .map(|part| scope.spawn(move || with_room(|| worked(part, work))))
                .collect();
            let following = next();
            let join = |part: thread::ScopedJoinHandle<'_, io::Result<Vec<Item<T>>>>| {
                part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let items: io::Result<Vec<Vec<Item<T>>>> = parts.into_iter().map(join).collect();
            (items, following)
        });
        let items = items.map_err(Failure::could_not_run)?;
        items.into_iter().flatten().try_for_each(&mut *take)?;
        counter.add(current.len());
        current = following?;
    }
    Ok(())
}

fn worked<T>(part: &[Message], work: &impl Fn(Line<'_>, &Place) -> Option<T>) -> Vec<Item<T>> {
    let mut items = Vec::new();
    for Message { place, content } in part {
        read(content, &mut |line| {
            items.extend(work(line, place).map(|value| Item { place: place.clone(), value }));
        });
    }
    items
}

/// The next messages. None: the file ends.
fn batch<R: io::Read>(messages: &mut Messages<R>) -> io::Result<Vec<Message>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < MAX_MESSAGES && bytes < MAX_BATCH_BYTES {
        let Some(message) = messages.next()? else { break };
        if let Content::Line(line) = &message.content {
            bytes += line.len();
        }
        batch.push(message);
    }
    Ok(batch)
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

const MAX_MESSAGES: usize = 8192;

const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
