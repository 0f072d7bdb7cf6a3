//! `cedar-authorizer keygen`, run as a command.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use cedar_authorizer::bundle::signature::PublicKeys;
use cedar_authorizer::store::build::{PrivateKey, sign};

fn keygen(arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cedar-authorizer"))
        .arg("keygen")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may not read it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stdout(output).as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains(message), "{stderr}");
}

#[test]
fn makes_a_key_that_its_owner_alone_can_read_and_prints_what_trusts_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let output = keygen(&["--output", path.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);

    let pem = fs::read_to_string(&path).unwrap();
    let key: PrivateKey = pem.parse().unwrap();
    let trusted: PublicKeys = stdout(&output).parse().unwrap();
    assert!(sign(b"{}", &[key]).unwrap().verify(b"{}", &trusted).is_ok());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(!String::from_utf8_lossy(&output.stderr).contains(pem.lines().nth(1).unwrap()));

    let public = stdout(&keygen(&["--public", path.to_str().unwrap()], b""));
    assert_eq!(public, stdout(&output));
    assert_eq!(stdout(&keygen(&["--public", "-"], pem.as_bytes())), public);
}

#[test]
fn never_replaces_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    fs::write(&path, "mine").unwrap();
    assert_refused(&keygen(&["--output", path.to_str().unwrap()], b""), "exists already");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    // It does not follow a dangling link either.
    let (link, target) = (folder.path().join("link"), folder.path().join("target"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_refused(&keygen(&["--output", link.to_str().unwrap()], b""), "exists already");
    assert!(!target.exists());
    assert_refused(&keygen(&["--output", folder.path().to_str().unwrap()], b""), "exists already");
    assert_refused(&keygen(&["--output", "/dev/stdout"], b""), "");
    let nowhere = folder.path().join("no/such/key.pem");
    assert_refused(&keygen(&["--output", nowhere.to_str().unwrap()], b""), "cannot write");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn says_what_is_wrong_with_a_private_key() {
    for (stdin, message) in [
        (b"".as_slice(), "cannot use stdin: the private key is not in PEM"),
        (b"\xff", "cannot read stdin"),
        (b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "this is a public key"),
        (&[b' '; 20_000], "not in PEM"),
    ] {
        assert_refused(&keygen(&["--public", "-"], stdin), message);
    }
    assert_refused(&keygen(&["--public", "/no/such/file"], b""), "cannot read `/no/such/file`");
}

#[test]
fn does_one_thing_at_a_time() {
    assert_refused(&keygen(&[], b""), "required");
    assert_refused(&keygen(&["--output", "a", "--public", "b"], b""), "cannot be used with");
}
