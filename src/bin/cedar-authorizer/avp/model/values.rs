//! Entities, and the values of their attributes and tags.

use super::{Length, List, Map, Shape, Structure, Text, optional, required, text};

pub const ENTITY: Shape = Shape::Structure(&Structure::of(&[
    required("entityType", text::ENTITY_TYPE),
    required("entityId", text::ENTITY_ID),
]));

pub const ACTION: Shape = Shape::Structure(&Structure::of(&[
    required("actionType", text::ACTION_TYPE),
    required("actionId", text::ACTION_ID),
]));

pub const ACTIONS: Shape = Shape::List(&List { element: ACTION, length: Length::ANY });

/// The value of an attribute or a tag. It may hold values, so these three are statics that refer to each other.
static VALUE: Structure = Structure::of(&[
    optional("boolean", Shape::Boolean),
    optional("entityIdentifier", ENTITY),
    optional("long", Shape::Long),
    optional("string", text::ANY),
    optional("set", Shape::List(&SET)),
    optional("record", Shape::Map(&RECORD)),
    optional("ipaddr", text::IP_ADDRESS),
    optional("decimal", text::DECIMAL),
    optional("datetime", text::DATETIME),
    optional("duration", text::DURATION),
]);

static SET: List = List { element: Shape::Union(&VALUE), length: Length::ANY };
static RECORD: Map = Map { key: Text::ANY, value: Shape::Union(&VALUE), length: Length::ANY };

pub const CONTEXT: Shape = Shape::Union(&CONTEXT_MEMBERS);

static CONTEXT_MEMBERS: Structure =
    Structure::of(&[optional("contextMap", Shape::Map(&RECORD)), optional("cedarJson", text::ANY)]);

pub const ENTITIES: Shape = Shape::Union(&ENTITIES_MEMBERS);

static ENTITIES_MEMBERS: Structure =
    Structure::of(&[optional("entityList", Shape::List(&ENTITY_LIST)), optional("cedarJson", text::ANY)]);

static ENTITY_LIST: List = List { element: Shape::Structure(&ENTITY_ITEM), length: Length::ANY };

static ENTITY_ITEM: Structure = Structure::of(&[
    required("identifier", ENTITY),
    optional("attributes", Shape::Map(&RECORD)),
    optional("parents", Shape::List(&List { element: ENTITY, length: Length::ANY })),
    optional("tags", Shape::Map(&RECORD)),
]);
