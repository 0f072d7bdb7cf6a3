//! As much of HCL as an export writes, read into the JSON that `terraform show -json` would print.

use serde_json::{Map, Value, json};

/// The plan of a configuration.
pub fn plan(text: &str) -> Value {
    let mut reader = Reader { rest: text };
    let (mut resources, mut configured, mut outputs) = (Vec::new(), Vec::new(), Map::new());
    while let Some((head, labels)) = reader.head() {
        let mut expressions = Map::new();
        let values = reader.body(&mut expressions);
        match head.as_str() {
            "resource" => {
                let [kind, name] = &labels[..] else { panic!("{labels:?}") };
                let address = format!("{kind}.{name}");
                resources.push(json!({ "address": address, "mode": "managed", "type": kind, "name": name, "values": values }));
                configured.push(json!({ "type": kind, "name": name, "expressions": expressions }));
            }
            "output" => {
                outputs.insert(labels[0].clone(), json!({ "value": values["value"] }));
            }
            other => panic!("{other}"),
        }
    }
    json!({
        "format_version": "1.2",
        "planned_values": { "root_module": { "resources": resources }, "outputs": outputs },
        "configuration": { "root_module": { "resources": configured } },
    })
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\n']);
    }

    fn takes(&mut self, sign: &str) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self) -> String {
        self.space();
        let is_end = |char: char| !char.is_ascii_alphanumeric() && !"_-.".contains(char);
        let (word, rest) = self.rest.split_at(self.rest.find(is_end).unwrap_or(self.rest.len()));
        self.rest = rest;
        assert!(!word.is_empty(), "{:?}", self.rest);
        word.to_owned()
    }

    fn head(&mut self) -> Option<(String, Vec<String>)> {
        self.space();
        if self.rest.is_empty() {
            return None;
        }
        let word = self.word();
        let mut labels = Vec::new();
        self.space();
        while self.rest.starts_with('"') {
            labels.push(self.quoted());
            self.space();
        }
        assert!(self.takes("{"));
        Some((word, labels))
    }

    /// Up to the `}`. References go to `expressions`.
    fn body(&mut self, expressions: &mut Map<String, Value>) -> Map<String, Value> {
        let mut values = Map::new();
        while !self.takes("}") {
            let name = self.word();
            if self.takes("{") {
                let mut inner = Map::new();
                let block = self.body(&mut inner);
                values.insert(name.clone(), json!([block]));
                expressions.insert(name, json!([inner]));
                continue;
            }
            assert!(self.takes("="), "{name}: {:?}", self.rest);
            self.space();
            let is_reference = self.rest.starts_with("aws_");
            if is_reference {
                let address = self.word();
                let owner = address.rsplit_once('.').unwrap().0.to_owned();
                expressions.insert(name, json!({ "references": [address, owner] }));
            } else {
                values.insert(name, self.value());
            }
        }
        values
    }

    fn value(&mut self) -> Value {
        self.space();
        if self.rest.starts_with('"') {
            return Value::from(self.quoted());
        }
        if let Some(rest) = self.rest.strip_prefix("<<") {
            let (word, rest) = rest.split_once('\n').unwrap();
            let mut text = String::new();
            let mut rest = rest;
            loop {
                let (line, behind) = rest.split_once('\n').unwrap();
                rest = behind;
                if line.trim() == word {
                    break;
                }
                text.push_str(line);
                text.push('\n');
            }
            self.rest = rest;
            // An expression would begin here.
            let plain = text.replace("$${", "\u{0}").replace("%%{", "\u{1}");
            assert!(!plain.contains("${") && !plain.contains("%{"), "{text}");
            return Value::from(plain.replace('\u{0}', "${").replace('\u{1}', "%{"));
        }
        if self.takes("[") {
            let mut items = Vec::new();
            while !self.takes("]") {
                items.push(self.value());
                self.takes(",");
            }
            return Value::from(items);
        }
        if self.takes("{") {
            let mut members = Map::new();
            while !self.takes("}") {
                self.space();
                let key = self.quoted();
                assert!(self.takes("="));
                members.insert(key, self.value());
                self.takes(",");
            }
            return Value::from(members);
        }
        panic!("{:?}", self.rest)
    }

    fn quoted(&mut self) -> String {
        let mut chars = self.rest.char_indices().skip(1);
        let mut text = String::new();
        while let Some((index, char)) = chars.next() {
            match char {
                '"' => {
                    self.rest = self.rest.get(index + 1..).unwrap();
                    return text;
                }
                '\\' => match chars.next().unwrap().1 {
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    'u' => {
                        let digits: String = chars.by_ref().take(4).map(|(_, char)| char).collect();
                        text.push(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap());
                    }
                    other => text.push(other),
                },
                '$' | '%' => {
                    assert!(
                        !self.rest.get(index + 1..).unwrap().starts_with('{'),
                        "an expression in {:?}",
                        self.rest
                    );
                    text.push(char);
                }
                '\n' => panic!("a line break in {:?}", self.rest),
                char => text.push(char),
            }
        }
        panic!("no end: {:?}", self.rest)
    }
}
