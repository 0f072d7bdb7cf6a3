//! `inspect`: shows what is in a bundle, or what differs between two.

mod comparison;
mod extract;
mod report;
pub mod source;
mod verify;

use std::path::PathBuf;
use std::time::SystemTime;

use cedar_authorizer::time::UnixTime;
use clap::Args;

use crate::output::{Exit, Failure, OutputFormat};
use crate::trust::TrustArgs;
use comparison::Comparison;
use report::Report;
use source::Source;

/// Show what is in a bundle, or what differs between two
///
/// A bundle that cannot be used is shown as far as it can be read, with everything that is wrong with it. So is a
/// bundle that trusts the development key, which the function refuses. Instead of a bundle, a policy store may be
/// given: it is built in memory.
///
/// A signature is `valid`, `invalid` or `not checked`. It is checked only with --public-keys or BUNDLE_PUBLIC_KEYS.
/// Then a bundle that none of these keys signed cannot be used.
///
/// For bundles in S3, endpoint, region and credentials are set as for every AWS SDK: AWS_PROFILE, AWS_REGION,
/// AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 and so on. This needs s3:GetObject, and for a version s3:GetObjectVersion.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer inspect petstore.bundle
  cedar-authorizer inspect petstore.bundle --verify
  cedar-authorizer inspect petstore.bundle --public-keys $(cat bundle-key.pub)
  cedar-authorizer inspect s3://bucket/petstore.bundle.41 --extract policies-41
  cedar-authorizer inspect s3://bucket/petstore.bundle policies
  cedar-authorizer inspect old.bundle new.bundle --exit-code --format json

Exit codes: 0 fine, the same or different; 1 could not run; 2 different, with --exit-code;
3 a bundle cannot be used, or is not what its sources make")]
pub struct Inspect {
    /// A path, file:///path, s3://bucket/key or s3://bucket/key?versionId=id
    #[arg(value_name = "BUNDLE", value_parser = source::parse)]
    bundle: Source,

    /// Another bundle, newer than the first: show what was added, removed and changed
    #[arg(value_name = "OTHER", value_parser = source::parse, conflicts_with_all = ["verify", "extract"])]
    other: Option<Source>,

    /// Build the bundle again from the sources in it, and compare every byte
    #[arg(long)]
    verify: bool,

    /// Write the sources into a new or empty directory
    ///
    /// All of them or none. Files that are never in a bundle are missing: `tests/`, `personas.toml`.
    #[arg(long, value_name = "DIR")]
    extract: Option<PathBuf>,

    /// Exit with 2 if the files of the two bundles differ
    #[arg(long, requires = "other")]
    exit_code: bool,

    #[command(flatten)]
    trust: TrustArgs,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl Inspect {
    pub fn run(self) -> Result<Exit, Failure> {
        let trusted = self.trust.read()?;
        let bytes = self.bundle.read()?;
        if let Some(other) = &self.other {
            let comparison =
                Comparison::between((&self.bundle, bytes), (other, other.read()?), trusted.as_ref())?;
            comparison.print(self.format)?;
            let is_denied = self.exit_code && comparison.is_different();
            return Ok(if is_denied { Exit::Denied } else { Exit::Fine });
        }
        let now = UnixTime::from(SystemTime::now());
        let mut report = Report::new(&self.bundle, bytes, trusted.as_ref(), now);
        if self.verify {
            report.verify()?;
        }
        if let Some(target) = &self.extract {
            report.extract(target)?;
        }
        report.print(self.format)?;
        Ok(if report.is_invalid() { Exit::Invalid } else { Exit::Fine })
    }
}
