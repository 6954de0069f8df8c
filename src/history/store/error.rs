//! Why an index is not to be used.

use super::VERSION;

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A version of the tables that this program does not know.
    #[error(
        "{place} is from a newer version of mad (tables of version {found}, this one reads \
         {VERSION}); {advice}"
    )]
    Newer {
        /// The database.
        place: String,
        /// Its version.
        found: i64,
        /// What to do.
        advice: &'static str,
    },
    /// A database of another program.
    #[error("{place} is a database, but not one of mad's; {advice}")]
    Foreign {
        /// The database.
        place: String,
        /// What to do.
        advice: &'static str,
    },
    /// What SQLite says.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// A value that mad did not write.
    #[error("a value in the index is not what mad puts there ({0})")]
    Value(#[from] rusqlite::types::FromSqlError),
    /// A shared history that may be read, but not written.
    #[error("{place} cannot be written ({reason}); {advice}")]
    Unwritable {
        /// The database.
        place: String,
        /// What the server says.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// A shared history that cannot be used.
    #[error("cannot use {place}: {reason}{advice}")]
    Server {
        /// The database.
        place: String,
        /// What went wrong.
        reason: String,
        /// What to do, with what divides it from the reason; may be empty.
        advice: &'static str,
    },
}
