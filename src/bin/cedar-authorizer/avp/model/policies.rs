//! Policies and policy templates.

use super::operations::{CREATED_DATE, LAST_UPDATED_DATE, MAX_RESULTS, NEXT_TOKEN};
use super::values::{ACTIONS, ENTITY};
use super::{Length, List, Member, Operation, Shape, Structure, optional, required, text};

pub static OPERATIONS: [Operation; 11] = [
    Operation {
        name: "BatchGetPolicy",
        input: Structure::of(&[required(
            "requests",
            Shape::List(&List {
                element: Shape::Structure(&Structure::of(&[STORE_ID, POLICY_ID])),
                length: Length::between(1, 100),
            }),
        )]),
        output: Structure::of(&[
            required("results", Shape::List(&List { element: BATCH_RESULT, length: Length::ANY })),
            required("errors", Shape::List(&List { element: BATCH_ERROR, length: Length::ANY })),
        ]),
        errors: &[],
    },
    Operation {
        name: "CreatePolicy",
        input: Structure::of(&[
            optional("clientToken", text::CLIENT_TOKEN),
            STORE_ID,
            required("definition", DEFINITION),
            NAME,
        ]),
        output: Structure::of(WRITTEN_POLICY),
        errors: &["ServiceQuotaExceededException", "ConflictException", "ResourceNotFoundException"],
    },
    Operation {
        name: "CreatePolicyTemplate",
        input: Structure::of(&[
            optional("clientToken", text::CLIENT_TOKEN),
            STORE_ID,
            DESCRIPTION,
            STATEMENT,
            NAME,
        ]),
        output: Structure::of(WRITTEN_TEMPLATE),
        errors: &["ServiceQuotaExceededException", "ConflictException", "ResourceNotFoundException"],
    },
    Operation {
        name: "DeletePolicy",
        input: Structure::of(&[STORE_ID, POLICY_ID]),
        output: Structure::of(&[]),
        errors: &["ConflictException", "ResourceNotFoundException"],
    },
    Operation {
        name: "DeletePolicyTemplate",
        input: Structure::of(&[STORE_ID, TEMPLATE_ID]),
        output: Structure::of(&[]),
        errors: &["ConflictException", "ResourceNotFoundException"],
    },
    Operation {
        name: "GetPolicy",
        input: Structure::of(&[STORE_ID, POLICY_ID]),
        output: Structure::of(&[
            STORE_ID,
            POLICY_ID,
            POLICY_TYPE,
            PRINCIPAL,
            RESOURCE,
            optional("actions", ACTIONS),
            required("definition", DEFINITION),
            CREATED_DATE,
            LAST_UPDATED_DATE,
            EFFECT,
            NAME,
        ]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "GetPolicyTemplate",
        input: Structure::of(&[STORE_ID, TEMPLATE_ID]),
        output: Structure::of(&[
            STORE_ID,
            TEMPLATE_ID,
            DESCRIPTION,
            STATEMENT,
            CREATED_DATE,
            LAST_UPDATED_DATE,
            NAME,
        ]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "ListPolicies",
        input: Structure::of(&[STORE_ID, NEXT_TOKEN, MAX_RESULTS, optional("filter", FILTER)]),
        output: Structure::of(&[
            NEXT_TOKEN,
            required("policies", Shape::List(&List { element: POLICY_ITEM, length: Length::ANY })),
        ]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "ListPolicyTemplates",
        input: Structure::of(&[STORE_ID, NEXT_TOKEN, MAX_RESULTS]),
        output: Structure::of(&[
            NEXT_TOKEN,
            required("policyTemplates", Shape::List(&List { element: TEMPLATE_ITEM, length: Length::ANY })),
        ]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "UpdatePolicy",
        input: Structure::of(&[
            STORE_ID,
            POLICY_ID,
            optional("definition", Shape::Union(&Structure::of(&[optional("static", STATIC)]))),
            NAME,
        ]),
        output: Structure::of(WRITTEN_POLICY),
        errors: &["ServiceQuotaExceededException", "ConflictException", "ResourceNotFoundException"],
    },
    Operation {
        name: "UpdatePolicyTemplate",
        input: Structure::of(&[STORE_ID, TEMPLATE_ID, DESCRIPTION, STATEMENT, NAME]),
        output: Structure::of(WRITTEN_TEMPLATE),
        errors: &["ConflictException", "ResourceNotFoundException"],
    },
];

/// What is answered after a policy was created or updated.
const WRITTEN_POLICY: &[Member] = &[
    STORE_ID,
    POLICY_ID,
    POLICY_TYPE,
    PRINCIPAL,
    RESOURCE,
    optional("actions", ACTIONS),
    CREATED_DATE,
    LAST_UPDATED_DATE,
    EFFECT,
];

/// What is answered after a template was created or updated.
const WRITTEN_TEMPLATE: &[Member] = &[STORE_ID, TEMPLATE_ID, CREATED_DATE, LAST_UPDATED_DATE];

/// One policy of `BatchGetPolicy`.
const BATCH_RESULT: Shape = Shape::Structure(&Structure::of(&[
    STORE_ID,
    POLICY_ID,
    POLICY_TYPE,
    required("definition", DEFINITION),
    CREATED_DATE,
    LAST_UPDATED_DATE,
    NAME,
]));

/// One policy that `BatchGetPolicy` did not find. The ids are those of the request, whatever they are.
const BATCH_ERROR: Shape = Shape::Structure(&Structure::of(&[
    required("code", text::GET_POLICY_ERROR),
    required("policyStoreId", text::ANY),
    required("policyId", text::ANY),
    required("message", text::ANY),
]));

/// One policy of `ListPolicies`: no statement.
const POLICY_ITEM: Shape = Shape::Structure(&Structure::of(&[
    STORE_ID,
    POLICY_ID,
    POLICY_TYPE,
    PRINCIPAL,
    RESOURCE,
    optional("actions", ACTIONS),
    required(
        "definition",
        Shape::Union(&Structure::of(&[
            optional("static", Shape::Structure(&Structure::of(&[DESCRIPTION]))),
            optional("templateLinked", TEMPLATE_LINKED),
        ])),
    ),
    CREATED_DATE,
    LAST_UPDATED_DATE,
    EFFECT,
    NAME,
]));

/// One template of `ListPolicyTemplates`: no statement.
const TEMPLATE_ITEM: Shape = Shape::Structure(&Structure::of(&[
    STORE_ID,
    TEMPLATE_ID,
    DESCRIPTION,
    CREATED_DATE,
    LAST_UPDATED_DATE,
    NAME,
]));

const DEFINITION: Shape =
    Shape::Union(&Structure::of(&[optional("static", STATIC), optional("templateLinked", TEMPLATE_LINKED)]));

const STATIC: Shape = Shape::Structure(&Structure::of(&[DESCRIPTION, STATEMENT]));

const TEMPLATE_LINKED: Shape = Shape::Structure(&Structure::of(&[TEMPLATE_ID, PRINCIPAL, RESOURCE]));

const FILTER: Shape = Shape::Structure(&Structure::of(&[
    optional("principal", REFERENCE),
    optional("resource", REFERENCE),
    optional("policyType", text::POLICY_TYPE),
    optional("policyTemplateId", text::ID),
]));

/// Policies whose scope names this entity, or none.
const REFERENCE: Shape =
    Shape::Union(&Structure::of(&[optional("unspecified", Shape::Boolean), optional("identifier", ENTITY)]));

const STORE_ID: Member = required("policyStoreId", text::ID);
const POLICY_ID: Member = required("policyId", text::ID);
const TEMPLATE_ID: Member = required("policyTemplateId", text::ID);
const POLICY_TYPE: Member = required("policyType", text::POLICY_TYPE);
const PRINCIPAL: Member = optional("principal", ENTITY);
const RESOURCE: Member = optional("resource", ENTITY);
const EFFECT: Member = optional("effect", text::EFFECT);
const NAME: Member = optional("name", text::NAME);
const DESCRIPTION: Member = optional("description", text::DESCRIPTION);
const STATEMENT: Member = required("statement", text::NOT_EMPTY);
