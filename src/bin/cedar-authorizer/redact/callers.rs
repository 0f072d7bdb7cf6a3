//! Numbers in place of people: `caller-1` is the first of the file.

use std::collections::HashMap;

/// The numbers that were given.
#[derive(Debug, Default)]
pub struct Callers(HashMap<String, u64>);

impl Callers {
    /// The line with numbers in place of the marks of callers.
    pub fn numbered(&mut self, line: String) -> String {
        if !line.contains(MARK) {
            return line;
        }
        let mut parts = line.split(MARK);
        let mut numbered = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits =
                part.get(..DIGITS).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let Some(digits) = digits else {
                numbered.push_str(MARK);
                numbered.push_str(part);
                continue;
            };
            let next = self.0.len() as u64 + 1;
            let number = *self.0.entry(digits.to_owned()).or_insert(next);
            numbered.push_str(&format!("caller-{number}"));
            numbered.push_str(part.get(DIGITS..).unwrap_or_default());
        }
        numbered
    }
}

/// How a caller begins who has no number yet; the digits of the hash follow.
pub const MARK: &str = "caller-hmac-sha256:";

/// The digits of a hash.
const DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_numbered_in_the_order_of_the_file() {
        let mut callers = Callers::default();
        let (one, two) = ("0".repeat(32), "f".repeat(32));
        assert_eq!(callers.numbered(format!("a {MARK}{two} b {MARK}{one}")), "a caller-1 b caller-2");
        assert_eq!(callers.numbered(format!("{MARK}{one}{MARK}{two}!")), "caller-2caller-1!");
        assert_eq!(callers.numbered(format!("{MARK}x")), format!("{MARK}x"));
    }
}
