//! What happens: the last exchanges, and news of new ones for whoever listens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::broadcast;

use super::exchange::Exchange;
use super::reload::Changed;

use crate::locks;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum News {
    /// A request was answered.
    Exchange(Arc<Exchange>),
    /// The files were read again. What came of it is in [`InForceCell`](super::in_force::InForceCell).
    Store {
        /// The revision that is in force.
        revision: u64,
        /// Whether it is a new one. If not, the last good one stays in force.
        is_new: bool,
        /// How many kept answers were dropped for it.
        dropped: usize,
        /// The files that make it a new one.
        changed: Changed,
    },
    /// Somebody emptied the cache.
    Flush {
        /// How many answers there were.
        dropped: usize,
    },
}

/// The exchanges of this process.
#[derive(Debug)]
pub struct Traffic {
    recent: Mutex<VecDeque<Arc<Exchange>>>,
    news: broadcast::Sender<News>,
}

impl Traffic {
    pub fn new() -> Self {
        Self { recent: Mutex::default(), news: broadcast::Sender::new(MAX_UNREAD) }
    }

    /// Adds an exchange.
    pub fn add(&self, exchange: Arc<Exchange>) {
        {
            let mut recent = locks::lock(&self.recent);
            if recent.len() >= MAX_RECENT {
                recent.pop_front();
            }
            recent.push_back(Arc::clone(&exchange));
        }
        self.tell(News::Exchange(exchange));
    }

    /// Tells of something.
    pub fn tell(&self, news: News) {
        // It is no failure if nobody listens.
        let _ = self.news.send(news);
    }

    /// The last exchanges, the oldest first.
    pub fn recent(&self) -> Vec<Arc<Exchange>> {
        locks::lock(&self.recent).iter().cloned().collect()
    }

    /// What happens from now on. Who reads too slowly misses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }
}

/// How many exchanges are kept.
const MAX_RECENT: usize = 500;

/// How many news wait for a slow listener.
const MAX_UNREAD: usize = 256;
