//! `export avp`: the plan, the question, and the changes.

use std::io::{self, IsTerminal};

use aws_sdk_verifiedpermissions::Client;
use aws_sdk_verifiedpermissions::types::{DeletionProtection, EncryptionSettings, KmsEncryptionSettings};
use dialoguer::Confirm;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::ToAvp;
use super::apply::{Changer, settings};
use super::cloudformation::long_texts;
use super::losses;
use super::plan::{Plan, Step, Verb};
use crate::avp::contents::StoreContents;
use crate::import::live::{Live, read, refused};
use crate::output::{
    Exit, Failure, HINT, OutputFormat, SUCCESS, WARNING, paint, plural, print, printable, warn,
};
use crate::progress;
use crate::runtime::runtime;

/// Makes a policy store in AWS as the one here.
pub fn export(args: &ToAvp) -> Result<Exit, Failure> {
    if !args.yes && !args.dry_run && !can_ask() {
        let failure = Failure::could_not_run("nobody can be asked whether the changes are right");
        return Err(failure.hint("look at them by --dry-run, and make them by --yes"));
    }
    let (contents, mut losses) = losses::read(&args.store)?;
    for note in long_texts(&contents, MAX_STATEMENT) {
        warn(&format_args!("{} {note}", paint(WARNING, "warning:")));
    }
    let runtime = runtime()?;
    let client = runtime.block_on(args.connection.open())?;
    let live = match &args.policy_store_id {
        Some(id) => {
            let what = format!("reading `{id}`");
            Some(progress::during(what, || runtime.block_on(read(&client, id)))?)
        }
        None => None,
    };
    let nothing = StoreContents { validation: contents.validation, ..StoreContents::default() };
    // A new store has these from the start.
    let fresh = StoreContents {
        description: contents.description.clone(),
        deletion_protection: contents.deletion_protection,
        tags: contents.tags.clone(),
        ..nothing
    };
    let mut notes = live.iter().flat_map(|live| &live.imported.notes);
    if let Some(note) = notes.find(|note| note.is_loss) {
        return Err(Failure::could_not_run(format_args!(
            "the policy store cannot be read as a whole: {}: {}",
            printable(&note.place),
            printable(&note.message)
        )));
    }
    let there = live.as_ref().map_or(&fresh, |live| &live.imported.contents);
    let plan = Plan::new(&contents, there, args.delete);
    for kept in &plan.kept {
        losses.differ(format!("{kept} is in AVP only; --delete deletes it"));
    }
    let report = Report { args, plan: &plan, is_new: live.is_none() };
    report.show()?;
    if args.dry_run {
        report.print_json(None, "planned")?;
        return Ok(losses.report());
    }
    if plan.steps.is_empty() && live.is_some() {
        report.print_json(live.as_ref().map(|live| live.id.as_str()), "unchanged")?;
        return Ok(losses.report());
    }
    if !args.yes && !confirmed()? {
        return Err(Failure::could_not_run("nothing was changed"));
    }
    let id = match &live {
        Some(Live { id, .. }) => id.clone(),
        None => runtime.block_on(create(&client, &contents))?,
    };
    if live.is_none() {
        // Even if the rest fails, this must be known.
        warn(&format_args!("{} policy store {id}", paint(SUCCESS, "created:")));
    }
    let bar = bar(plan.steps.len());
    let mut changer = Changer::new(&client, &id, &contents, there);
    let result = runtime.block_on(async {
        tokio::select! {
            result = changer.run(&plan.steps, || bar.inc(1)) => result,
            _ = tokio::signal::ctrl_c() => Err(Failure::could_not_run("interrupted")),
        }
    });
    let done = bar.position();
    bar.finish_and_clear();
    if let Err(failure) = result {
        let count = plan.steps.len();
        warn(&format_args!(
            "{} {done} of {} done; nothing is allowed that neither the old nor the new policies allow. Run it again \
             with --policy-store-id {id} to continue",
            paint(HINT, "stopped:"),
            plural(count, "request")
        ));
        return Err(failure);
    }
    report.print_json(Some(&id), "applied")?;
    if args.format == OutputFormat::Human {
        print(&format_args!("{} {id} is as `{}`", paint(SUCCESS, "done:"), printable(&args.store.name())))?;
    }
    Ok(losses.report())
}

