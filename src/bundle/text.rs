//! Types that are text in JSON: the text that they print and parse.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| Error::custom(format_args!("`{text}` has another form")))
}

/// Entity uids as type and id. Cedar's parser for its own form takes longer to get ready than all the rest of a
/// cold start.
pub(crate) mod uid {
    use std::borrow::Cow;

    use cedar_policy::{EntityId, EntityUid};

    use super::*;

    /// Type and id.
    pub(crate) type Pair = (String, String);

    pub(crate) fn pair(uid: &EntityUid) -> Pair {
        (uid.type_name().to_string(), uid.id().unescaped().to_owned())
    }

    pub(crate) fn of_pair((r#type, id): &Pair) -> Option<EntityUid> {
        Some(EntityUid::from_type_name_and_id(r#type.parse().ok()?, EntityId::new(id)))
    }

    pub(crate) fn serialize<S: Serializer>(uid: &EntityUid, serializer: S) -> Result<S::Ok, S::Error> {
        pair(uid).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EntityUid, D::Error> {
        of_pair(&Pair::deserialize(deserializer)?).ok_or_else(|| Error::custom("no entity"))
    }

    /// An entity uid in the form of Cedar's JSON.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Json<'a> {
        #[serde(borrow)]
        pub(crate) r#type: Cow<'a, str>,
        #[serde(borrow)]
        pub(crate) id: Cow<'a, str>,
    }

    impl Json<'_> {
        pub(crate) fn read(&self) -> Option<EntityUid> {
            Some(EntityUid::from_type_name_and_id(self.r#type.parse().ok()?, EntityId::new(&self.id)))
        }
    }

    /// Lists of entity uids.
    pub(crate) mod list {
        use super::*;

        pub(crate) fn serialize<S: Serializer>(uids: &[EntityUid], serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(uids.iter().map(pair))
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Vec<EntityUid>, D::Error> {
            let pairs = Vec::<Pair>::deserialize(deserializer)?;
            let uids: Option<Vec<EntityUid>> = pairs.iter().map(of_pair).collect();
            uids.ok_or_else(|| Error::custom("no entities"))
        }
    }
}

/// Lists of such types.
pub(super) mod list {
    use super::*;

    pub(crate) fn serialize<T: Display, S: Serializer>(
        values: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(T::to_string))
    }

    pub(crate) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let parsed = texts.iter().map(|text| text.parse());
        parsed.collect::<Result<_, _>>().map_err(|_| Error::custom("an element has another form"))
    }
}
