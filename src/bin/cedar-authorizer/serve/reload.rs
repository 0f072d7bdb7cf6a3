//! Changes of the files: read at once, and in force at the next request.

mod changed;

use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;

use super::Served;
use super::gateway::kept_in;
use super::in_force::Origin;
use super::start;
use super::traffic::News;
use crate::output::{Failure, WARNING, paint, plural, warn};
use crate::watch::Watching;
pub use changed::Changed;

/// Notices changes of the files from now on.
pub fn watching(origin: &Origin) -> Result<Watching, Failure> {
    let mut watching = Watching::new(&origin.paths())?;
    watching.follow(&origin.nested_templates())?;
    Ok(watching)
}

/// Reads the files again whenever they change. If nobody can watch them, this is said.
pub fn watch(served: &Arc<Served>, origin: Origin, watching: Result<Watching, Failure>) {
    let mut watching = match watching {
        Ok(watching) => watching,
        Err(failure) => return cannot_watch(&failure),
    };
    let (served, runtime) = (Arc::clone(served), Handle::current());
    let watch = move || {
        let failure = loop {
            if let Err(failure) = watching.wait() {
                break failure;
            }
            // From here on requests wait, so that none is answered by what was in the files before.
            served.in_force.set_changing(true);
            let settled = watching.settle().and_then(|_| watching.follow(&origin.nested_templates()));
            runtime.block_on(served.reload(&origin));
            served.in_force.set_changing(false);
            if let Err(failure) = settled {
                break failure;
            }
        };
        cannot_watch(&failure);
    };
    // The thread ends with the process.
    if let Err(error) = thread::Builder::new().name("watch".to_owned()).spawn(watch) {
        cannot_watch(&Failure::could_not_run(error));
    }
}

fn cannot_watch(failure: &Failure) {
    warn(&format_args!("{}: {failure}; changes need a restart", paint(WARNING, "warning")));
}

impl Served {
    /// Reads the files again. What they say is in force, unless something is wrong with it.
    pub async fn reload(&self, origin: &Origin) {
        let before = self.in_force.get();
        let loaded = origin.load(self.in_force.issuer(), Some(&before)).await.map(|loaded| {
            let changed = Changed::between(&before, &loaded.in_force);
            (loaded, changed)
        });
        let (is_new, dropped, changed) = match loaded {
            // Such as a test of the store, or a file that was only touched.
            Ok((loaded, changed)) if changed.is_empty() => {
                let was_unusable = self.in_force.findings().is_unusable();
                self.in_force.set_look(loaded.look);
                if !was_unusable {
                    return;
                }
                warn(&format_args!("the files are again those of revision {}", before.revision));
                (false, 0, changed)
            }
            Ok((loaded, changed)) => {
                let is_shared = Arc::ptr_eq(&loaded.in_force.caches, &before.caches);
                let dropped = if is_shared { 0 } else { kept_in(&before) };
                let revision = loaded.in_force.revision;
                start::warn_of(origin, &loaded.look);
                if loaded.in_force.api.findings != before.api.findings {
                    start::warn_of_api(&loaded.in_force.api);
                }
                self.in_force.replace(loaded);
                let kept = plural(dropped, "kept answer");
                warn(&format_args!("{changed} changed: revision {revision} is in force; {kept} dropped"));
                (true, dropped, changed)
            }
            Err(look) => {
                start::warn_of(origin, &look);
                self.in_force.set_look(*look);
                warn(&format_args!("revision {} stays in force", before.revision));
                (false, 0, Changed::default())
            }
        };
        self.traffic.tell(News::Store { revision: self.in_force.get().revision, is_new, dropped, changed });
    }
}
