//! The service: the policy stores of one account.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, TryLockError};
use std::time::{Instant, SystemTime};

use aws_lc_rs::rand;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Limits;
use super::error::{ResourceKind, ServiceError};
use super::keys::Keys;
use super::moment::Moment;
use super::operations::pages::Pages;
use super::snapshot::Snapshot;
use super::storage::{self, WriteLock};
use super::store::files::{self, Files, Stamps, Step};
use super::store::index::{Index, fit};
use super::store::notes::{Alias, NOTES_FOLDER};
use super::store::{Store, Writes, rest, warn_of};
use crate::locks;
use crate::output::Failure;

/// The policy stores of one account, and how they are kept.
#[derive(Debug)]
pub struct Service {
    limits: Limits,
    data: Option<Data>,
    stores: RwLock<BTreeMap<String, Arc<Store>>>,
    /// Held by whoever makes or removes a store, or looks for new folders.
    scan: Mutex<Scan>,
    /// Held by whoever gives a store another name, because these are unique in the account.
    naming: Mutex<()>,
    /// Changes wait for the disk, and so may not take all threads.
    turns: Semaphore,
    pages: Pages,
    keys: Keys,
}

/// The folder with the stores.
#[derive(Debug)]
struct Data {
    folder: PathBuf,
    writes: Writes,
    _lock: Option<WriteLock>,
}

/// What is known of the folder with the stores.
#[derive(Debug, Default)]
struct Scan {
    /// Invalid stores, and how their files were then.
    invalid: BTreeMap<String, Stamps>,
    /// Folders whose stores were removed in memory only.
    removed: BTreeSet<String>,
    rests_until: Option<Instant>,
}

impl Service {
    /// Reads the stores of a folder. Without one, there are none.
    ///
    /// # Errors
    /// The folder cannot be read or, if it shall be written to, not be written to.
    pub fn open(data: Option<PathBuf>, write: bool, limits: Limits) -> Result<Self, Failure> {
        let data = data.map(|folder| Data::open(folder, write)).transpose()?;
        let service = Self {
            limits,
            data,
            stores: RwLock::default(),
            scan: Mutex::default(),
            naming: Mutex::default(),
            turns: Semaphore::new(MOST_CHANGES),
            pages: Pages::new().map_err(Failure::could_not_run)?,
            keys: Keys::new(None),
        };
        service.look_at(&mut service.scan());
        Ok(service)
    }

    /// The same service with other keys for tokens than those that issuers publish.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// The keys of issuers.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether the quotas of AVP apply.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What makes the tokens of pages.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Waits until there is room for one more change.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// The store with an id or alias.
    ///
    /// # Errors
    /// There is none.
    pub fn store(&self, policy_store_id: &str) -> Result<Arc<Store>, ServiceError> {
        self.look();
        let is_alias = policy_store_id.starts_with(ALIAS_PREFIX);
        let found = if is_alias {
            self.alias(policy_store_id)
                .filter(|(alias, _)| alias.deleted_at.is_none())
                .map(|(_, store)| store)
        } else {
            self.known().get(policy_store_id).cloned()
        };
        let kind = if is_alias { ResourceKind::PolicyStoreAlias } else { ResourceKind::PolicyStore };
        found.ok_or_else(|| ServiceError::NotFound(kind.named(policy_store_id)))
    }

    /// The store with an id or alias at this moment, for decisions.
    ///
    /// # Errors
    /// There is none.
    pub fn snapshot(&self, policy_store_id: &str) -> Result<Arc<Snapshot>, ServiceError> {
        self.store(policy_store_id)?.snapshot()
    }

    /// All stores in the order of their ids.
    pub fn stores(&self) -> Vec<Arc<Store>> {
        self.look();
        self.known().values().cloned().collect()
    }

    /// All aliases in the order of their names. Those that were deleted a day ago are gone.
    pub fn aliases(&self) -> Vec<(Alias, Arc<Store>)> {
        let now = Moment::now();
        let mut aliases: Vec<(Alias, Arc<Store>)> = Vec::new();
        for store in self.stores() {
            let of_store = store.read_known(|index| index.note.aliases.clone());
            let kept = of_store.into_iter().filter(|alias| is_kept(alias, now));
            aliases.extend(kept.map(|alias| (alias, Arc::clone(&store))));
        }
        aliases.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        aliases
    }

