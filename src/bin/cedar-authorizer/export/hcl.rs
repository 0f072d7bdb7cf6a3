//! HCL as `terraform fmt` writes it.
//!
//! Source: HCL, "Native Syntax Specification"; Terraform, "Style Conventions".

/// The body of a block.
#[derive(Debug, Default)]
pub struct Body(Vec<Item>);

#[derive(Debug)]
enum Item {
    /// A name with an expression on its line.
    Line(String, String),
    /// A name with a text in lines.
    Text(String, String),
    /// A block with its labels.
    Block(String, Body),
}

impl Body {
    /// Adds an attribute with an expression: a reference, a word.
    pub fn expression(&mut self, name: &str, expression: impl Into<String>) {
        self.0.push(Item::Line(name.to_owned(), expression.into()));
    }

    /// Adds an attribute with a text.
    pub fn text(&mut self, name: &str, text: &str) {
        if is_heredoc(text) {
            self.0.push(Item::Text(name.to_owned(), text.to_owned()));
        } else {
            self.expression(name, quoted(text));
        }
    }

    /// Adds an attribute with a list of texts.
    pub fn texts<'t>(&mut self, name: &str, texts: impl IntoIterator<Item = &'t str>) {
        let texts: Vec<String> = texts.into_iter().map(quoted).collect();
        self.expression(name, format!("[{}]", texts.join(", ")));
    }

    /// Adds a block. `head`: its type and labels.
    pub fn block(&mut self, head: impl Into<String>, body: Self) {
        self.0.push(Item::Block(head.into(), body));
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole file.
    pub fn file(&self) -> String {
        let mut file = String::new();
        self.write(0, &mut file);
        file
    }

    /// Equals signs of attributes on consecutive lines stand below each other; anything longer has empty lines around.
    fn write(&self, indent: usize, file: &mut String) {
        let pad = "  ".repeat(indent);
        let mut rest = self.0.as_slice();
        let mut is_first = true;
        while let Some((item, behind)) = rest.split_first() {
            if !is_first {
                file.push('\n');
            }
            is_first = false;
            rest = behind;
            match item {
                Item::Line(..) => {
                    let more = behind.iter().take_while(|item| matches!(item, Item::Line(..))).count();
                    let (lines, others) = behind.split_at(more);
                    rest = others;
                    let lines = || std::iter::once(item).chain(lines);
                    let width = lines().map(Item::width).max().unwrap_or_default();
                    for line in lines() {
                        if let Item::Line(name, expression) = line {
                            file.push_str(&format!("{pad}{name:width$} = {expression}\n"));
                        }
                    }
                }
                Item::Text(name, text) => {
                    let end = delimiter(text);
                    file.push_str(&format!("{pad}{name} = <<{end}\n{}{end}\n", escaped(text)));
                }
                Item::Block(head, body) if body.is_empty() => file.push_str(&format!("{pad}{head} {{}}\n")),
                Item::Block(head, body) => {
                    file.push_str(&format!("{pad}{head} {{\n"));
                    body.write(indent + 1, file);
                    file.push_str(&format!("{pad}}}\n"));
                }
            }
        }
    }
}

impl Item {
    fn width(&self) -> usize {
        match self {
            Self::Line(name, _) => name.chars().count(),
            Self::Text(..) | Self::Block(..) => 0,
        }
    }
}

/// Whether a heredoc keeps every byte: it always ends with a line break, and has no escapes but those of templates.
fn is_heredoc(text: &str) -> bool {
    let is_char = |char: char| char == '\n' || char == '\t' || !char.is_control();
    text.ends_with('\n')
        && text.chars().all(is_char)
        // Parsers differ in what `$$${` means.
        && !text.contains("$${")
        && !text.contains("%%{")
}

/// The word at the end of a heredoc, which must not be a line of it.
fn delimiter(text: &str) -> String {
    let is_free = |word: &String| !text.lines().any(|line| line.trim() == word);
    let mut words =
        (1_usize..).map(|number| if number == 1 { "EOT".to_owned() } else { format!("EOT{number}") });
    words.find(is_free).unwrap_or_default()
}

/// In a template, `${` and `%{` begin an expression.
fn escaped(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

/// A text in quotes.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // As an escape it begins no expression, whatever stands before it.
            '$' | '%' if chars.peek() == Some(&'{') => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(char)))
            }
            char if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}
