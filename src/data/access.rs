//! How an object store is reached: where it is, and as whom.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::ProviderKind;
use crate::credentials::Credentials;
use crate::options::text_items;

/// Endpoint, region and credentials of one object store.
#[derive(Clone)]
pub(super) struct Access {
    /// `http://host:9000` or `https://…`, without credentials.
    pub(super) endpoint: String,
    pub(super) region: String,
    #[cfg_attr(not(any(feature = "s3", test)), expect(dead_code, reason = "for the S3 client"))]
    pub(super) key: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
    /// Where the credentials are from, for messages.
    pub(super) origin: &'static str,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}, credentials from {}", self.endpoint, self.region, self.origin)
    }
}

impl Access {
    /// Values that must not appear in any output.
    pub(super) fn secrets(&self) -> Vec<String> {
        [&self.secret].into_iter().chain(&self.token).cloned().collect()
    }

    /// For `minio` or `aws`: from the variable that madengine reads (a JSON object), else
    /// from the key of that name in `credential.json`, else from the variables that every
    /// S3 tool reads.
    ///
    /// # Errors
    /// What is missing or wrong, without any value.
    pub(super) fn find(
        kind: ProviderKind,
        credentials: &Credentials,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Access, String> {
        let name = match kind {
            ProviderKind::Aws => "MAD_AWS_S3",
            _ => "MAD_MINIO",
        };
        let fields = fields(name, credentials, variable)?;
        let field = |name: &str| {
            let value = fields.get(name).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty())
        };
        let (key, secret) = (field("USERNAME"), field("PASSWORD"));
        let (key, secret, token, origin) = match (key, secret) {
            (Some(key), Some(secret)) => (key, secret, field("SESSION_TOKEN"), name),
            (None, None) => {
                let missing = || {
                    format!(
                        "no credentials: set {name} to {{\"USERNAME\": …, \"PASSWORD\": …}} or give credential.json such a key, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    )
                };
                let key = variable("AWS_ACCESS_KEY_ID").ok_or_else(missing)?;
                let secret = variable("AWS_SECRET_ACCESS_KEY").ok_or_else(missing)?;
                (key, secret, variable("AWS_SESSION_TOKEN"), "AWS_ACCESS_KEY_ID")
            }
            (Some(_), None) => return Err(format!("{name} has a USERNAME but no PASSWORD")),
            (None, Some(_)) => return Err(format!("{name} has a PASSWORD but no USERNAME")),
        };
        let region = field("REGION")
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| default_region(kind).to_owned());
        let endpoint = ["MINIO_ENDPOINT", "AWS_ENDPOINT_URL_S3", "ENDPOINT_URL"]
            .into_iter()
            .find_map(field)
            .or_else(|| variable("AWS_ENDPOINT_URL_S3"))
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .or_else(|| {
                let aws = format!("https://s3.{region}.amazonaws.com");
                (kind == ProviderKind::Aws).then_some(aws)
            })
            .ok_or_else(|| {
                format!("no endpoint: give {name} a MINIO_ENDPOINT, such as https://minio.example.com:9000")
            })?;
        Ok(Access { endpoint: endpoint_url(&endpoint)?, region, key, secret, token, origin })
    }
}

fn default_region(kind: ProviderKind) -> &'static str {
    match kind {
        // madengine's.
        ProviderKind::Aws => "us-east-2",
        // What a MinIO server calls its own unless it is told otherwise.
        _ => "us-east-1",
    }
}

