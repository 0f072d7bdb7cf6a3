//! The end of a server: a signal ends it, and what is under way may end first.

use tokio::sync::watch;

use crate::output::Failure;

/// The end of the process, announced by a signal.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<()>);

impl Stop {
    /// Returns once the signal has come.
    pub async fn wait(mut self) {
        // Nothing is ever sent: the signal drops the sender.
        let _ = self.0.changed().await;
    }
}

/// Signals end the process from now on only through [`Stop`].
pub fn stop() -> Result<Stop, Failure> {
    #[cfg(unix)]
    let signalled = {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::could_not_run)?;
        let mut terminated = signal(SignalKind::terminate()).map_err(Failure::could_not_run)?;
        async move {
            tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
        }
    };
    #[cfg(not(unix))]
    let signalled = async {
        // Without a handler there is nothing to wait for but the signal's own effect.
        let _ = tokio::signal::ctrl_c().await;
    };
    let (sender, receiver) = watch::channel(());
    tokio::spawn(async move {
        signalled.await;
        drop(sender);
    });
    Ok(Stop(receiver))
}
