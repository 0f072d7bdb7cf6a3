//! The strings of the API, and the lists and maps of them.

use super::{Length, List, Map, Shape, Text};

/// The id of a policy store, policy or policy template. An alias or a name may stand for it: hence the slash.
pub const ID: Shape = Shape::Text(Text::matching(Length::between(1, 200), "[a-zA-Z0-9-/_]*"));
pub const IDENTITY_SOURCE_ID: Shape = Shape::Text(Text::matching(Length::between(1, 200), "[a-zA-Z0-9-]*"));
/// The name of a policy or policy template, or an alias.
pub const NAME: Shape = Shape::Text(Text::matching(Length::between(0, 150), "[a-zA-Z0-9-/_]*"));
pub const CLIENT_TOKEN: Shape = Shape::Text(Text::matching(Length::between(1, 64), "[a-zA-Z0-9-]*"));
pub const NEXT_TOKEN: Shape = Shape::Text(Text::matching(Length::between(1, 8000), r"[A-Za-z0-9-_=+/\.]*"));
/// A JWT.
pub const TOKEN: Shape = Shape::Text(Text::matching(
    Length::between(1, 131_072),
    "[A-Za-z0-9-_=]+.[A-Za-z0-9-_=]+.[A-Za-z0-9-_=]+",
));

pub const ENTITY_TYPE: Shape = Shape::Text(Text::matching(Length::between(1, 200), ".*"));
pub const ENTITY_ID: Shape = Shape::Text(Text::matching(Length::between(1, 612), ".*"));
pub const ACTION_TYPE: Shape = Shape::Text(Text::matching(Length::between(1, 200), "Action$|^.+::Action"));
pub const ACTION_ID: Shape = Shape::Text(Text::matching(Length::between(1, 512), ".*"));
pub const GROUP_ENTITY_TYPE: Shape =
    Shape::Text(Text::matching(Length::between(1, 200), "([_a-zA-Z][_a-zA-Z0-9]*::)*[_a-zA-Z][_a-zA-Z0-9]*"));
pub const NAMESPACE: Shape = Shape::Text(Text::matching(Length::between(0, 100), ".*"));

pub const DATETIME: Shape = Shape::Text(Text::matching(
    Length::between(10, 28),
    r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d{3})?(Z|[+-]\d{4}))?",
));
pub const DECIMAL: Shape = Shape::Text(Text::matching(Length::between(3, 23), r"-?\d{1,15}\.\d{1,4}"));
pub const DURATION: Shape =
    Shape::Text(Text::matching(Length::between(2, 100), r"-?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?"));
pub const IP_ADDRESS: Shape = Shape::Text(Text::matching(Length::between(1, 44), r"[0-9a-fA-F\.:\/]*"));

pub const ANY: Shape = Shape::Text(Text::ANY);
pub const DESCRIPTION: Shape = Shape::Text(Text::of_length(Length::between(0, 150)));
/// A statement, a schema, or the name of a claim.
pub const NOT_EMPTY: Shape = Shape::Text(Text::of_length(Length::at_least(1)));

/// The ARN of a resource, in answers.
pub const ARN: Shape =
    Shape::Text(Text::matching(Length::between(1, 2500), "arn:[^:]*:[^:]*:[^:]*:[^:]*:.*"));
/// The ARN of a resource with tags, in requests.
pub const RESOURCE_ARN: Shape = Shape::Text(Text::of_length(Length::between(1, 2048)));
pub const USER_POOL_ARN: Shape = Shape::Text(Text::matching(
    Length::between(1, 255),
    r"arn:[a-zA-Z0-9-]+:cognito-idp:(([a-zA-Z0-9-]+:\d{12}:userpool/[\w-]+_[0-9a-zA-Z]+))",
));
pub const KMS_KEY: Shape = Shape::Text(Text::matching(Length::ANY, "[a-zA-Z0-9:/_-]+"));
pub const HTTPS_URL: Shape = Shape::Text(Text::matching(Length::between(1, 2048), "https://.*"));
pub const ENTITY_ID_PREFIX: Shape = Shape::Text(Text::of_length(Length::between(1, 100)));

pub const ALIAS_STATE: Shape = Shape::Text(Text::one_of(&["Active", "PendingDeletion"]));
pub const CEDAR_VERSION: Shape = Shape::Text(Text::one_of(&["CEDAR_2", "CEDAR_4"]));
pub const DECISION: Shape = Shape::Text(Text::one_of(&["ALLOW", "DENY"]));
pub const DELETION_MODE: Shape = Shape::Text(Text::one_of(&["SoftDelete", "HardDelete"]));
pub const DELETION_PROTECTION: Shape = Shape::Text(Text::one_of(&["ENABLED", "DISABLED"]));
pub const EFFECT: Shape = Shape::Text(Text::one_of(&["Permit", "Forbid"]));
pub const GET_POLICY_ERROR: Shape = Shape::Text(Text::one_of(&[
    "POLICY_STORE_NOT_FOUND",
    "POLICY_NOT_FOUND",
    "POLICY_STORE_ALIAS_NOT_FOUND",
]));
pub const OPEN_ID_ISSUER: Shape = Shape::Text(Text::one_of(&["COGNITO"]));
pub const POLICY_TYPE: Shape = Shape::Text(Text::one_of(&["STATIC", "TEMPLATE_LINKED"]));
pub const VALIDATION_MODE: Shape = Shape::Text(Text::one_of(&["OFF", "STRICT"]));

pub const AUDIENCES: Shape = Shape::List(&List {
    element: Shape::Text(Text::of_length(Length::between(1, 255))),
    length: Length::between(1, 255),
});
pub const CLIENT_IDS: Shape = Shape::List(&List {
    element: Shape::Text(Text::matching(Length::between(1, 255), ".*")),
    length: Length::between(0, 1000),
});
pub const NAMESPACES: Shape = Shape::List(&List { element: NAMESPACE, length: Length::ANY });

const TAG_KEY: Text = Text::of_length(Length::between(1, 128));
const TAG_VALUE: Text = Text::of_length(Length::between(0, 256));
pub const TAGS: Shape =
    Shape::Map(&Map { key: TAG_KEY, value: Shape::Text(TAG_VALUE), length: Length::between(0, 200) });
pub const TAG_KEYS: Shape =
    Shape::List(&List { element: Shape::Text(TAG_KEY), length: Length::between(1, 200) });
pub const ENCRYPTION_CONTEXT: Shape = Shape::Map(&Map {
    key: Text::of_length(Length::at_least(1)),
    value: NOT_EMPTY,
    length: Length::between(0, 8192),
});