/// Fields by their names in upper case.
fn fields(
    name: &str,
    credentials: &Credentials,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, String> {
    let Some(text) = variable(name) else {
        let fields = credentials.get(name).into_iter().flat_map(|login| login.fields());
        return Ok(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    };
    // Syntax errors alone can happen here, and their messages hold no values.
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => {
            Ok(text_items(&object).map(|(key, text)| (key.to_ascii_uppercase(), text)).collect())
        }
        Ok(_) => Err(format!("{name} must be a JSON object with USERNAME and PASSWORD")),
        Err(e) => Err(format!("{name} is not valid JSON: {e}")),
    }
}

/// The endpoint without a `/` at its end.
fn endpoint_url(text: &str) -> Result<String, String> {
    if text.contains('@') {
        // Not quoted: what is before the @ is a password.
        return Err("the endpoint must not have a user in it: USERNAME and PASSWORD have it".into());
    }
    match text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) {
        Some(rest) if !rest.is_empty() => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(format!("the endpoint {text:?} must start with http:// or https://")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::credentials::CREDENTIAL_FILE;

    fn find(kind: ProviderKind, file: Value, variables: &[(&str, &str)]) -> Result<Access, String> {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(CREDENTIAL_FILE), file.to_string()).unwrap();
        let credentials = Credentials::load(root.path()).unwrap();
        let variable = |name: &str| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        Access::find(kind, &credentials, &variable)
    }

    #[test]
    fn madengines_variable_wins_over_the_file_over_the_usual_variables() {
        let file = json!({ "MAD_MINIO": {
            "USERNAME": "file", "PASSWORD": "p", "MINIO_ENDPOINT": "http://file:9000/",
        }});
        let ours =
            r#"{"USERNAME": "ours", "PASSWORD": "p", "AWS_ENDPOINT_URL_S3": "https://ours"}"#;
        let usual = [
            ("AWS_ACCESS_KEY_ID", "usual"),
            ("AWS_SECRET_ACCESS_KEY", "p"),
            ("AWS_SESSION_TOKEN", "t"),
            ("AWS_ENDPOINT_URL", "http://usual:1"),
            ("AWS_REGION", "eu-west-1"),
        ];
        let mut all = vec![("MAD_MINIO", ours)];
        all.extend(usual);
        let access = find(ProviderKind::Minio, file.clone(), &all).unwrap();
        assert_eq!((access.key.as_str(), access.endpoint.as_str()), ("ours", "https://ours"));
        assert_eq!((access.region.as_str(), access.token), ("eu-west-1", None));
        let access = find(ProviderKind::Minio, file, &usual).unwrap();
        assert_eq!((access.key.as_str(), access.endpoint.as_str()), ("file", "http://file:9000"));
        let access = find(ProviderKind::Minio, json!({}), &usual).unwrap();
        assert_eq!((access.key.as_str(), access.endpoint.as_str()), ("usual", "http://usual:1"));
        assert_eq!(access.token.as_deref(), Some("t"));
    }

    #[test]
    fn aws_needs_no_endpoint() {
        let file = json!({ "MAD_AWS_S3": { "USERNAME": "u", "PASSWORD": "p" } });
        let access = find(ProviderKind::Aws, file.clone(), &[]).unwrap();
        assert_eq!(access.endpoint, "https://s3.us-east-2.amazonaws.com");
        let access = find(ProviderKind::Aws, file, &[("AWS_REGION", "eu-north-1")]).unwrap();
        assert_eq!(access.endpoint, "https://s3.eu-north-1.amazonaws.com");
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_is_quoted() {
        let minio = |value: Value| {
            find(ProviderKind::Minio, json!({ "MAD_MINIO": value }), &[]).unwrap_err()
        };
        let secret = "hunter2hunter2";
        let mistakes = [
            minio(json!(null)),
            minio(json!(secret)),
            minio(json!({ "USERNAME": secret })),
            minio(json!({ "PASSWORD": secret })),
            minio(json!({ "USERNAME": secret, "PASSWORD": [secret] })),
            minio(json!({ "USERNAME": secret, "PASSWORD": secret })),
            minio(json!({
                "USERNAME": "u", "PASSWORD": "p", "MINIO_ENDPOINT": format!("http://u:{secret}@h")
            })),
            minio(json!({ "USERNAME": "u", "PASSWORD": "p", "MINIO_ENDPOINT": "minio:9000" })),
            find(ProviderKind::Minio, json!({}), &[("MAD_MINIO", "{hunter2hunter2")]).unwrap_err(),
            find(ProviderKind::Minio, json!({}), &[("MAD_MINIO", "\"hunter2hunter2\"")])
                .unwrap_err(),
        ];
        let text = mistakes.join("\n");
        assert!(!text.contains(secret), "{text}");
        insta::assert_snapshot!(text);
        let access = find(
            ProviderKind::Aws,
            json!({ "MAD_AWS_S3": { "USERNAME": secret, "PASSWORD": secret } }),
            &[],
        );
        assert!(!format!("{access:?}").contains(secret), "{access:?}");
    }
}
