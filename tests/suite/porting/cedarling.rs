use std::fs;
use std::io::Write;

use serde_json::json;

use super::Workshop;
use crate::world::stderr;

const SCHEMA: &str = "namespace Jans {\n  entity Role;\n  entity User in [Role];\n  entity Application;\n  \
                      action \"get /tasks\" appliesTo { principal: [User], resource: [Application] };\n}\n";

/// The files of a policy store of Cedarling.
fn files() -> Vec<(String, Vec<u8>)> {
    let issuer = json!({
        "name": "Login",
        "configuration_endpoint": "https://login.example.com/.well-known/openid-configuration",
        "token_metadata": { "access_token": { "trusted": true, "entity_type_name": "Jans::Access_token" } },
    });
    let entities = json!([{ "uid": { "type": "Jans::Role", "id": "clerk" }, "attrs": {}, "parents": [] }]);
    [
        ("metadata.json", json!({ "cedar_version": "4.4.0", "policy_store": { "id": "a1", "name": "Tasks" } }).to_string()),
        ("schema.cedarschema", SCHEMA.to_owned()),
        ("policies/read.cedar", "permit (principal in Jans::Role::\"clerk\", action, resource);\n".to_owned()),
        (
            "policies/more.cedar",
            "@id(\"a\")\npermit (principal == Jans::User::\"a\", action, resource);\r\n@id(\"b\")\nforbid (principal == Jans::User::\"b\", action, resource);"
                .to_owned(),
        ),
        ("entities/roles.json", entities.to_string()),
        ("trusted-issuers/login.json", issuer.to_string()),
        ("manifest.json", "{}".to_owned()),
        ("readme.txt", "read me".to_owned()),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.into_bytes()))
    .collect()
}

