//! The questions of `init` on a terminal. Each names the flag that would answer it.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::ValueEnum;
use dialoguer::Input;

use super::Init;
use super::api::Api;
use super::files::avp_schema;
use super::identity::{Identity, TypeOfToken};
use super::samples::Sample;
use super::text;
use crate::output::Failure;
use crate::yaml;

/// Whether there is somebody to ask.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for what the arguments do not say. Returns the complete arguments, and the API unless it is a sample.
pub fn ask(mut init: Init) -> Result<(Init, Option<Api>), Failure> {
    let source = ask_for(
        "Which API? A description, a template, an API id or a sample (--openapi, --template, --api, --sample)",
        None,
        false,
        |text| source_of(text, &mut init.clone()).map_err(|failure| failure.to_string()),
    )?;
    source_of(&source, &mut init)?;
    if init.sample.is_some() {
        ask_for_store(&mut init)?;
        return Ok((init, None));
    }
    let api = init.read_api()?;
    if init.identity.user_pool.is_none() && init.identity.issuer.is_none() {
        let known = Identity::read(&init.identity, &api.providers).ok();
        let known = known.map(|identity| identity.title());
        let question = match &known {
            Some(title) => {
                format!("Whose tokens? A user pool or an issuer; empty for {title} (--user-pool, --issuer)")
            }
            None => {
                "Whose tokens? The id of a Cognito user pool, or the URL of an issuer (--user-pool, --issuer)"
                    .to_owned()
            }
        };
        let answer = ask_for(&question, None, known.is_some(), |text| {
            let mut args = init.identity.clone();
            set_issuer(text, &mut args);
            Identity::read(&args, &api.providers).map(|_| ()).map_err(|failure| failure.to_string())
        })?;
        set_issuer(&answer, &mut init.identity);
    }
    if init.identity.client_ids.is_empty() {
        let answer =
            ask_for("For which clients? With commas; empty for all (--client-id)", None, true, |_| Ok(()))?;
        init.identity.client_ids = words(&answer);
    }
    let token_type = init.identity.token_type.to_possible_value();
    let token_type = token_type.map(|value| value.get_name().to_owned());
    let read = |text: &str| TypeOfToken::from_str(text, true).map_err(|_| "`access` or `id`".to_owned());
    let answer = ask_for("Which tokens, access or id? (--token-type)", token_type, false, |text| {
        read(text).map(|_| ())
    })?;
    init.identity.token_type = read(&answer).unwrap_or_default();
    if init.groups.is_empty() {
        let answer = ask_for(
            "Which groups? With commas, the first may do everything; empty for none (--groups)",
            None,
            true,
            |_| Ok(()),
        )?;
        init.groups = words(&answer);
    }
    if init.namespace.is_none() {
        let default = Some(avp_schema::namespace(&api.title));
        let answer = ask_for("Which Cedar namespace? (--namespace)", default, false, |text| {
            super::plan::namespace(Some(text), "").map(|_| ()).map_err(|failure| failure.to_string())
        })?;
        init.namespace = Some(answer);
    }
    ask_for_store(&mut init)?;
    Ok((init, Some(api)))
}

fn ask_for_store(init: &mut Init) -> Result<(), Failure> {
    let default = Some(init.store.display().to_string());
    init.store = ask_for("Into which directory? (--store)", default, false, |_| Ok(()))?.into();
    Ok(())
}

/// Asks until the answer is good.
fn ask_for(
    question: &str,
    default: Option<String>,
    may_be_empty: bool,
    mut check: impl FnMut(&str) -> Result<(), String>,
) -> Result<String, Failure> {
    let mut input = Input::<String>::new().with_prompt(question).allow_empty(may_be_empty);
    if let Some(default) = default {
        input = input.default(default);
    }
    let input = input.validate_with(|text: &String| match text.trim() {
        "" => Ok(()),
        text => check(text),
    });
    let answer = input.interact_text().map_err(|error| {
        Failure::could_not_run(format_args!("no answer: {error}"))
            .hint("give the answers as flags; see --help")
    })?;
    Ok(answer.trim().to_owned())
}

/// Which flag a text is for: a file is a description or a template; anything else is a sample or the id of an API.
fn source_of(text: &str, init: &mut Init) -> Result<(), Failure> {
    let path = PathBuf::from(text);
    if path.is_file() {
        let content = fs::read_to_string(&path).unwrap_or_default();
        let root = yaml::parse(&content, MAX_NODES, &mut Vec::new()).ok().flatten();
        if root.is_some_and(|root| root.get("Resources").is_some()) {
            init.template = Some(path);
        } else {
            init.openapi = Some(path);
        }
    } else if Sample::named(text).is_ok() {
        init.sample = Some(text.to_owned());
    } else if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        init.api = Some(text.to_owned());
    } else {
        return Err(Failure::could_not_run(format_args!("there is no file `{}`", text::comment(text))));
    }
    Ok(())
}

fn set_issuer(text: &str, args: &mut super::IdentityArgs) {
    if text.is_empty() {
        return;
    }
    if text.contains("://") {
        args.issuer = Some(text.to_owned());
    } else {
        args.user_pool = Some(text.to_owned());
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The command line that does the same without questions.
pub fn command_line(init: &Init) -> String {
    let mut line = "cedar-authorizer init".to_owned();
    let mut add = |flag: &str, value: &str| line += &format!(" {flag} {}", quoted(value));
    let path = |path: &PathBuf| path.display().to_string();
    let sources = [
        ("--openapi", init.openapi.as_ref().map(path)),
        ("--template", init.template.as_ref().map(path)),
        ("--api", init.api.clone()),
        ("--sample", init.sample.clone()),
        ("--user-pool", init.identity.user_pool.clone()),
        ("--issuer", init.identity.issuer.clone()),
    ];
    for (flag, value) in sources {
        if let Some(value) = value {
            add(flag, &value);
        }
    }
    for id in &init.identity.client_ids {
        add("--client-id", id);
    }
    if init.identity.token_type == TypeOfToken::Id {
        add("--token-type", "id");
    }
    if !init.groups.is_empty() {
        add("--groups", &init.groups.join(","));
    }
    if let Some(namespace) = &init.namespace {
        add("--namespace", namespace);
    }
    add("--store", &path(&init.store));
    line
}

/// A word for a shell.
pub fn quoted(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:,=@%+".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// As for descriptions.
const MAX_NODES: usize = 2_000_000;
