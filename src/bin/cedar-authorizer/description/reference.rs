//! References: `$ref` to another place in the same document.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use percent_encoding::percent_decode_str;

use crate::yaml::{self, Node, Place};

/// What the references of a document lead to.
pub struct References {
    root: Rc<Node>,
    /// The keys of the large maps that references lead through, by the address of the map. Maps are searched from the
    /// front, so thousands of references into one map would take quadratic time.
    indexes: RefCell<HashMap<*const Node, Rc<Index>>>,
}

type Index = HashMap<String, Rc<Node>>;

impl References {
    /// The references of the document with this root.
    pub fn new(root: Rc<Node>) -> Self {
        Self { root, indexes: RefCell::default() }
    }

    /// The node itself, or what its `$ref` leads to in the end.
    ///
    /// # Errors
    /// It leads to another file, to nothing, or in a circle.
    pub fn resolve(&self, node: &Rc<Node>) -> Result<Rc<Node>, yaml::Problem> {
        Ok(self.chain(node)?.pop().unwrap_or_else(|| Rc::clone(node)))
    }

    /// The node itself, what its `$ref` leads to, and so on to the end.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn chain(&self, node: &Rc<Node>) -> Result<Vec<Rc<Node>>, yaml::Problem> {
        let mut chain = vec![Rc::clone(node)];
        while let Some(reference) = chain.last().and_then(|node| node.get("$ref")) {
            if chain.len() > MAX_STEPS {
                return Err(problem(node.place, format!("a chain of more than {MAX_STEPS} references")));
            }
            let target = self.target(reference)?;
            if chain.iter().any(|known| Rc::ptr_eq(known, &target)) {
                let text = reference.text().unwrap_or_default();
                return Err(problem(reference.place, format!("`{text}` leads in a circle")));
            }
            chain.push(target);
        }
        Ok(chain)
    }

    fn target(&self, reference: &Rc<Node>) -> Result<Rc<Node>, yaml::Problem> {
        let place = reference.place;
        let Some(text) = reference.text() else {
            return Err(problem(place, "`$ref` should be text"));
        };
        let Some(pointer) = text.strip_prefix('#') else {
            return Err(problem(place, format!("`{text}` is in another file, which is not read")));
        };
        let nothing = || problem(place, format!("`{text}` leads nowhere"));
        let Some(pointer) = pointer.strip_prefix('/') else {
            return if pointer.is_empty() { Ok(Rc::clone(&self.root)) } else { Err(nothing()) };
        };
        let mut node = Rc::clone(&self.root);
        for part in pointer.split('/') {
            // RFC 6901, sections 4 and 6.
            let part = percent_decode_str(part).decode_utf8_lossy().replace("~1", "/").replace("~0", "~");
            node = self.inner(&node, &part).ok_or_else(nothing)?;
        }
        Ok(node)
    }

    fn inner(&self, node: &Rc<Node>, key: &str) -> Option<Rc<Node>> {
        if let Some(items) = node.list() {
            return items.get(key.parse::<usize>().ok()?).cloned();
        }
        let entries = node.map()?;
        if entries.len() <= SMALL {
            return node.get(key).cloned();
        }
        let mut indexes = self.indexes.borrow_mut();
        let index = indexes.entry(Rc::as_ptr(node)).or_insert_with(|| {
            Rc::new(entries.iter().map(|entry| (entry.key.clone(), Rc::clone(&entry.value))).collect())
        });
        index.get(key).cloned()
    }
}

fn problem(place: Place, message: impl Into<String>) -> yaml::Problem {
    yaml::Problem { place, message: message.into() }
}

/// Far more than people write.
const MAX_STEPS: usize = 32;

/// Maps up to this size are searched faster than indexed.
const SMALL: usize = 16;