    /// An alias and its store.
    pub fn alias(&self, name: &str) -> Option<(Alias, Arc<Store>)> {
        let now = Moment::now();
        self.stores().into_iter().find_map(|store| {
            let find = |index: &Index| {
                index.note.aliases.iter().find(|alias| alias.name == name && is_kept(alias, now)).cloned()
            };
            store.read_known(find).map(|alias| (alias, store))
        })
    }

    /// Held while a name is looked up and given.
    pub fn naming(&self) -> MutexGuard<'_, ()> {
        locks::lock(&self.naming)
    }

    /// Makes a store, unless `known` finds that there is one already. `known` is asked while no other can be made.
    ///
    /// # Errors
    /// Those of `known`, or the store could not be written.
    pub fn make<T>(
        &self,
        id: String,
        steps: Vec<Step>,
        known: impl FnOnce(&[Arc<Store>]) -> Result<Option<T>, ServiceError>,
        answer: impl FnOnce(&Store) -> T,
    ) -> Result<T, ServiceError> {
        let scan = self.scan();
        let stores: Vec<Arc<Store>> = self.known().values().cloned().collect();
        if let Some(answer) = known(&stores)? {
            return Ok(answer);
        }
        let mut memory = Files::new();
        files::apply(&mut memory, steps.clone(), SystemTime::now());
        let to_disk = self.data.as_ref().filter(|data| data.writes == Writes::ToDisk);
        let (folder, writes) = match to_disk {
            Some(data) => {
                let made = storage::make_store(&data.folder, &id, &steps);
                let folder = made.map_err(|error| {
                    ServiceError::internal(format_args!("the policy store could not be written: {error}"))
                })?;
                (Some(folder), Writes::ToDisk)
            }
            None => (None, Writes::ToMemory),
        };
        let made = Store::new(id.clone(), folder, memory, writes)
            .map_err(|mistakes| ServiceError::internal(mistakes.join("; ")))?;
        let answer = answer(&made);
        locks::write(&self.stores).insert(id, Arc::new(made));
        drop(scan);
        Ok(answer)
    }

    /// Removes a store with all that is in it.
    ///
    /// # Errors
    /// It could not be removed from the disk.
    pub fn remove(&self, store: &Store) -> Result<(), ServiceError> {
        let mut scan = self.scan();
        if let (Some(data), Some(folder)) = (&self.data, &store.folder) {
            match data.writes {
                Writes::ToDisk => storage::remove_store(&data.folder, folder).map_err(|error| {
                    ServiceError::internal(format_args!("the policy store could not be removed: {error}"))
                })?,
                Writes::ToMemory => {
                    let name = folder.file_name().unwrap_or_default();
                    scan.removed.insert(name.to_string_lossy().into_owned());
                }
            }
        }
        locks::write(&self.stores).remove(&store.id);
        Ok(())
    }

    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Store>>> {
        locks::read(&self.stores)
    }

    fn scan(&self) -> MutexGuard<'_, Scan> {
        locks::lock(&self.scan)
    }

    /// Looks whether folders came or went, unless somebody is at it, or has just been.
    fn look(&self) {
        match self.scan.try_lock() {
            Ok(mut scan) => self.look_at(&mut scan),
            Err(TryLockError::Poisoned(scan)) => self.look_at(&mut scan.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    fn look_at(&self, scan: &mut Scan) {
        let Some(data) = &self.data else { return };
        let started = Instant::now();
        if scan.rests_until.is_some_and(|until| started < until) {
            return;
        }
        let Ok(found) = data.folders(&scan.removed) else { return };
        scan.rests_until = Some(rest(started));
        let known: BTreeMap<String, PathBuf> = self
            .known()
            .values()
            .filter_map(|store| Some((store.id.clone(), store.folder.clone()?)))
            .collect();
        let gone: Vec<&String> =
            known.iter().filter(|(_, folder)| !found.contains(*folder)).map(|(id, _)| id).collect();
        let taken: BTreeSet<&PathBuf> = known.values().collect();
        // First, so that a folder with another name keeps its id.
        locks::write(&self.stores).retain(|id, _| !gone.contains(&id));
        for folder in found.iter().filter(|folder| !taken.contains(folder)) {
            let name = folder.to_string_lossy().into_owned();
            let stamps = files::stamps(folder);
            if scan.invalid.get(&name) == Some(&stamps) {
                continue;
            }
            let id = |index: &Index| self.free_id(index, folder);
            match Store::open(folder, data.writes, id) {
                Ok(store) => {
                    scan.invalid.remove(&name);
                    let mut stores = locks::write(&self.stores);
                    stores.insert(store.id.clone(), Arc::new(store));
                }
                Err(mistakes) => {
                    warn_of(folder, &mistakes, "this policy store is not served");
                    scan.invalid.insert(name, stamps);
                }
            }
        }
    }

    /// The id of a store: that of its note, otherwise the name of its folder.
    fn free_id(&self, index: &Index, folder: &std::path::Path) -> String {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let known = self.known();
        let noted = index.note.policy_store_id.clone();
        let candidates = noted.into_iter().chain([fit(&name)]);
        let numbered = (2..).map(|number| format!("{}-{number}", fit(&name)));
        let is_free = |id: &String| !known.contains_key(id) && !id.starts_with(ALIAS_PREFIX);
        candidates.chain(numbered).find(is_free).unwrap_or_default()
    }
}

impl Data {
    fn open(folder: PathBuf, write: bool) -> Result<Self, Failure> {
        if write {
            fs::create_dir_all(&folder).map_err(|error| {
                Failure::could_not_run(format_args!("cannot make `{}`: {error}", folder.display()))
            })?;
        }
        let read = fs::read_dir(&folder).map_err(|error| {
            let failure = Failure::could_not_run(format_args!("cannot read `{}`: {error}", folder.display()));
            failure.hint("--data names a folder with a policy store in each folder; --write makes it")
        })?;
        drop(read);
        if folder.join("store.toml").is_file() {
            let message =
                format!("`{}` is a policy store, not a folder with policy stores", folder.display());
            return Err(Failure::could_not_run(message).hint("name the folder above it"));
        }
        let lock = if write { Some(WriteLock::take(&folder)?) } else { None };
        if write {
            storage::tidy(&folder).map_err(|error| {
                let message = format!("cannot complete changes in `{}`: {error}", folder.display());
                Failure::could_not_run(message)
            })?;
        }
        let writes = if write { Writes::ToDisk } else { Writes::ToMemory };
        Ok(Self { folder, writes, _lock: lock })
    }

    /// The folders with stores.
    fn folders(&self, removed: &BTreeSet<String>) -> std::io::Result<BTreeSet<PathBuf>> {
        let mut folders = BTreeSet::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            let is_store = path.join("store.toml").is_file() || path.join(NOTES_FOLDER).is_dir();
            if !name.starts_with('.') && !removed.contains(&name) && is_store {
                folders.insert(path);
            }
        }
        Ok(folders)
    }
}

/// Whether an alias still has its name: AVP keeps it for a day after it was deleted (User Guide, "Deleting Amazon
/// Verified Permissions policy store aliases").
fn is_kept(alias: &Alias, now: Moment) -> bool {
    alias.deleted_at.is_none_or(|deleted| now.since(deleted).as_secs() < 24 * 60 * 60)
}

/// An id as AVP makes them.
///
/// # Errors
/// The system has no random numbers.
pub fn new_id() -> Result<String, ServiceError> {
    let mut id = String::new();
    while id.len() < 22 {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| ServiceError::internal("the system has no random numbers"))?;
        // Six bits of each byte, without the two values that are no letter: all letters are equally likely.
        let letters = bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte & 63)));
        id.extend(letters.map(|letter| char::from(*letter)).take(22 - id.len()));
    }
    Ok(id)
}

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What the names of aliases begin with.
pub const ALIAS_PREFIX: &str = "policy-store-alias/";

/// Changes at once. Each may need a stack for deep policies.
const MOST_CHANGES: usize = 16;
