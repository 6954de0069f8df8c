//! The two requests that fetching needs: a page of a listing, and an object.

use std::io::Read;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use ureq::config::{AutoHeaderValue, Config};
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::index::Version;
use super::retry::Failure;
use crate::data::Remote;
use crate::data::access::Access;

/// How long a signed request may be used; the server's clock may differ by minutes.
const SIGNED_FOR: Duration = Duration::from_secs(3600);
/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// How long connecting may take, and all of the question whether a server is there.
const AVAILABLE_WITHIN: Duration = Duration::from_secs(30);
/// A page of a listing has at most 1000 keys of at most 1024 bytes, and their tags.
const PAGE_MAX: u64 = 64 << 20;
/// Longest error text that is read.
const ERROR_MAX: u64 = 64 << 10;

/// An object as it was listed.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) key: String,
    pub(super) etag: Option<String>,
    pub(super) version: Version,
}

/// A part of a listing.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    /// Asks for the next one, if there is one.
    pub(super) next: Option<String>,
}

/// An object, or the rest of it.
pub(super) struct Content<R> {
    pub(super) bytes: R,
    /// Which version it is of.
    pub(super) etag: Option<String>,
    /// Whether it starts where it was asked to, not at the object's start.
    pub(super) continued: bool,
}

/// Talks to one bucket. May be used from several threads at once.
pub(super) struct Client<'a> {
    agent: Agent,
    bucket: Bucket,
    credentials: Credentials,
    remote: &'a Remote,
}

impl<'a> Client<'a> {
    pub(super) fn new(remote: &'a Remote) -> Result<Self> {
        let Access { endpoint, region, key, secret, token, .. } = &remote.access;
        // The name of a bucket in the host's name, where that is what Amazon wants and
        // its certificates allow it.
        let style = match endpoint.ends_with(".amazonaws.com") && !remote.bucket.contains('.') {
            true => UrlStyle::VirtualHost,
            false => UrlStyle::Path,
        };
        let url = endpoint.parse().map_err(|e| anyhow!("the endpoint {endpoint}: {e}"))?;
        let bucket = Bucket::new(url, style, remote.bucket.clone(), region.clone())
            .map_err(|e| anyhow!("the endpoint {endpoint}: {e}"))?;
        let credentials = match token {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        };
        Ok(Client { agent: agent(None), bucket, credentials, remote })
    }

    /// Ends all requests that run; there can be no more.
    pub(super) fn shut_down(&self) {
        self.agent.clone().shutdown();
    }

    /// The objects whose keys start with `prefix`, or the next of them.
    pub(super) fn page(&self, prefix: &str, next: Option<&str>) -> Result<Page, Failure> {
        let mut list = self.bucket.list_objects_v2(Some(&self.credentials));
        list.with_prefix(prefix);
        if let Some(next) = next {
            list.with_continuation_token(next);
        }
        let request = self.agent.get(list.sign(SIGNED_FOR).as_str());
        let mut response = self.checked(request.call(), None)?;
        let text = response.body_mut().with_config().limit(PAGE_MAX).read_to_string()?;
        let parsed = ListObjectsV2::parse_response(&text).map_err(|e| {
            anyhow!("{} answers, but not as S3 does: {e}", self.remote.access.endpoint)
        })?;
        let objects = parsed.contents.into_iter().map(|found| {
            let time = found.last_modified.as_deref().unwrap_or_default();
            let seconds = OffsetDateTime::parse(time, &Rfc3339)
                .ok()
                .and_then(|time| u64::try_from(time.unix_timestamp()).ok());
            let (Some(size), Some(modified)) = (found.size, seconds) else {
                bail!("the server lists {:?} without a size or a time", found.key);
            };
            let tag = format!("{time} {}", found.etag.as_deref().unwrap_or_default());
            let version = Version { size, modified, tag };
            Ok(Object { key: found.key, etag: found.etag, version })
        });
        Ok(Page { objects: objects.collect::<Result<_>>()?, next: parsed.next_continuation_token })
    }

    /// The content of an object. With an ETag, of that version and no other, and from
    /// byte `from` on if the server can do that.
    pub(super) fn content(
        &self,
        key: &str,
        etag: Option<&str>,
        from: u64,
    ) -> Result<Content<impl Read + use<>>, Failure> {
        let action = self.bucket.get_object(Some(&self.credentials), key);
        let mut request = self.agent.get(action.sign(SIGNED_FOR).as_str());
        if let Some(etag) = etag {
            request = request.header("If-Match", etag);
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
        }
        let response = self.checked(request.call(), Some(key))?;
        let etag = response.headers().get("ETag").and_then(|etag| etag.to_str().ok());
        Ok(Content {
            etag: etag.map(str::to_owned),
            continued: response.status() == 206,
            bytes: response.into_body().into_reader(),
        })
    }

    /// The response, if it is what was asked for; what the server says else.
    fn checked(
        &self,
        response: Result<Response<Body>, ureq::Error>,
        key: Option<&str>,
    ) -> Result<Response<Body>, Failure> {
        let mut response = response?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let body = response.body_mut().with_config().limit(ERROR_MAX).read_to_string();
        let body = body.unwrap_or_default();
        let code = element(&body, "Code");
        let said = match (code, element(&body, "Message")) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            _ => format!("HTTP status {status}"),
        };
        if status >= 500 || status == 429 || status == 408 {
            return Err(Failure::Temporary(said));
        }
        let what = match (code, status) {
            (Some("NoSuchBucket"), _) => format!("there is no bucket `{}`", self.remote.bucket),
            (_, 404) if key.is_none() => format!("there is no bucket `{}`", self.remote.bucket),
            (_, 404) => "an object was listed and is not there; try again".to_owned(),
            (_, 412) => "an object was changed while it was downloaded; try again".to_owned(),
            (Some("InvalidAccessKeyId" | "SignatureDoesNotMatch"), _) => {
                format!("wrong credentials: correct {}", self.remote.access.origin)
            }
            (_, 401 | 403) => {
                let origin = self.remote.access.origin;
                format!("access is denied with the credentials of {origin}")
            }
            (_, 300..=399) => "the bucket is elsewhere: set AWS_REGION or the endpoint".to_owned(),
            _ => "the server refuses".to_owned(),
        };
        let key = key.map(|key| format!(", object {key:?}")).unwrap_or_default();
        Err(Failure::Final(anyhow!("{what} ({said}{key})")))
    }
}

/// Whether a server answers at all, whatever it says.
pub(in crate::data) fn answers(access: &Access) -> Result<(), String> {
    match agent(Some(AVAILABLE_WITHIN)).get(&access.endpoint).call() {
        Ok(_) => Ok(()),
        Err(e) => Err(format!("{} does not answer: {e}", access.endpoint)),
    }
}

fn agent(limit: Option<Duration>) -> Agent {
    let config = Config::builder()
        .user_agent(AutoHeaderValue::from(concat!("mad-harness/", env!("CARGO_PKG_VERSION"))))
        // What this host trusts: servers inside a company have certificates of its own.
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        // A signature is for one host.
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(limit)
        .timeout_resolve(Some(AVAILABLE_WITHIN))
        .timeout_connect(Some(AVAILABLE_WITHIN))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE))
        .build();
    config.new_agent()
}

/// The text of the first element of this name in an S3 error document.
fn element<'t>(xml: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once('<')?;
    Some(text.trim()).filter(|text| !text.is_empty())
}
