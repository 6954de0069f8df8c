//! Where a repository is: what git takes for one, less what is dangerous or secret.

use std::fmt;

use anyhow::{Result, bail, ensure};

/// Schemes of a URL.
const SCHEMES: &str = "https, http, ssh, git and file";

/// The place of a repository, without a password: may be shown and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    text: String,
    server: Server,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Server {
    /// `http` or `https`, as `https://host:port`.
    Http(String),
    /// The host, and whether the URL says who logs in.
    Ssh { host: String, user: bool },
    /// git's own protocol, which knows no logins.
    Git,
    /// This machine's file system.
    Local,
}

/// User name and password that were part of a URL.
pub(super) type UserInfo = (String, String);

impl Url {
    /// Takes a URL apart. A user name alone is dropped from `http` and `https`: it may be a
    /// token, and without a password it opens nothing.
    pub(super) fn parse(text: &str) -> Result<(Url, Option<UserInfo>)> {
        let text = text.trim();
        // Quotes no password, whatever is wrong.
        let shown = masked(text);
        ensure!(!text.is_empty(), "the URL is empty");
        ensure!(
            !text.starts_with('-'),
            "{shown:?} begins with `-`: git would take it for an option"
        );
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        ensure!(text.chars().all(plain), "{shown:?} has a blank or a control character in it");
        if let Some((scheme, rest)) = text.split_once("://") {
            return Self::with_scheme(scheme, rest, &shown);
        }
        if text.starts_with('/') {
            return Ok((Url { text: text.to_owned(), server: Server::Local }, None));
        }
        let colon = text.find(':').filter(|colon| !text[..*colon].contains('/'));
        let Some(colon) = colon else {
            bail!("{shown:?} is neither a URL ({SCHEMES}) nor an absolute path");
        };
        let (user_host, path) = (&text[..colon], &text[colon + 1..]);
        ensure!(
            !path.starts_with(':'),
            "{shown:?} would have git run the program `git-remote-{user_host}`, which is not done; \
             use one of {SCHEMES}"
        );
        // `user:password@host/path` without its scheme.
        ensure!(!path.contains('@'), "{shown:?} has no scheme, or an `@` in its path");
        let (user, host) = match user_host.rsplit_once('@') {
            Some((user, host)) => (!user.is_empty(), host),
            None => (false, user_host),
        };
        check_host(host, &shown)?;
        let server = Server::Ssh { host: host.to_ascii_lowercase(), user };
        Ok((Url { text: text.to_owned(), server }, None))
    }

    fn with_scheme(scheme: &str, rest: &str, shown: &str) -> Result<(Url, Option<UserInfo>)> {
        let path = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if scheme == "file" {
            ensure!(
                path.starts_with('/') && user.is_none(),
                "{shown:?} is no `file://` and an absolute path"
            );
            return Ok((Url { text: format!("file://{rest}"), server: Server::Local }, None));
        }
        check_host(host, shown)?;
        let server = host.to_ascii_lowercase();
        match scheme {
            "https" | "http" => {
                ensure!(
                    !path.contains('@'),
                    "{shown:?} has an `@` in its path: write it `%40`, and a `/` in a password `%2F`"
                );
                let login = user.and_then(|user| user.split_once(':'));
                let login = login.map(|(user, password)| (decoded(user), decoded(password)));
                let url = Url {
                    text: format!("{scheme}://{host}{path}"),
                    server: Server::Http(format!("{scheme}://{server}")),
                };
                Ok((url, login))
            }
            "ssh" => {
                let user = user.unwrap_or_default();
                ensure!(!user.contains(':'), "{shown:?} has a password, which ssh does not take");
                let host = without_port(&server).to_owned();
                let server = Server::Ssh { host, user: !user.is_empty() };
                Ok((Url { text: format!("ssh://{rest}"), server }, None))
            }
            "git" => {
                ensure!(user.is_none(), "{shown:?} has a user, which `git://` does not know");
                Ok((Url { text: format!("git://{rest}"), server: Server::Git }, None))
            }
            _ => bail!("{shown:?} has none of the schemes {SCHEMES}"),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a path on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.server == Server::Local
    }

    /// `https://host:port`, for http and https.
    pub(super) fn http_server(&self) -> Option<&str> {
        match &self.server {
            Server::Http(server) => Some(server),
            _ => None,
        }
    }

    /// Whether ssh is used, and then whether the URL says who logs in.
    pub(super) fn ssh_user(&self) -> Option<bool> {
        match &self.server {
            Server::Ssh { user, .. } => Some(*user),
            _ => None,
        }
    }

    /// Whether a login for `self` may be shown to the server of `other`.
    pub(super) fn same_server(&self, other: &Url) -> bool {
        match (&self.server, &other.server) {
            (Server::Ssh { host: a, .. }, Server::Ssh { host: b, .. }) => a == b,
            (a, b) => a == b,
        }
    }

    /// The last segment of the path.
    pub(super) fn last_segment(&self) -> &str {
        let path = self.text.split_once("://").map_or(self.text.as_str(), |(_, rest)| {
            rest.split_once('/').map_or("", |(_, path)| path)
        });
        path.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A host that neither git nor ssh can take for anything else.
fn check_host(host: &str, shown: &str) -> Result<()> {
    let name = without_port(host);
    let port = host[name.len()..].trim_start_matches(':');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    ensure!(!name.is_empty() && !name.starts_with('-'), "{shown:?} names no host");
    ensure!(name.chars().all(plain), "{shown:?} names a host that is none");
    ensure!(port.chars().all(|c| c.is_ascii_digit()), "{shown:?} has a port that is no number");
    Ok(())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

/// `text` without anything that could be a password, whether it is a URL or not.
pub(super) fn masked(text: &str) -> String {
    let secret_ends = text.rfind('@');
    match (text.split_once("://"), secret_ends) {
        (Some((scheme, _)), Some(end)) if end > scheme.len() => {
            format!("{scheme}://***{}", &text[end..])
        }
        (_, Some(end)) if text[..end].contains(':') => format!("***{}", &text[end..]),
        _ => text.to_owned(),
    }
}

/// A part of a URL without its percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits =
            after.get(..2).filter(|c| first == b'%' && c.iter().all(u8::is_ascii_hexdigit));
        let code = digits.and_then(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
