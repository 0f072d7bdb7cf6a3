//! How long the command line takes to build a store.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::process::peak_memory;
use crate::report::table;
use crate::subject::{Executables, FarStore};
use crate::world::bundles;

/// Builds the largest store of each kind, and prints what that took. It may use all CPUs.
pub fn print(options: &Options) {
    let command_line = Executables::build_command_line();
    let most = |sizes: &[usize]| sizes.iter().copied().max();
    let stores = [most(&options.far).map(FarStore::Policies), most(&options.shares).map(FarStore::Shares)];
    let mut rows = vec![["build", "goal", "s", "MB"].map(str::to_owned).to_vec()];
    for store in stores.into_iter().flatten() {
        fs::create_dir_all(bundles()).unwrap();
        let folder = tempfile::tempdir_in(bundles()).unwrap();
        let files = store.shape().files();
        for (path, content) in files.iter() {
            let path = folder.path().join("store").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        drop(files);
        let mut command = Command::new(&command_line);
        command.arg("build").arg("--store").arg(folder.path().join("store"));
        command.arg("--output").arg(folder.path().join("bench.bundle"));
        let begun = Instant::now();
        let findings = folder.path().join("findings");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&findings).unwrap());
        let mut process = command.spawn().unwrap();
        let mut memory = 0.0;
        let status = loop {
            memory = peak_memory(&process).unwrap_or(memory);
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            thread::sleep(LOOK);
        };
        let seconds = begun.elapsed().as_secs_f64();
        let goal = match store {
            FarStore::Shares(_) => "60 s, 1000 MB",
            FarStore::Policies(_) | FarStore::FetchedKeys(_) => "5 s, 1000 MB",
        };
        let name = store.name();
        let took = if status.success() {
            format!("{seconds:.2}")
        } else {
            eprintln!("{}", fs::read_to_string(findings).unwrap_or_default());
            status.to_string()
        };
        rows.push(vec![name, goal.to_owned(), took, format!("{memory:.0}")]);
    }
    table(&rows, options);
}

/// How often the memory is looked at. Most is held long before the end.
const LOOK: Duration = Duration::from_millis(10);
