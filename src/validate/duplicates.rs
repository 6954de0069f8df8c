//! Keys that stand twice in one JSON object: serde keeps the last and is silent.

use std::collections::HashSet;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::rules::loading::{DUPLICATE_KEY, NOT_ENTRIES};
use crate::catalog::{Model, escape};
use crate::diagnostic::Diagnostic;

/// Reports the keys that stand twice in an object of the entry.
pub(super) fn duplicate_keys(model: &Model, found: &mut Vec<Diagnostic>) {
    let mut keys = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(model.text());
    let walk = Walk { pointer: String::new(), found: &mut keys };
    if let Err(e) = walk.deserialize(&mut deserializer) {
        // Loading reads the keys it knows; here every value is.
        let message = format!("the entry holds a value that cannot be read: {e}");
        found.push(NOT_ENTRIES.at(model.place(""), message));
    }
    for (pointer, key) in keys {
        let place = model.key_place_at(&pointer);
        let message = format!("the key `{key}` stands twice in this object; only the last counts");
        found.push(DUPLICATE_KEY.at(place, message));
    }
}

struct Walk<'a> {
    pointer: String,
    found: &'a mut Vec<(String, String)>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for index in 0.. {
            let pointer = format!("{}/{index}", self.pointer);
            if seq.next_element_seed(Walk { pointer, found: self.found })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let pointer = format!("{}/{}", self.pointer, escape(&key));
            // A thousand findings say no more than the first hundred.
            if !seen.insert(key.clone()) && self.found.len() < 100 {
                self.found.push((pointer.clone(), key));
            }
            map.next_value_seed(Walk { pointer, found: self.found })?;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| ())
    }
}
