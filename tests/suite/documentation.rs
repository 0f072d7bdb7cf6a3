//! Compares the tables of the documentation with the code.

use std::fmt::Write;

use cedar_authorizer::reason::{Reason, Status};
use cedar_authorizer::store::finding::Code;

use crate::world::{golden, root};

#[test]
fn every_reason_is_in_the_documented_table() {
    let mut page = String::from(
        "# Reason codes\n\n\
         Every call ends with one of these. The code is in the log and, where API Gateway gets a policy, in its\n\
         `context`. This table is written from `src/reason.rs` by the tests (`UPDATE_GOLDEN=1 cargo test`).\n\n\
         | code | meaning | the client gets |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let status = match reason.status() {
            Status::Allow => "the answer of the backend",
            Status::Deny => "403",
            Status::Unauthorized => "401",
            Status::Fault => "500",
        };
        writeln!(page, "| `{reason}` | {} | {status} |", reason.meaning()).unwrap();
    }
    golden(&root().join("docs/reasons.md"), &page);
}

#[test]
fn every_finding_is_in_the_documented_table() {
    let mut page = String::from(
        "# Findings\n\n\
         What `cedar-authorizer check` can say of a policy store. An error makes the store unusable, a warning\n\
         does not. This table is written from `src/store/finding.rs` by the tests (`UPDATE_GOLDEN=1 cargo test`).\n\n\
         | code | severity | meaning |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        writeln!(page, "| `{code}` | {} | {} |", code.severity(), code.meaning()).unwrap();
    }
    golden(&root().join("docs/findings.md"), &page);
}
