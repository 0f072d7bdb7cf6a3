//! Policy stores, with their schemas, aliases and tags.

use super::operations::{CREATED_DATE, LAST_UPDATED_DATE, MAX_RESULTS, NEXT_TOKEN};
use super::{Length, List, Member, Operation, Shape, Structure, optional, required, text};

pub static OPERATIONS: [Operation; 14] = [
    Operation {
        name: "CreatePolicyStore",
        input: Structure::of(&[
            optional("clientToken", text::CLIENT_TOKEN),
            VALIDATION_SETTINGS,
            DESCRIPTION,
            DELETION_PROTECTION,
            optional("encryptionSettings", ENCRYPTION_SETTINGS),
            optional("tags", text::TAGS),
        ]),
        output: Structure::of(WRITTEN_STORE),
        errors: &["ServiceQuotaExceededException", "ConflictException"],
    },
    Operation {
        name: "CreatePolicyStoreAlias",
        input: Structure::of(&[ALIAS_NAME, STORE_ID]),
        output: Structure::of(&[
            ALIAS_NAME,
            STORE_ID,
            required("aliasArn", text::ARN),
            required("createdAt", Shape::Timestamp),
        ]),
        errors: &["ServiceQuotaExceededException", "ConflictException", "ResourceNotFoundException"],
    },
    Operation {
        name: "DeletePolicyStore",
        input: Structure::of(&[STORE_ID]),
        output: Structure::of(&[]),
        errors: &["InvalidStateException"],
    },
    Operation {
        name: "DeletePolicyStoreAlias",
        input: Structure::of(&[ALIAS_NAME, optional("deletionMode", text::DELETION_MODE)]),
        output: Structure::of(&[]),
        errors: &["InvalidStateException"],
    },
    Operation {
        name: "GetPolicyStore",
        input: Structure::of(&[STORE_ID, optional("tags", Shape::Boolean)]),
        output: Structure::of(&[
            STORE_ID,
            ARN,
            VALIDATION_SETTINGS,
            CREATED_DATE,
            LAST_UPDATED_DATE,
            DESCRIPTION,
            DELETION_PROTECTION,
            optional("encryptionState", ENCRYPTION_STATE),
            optional("cedarVersion", text::CEDAR_VERSION),
            optional("tags", text::TAGS),
        ]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "GetPolicyStoreAlias",
        input: Structure::of(&[ALIAS_NAME]),
        output: Structure::of(ALIAS),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "GetSchema",
        input: Structure::of(&[STORE_ID]),
        output: Structure::of(&[
            STORE_ID,
            required("schema", text::NOT_EMPTY),
            CREATED_DATE,
            LAST_UPDATED_DATE,
            optional("namespaces", text::NAMESPACES),
        ]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "ListPolicyStoreAliases",
        input: Structure::of(&[
            NEXT_TOKEN,
            MAX_RESULTS,
            optional("filter", Shape::Structure(&Structure::of(&[optional("policyStoreId", text::ID)]))),
        ]),
        output: Structure::of(&[
            NEXT_TOKEN,
            required(
                "policyStoreAliases",
                Shape::List(&List { element: Shape::Structure(&Structure::of(ALIAS)), length: Length::ANY }),
            ),
        ]),
        errors: &[],
    },
    Operation {
        name: "ListPolicyStores",
        input: Structure::of(&[NEXT_TOKEN, MAX_RESULTS]),
        output: Structure::of(&[
            NEXT_TOKEN,
            required("policyStores", Shape::List(&List { element: STORE_ITEM, length: Length::ANY })),
        ]),
        errors: &[],
    },
    Operation {
        name: "ListTagsForResource",
        input: Structure::of(&[RESOURCE_ARN]),
        output: Structure::of(&[optional("tags", text::TAGS)]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "PutSchema",
        input: Structure::of(&[
            STORE_ID,
            required("definition", Shape::Union(&Structure::of(&[optional("cedarJson", text::NOT_EMPTY)]))),
        ]),
        output: Structure::of(&[
            STORE_ID,
            required("namespaces", text::NAMESPACES),
            CREATED_DATE,
            LAST_UPDATED_DATE,
        ]),
        errors: &["ServiceQuotaExceededException", "ConflictException", "ResourceNotFoundException"],
    },
    Operation {
        name: "TagResource",
        input: Structure::of(&[RESOURCE_ARN, required("tags", text::TAGS)]),
        output: Structure::of(&[]),
        errors: &["TooManyTagsException", "ResourceNotFoundException"],
    },
    Operation {
        name: "UntagResource",
        input: Structure::of(&[RESOURCE_ARN, required("tagKeys", text::TAG_KEYS)]),
        output: Structure::of(&[]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "UpdatePolicyStore",
        input: Structure::of(&[STORE_ID, VALIDATION_SETTINGS, DELETION_PROTECTION, DESCRIPTION]),
        output: Structure::of(WRITTEN_STORE),
        errors: &["ConflictException", "ResourceNotFoundException"],
    },
];

/// What is answered after a store was created or updated.
const WRITTEN_STORE: &[Member] = &[STORE_ID, ARN, CREATED_DATE, LAST_UPDATED_DATE];

const STORE_ITEM: Shape = Shape::Structure(&Structure::of(&[
    STORE_ID,
    ARN,
    CREATED_DATE,
    optional("lastUpdatedDate", Shape::Timestamp),
    DESCRIPTION,
]));

const ALIAS: &[Member] = &[
    ALIAS_NAME,
    STORE_ID,
    required("aliasArn", text::ARN),
    required("createdAt", Shape::Timestamp),
    required("state", text::ALIAS_STATE),
];

const ENCRYPTION_SETTINGS: Shape = Shape::Union(&Structure::of(&[
    optional(
        "kmsEncryptionSettings",
        Shape::Structure(&Structure::of(&[
            required("key", text::KMS_KEY),
            optional("encryptionContext", text::ENCRYPTION_CONTEXT),
        ])),
    ),
    optional("default", Shape::Structure(&Structure::of(&[]))),
]));

const ENCRYPTION_STATE: Shape = Shape::Union(&Structure::of(&[
    optional(
        "kmsEncryptionState",
        Shape::Structure(&Structure::of(&[
            required("key", text::KMS_KEY),
            required("encryptionContext", text::ENCRYPTION_CONTEXT),
        ])),
    ),
    optional("default", Shape::Structure(&Structure::of(&[]))),
]));

const STORE_ID: Member = required("policyStoreId", text::ID);
const ALIAS_NAME: Member = required("aliasName", text::NAME);
const ARN: Member = required("arn", text::ARN);
const RESOURCE_ARN: Member = required("resourceArn", text::RESOURCE_ARN);
const DESCRIPTION: Member = optional("description", text::DESCRIPTION);
const DELETION_PROTECTION: Member = optional("deletionProtection", text::DELETION_PROTECTION);
const VALIDATION_SETTINGS: Member = required(
    "validationSettings",
    Shape::Structure(&Structure::of(&[required("mode", text::VALIDATION_MODE)])),
);
