//! `IsAuthorized` and its relatives.

use super::values::{ACTION, CONTEXT, ENTITIES, ENTITY};
use super::{Length, List, Member, Operation, Shape, Structure, optional, required, text};

pub static OPERATIONS: [Operation; 4] = [
    Operation {
        name: "BatchIsAuthorized",
        input: Structure::of(&[
            required("policyStoreId", text::ID),
            optional("entities", ENTITIES),
            required("requests", Shape::List(&List { element: REQUEST, length: Length::at_least(1) })),
        ]),
        output: Structure::of(&[required(
            "results",
            Shape::List(&List { element: RESULT, length: Length::ANY }),
        )]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "BatchIsAuthorizedWithToken",
        input: Structure::of(&[
            required("policyStoreId", text::ID),
            optional("identityToken", text::TOKEN),
            optional("accessToken", text::TOKEN),
            optional("entities", ENTITIES),
            required("requests", Shape::List(&List { element: TOKEN_REQUEST, length: Length::at_least(1) })),
        ]),
        output: Structure::of(&[
            optional("principal", ENTITY),
            required("results", Shape::List(&List { element: TOKEN_RESULT, length: Length::ANY })),
        ]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "IsAuthorized",
        input: Structure::of(&[
            required("policyStoreId", text::ID),
            optional("principal", ENTITY),
            optional("action", ACTION),
            optional("resource", ENTITY),
            optional("context", CONTEXT),
            optional("entities", ENTITIES),
        ]),
        output: Structure::of(&[DECISION, DETERMINING_POLICIES, ERRORS]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "IsAuthorizedWithToken",
        input: Structure::of(&[
            required("policyStoreId", text::ID),
            optional("identityToken", text::TOKEN),
            optional("accessToken", text::TOKEN),
            optional("action", ACTION),
            optional("resource", ENTITY),
            optional("context", CONTEXT),
            optional("entities", ENTITIES),
        ]),
        output: Structure::of(&[DECISION, DETERMINING_POLICIES, ERRORS, optional("principal", ENTITY)]),
        errors: &["ResourceNotFoundException"],
    },
];

const REQUEST: Shape = Shape::Structure(&Structure::of(&[
    optional("principal", ENTITY),
    optional("action", ACTION),
    optional("resource", ENTITY),
    optional("context", CONTEXT),
]));

/// The principal is that of the token.
const TOKEN_REQUEST: Shape = Shape::Structure(&Structure::of(&[
    optional("action", ACTION),
    optional("resource", ENTITY),
    optional("context", CONTEXT),
]));

const RESULT: Shape =
    Shape::Structure(&Structure::of(&[required("request", REQUEST), DECISION, DETERMINING_POLICIES, ERRORS]));

const TOKEN_RESULT: Shape = Shape::Structure(&Structure::of(&[
    required("request", TOKEN_REQUEST),
    DECISION,
    DETERMINING_POLICIES,
    ERRORS,
]));

const DECISION: Member = required("decision", text::DECISION);

const DETERMINING_POLICIES: Member = required(
    "determiningPolicies",
    Shape::List(&List {
        element: Shape::Structure(&Structure::of(&[required("policyId", text::ID)])),
        length: Length::ANY,
    }),
);

const ERRORS: Member = required(
    "errors",
    Shape::List(&List {
        element: Shape::Structure(&Structure::of(&[required("errorDescription", text::ANY)])),
        length: Length::ANY,
    }),
);
