//! Pages of lists, and the tokens that lead from one to the next.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign, verify};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::avp::error::ServiceError;
use crate::avp::moment::Moment;

/// What makes and reads the tokens of pages. After a restart, tokens of before are not known.
#[derive(Debug)]
pub struct Pages {
    key: Key,
}

/// A part of a list, and the token of the next one.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_token: Option<String>,
}

impl Pages {
    /// With a new key.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new() -> Result<Self, &'static str> {
        let mut key = [0; 32];
        rand::fill(&mut key).map_err(|_| "the system has no random numbers")?;
        Ok(Self { key: Key::new(HMAC_SHA256, &key) })
    }

    /// A page of a list. `of` says what is listed: operation, store and filter. A token is good for that only, and for
    /// a day. `items` gives all items behind a key in order, with their keys.
    ///
    /// # Errors
    /// The token is not one for this list.
    pub fn page<T, I: Iterator<Item = (String, T)>>(
        &self,
        of: &[&str],
        token: Option<&str>,
        size: usize,
        items: impl FnOnce(Option<&str>) -> I,
    ) -> Result<Page<T>, ServiceError> {
        let of = of.join("\u{0}");
        let after = token.map(|token| self.read(&of, token)).transpose()?;
        let mut found = items(after.as_deref());
        let mut page = Page { items: Vec::new(), next_token: None };
        let mut last = None;
        for (key, item) in found.by_ref().take(size) {
            page.items.push(item);
            last = Some(key);
        }
        if let (Some(last), true) = (last, found.next().is_some()) {
            page.next_token = Some(self.write(&of, &last));
        }
        Ok(page)
    }

    fn write(&self, of: &str, last: &str) -> String {
        let content = URL_SAFE_NO_PAD.encode(format!("{}\u{0}{last}", Moment::now()));
        let tag = sign(&self.key, format!("{of}\u{0}{content}").as_bytes());
        format!("{content}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn read(&self, of: &str, token: &str) -> Result<String, ServiceError> {
        let read = || {
            let (content, tag) = token.split_once('.')?;
            let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
            verify(&self.key, format!("{of}\u{0}{content}").as_bytes(), &tag).ok()?;
            let content = String::from_utf8(URL_SAFE_NO_PAD.decode(content).ok()?).ok()?;
            let (written, last) = content.split_once('\u{0}')?;
            let written: Moment = serde_json::from_value(written.into()).ok()?;
            (Moment::now().since(written).as_secs() < 24 * 60 * 60).then(|| last.to_owned())
        };
        read().ok_or_else(|| ServiceError::invalid("nextToken", "it is not the token of a page of this list"))
    }
}

/// The size of a page: `default` unless the request says otherwise, and never more than 50 (API reference, `maxResults`
/// of the lists). A page may have fewer items than the request asks for.
pub fn size(max_results: Option<usize>, default: usize) -> usize {
    max_results.unwrap_or(default).clamp(1, 50)
}

/// How many items most lists have on a page (API reference, `maxResults`).
pub const DEFAULT: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_list_only() {
        let pages = Pages::new().unwrap();
        let all = |after: Option<&str>| {
            let after = after.map(str::to_owned);
            let keys = ["a", "b", "c"].map(str::to_owned).into_iter();
            keys.filter(move |key| after.as_ref().is_none_or(|after| key > after))
                .map(|key| (key.clone(), key))
        };
        let first = pages.page(&["list", "store"], None, 2, all).unwrap();
        assert_eq!(first.items, ["a", "b"]);
        let token = first.next_token.unwrap();
        let second = pages.page(&["list", "store"], Some(&token), 2, all).unwrap();
        assert_eq!((second.items, second.next_token), (vec!["c".to_owned()], None));
        assert!(pages.page(&["list", "other"], Some(&token), 2, all).is_err());
        assert!(Pages::new().unwrap().page(&["list", "store"], Some(&token), 2, all).is_err());
        for position in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            // The last letter of base64 has bits that mean nothing; the decoder refuses those.
            assert!(pages.page(&["list", "store"], Some(&forged), 2, all).is_err(), "{position}");
        }
        assert!(pages.page(&["list", "store"], Some(""), 2, all).is_err());
    }
}