async fn create(client: &Client, contents: &StoreContents) -> Result<String, Failure> {
    let request = client
        .create_policy_store()
        .validation_settings(settings(contents.validation)?)
        .set_description(contents.description.clone())
        .set_deletion_protection(contents.deletion_protection.then_some(DeletionProtection::Enabled));
    let tags = (!contents.tags.is_empty()).then(|| contents.tags.clone().into_iter().collect());
    let request = request.set_tags(tags).set_encryption_settings(encryption(contents)?);
    let made = request.send().await.map_err(|error| refused("CreatePolicyStore", error))?;
    Ok(made.policy_store_id)
}

fn encryption(contents: &StoreContents) -> Result<Option<EncryptionSettings>, Failure> {
    let kms = contents.encryption.as_ref().and_then(|settings| settings.get("kmsEncryptionSettings"));
    let Some(kms) = kms else { return Ok(None) };
    let context = kms.get("encryptionContext").and_then(Value::as_object).map(|context| {
        let entry = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        context.iter().filter_map(entry).collect()
    });
    let key = kms.get("key").and_then(Value::as_str).map(str::to_owned);
    let kms = KmsEncryptionSettings::builder().set_key(key).set_encryption_context(context).build();
    Ok(Some(EncryptionSettings::KmsEncryptionSettings(kms.map_err(Failure::could_not_run)?)))
}

fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn confirmed() -> Result<bool, Failure> {
    let question = Confirm::new().with_prompt("Make these changes?").default(false);
    question.interact().map_err(|error| Failure::could_not_run(format_args!("cannot ask: {error}")))
}

/// What is said of a plan.
struct Report<'r> {
    args: &'r ToAvp,
    plan: &'r Plan<'r>,
    is_new: bool,
}

impl Report<'_> {
    /// How many things are equal already. A new store is not one of them.
    fn unchanged(&self) -> usize {
        self.plan.unchanged.saturating_sub(usize::from(self.is_new))
    }

    /// Steps as the user sees them, in an order for reading.
    fn visible(&self) -> impl Iterator<Item = (Verb, &Step<'_>)> {
        self.plan.steps.iter().filter_map(|step| Some((step.verb?, step)))
    }

    fn show(&self) -> Result<(), Failure> {
        for note in &self.plan.notes {
            warn(&format_args!("{} {}", paint(HINT, "note:"), printable(note)));
        }
        if self.args.format == OutputFormat::Json {
            return Ok(());
        }
        if self.is_new {
            print(&"+ create the policy store")?;
        }
        for (verb, step) in self.visible() {
            print(&format_args!("{} {} {}", verb.sign(), verb.name(), printable(&step.what)))?;
        }
        let count = |wanted| self.visible().filter(|(verb, _)| *verb == wanted).count();
        print(&format_args!(
            "{} to create, {} to update, {} to replace, {} to delete, {} unchanged",
            count(Verb::Create) + usize::from(self.is_new),
            count(Verb::Update),
            count(Verb::Replace),
            count(Verb::Delete),
            self.unchanged()
        ))
    }

    fn print_json(&self, id: Option<&str>, status: &str) -> Result<(), Failure> {
        if self.args.format != OutputFormat::Json {
            return Ok(());
        }
        let step = |(verb, step): (Verb, &Step<'_>)| json!({ "action": verb.name(), "what": step.what });
        let report = json!({
            "status": status,
            "policyStoreId": id.or(self.args.policy_store_id.as_deref()),
            "createsPolicyStore": self.is_new,
            "changes": self.visible().map(step).collect::<Vec<_>>(),
            "unchanged": self.unchanged(),
            "kept": self.plan.kept,
        });
        print(&format_args!("{report:#}"))
    }
}

/// Draws a bar on stderr, if that is a terminal.
fn bar(steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} changing {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    bar
}

/// User Guide, "Quotas for resources": the size of a policy.
const MAX_STATEMENT: usize = 10_000;
