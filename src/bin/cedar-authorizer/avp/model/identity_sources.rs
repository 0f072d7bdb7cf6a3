//! Identity sources.

use super::operations::{CREATED_DATE, LAST_UPDATED_DATE, MAX_RESULTS, NEXT_TOKEN};
use super::{Length, List, Member, Operation, Shape, Structure, optional, required, text};

pub static OPERATIONS: [Operation; 5] = [
    Operation {
        name: "CreateIdentitySource",
        input: Structure::of(&[
            optional("clientToken", text::CLIENT_TOKEN),
            STORE_ID,
            required("configuration", CONFIGURATION),
            optional("principalEntityType", text::ENTITY_TYPE),
        ]),
        output: Structure::of(WRITTEN),
        errors: &["ServiceQuotaExceededException", "ConflictException", "ResourceNotFoundException"],
    },
    Operation {
        name: "DeleteIdentitySource",
        input: Structure::of(&[STORE_ID, SOURCE_ID]),
        output: Structure::of(&[]),
        errors: &["ConflictException", "ResourceNotFoundException"],
    },
    Operation {
        name: "GetIdentitySource",
        input: Structure::of(&[STORE_ID, SOURCE_ID]),
        output: Structure::of(SOURCE),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "ListIdentitySources",
        input: Structure::of(&[
            STORE_ID,
            NEXT_TOKEN,
            MAX_RESULTS,
            optional("filters", Shape::List(&List { element: FILTER, length: Length::between(0, 10) })),
        ]),
        output: Structure::of(&[
            NEXT_TOKEN,
            required(
                "identitySources",
                Shape::List(&List { element: Shape::Structure(&Structure::of(SOURCE)), length: Length::ANY }),
            ),
        ]),
        errors: &["ResourceNotFoundException"],
    },
    Operation {
        name: "UpdateIdentitySource",
        input: Structure::of(&[
            STORE_ID,
            SOURCE_ID,
            required("updateConfiguration", CONFIGURATION),
            optional("principalEntityType", text::ENTITY_TYPE),
        ]),
        output: Structure::of(WRITTEN),
        errors: &["ConflictException", "ResourceNotFoundException"],
    },
];

/// What is answered after an identity source was created or updated.
const WRITTEN: &[Member] = &[CREATED_DATE, SOURCE_ID, LAST_UPDATED_DATE, STORE_ID];

const SOURCE: &[Member] = &[
    CREATED_DATE,
    optional("details", DETAILS),
    SOURCE_ID,
    LAST_UPDATED_DATE,
    STORE_ID,
    required("principalEntityType", text::ENTITY_TYPE),
    optional("configuration", CONFIGURATION_ANSWER),
];

/// What clients knew before there was `configuration`.
const DETAILS: Shape = Shape::Structure(&Structure::of(&[
    optional("clientIds", text::CLIENT_IDS),
    optional("userPoolArn", text::USER_POOL_ARN),
    optional("discoveryUrl", text::HTTPS_URL),
    optional("openIdIssuer", text::OPEN_ID_ISSUER),
]));

const FILTER: Shape = Shape::Structure(&Structure::of(&[optional("principalEntityType", text::ENTITY_TYPE)]));

const CONFIGURATION: Shape = Shape::Union(&Structure::of(&[
    optional(
        "cognitoUserPoolConfiguration",
        Shape::Structure(&Structure::of(&[
            required("userPoolArn", text::USER_POOL_ARN),
            optional("clientIds", text::CLIENT_IDS),
            optional(
                "groupConfiguration",
                Shape::Structure(&Structure::of(&[required("groupEntityType", text::GROUP_ENTITY_TYPE)])),
            ),
        ])),
    ),
    optional("openIdConnectConfiguration", OPEN_ID_CONNECT),
]));

/// As [`CONFIGURATION`], with the issuer of a user pool, which nobody can set.
const CONFIGURATION_ANSWER: Shape = Shape::Union(&Structure::of(&[
    optional(
        "cognitoUserPoolConfiguration",
        Shape::Structure(&Structure::of(&[
            required("userPoolArn", text::USER_POOL_ARN),
            required("clientIds", text::CLIENT_IDS),
            required("issuer", text::HTTPS_URL),
            optional(
                "groupConfiguration",
                Shape::Structure(&Structure::of(&[optional("groupEntityType", text::GROUP_ENTITY_TYPE)])),
            ),
        ])),
    ),
    optional("openIdConnectConfiguration", OPEN_ID_CONNECT),
]));

const OPEN_ID_CONNECT: Shape = Shape::Structure(&Structure::of(&[
    required("issuer", text::HTTPS_URL),
    optional("entityIdPrefix", text::ENTITY_ID_PREFIX),
    optional(
        "groupConfiguration",
        Shape::Structure(&Structure::of(&[
            required("groupClaim", text::NOT_EMPTY),
            required("groupEntityType", text::GROUP_ENTITY_TYPE),
        ])),
    ),
    required("tokenSelection", TOKEN_SELECTION),
]));

const TOKEN_SELECTION: Shape = Shape::Union(&Structure::of(&[
    optional(
        "accessTokenOnly",
        Shape::Structure(&Structure::of(&[
            optional("principalIdClaim", text::NOT_EMPTY),
            optional("audiences", text::AUDIENCES),
        ])),
    ),
    optional(
        "identityTokenOnly",
        Shape::Structure(&Structure::of(&[
            optional("principalIdClaim", text::NOT_EMPTY),
            optional("clientIds", text::CLIENT_IDS),
        ])),
    ),
]));

const STORE_ID: Member = required("policyStoreId", text::ID);
const SOURCE_ID: Member = required("identitySourceId", text::IDENTITY_SOURCE_ID);
