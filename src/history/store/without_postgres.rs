//! What stands in for a shared history where `mad` was built without PostgreSQL.

use super::{Database, IndexError};
use crate::history::SharedHistory;

/// Always refuses.
pub(super) fn connect(_: &SharedHistory) -> Result<Box<dyn Database>, IndexError> {
    Err(IndexError::Server {
        place: "a shared history".to_owned(),
        reason: "this mad was built without PostgreSQL".to_owned(),
        advice: "; build it with: cargo install --path . --features postgres",
    })
}
