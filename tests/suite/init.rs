//! `init`: the stores that it makes of descriptions, and what it refuses.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cedar_authorizer::store::directory;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::loopback::ApiGateway;
use crate::world::{CLI, files_in, golden, root, sample_store, stderr, stdout};

/// A folder in which `init` runs, with descriptions.
struct Workplace(TempDir);

impl Workplace {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
        let workplace = Self::new();
        fs::write(workplace.path().join(name), content).unwrap();
        workplace
    }

    /// With a description of `tests/data/openapi`.
    fn with_data(name: &str) -> Self {
        Self::with(name, fs::read(data(name)).unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(CLI);
        command.arg(verb).args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command.env_remove("AWS_PROFILE").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("HOME", self.path()).env_remove("AWS_REGION");
        command
    }

    fn run(&self, verb: &str, arguments: &[&str]) -> Output {
        self.command(verb, arguments).output().unwrap()
    }

    fn init(&self, arguments: &[&str]) -> Output {
        self.run("init", arguments)
    }

    /// Makes a store in `policies`, for a user pool and the groups `admin` and `viewer`.
    #[track_caller]
    fn made(&self, arguments: &[&str]) -> Output {
        let output = self.init(&[arguments, &POOL, &GROUPS].concat());
        assert!(self.path().join("policies/store.toml").exists(), "{}", stderr(&output));
        output
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    /// The files below a folder of the workplace, with their content.
    fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        files(self.path(), &self.path().join(folder))
    }

    /// Names that are left beside what was there before.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Checks, tests and builds the store. Returns the warnings.
    #[track_caller]
    fn prove(&self) -> String {
        let check = self.run("check", &[]);
        assert_eq!(check.status.code(), Some(0), "{}{}", stdout(&check), stderr(&check));
        let test = self.run("test", &[]);
        assert_eq!(test.status.code(), Some(0), "{}{}", stdout(&test), stderr(&test));
        let build = self.run("build", &["--output", "store.bundle"]);
        assert_eq!(build.status.code(), Some(0), "{}", stderr(&build));
        stdout(&check)
    }
}