/// A zip archive without compression. `flags` and `mode` are those of every entry.
fn archive(files: &[(String, Vec<u8>)], flags: u16, mode: u32, claimed: Option<u32>) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (path, content) in files {
        let offset = archive.len() as u32;
        let size = claimed.unwrap_or(content.len() as u32);
        let mut common = Vec::new();
        common.extend(20_u16.to_le_bytes());
        common.extend(flags.to_le_bytes());
        // Method, time, date.
        common.extend([0; 6]);
        common.extend(crc32(content).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend(size.to_le_bytes());
        common.extend((path.len() as u16).to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(path.as_bytes());
        archive.extend(content);
        directory.extend(b"PK\x01\x02");
        // Made on Unix.
        directory.extend(0x0314_u16.to_le_bytes());
        directory.extend(&common);
        // Comment, disk, internal attributes.
        directory.extend([0; 6]);
        directory.extend((mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(path.as_bytes());
    }
    let start = archive.len() as u32;
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend((files.len() as u16).to_le_bytes());
    archive.extend((files.len() as u16).to_le_bytes());
    archive.extend((directory.len() as u32).to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend([0; 2]);
    archive
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    };
    !bytes.iter().fold(!0, step)
}

const FILE: u32 = 0o100644;

#[test]
fn a_directory_and_an_archive_make_the_same_store() {
    let shop = Workshop::new();
    for (path, content) in files() {
        let path = shop.path("cedarling").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    fs::write(shop.path("store.cjar"), archive(&files(), 0, FILE, None)).unwrap();
    let output = shop.expect(2, &["import", "cedarling", "cedarling", "--store", "one"]);
    let said = stderr(&output);
    for line in [
        "policies/read.cedar: has no `@id`: its policy is `read#1` here",
        "readme.txt: has no place in a store",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.contains("the audiences of `https://login.example.com` are not known"), "{said}");
    shop.expect(2, &["import", "cedarling", "store.cjar", "--store", "two"]);
    let files = shop.files("one");
    assert_eq!(files, shop.files("two"));
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "entities.json",
            "identity-sources/login.json",
            "personas.toml",
            "policies/more.cedar",
            "policies/read.cedar",
            "schema.cedarschema",
            "store.toml",
            "tests/routes.yaml",
        ]
    );
    assert_eq!(
        files["store.toml"],
        "[store]\nname = \"tasks\"\nnamespace = \"Jans\"\nvalidation = \"strict\"\n"
    );
    assert!(files["policies/more.cedar"].contains(";\r\n@id"), "bytes as they are");
    shop.expect(0, &["check", "--store", "one"]);
}

#[test]
fn archives_that_try_more_are_refused() {
    let shop = Workshop::new();
    let with = |path: &str| {
        let mut files = files();
        files.push((path.to_owned(), b"permit (principal, action, resource);".to_vec()));
        files
    };
    let mut attacks: Vec<(String, Vec<u8>, &str)> = Vec::new();
    for path in [
        "../outside.cedar",
        "policies/../../outside.cedar",
        "/etc/passwd",
        "policies\\a.cedar",
        "..\\outside.cedar",
        "C:/windows/a.cedar",
        "policies//a.cedar",
        "policies/./a.cedar",
        "policies/a.cedar.",
        "policies/a\u{7}.cedar",
        "policies/a .cedar /b",
        "a/a/a/a/a/a/a/a/a/a.cedar",
    ] {
        attacks.push((path.to_owned(), archive(&with(path), 0, FILE, None), "is no plain path"));
    }
    attacks.push(("twice".to_owned(), archive(&with("policies/read.cedar"), 0, FILE, None), "one name"));
    attacks.push(("case".to_owned(), archive(&with("Policies/Read.cedar"), 0, FILE, None), "is there twice"));
    attacks.push(("link".to_owned(), archive(&files(), 0, 0o120777, None), "is a link"));
    attacks.push(("encrypted".to_owned(), archive(&files(), 1, FILE, None), "is encrypted"));
    attacks.push(("bomb".to_owned(), archive(&files(), 0, FILE, Some(2_000_000_000)), "MiB in its files"));
    attacks.push(("cut".to_owned(), archive(&files(), 0, FILE, None)[..300].to_vec(), "no zip archive"));
    let many: Vec<(String, Vec<u8>)> =
        (0..20_001).map(|number| (format!("policies/{number}.cedar"), Vec::new())).collect();
    attacks.push(("many".to_owned(), archive(&many, 0, FILE, None), "more than 20000 files"));
    for (name, archive, message) in attacks {
        fs::write(shop.path("attack.cjar"), archive).unwrap();
        let output = shop.expect(1, &["import", "cedarling", "attack.cjar"]);
        let said = stderr(&output);
        assert!(said.contains("`attack.cjar` is refused: ") && said.contains(message), "{name}: {said}");
        assert!(!shop.path("policies").exists() && !shop.path("../outside.cedar").exists(), "{name}");
    }
}

#[test]
fn the_single_file_of_older_versions_is_refused_with_a_hint() {
    let shop = Workshop::new();
    let mut file = fs::File::create(shop.path("legacy.json")).unwrap();
    file.write_all(br#"{"policy_stores": {"a": {"policies": {"p": {"policy_content": "cGVybWl0"}}}}}"#)
        .unwrap();
    let output = shop.expect(1, &["import", "cedarling", "legacy.json"]);
    assert!(stderr(&output).contains("policies in base64, is not read"), "{}", stderr(&output));
    fs::create_dir(shop.path("empty")).unwrap();
    let output = shop.expect(1, &["import", "cedarling", "empty"]);
    assert!(stderr(&output).contains("is no policy store of Cedarling"), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn a_directory_with_a_link_is_refused() {
    let shop = Workshop::new();
    fs::create_dir_all(shop.path("cedarling/policies")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", shop.path("cedarling/policies/a.cedar")).unwrap();
    let output = shop.expect(1, &["import", "cedarling", "cedarling"]);
    assert!(stderr(&output).contains("is a link"), "{}", stderr(&output));
}
