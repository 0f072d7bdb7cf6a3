//! `schema`: pictures of schemas.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::world::{StoreCopy, golden, root, run, stderr, stdout};

#[test]
fn the_pictures_of_the_sample_store_are_those_checked_in() {
    for (format, file) in [("mermaid", "petstore.mmd"), ("svg", "petstore.svg"), ("json", "petstore.json")] {
        let picture = draw(&["--format", format]);
        golden(&root().join("tests/data/pictures").join(file), &picture);
    }
}

#[test]
fn the_pictures_of_a_schema_with_everything_are_those_checked_in() {
    let store = with_schema(EVERYTHING);
    for (file, arguments) in [
        ("photos.mmd", ["--format", "mermaid"].as_slice()),
        ("photos.svg", &["--format", "svg"]),
        ("photos.json", &["--format", "json"]),
        ("photos-grouped.mmd", &["--format", "mermaid", "--group-actions"]),
    ] {
        let picture = draw_store(&store, arguments);
        assert_eq!(picture, draw_store(&store, arguments), "the same schema gives the same picture");
        golden(&root().join("tests/data/pictures").join(file), &picture);
    }
}

#[test]
fn a_file_gets_the_form_that_its_name_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    for (name, beginning) in
        [("a b'\".svg", "<svg "), ("A.SVG", "<svg "), ("x.json", "{\n"), ("x.mmd", "---\n"), ("x", "---\n")]
    {
        let path = folder.path().join(name);
        let output = run(&["schema", "--output", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
        assert!(fs::read_to_string(&path).unwrap().starts_with(beginning), "{name}");
    }
    // The option is stronger than the name.
    let path = folder.path().join("x.svg");
    run(&["schema", "--format", "mermaid", "--output", path.to_str().unwrap()]);
    assert!(fs::read_to_string(&path).unwrap().starts_with("---\n"));
    let output = run(&["schema", "--output", "no/such/folder/schema.svg"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write `no/such/folder/schema.svg`"), "{}", stderr(&output));
}

#[test]
fn only_the_schema_of_a_store_must_be_good() {
    let store = StoreCopy::new();
    store.write("policies/broken.cedar", b"permit (");
    store.write("store.toml", b"nonsense");
    let whole = draw(&[]);
    assert_eq!(draw_store(&store, &[]), whole);
    store.write("schema.cedarschema", whole.as_bytes());
    for (content, message) in [
        (Some(b"entity".as_slice()), "error[schema-invalid]"),
        (Some(b"\xff"), "the file is not UTF-8"),
        (None, "there is neither `schema.cedarschema` nor `schema.cedarschema.json`"),
    ] {
        match content {
            Some(content) => store.write("schema.cedarschema", content),
            None => store.remove("schema.cedarschema"),
        }
        let output = run(&["schema", "--store", store.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(3), "{message}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn an_empty_schema_is_an_empty_picture() {
    let store = with_schema("");
    assert!(draw_store(&store, &[]).ends_with("direction LR\n"));
    assert!(
        well_formed(&draw_store(&store, &["--format", "svg"]))
            .contains(&"0 entity types, 0 actions".to_owned())
    );
    let store = with_schema("\r\n// Windows\r\nentity User;\r\naction read;\r\n");
    assert!(draw_store(&store, &[]).contains("class c1[\"User\"]"));
}

#[test]
fn pictures_are_well_formed_whatever_the_names_are() {
    let long = "x".repeat(200);
    let mut names: Vec<&str> = vec![
        "quo\"te",
        "it's",
        "<script>alert(1)</script>",
        "back`tick`",
        "]]>&amp;",
        "<!--",
        "get /pets/{petId}",
        "right\u{202e}to\u{200f}left",
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
        "\u{6f22}\u{5b57}",
        "tab\tand\nnew line",
        "nul\u{0}\u{1b}[31m\u{9b}",
        "\u{fffe}",
        "#35;",
        "a;b",
        "%%{init: {}}%%",
        "direction TB",
        "style:#x;",
        "<<interface>>",
        "x$",
        "-y",
        "a: b: c",
        "",
        " ",
        "\\",
        "{",
        "}",
        "(",
        ")",
        "~t~",
    ];
    names.push(&long);
    let fields = |of_type: &str| -> Value {
        names.iter().map(|name| ((*name).to_owned(), json!({"type": of_type}))).collect()
    };
    let record = |fields: Value| json!({"type": "Record", "attributes": fields});
    let action = |name: &&str| {
        let context = record(json!({*name: {"type": "Boolean"}}));
        let applies = json!({"principalTypes": ["User"], "resourceTypes": ["Kind"], "context": context});
        ((*name).to_owned(), json!({"appliesTo": applies}))
    };
    let schema = json!({"": {
        "entityTypes": {"User": {"shape": record(fields("String"))}, "Kind": {"enum": names}},
        "actions": names.iter().map(action).collect::<Value>(),
    }});
    let store = StoreCopy::new();
    store.remove("schema.cedarschema");
    store.write("schema.cedarschema.json", schema.to_string().as_bytes());

    for arguments in [["--all", "--all"].as_slice(), &["--group-actions"], &["--group-actions", "--all"]] {
        let arguments: BTreeSet<&str> = arguments.iter().copied().collect();
        let arguments: Vec<&str> = arguments.into_iter().collect();
        let texts = well_formed(&draw_store(&store, &[&["--format", "svg"], arguments.as_slice()].concat()));
        assert!(texts.iter().any(|text| text.contains("<script>alert(1)</script>")), "{texts:?}");
        assert!(texts.iter().any(|text| text.contains("right\\u{202e}to\\u{200f}left")), "{texts:?}");
        assert!(
            texts.iter().all(|text| text.chars().count() <= 100 || text.contains("Entity types:")),
            "{texts:?}"
        );

        let diagram = draw_store(&store, &arguments);
        for line in diagram.lines().skip_while(|line| !line.starts_with("direction")) {
            assert!(is_mermaid(line), "{line}");
        }
    }
    let json = draw_store(&store, &["--format", "json"]);
    assert!(json.chars().all(|char| char == '\n' || !char.is_control() && char != '\u{202e}'), "{json}");
    let value: Value = serde_json::from_str(&json).unwrap();
    let drawn: Vec<&str> = value["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["actions"][0].as_str().unwrap())
        .collect();
    assert_eq!(drawn.iter().collect::<BTreeSet<_>>(), names.iter().collect::<BTreeSet<_>>());
}

/// Whether a line is one of those that a diagram consists of, with every name harmless.
fn is_mermaid(line: &str) -> bool {
    let literal = |text: &str| {
        let mut rest = text.replace("direction#32;", "");
        while let Some((before, after)) = rest.split_once('#') {
            let (number, after) = after.split_once(';').unwrap();
            assert!(number.parse::<u32>().is_ok(), "{text}");
            rest = format!("{before}{after}");
        }
        let is_plain = |char: char| char.is_alphanumeric() || " /_.,?…".contains(char);
        !rest.is_empty() && rest.chars().all(is_plain) && !rest.contains("direction ")
    };
    let id = |text: &str| text.strip_prefix('c').is_some_and(|number| number.parse::<usize>().is_ok());
    let words: Vec<&str> = line.split(' ').collect();
    if let Some((head, member)) = line.split_once(" : ").filter(|(head, _)| id(head)) {
        return id(head) && literal(member);
    }
    match words.as_slice() {
        ["direction", "LR"] => true,
        ["<<entity>>" | "<<action>>" | "<<actions>>" | "<<group>>" | "<<type>>", name] => id(name),
        [from, "o--" | "-->", to, ":", "in" | "principal" | "resource"] => id(from) && id(to),
        ["class", ..] => {
            let (name, title) = line.strip_prefix("class ").unwrap().split_once("[\"").unwrap();
            id(name) && literal(title.strip_suffix("\"]").unwrap())
        }
        _ => false,
    }
}

#[test]
fn a_thousand_actions_are_a_few_boxes() {
    let mut schema = "entity User, App;\n".to_owned();
    for number in 0..1000 {
        let context = if number % 2 == 0 { "{}" } else { "{ page?: Long }" };
        schema += &format!(
            "action \"get /r{number}\" appliesTo {{ principal: User, resource: App, context: {context} }};\n"
        );
    }
    let store = with_schema(&schema);
    for (arguments, boxes, rows) in [
        (["--format", "svg"].as_slice(), 2, "… and 488 more"),
        (&["--format", "svg", "--group-actions"], 1, "… and 988 more"),
        (&["--format", "svg", "--all"], 2, "get /r999"),
    ] {
        let svg = draw_store(&store, arguments);
        let texts = well_formed(&svg);
        assert_eq!(svg.matches("<svg class=\"action\"").count(), boxes);
        assert!(texts.iter().any(|text| text == rows), "{rows}");
    }
    assert!(
        draw_store(&store, &["--format", "svg", "--group-actions"]).contains("page</"),
        "the name of the field"
    );
    assert!(draw_store(&store, &["--group-actions"]).contains("page?#58; Long #40;500 of 1000#41;"));
}

#[test]
fn a_picture_that_is_too_large_comes_with_advice() {
    let mut schema = "entity User, App;\n".to_owned();
    for number in 0..1000 {
        schema += &format!(
            "action \"get /r{number}\" appliesTo {{ principal: User, resource: App, context: {{ id{number}: Long }} }};\n"
        );
    }
    let store = with_schema(&schema);
    let path = store.path().to_str().unwrap();
    for (format, message) in [("mermaid", "more than 50000 characters"), ("svg", "take 1000 boxes")] {
        let output = run(&["schema", "--store", path, "--format", format]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert!(stderr(&output).contains("--group-actions"), "{}", stderr(&output));
        let output = run(&["schema", "--store", path, "--format", format, "--group-actions"]);
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn no_text_and_no_line_is_outside_of_the_picture() {
    let store = with_schema(EVERYTHING);
    let svg = draw_store(&store, &["--format", "svg"]);
    // The smallest and largest coordinates of lines, and every text of a box against the box: at 7.3 pixels a letter,
    // which is more than any common font has.
    let check = "
import re, sys
import xml.etree.ElementTree as tree
ns = '{http://www.w3.org/2000/svg}'
root = tree.parse(sys.stdin).getroot()
width, height = float(root.get('width')), float(root.get('height'))
texts = 0
for path in root.iter(ns + 'path'):
    for x, y in re.findall(r'[ML](\\d+) (\\d+)', path.get('d')):
        assert 0 <= float(x) <= width and 0 <= float(y) <= height, path.get('d')
boxes = [part for part in root.iter(ns + 'svg') if part is not root]
for box in boxes:
    x, y, w, h = (float(box.get(name)) for name in ('x', 'y', 'width', 'height'))
    assert x + w <= width and y + h <= height
    for other in boxes:
        a, b, c, d = (float(other.get(name)) for name in ('x', 'y', 'width', 'height'))
        assert other is box or x + w <= a or a + c <= x or y + h <= b or b + d <= y, 'boxes overlap'
    for text in box.iter(ns + 'text'):
        content = ''.join(text.itertext())
        texts += 1
        assert float(text.get('x')) + 7.3 * len(content) <= w, content
        assert 8 < float(text.get('y')) < h, content
print(len(boxes), texts)
";
    let told = python(check, &svg);
    let (boxes, texts) = told.trim().split_once(' ').unwrap();
    assert!(boxes.parse::<usize>().unwrap() > 10 && texts.parse::<usize>().unwrap() > 60, "{told}");
}

/// All texts of an XML document that contains nothing from elsewhere. Fails if it is not well-formed.
#[track_caller]
fn well_formed(svg: &str) -> Vec<String> {
    for foreign in ["href", "url(", "@import", "<script", "<!", "<image", "<use", "<foreignObject"] {
        assert!(!svg.contains(foreign), "{foreign}");
    }
    let texts = "
import json, sys
import xml.etree.ElementTree as tree
print(json.dumps([''.join(part.itertext()) for part in tree.parse(sys.stdin).getroot().iter() if part.tag.split('}')[1] in ('text', 'title', 'desc')]))
";
    serde_json::from_str(&python(texts, svg)).unwrap()
}

/// What a program in Python prints, which reads this text.
#[track_caller]
fn python(program: &str, input: &str) -> String {
    let mut folder = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut folder, input.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut folder).unwrap();
    let mut python = Command::new("python3");
    let output = python.args(["-X", "utf8", "-c", program]).stdin(Stdio::from(folder)).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// A picture of the sample store.
#[track_caller]
fn draw(arguments: &[&str]) -> String {
    let output = run(&[&["schema"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

#[track_caller]
fn draw_store(store: &StoreCopy, arguments: &[&str]) -> String {
    draw(&[&["--store", store.path().to_str().unwrap()], arguments].concat())
}

fn with_schema(schema: &str) -> StoreCopy {
    let store = StoreCopy::new();
    store.write("schema.cedarschema", schema.as_bytes());
    store
}

/// Every kind of thing that a schema can have.
const EVERYTHING: &str = r#"
namespace Photos {
  entity Organization;
  entity UserGroup in [UserGroup, Organization];
  entity User in [UserGroup] {
    email?: String,
    "custom:level"?: Long,
    address?: { country: String, city?: String },
    ip: ipaddr,
    seen?: datetime,
  } tags Set<String>;
  entity Account in [Organization] { owner: User, admins?: Set<User> };
  entity Album in [Album, Account] { owner: User, private: Bool };
  entity Photo in [Album, Account] { labels: Set<String>, places?: Set<{ lat: decimal, lon: decimal }> };
  entity Application;
  entity Plan enum ["free", "team"];
  entity Device in [Account];

  type Token = { client_id: String, scope?: Set<String> };
  type Names = Set<String>;
  type Call = { token: Token };

  action read;
  action write in [read];
  action "get /albums", "get /" in [read]
    appliesTo { principal: User, resource: Application, context: Call };
  action "get /photos/{photoId}" in [read]
    appliesTo { principal: [User, Device], resource: Photo, context: { token: Token, path: { photoId: String } } };
  action "put /photos/{photoId}", "delete /photos/{photoId}" in [write]
    appliesTo { principal: User, resource: Photo, context: { token: Token, path: { photoId: String } } };
  action "put /albums/{albumId}" in [write]
    appliesTo { principal: User, resource: [Album, Photo], context: { path: { albumId: String }, query: { dry?: Bool } } };
  action "post /users/{userId}/disable" in [write]
    appliesTo { principal: User, resource: User, context: {} };
}
"#;
