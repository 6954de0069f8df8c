//! Where a team keeps its history.

use std::fmt;

/// Parameters of a URL that mean something; what else stands there is a mistake.
const PARAMETERS: [&str; 11] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
];

/// A PostgreSQL database that many machines put their runs into. May hold a password, and
/// never shows it.
#[derive(Clone)]
pub struct SharedHistory {
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only a server wants it"))]
    url: String,
}

/// Why a text names no shared history. Quotes nothing of it that could be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedHistoryError {
    /// Not a URL of PostgreSQL.
    #[error(
        "a shared history is postgres://[USER@]HOST[:PORT]/DATABASE; a file of this machine is \
         --database FILE"
    )]
    Scheme,
    /// A parameter that does not exist. Which is not said: after a question mark in a password,
    /// its rest looks like one.
    #[error(
        "the URL of the shared history has a parameter that means nothing; there are: {}",
        PARAMETERS.join(", ")
    )]
    Parameter,
}

impl SharedHistory {
    /// Takes `postgres://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETER=VALUE`, of which all but the
    /// scheme may be left out.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(url: &str) -> Result<SharedHistory, SharedHistoryError> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or(SharedHistoryError::Scheme)?;
        let known = |key: &str| PARAMETERS.contains(&key) || key.starts_with("options[");
        if !parameters(rest).all(known) {
            return Err(SharedHistoryError::Parameter);
        }
        Ok(SharedHistory { url: url.to_owned() })
    }

    /// Whether a password stands in `url`.
    pub fn has_password(url: &str) -> bool {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let login = rest.rfind('@').map_or("", |at| &rest[..at]);
        login.contains(':') || parameters(rest).any(|key| key == "password")
    }

    /// The URL, with the password if it has one.
    #[cfg(feature = "postgres")]
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Debug for SharedHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedHistory").finish_non_exhaustive()
    }
}

/// Names of the parameters of a URL.
fn parameters(url: &str) -> impl Iterator<Item = &str> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let named = query.split('&').filter(|parameter| !parameter.is_empty());
    named.map(|parameter| parameter.split_once('=').map_or(parameter, |(name, _)| name))
}
