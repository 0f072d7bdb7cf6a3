use cedar_policy::{Policy, PolicyId};

use super::AT_ONCE;
use crate::bundle::files::StoreFiles;
use crate::store::finding::Finding;
use crate::store::policies::StorePolicies;
use crate::store::schema::StoreSchema;

const SCHEMA: &str = r#"
    entity Person { age: Long };
    entity Thing;
    action "read" appliesTo { principal: [Person], resource: [Thing] };
"#;

const FILE: &str = "policies/p.cedar";

/// What is found in a file with policies.
fn found(text: &str) -> Vec<Finding> {
    let mut files = StoreFiles::default();
    files.insert("schema.cedarschema".to_owned(), SCHEMA.as_bytes().to_vec());
    files.insert(FILE.to_owned(), text.as_bytes().to_vec());
    let mut findings = Vec::new();
    let Ok(Some(schema)) = StoreSchema::read(&files, true, &mut findings) else {
        panic!("{findings:?}");
    };
    let mut policies = StorePolicies::read(&files, &mut findings);
    policies.analyse(Some(&schema));
    policies.validate(&schema, &mut findings);
    findings
}

/// So many policies that some are read together and the last ones are fewer.
const COUNT: usize = 2 * AT_ONCE + 3;

fn sound(number: usize) -> String {
    let before = ["", "// ünïcode; and a \"quote\n", "\t ", "\r\n"][number % 4];
    format!("{before}@id(\"p{number}\") permit (principal == Person::\"é{number}\", action, resource);\n")
}

#[test]
fn a_mistake_is_found_where_it_is_whatever_stands_around_it() {
    let mistakes = [
        "permit (principal, acton, resource);\n",
        "permit (principal, action, resource)\n  when { principal.age == };\n",
        "permit (principal, action, resource) when { principal.agee > 3 };\n",
        "@id(\"ö\")\nforbid (principal, action == Action::\"reed\", resource);\n",
        "permit (principal == ?principal, action, resource);\n",
    ];
    for mistake in mistakes {
        for place in 0..COUNT {
            let text = |others: &dyn Fn(String) -> String| -> String {
                let one = |number| if number == place { mistake.to_owned() } else { others(sound(number)) };
                (0..COUNT).map(one).collect()
            };
            // The others, and nothing in their place: as many lines, as many columns.
            let blank =
                |text: String| text.chars().map(|char| if char == '\n' { '\n' } else { ' ' }).collect();
            let (among, alone) = (found(&text(&|other| other)), found(&text(&blank)));
            let said = |findings: &[Finding]| -> Vec<_> {
                let said = |finding: &Finding| {
                    (
                        finding.code,
                        finding.position.clone(),
                        finding.message.replace(&format!("p#{}", place + 1), "p#1"),
                    )
                };
                findings.iter().map(said).collect()
            };
            assert_eq!(said(&among), said(&alone), "{mistake} at {place}");
            assert!(!among.is_empty(), "{mistake}");
        }
    }
}

#[test]
fn policies_keep_their_order_whether_or_not_they_have_ids() {
    let texts: Vec<String> = (0..COUNT)
        .map(|number| match number % 3 {
            0 => sound(number),
            _ => format!("forbid (principal == Person::\"{number}\", action, resource); // {number};\n"),
        })
        .collect();
    let mut files = StoreFiles::default();
    files.insert(FILE.to_owned(), texts.concat().into_bytes());
    let mut findings = Vec::new();
    let policies = StorePolicies::read(&files, &mut findings);
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(policies.set.num_of_policies(), COUNT);
    for (number, text) in texts.iter().enumerate() {
        let id = if number % 3 == 0 { format!("p{number}") } else { format!("p#{}", number + 1) };
        let id = PolicyId::new(id);
        let alone = Policy::parse(Some(id.clone()), text).unwrap();
        assert_eq!(policies.set.policy(&id), Some(&alone), "{text}");
    }
}

#[test]
fn a_forgotten_semicolon_is_a_mistake_wherever_it_is() {
    for place in 0..COUNT {
        let one = |number| if number == place { sound(number).replace(");\n", ")\n") } else { sound(number) };
        let findings = found(&(0..COUNT).map(one).collect::<String>());
        assert!(!findings.is_empty(), "{place}");
    }
}