/// The files below a folder, with their paths below `base` and their content.
fn files(base: &Path, folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = files_in(folder)
        .iter()
        .map(|path| {
            let name = path.strip_prefix(base).unwrap().to_str().unwrap();
            (name.to_owned(), fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

const POOL: [&str; 4] = ["--user-pool", "eu-west-1_AbCdEfGhI", "--client-id", "1example23456789"];
const GROUPS: [&str; 2] = ["--groups", "admin,viewer"];

fn data(name: &str) -> PathBuf {
    root().join("tests/data/openapi").join(name)
}

/// A description with these paths.
fn openapi(paths: &str) -> String {
    format!("openapi: 3.0.3\ninfo: {{ title: Shop }}\npaths:\n{paths}")
}

#[track_caller]
fn assert_fine(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(output), stderr(output));
}

#[test]
fn the_store_of_a_small_description_is_as_checked_in() {
    let workplace = Workplace::with_data("petstore.yaml");
    assert_fine(&workplace.made(&["--openapi", "petstore.yaml"]));
    let files = workplace.files("policies");
    for (name, content) in &files {
        let path = data("petstore").join(name.strip_prefix("policies/").unwrap());
        golden(&path, str::from_utf8(content).unwrap());
    }
    let checked_in = directory::read(&data("petstore")).unwrap();
    let beside = ["README.md", "personas.toml", "tests/routes.yaml"].len();
    assert_eq!(checked_in.iter().count() + beside, files.len(), "a file is no longer made");
    assert!(!workplace.prove().contains("warning"));
}

/// Descriptions of every kind become stores without errors or warnings.
#[test]
fn every_kind_of_description_gives_a_store_that_check_passes() {
    let routes = |count: usize| {
        (0..count).fold(String::new(), |mut text, number| {
            writeln!(
                text,
                "  /things{number}: {{ get: {{}}, post: {{ x-amazon-apigateway-integration: {{}} }} }}"
            )
            .unwrap();
            text
        })
    };
    let any = "x-amazon-apigateway-any-method: {}";
    for (paths, warns) in [
        ("  /a: { get: {} }\n".to_owned(), false),
        (format!("  /{{proxy+}}: {{ {any} }}\n"), false),
        (format!("  /: {{ {any} }}\n  /{{proxy+}}: {{ {any} }}\n  /a/{{b}}: {{ get: {{}}, {any} }}\n"), true),
        (format!("  /$default: {{ {any} }}\n"), false),
        ("  /a/{if}/{in-x}: { get: { parameters: [{ name: \"o'\\\"\", in: query }] } }\n".to_owned(), false),
        // Without API Gateway's extensions, the API may have more routes, so patterns cannot tell these apart.
        ("  /a/{b}: { get: {} }\n  /a/{b}/c: { get: {} }\n".to_owned(), true),
        // A grant for a thousand routes does not fit into an answer.
        (routes(500), true),
    ] {
        let workplace = Workplace::with("api.yaml", openapi(&paths));
        assert_fine(&workplace.made(&["--openapi", "api.yaml"]));
        assert_eq!(workplace.prove().contains("warning"), warns, "{paths}");
        if paths.contains(any) {
            assert_fine(&workplace.made(&["--openapi", "api.yaml", "--expand-any", "--force"]));
            workplace.prove();
        }
    }
}

#[test]
fn both_exports_of_an_api_give_the_same_store() {
    let made = |name: &str| {
        let workplace = Workplace::with_data(name);
        // The export says whose tokens the API accepts.
        let output = workplace.init(&["--openapi", name, "--groups", "admin,viewer", "--client-id", "c"]);
        assert_fine(&output);
        assert!(!workplace.prove().contains("warning"));
        let files = workplace.files("policies").into_iter();
        let text = files.map(|(path, content)| format!("{path}\n{}", String::from_utf8(content).unwrap()));
        text.collect::<String>().replace(name, "EXPORT")
    };
    let store = made("rest-export.json");
    assert_eq!(store, made("rest-export-swagger.json"));
    assert!(
        store.contains("arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbCdEfGhI"),
        "{store}"
    );
    assert!(store.contains("complete = true"));
    // Preflight requests never reach the authorizer.
    assert!(!store.contains("options"), "{store}");
}

#[test]
fn the_exact_schema_is_that_of_avps_generator() {
    for name in ["rest-export", "rest-export-swagger", "odd"] {
        for (groups, oracle) in [(&[][..], "avp"), (&GROUPS[..], "avp-groups")] {
            let file = format!("{name}.json");
            let workplace = Workplace::with_data(&file);
            let output = workplace.init(&[&["--openapi", &file, "--avp-exact"], &POOL[..], groups].concat());
            let made = workplace.read("policies/schema.cedarschema.json");
            let expected = fs::read_to_string(data(&format!("{name}.{oracle}.json"))).unwrap();
            assert_eq!(made, expected, "{name} {oracle}");
            assert_eq!(output.status.code(), Some(if name == "odd" { 2 } else { 0 }), "{}", stderr(&output));
            workplace.prove();
        }
    }
}

#[test]
fn templates_are_read_too() {
    let template = "\
Transform: AWS::Serverless-2016-10-31
Resources:
  Shop:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        One: { Type: HttpApi, Properties: { Path: '/a/{id}', Method: get } }
        All: { Type: HttpApi }
";
    let workplace = Workplace::with("template.yaml", template);
    assert_fine(&workplace.made(&["--template", "template.yaml", "--namespace", "Shop"]));
    let schema = workplace.read("policies/schema.cedarschema");
    assert!(schema.contains("\"get /a/{id}\""), "{schema}");
    assert!(schema.contains("\"$default\""), "{schema}");
    workplace.prove();
}

#[test]
fn the_user_pool_of_a_template_is_taken_where_its_arn_is_known() {
    let template = "\
Parameters:
  Pool: { Type: String, Default: nothing }
Resources:
  Shop:
    Type: AWS::Serverless::Api
    Properties:
      Auth:
        Authorizers:
          Pool: { UserPoolArn: !Ref Pool }
      DefinitionBody:
        openapi: 3.0.1
        paths: { /a: { get: {} } }
";
    let workplace = Workplace::with("template.yaml", template);
    let unknown = workplace.init(&["--template", "template.yaml"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("whose tokens shall the store accept?"), "{}", stderr(&unknown));
    let arn = "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_Ab";
    let parameter = format!("Pool={arn}");
    assert_fine(&workplace.init(&["--template", "template.yaml", "--parameter", &parameter]));
    assert!(workplace.read("policies/identity-sources/cognito.json").contains(arn));
}

#[test]
fn the_issuer_of_a_template_is_taken_where_it_and_its_audiences_are_known() {
    let sam = "\
Resources:
  Shop:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          Users: { JwtConfiguration: { issuer: 'https://login.example.com/', audience: AUDIENCES } }
      DefinitionBody:
        openapi: 3.0.1
        paths: { /a: { get: {} } }
";
    let cloudformation = "\
Resources:
  Users:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref Shop
      JwtConfiguration: { Issuer: !Sub 'https://login.${Domain}/', Audience: AUDIENCES }
  Shop:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Body:
        openapi: 3.0.1
        paths: { /a: { get: {} } }
Parameters:
  Domain: { Type: String, Default: example.com }
";
    for template in [sam, cloudformation] {
        let audiences = "[shop, 'app', !Ref Client]";
        let workplace = Workplace::with("template.yaml", template.replace("AUDIENCES", audiences));
        assert_fine(&workplace.init(&["--template", "template.yaml"]));
        let source: Value =
            serde_json::from_str(&workplace.read("policies/identity-sources/oidc.json")).unwrap();
        let provider = &source["configuration"]["openIdConnectConfiguration"];
        assert_eq!(provider["issuer"], "https://login.example.com/");
        assert_eq!(provider["tokenSelection"]["accessTokenOnly"]["audiences"], json!(["shop", "app"]));

        // A client that only a deployment makes: to leave it out would be to accept those of every other.
        let workplace = Workplace::with("template.yaml", template.replace("AUDIENCES", "[!Ref Client]"));
        let unknown = workplace.init(&["--template", "template.yaml"]);
        assert_eq!(unknown.status.code(), Some(1));
        assert!(stderr(&unknown).contains("whose tokens shall the store accept?"), "{}", stderr(&unknown));
    }
}

#[test]
fn what_cannot_be_is_left_out_and_said() {
    let cases = [
        ("  /a/{x}-{y}: { get: {} }\n", "`/a/{x}-{y}` has two parameters in one segment", "api.yaml:4:3"),
        ("  /a: { trace: {} }\n", "`trace /a`: API Gateway has no method `trace`", "api.yaml:4:9"),
        (
            "  /a/{x}: { get: {} }\n  /a/{y}: { post: {} }\n",
            "`/a/{y}` and `/a/{x}`, line 4, differ only in the name of a parameter",
            "api.yaml:5:3",
        ),
        ("  /a: { $ref: '#/paths/~1a' }\n", "`/a`: `#/paths/~1a` leads in a circle", "api.yaml:4:15"),
        ("  /a: { get: {}, get: {} }\n", "`get` stands here a second time, after line 4", "api.yaml:4:18"),
        (
            "  /a: { $ref: other.yaml }\n",
            "`other.yaml` is in another file, which is not read",
            "api.yaml:4:15",
        ),
    ];
    for (paths, message, place) in cases {
        let workplace = Workplace::with("api.yaml", openapi(&format!("{paths}  /fine: {{ get: {{}} }}\n")));
        let output = workplace.made(&["--openapi", "api.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{paths}");
        let said = stderr(&output);
        assert!(said.contains(message) && said.contains(place), "{paths}\n{said}");
        assert!(workplace.read("policies/store.toml").contains("complete = false"));
        workplace.prove();
    }
    // Everything is there, so this is only said.
    let twice = "  /a: { get: { operationId: x }, put: { operationId: x } }\n";
    let workplace = Workplace::with("api.yaml", openapi(twice));
    let output = workplace.made(&["--openapi", "api.yaml"]);
    assert_fine(&output);
    assert!(stderr(&output).contains("the operation id `x` is there a second time, after line 4"));
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let one = openapi("  /a: { get: {} }\n");
    let bomb = (1..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
        let inner = vec![format!("*a{}", level - 1); 9].join(",");
        format!("{text}a{level}: &a{level} [{inner}]\n")
    });
    let untitled = one.replace("Shop", "in");
    let pool = &POOL[..];
    let cases: [(&[u8], &[&str], i32, &str); 16] = [
        (b"", pool, 1, "`api.yaml`, 1:1: the description is empty"),
        (b"openapi: 3.0.0\ninfo: {title: \xff}\n", pool, 1, "`api.yaml`, 2:15: not UTF-8"),
        (bomb.as_bytes(), pool, 1, "more than 2000000 values, aliases written out"),
        (b"[1, 2]", pool, 1, "no description of an API"),
        (b"openapi: 3.0.0\npaths: {}\n", pool, 3, "api.yaml has no routes"),
        (untitled.as_bytes(), pool, 1, "the namespace `in`, a reserved word"),
        (
            one.as_bytes(),
            &[pool, &["--namespace", "__cedar"]].concat(),
            1,
            "`__cedar` is not a Cedar namespace",
        ),
        (
            one.as_bytes(),
            &[pool, &["--namespace", "Pet Store"]].concat(),
            1,
            "`Pet Store` is not a Cedar namespace",
        ),
        (one.as_bytes(), &[pool, &["--groups", "a,,b"]].concat(), 1, "a group has no name"),
        (one.as_bytes(), &[pool, &["--name", ""]].concat(), 1, "--name is empty"),
        (one.as_bytes(), &[], 1, "whose tokens shall the store accept?"),
        (one.as_bytes(), &["--user-pool", "nonsense"], 1, "`nonsense` is neither the id nor the ARN"),
        (one.as_bytes(), &["--user-pool", "arn:aws:s3:::x"], 1, "not a user pool ARN"),
        (one.as_bytes(), &["--issuer", "http://example.com"], 1, "--issuer is not an https URL"),
        (one.as_bytes(), &[pool, &["--store", "."]].concat(), 1, "`.` is no name for a new directory"),
        (one.as_bytes(), &[pool, &["--store", "api.yaml"]].concat(), 1, "cannot make a store in `api.yaml`"),
    ];
    for (description, arguments, code, message) in cases {
        let workplace = Workplace::with("api.yaml", description);
        let output = workplace.init(&[&["--openapi", "api.yaml"], arguments].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{said}");
        assert!(said.contains(message), "{arguments:?}\n{said}");
        assert_eq!(workplace.names(), ["api.yaml"], "{arguments:?}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let workplace = Workplace::new();
    let output = workplace.init(&[]);
    assert_eq!(output.status.code(), Some(1));
    for flag in ["--openapi", "--template", "--api", "--sample"] {
        assert!(stderr(&output).contains(flag), "{}", stderr(&output));
    }
}

#[test]
fn names_from_outside_stay_within_their_quotes() {
    let title = "{ openapi: 3.0.0, info: { title: \"A\\nnamespace X {}\\e[31m\" }, paths: { /a: { get: { summary: \
                 \"one\\n} entity Evil; //\" } } } }";
    let workplace = Workplace::with("it's a \"name\".yaml", title);
    let groups = "a\"b\\c|d,öäü,*/ x,Ä";
    let output =
        workplace.init(&[&["--openapi", "it's a \"name\".yaml", "--groups", groups], &POOL[..]].concat());
    assert_fine(&output);
    assert!(!stderr(&output).contains('\u{1b}'));
    workplace.prove();
    let names: Vec<String> = workplace.files("policies/policies").into_iter().map(|(name, _)| name).collect();
    let expected = ["a-b-c-d", "group-2", "group", "x"].map(|name| format!("policies/policies/{name}.cedar"));
    assert_eq!(names, expected);
    let token = workplace.run("token", &["--as", "a\"b\\c|d"]);
    assert_fine(&token);
}

#[test]
fn a_title_that_cedar_cannot_have_is_said() {
    for (title, namespace, name) in
        [("Магазин", "ImportedApi", "api"), ("''", "ImportedApi", "api"), ("1 Shop!", "Api1Shop", "1-shop")]
    {
        let workplace = Workplace::with("api.yaml", openapi("  /a: { get: {} }\n").replace("Shop", title));
        let output = workplace.made(&["--openapi", "api.yaml"]);
        assert_fine(&output);
        let settings = workplace.read("policies/store.toml");
        assert!(settings.contains(&format!("namespace = \"{namespace}\"\n")), "{settings}");
        assert!(settings.contains(&format!("name = \"{name}\"\n")), "{settings}");
        let said = stderr(&output).contains("choose another one by --namespace");
        assert_eq!(said, namespace == "ImportedApi", "{}", stderr(&output));
        workplace.prove();
    }
}

#[test]
fn an_issuer_gets_the_form_of_openid_connect() {
    let workplace = Workplace::with("api.yaml", openapi("  /a: { get: {} }\n"));
    for (arguments, expected) in [
        (&["--issuer", "https://login.example.com/x"][..], "\"accessTokenOnly\""),
        (&["--issuer", "https://login.example.com/x", "--token-type", "id"], "\"identityTokenOnly\""),
        (&["--issuer", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab"], "userpool/eu-west-1_Ab"),
    ] {
        let source = ["--openapi", "api.yaml", "--client-id", "shop", "--force"];
        assert_fine(&workplace.init(&[&source, arguments, &GROUPS].concat()));
        let files = workplace.files("policies/identity-sources");
        let text = str::from_utf8(&files[0].1).unwrap();
        assert!(text.contains(expected), "{text}");
        assert!(!workplace.prove().contains("warning"));
    }
}

#[test]
fn a_store_that_is_there_is_kept() {
    let workplace = Workplace::with("api.yaml", openapi("  /a: { get: {} }\n"));
    let source = ["--openapi", "api.yaml"];
    workplace.made(&source);
    fs::write(workplace.path().join("policies/mine.md"), "mine").unwrap();
    let before = workplace.files("policies");

    let refused = workplace.init(&[&source, &POOL[..]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("`policies` is a policy store already"), "{}", stderr(&refused));
    assert_eq!(workplace.files("policies"), before);

    let forced = workplace.init(&[&source, &POOL[..], &["--force"]].concat());
    assert_fine(&forced);
    assert!(
        stderr(&forced).contains("the store that was there is now `policies.old`"),
        "{}",
        stderr(&forced)
    );
    assert_eq!(workplace.read("policies.old/mine.md"), "mine");
    assert!(!workplace.path().join("policies/mine.md").exists());
    workplace.init(&[&source, &POOL[..], &["--force"]].concat());
    assert_eq!(workplace.names(), ["api.yaml", "policies", "policies.old", "policies.old-2"]);

    // No store is made over something else, even by force.
    fs::create_dir(workplace.path().join("other")).unwrap();
    fs::write(workplace.path().join("other/x"), "").unwrap();
    let refused = workplace.init(&[&source, &POOL[..], &["--force", "--store", "other"]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("it is no policy store"));
    // An empty folder is as good as none.
    fs::remove_file(workplace.path().join("other/x")).unwrap();
    assert_fine(&workplace.init(&[&source, &POOL[..], &["--store", "other"]].concat()));
    assert_fine(&workplace.init(&[&source, &POOL[..], &["--store", "new/folders/policies"]].concat()));
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link() {
    let workplace = Workplace::with("api.yaml", openapi("  /a: { get: {} }\n"));
    fs::create_dir(workplace.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", workplace.path().join("policies")).unwrap();
    workplace.made(&["--openapi", "api.yaml"]);
    workplace.made(&["--openapi", "api.yaml", "--force"]);
    assert_eq!(workplace.names(), ["api.yaml", "policies", "real", "real.old"]);
    assert!(workplace.path().join("policies").is_symlink());
    assert!(workplace.path().join("real/store.toml").exists());
}

#[test]
fn an_update_adds_what_the_api_gained_and_touches_nothing_else() {
    let first = openapi("  /a: { get: {} }\n  /b: { get: {} }\n");
    let workplace = Workplace::with("api.yaml", first);
    workplace.made(&["--openapi", "api.yaml"]);
    let schema =
        workplace.read("policies/schema.cedarschema").replace('\n', "\r\n") + "// mine, at the end\r\n";
    fs::write(workplace.path().join("policies/schema.cedarschema"), &schema).unwrap();
    let before = workplace.files("policies");
    let update = ["--update", "--openapi", "api.yaml"];

    let same = workplace.init(&update);
    assert_fine(&same);
    assert!(stdout(&same).contains("has all routes of the API"), "{}", stdout(&same));
    assert_eq!(workplace.files("policies"), before);

    let second = openapi("  /a: { get: {}, post: { summary: New } }\n  /c/{id}: { get: {} }\n");
    fs::write(workplace.path().join("api.yaml"), second).unwrap();
    let output = workplace.init(&update);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(stdout(&output), "+ post /a\n+ get /c/{id}\n- get /b\n");
    let after = workplace.files("policies");
    let added: Vec<&str> =
        after.iter().filter(|file| !before.contains(file)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(added, ["policies/schema.cedarschema", "policies/tests/routes-added.yaml"]);
    let updated = workplace.read("policies/schema.cedarschema");
    let end = "}\r\n// mine, at the end\r\n";
    let (head, tail) = updated.split_at(schema.len() - end.len());
    assert!(schema.starts_with(head), "{schema}");
    assert!(tail.ends_with(end) && tail.contains("\r\n    // New\r\n    \"post /a\"\r\n"), "{tail}");
    assert!(!updated.replace("\r\n", "").contains('\n'));
    golden(&data("routes-added.yaml"), &workplace.read("policies/tests/routes-added.yaml"));
    workplace.prove();
    // The second time there is nothing to add, and what is lost is said again.
    let again = workplace.init(&update);
    assert_eq!(stdout(&again), "- get /b\n");
}

#[test]
fn an_update_adds_to_a_schema_of_avp() {
    let workplace = Workplace::with_data("rest-export.json");
    let source = ["--openapi", "rest-export.json"];
    workplace.made(&[&source[..], &["--avp-exact"]].concat());
    let before = workplace.read("policies/schema.cedarschema.json");
    assert_fine(&workplace.init(&[&source[..], &["--update"]].concat()));
    let text = fs::read_to_string(data("rest-export.json")).unwrap();
    let text = text.replace("\"/pets\": {", "\"/new\": { \"put\": {} },\n    \"/pets\": {");
    fs::write(workplace.path().join("rest-export.json"), text).unwrap();
    let output = workplace.init(&[&source[..], &["--update"]].concat());
    assert_eq!(stdout(&output), "+ put /new\n", "{}", stderr(&output));
    let after = workplace.read("policies/schema.cedarschema.json");
    let (unchanged, _) = before.split_at(before.trim_end().len() - "\n    }\n  }\n}".len());
    assert!(after.starts_with(unchanged));
    workplace.prove();
}

#[test]
fn an_update_of_what_cannot_be_updated_changes_nothing() {
    let workplace = Workplace::with("api.yaml", openapi("  /a/{x}: { get: {} }\n"));
    let update = ["--update", "--openapi", "api.yaml"];
    assert_eq!(workplace.init(&update).status.code(), Some(1));
    workplace.made(&["--openapi", "api.yaml"]);
    let before = workplace.files("policies");
    fs::write(workplace.path().join("api.yaml"), openapi("  /a/{y}: { get: {} }\n")).unwrap();
    let renamed = workplace.init(&update);
    assert_eq!(renamed.status.code(), Some(2));
    let expected = "the API has `get /a/{y}` where the store has `get /a/{x}`";
    assert!(stderr(&renamed).contains(expected), "{}", stderr(&renamed));
    assert_eq!(workplace.files("policies"), before);
    fs::write(workplace.path().join("policies/schema.cedarschema"), "nonsense").unwrap();
    assert_eq!(workplace.init(&update).status.code(), Some(3));
}

#[test]
fn a_sample_is_a_folder_of_the_repository() {
    let workplace = Workplace::new();
    assert_fine(&workplace.init(&["--sample", "petstore"]));
    let expected = files(root(), &sample_store());
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let written = workplace.files("policies");
    assert_eq!(names(&written), names(&expected));
    assert!(written == expected);
    let unknown = workplace.init(&["--sample", "nonsense", "--store", "x"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("petstore (groups"), "{}", stderr(&unknown));
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_to_is_said() {
    use std::os::unix::fs::PermissionsExt;

    let workplace = Workplace::with("api.yaml", openapi("  /a: { get: {} }\n"));
    let closed = workplace.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere.
    if fs::write(closed.join("probe"), "").is_ok() {
        return;
    }
    let output =
        workplace.init(&[&["--openapi", "api.yaml", "--store", "closed/policies"], &POOL[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write the store `closed/policies`"), "{}", stderr(&output));
}

#[test]
fn a_deployed_api_is_fetched_with_a_signature() {
    let export = fs::read_to_string(data("rest-export.json")).unwrap();
    let gateway = ApiGateway::start(vec![
        ("/restapis/rest1", 200, "{\"id\":\"rest1\",\"name\":\"Pet Shop\"}".to_owned()),
        ("/restapis/rest1/stages", 200, "{\"item\":[{\"stageName\":\"prod\"}]}".to_owned()),
        ("/restapis/rest1/stages/prod/exports/oas30?extensions=apigateway", 200, export.clone()),
        ("/restapis/many1", 200, "{}".to_owned()),
        (
            "/restapis/many1/stages",
            200,
            "{\"item\":[{\"stageName\":\"a\"},{\"stageName\":\"b\"}]}".to_owned(),
        ),
        ("/restapis/none1", 200, "{}".to_owned()),
        ("/restapis/none1/stages", 200, "{}".to_owned()),
        ("/restapis/closed1", 403, "{\"Message\":\"User: x is not authorized\"}".to_owned()),
        ("/v2/apis/http1", 200, "{\"name\":\"Shop\",\"protocolType\":\"HTTP\"}".to_owned()),
        ("/v2/apis/http1/exports/OAS30?outputType=JSON&includeExtensions=true", 200, export),
        ("/v2/apis/socket1", 200, "{\"protocolType\":\"WEBSOCKET\"}".to_owned()),
    ]);
    let workplace = Workplace::new();
    let fetch = |arguments: &[&str]| {
        let mut command = workplace.command("init", &[arguments, &["--client-id", "c", "--force"]].concat());
        command.env("AWS_ENDPOINT_URL_API_GATEWAY", gateway.endpoint());
        command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "made-up");
        command.output().unwrap()
    };
    let region = ["--region", "eu-west-1"];
    for id in ["rest1", "http1"] {
        let output = fetch(&[&["--api", id], &region[..]].concat());
        assert_fine(&output);
        let settings = workplace.read("policies/store.toml");
        assert!(
            settings.contains("namespace = \"PetShop\"") && settings.contains("complete = true"),
            "{settings}"
        );
    }
    for (path, authorization) in gateway.requests() {
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/";
        assert!(authorization.starts_with(expected), "{path} {authorization}");
        assert!(authorization.contains("/eu-west-1/apigateway/aws4_request"), "{authorization}");
    }
    for (arguments, message) in [
        (&["--api", "many1"][..], "`many1` has several stages: a, b"),
        (&["--api", "none1"], "`none1` has no stage"),
        (&["--api", "rest1", "--stage", "nonsense"], "`rest1` has no stage `nonsense`"),
        (&["--api", "closed1"], "refuses `/restapis/closed1` with 403: User: x is not authorized"),
        (&["--api", "socket1"], "`socket1` is a WebSocket API"),
        (&["--api", "gone1"], "there is no API `gone1` in eu-west-1"),
        (&["--api", "../x"], "`../x` is not the id of an API"),
    ] {
        let output = fetch(&[arguments, &region].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(message), "{arguments:?}\n{}", stderr(&output));
    }
    let output = fetch(&["--api", "rest1"]);
    assert!(stderr(&output).contains("in which region is the API?"), "{}", stderr(&output));
    let mut command = workplace.command("init", &["--api", "rest1", "--region", "eu-west-1", "--force"]);
    command.env("AWS_ENDPOINT_URL_API_GATEWAY", gateway.endpoint());
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no AWS credentials"), "{}", stderr(&output));
}

/// Python has a terminal to run the questions on.
#[cfg(unix)]
#[test]
fn on_a_terminal_it_asks_and_says_the_flags() {
    const TERMINAL: &str = r#"
import os, pty, sys, time, select
answers = sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "init"])
output, asked = b"", 0
while True:
    ready, _, _ = select.select([fd], [], [], 20)
    if not ready:
        break
    try:
        chunk = os.read(fd, 4096)
    except OSError:
        break
    if not chunk:
        break
    output += chunk
    # A prompt ends with a colon and a space, after its default in brackets.
    if output.endswith(b": ") and answers:
        time.sleep(0.1)
        os.write(fd, answers.pop(0).encode() + b"\r")
_, status = os.waitpid(pid, 0)
sys.stdout.write(output.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(status))
"#;
    if Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    let workplace = Workplace::with("api.yaml", openapi("  /a: { get: {} }\n"));
    let ask = |answers: &[&str]| {
        let mut command = Command::new("python3");
        command.args(["-c", TERMINAL, CLI]).args(answers).current_dir(workplace.path());
        command.env("TERM", "xterm").output().unwrap()
    };
    let output = ask(&["api.yaml", "eu-west-1_Ab", "c1, c2", "", "admin, the rest", "", "my policies"]);
    assert_fine(&output);
    let said = stdout(&output);
    for flag in
        ["--openapi", "--user-pool", "--client-id", "--token-type", "--groups", "--namespace", "--store"]
    {
        assert!(said.contains(flag), "{said}");
    }
    let line = "cedar-authorizer init --openapi api.yaml --user-pool eu-west-1_Ab --client-id c1 --client-id c2 \
                --groups 'admin,the rest' --namespace Shop --store 'my policies'";
    assert!(said.replace("\r\n", "").contains(line), "{said}");
    assert!(workplace.path().join("my policies/policies/the-rest.cedar").exists());
}
