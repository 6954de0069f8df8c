use proptest::prelude::*;

use super::*;

fn parts(url: &str) -> (Url, Option<(String, String)>) {
    Url::parse(url).unwrap_or_else(|e| panic!("{e:#}"))
}

#[test]
fn directories_are_the_last_segment() {
    for (url, name) in [
        ("https://github.com/huggingface/transformers", "transformers"),
        ("https://github.com/ROCm/MAD.git", "MAD.git"),
        ("https://github.com/ROCm/MAD.git///", "MAD.git"),
        ("git@git.example.com:group/sub.project", "sub.project"),
        ("git.example.com:project", "project"),
        ("ssh://git@[::1]:29418/a/b_c-1", "b_c-1"),
        ("file:///srv/.github", ".github"),
        ("/srv/git/x", "x"),
        (" https://h/x ", "x"),
    ] {
        assert_eq!(directory_name(url).unwrap_or_else(|e| panic!("{e:#}")), name, "{url}");
    }
}

#[test]
fn what_people_read_of_urls_that_are_not_fetched() {
    let urls = [
        "",
        "-oProxyCommand=x",
        "--upload-pack=touch x",
        "ext::sh -c x",
        "ext::sh",
        "fd::7",
        "../mad",
        "mad",
        "ftp://ftp.example.com/x",
        "ssh+git://h/x",
        "ssh://-oProxyCommand=x/y",
        "ssh://u:s3cret@h/y",
        "-h:x",
        "git@-h:x",
        "git://u@h/x",
        "https:///x",
        "https://h:port/x",
        "https://u:s3/cret@h/x",
        "u:s3cret@h/x",
        "https://u:s3cret@h/a b",
        "https://h",
        "https://h/",
        "https://u:s3cret@h/..",
        "https://h/a/.git",
        "https://u:s3cret@h/a'b",
        "https://h/$(x)",
        "https://h/-x",
        "file://x",
        "file://u:s3cret@h/x",
        "https://u:12/s3cret@h/x",
        "/",
        "https://u:s3cret@h/a\u{1b}b",
    ];
    let message = |url: &&str| format!("{:#}", directory_name(url).expect_err(url));
    let messages: Vec<String> = urls.iter().map(message).collect();
    let messages = messages.join("\n");
    assert!(!messages.contains("s3"), "{messages}");
    insta::assert_snapshot!(messages);
}

#[test]
fn passwords_are_taken_out_of_urls() {
    // No scheme: the password stands before what looks like the end of one.
    assert_eq!(public_url("a:s3cret-9@://"), "***@://");
    let (url, login) = parts("https://ci:p%40ss%2f%zz%@Git.Example.com:8443/a/b.git");
    assert_eq!(url.as_str(), "https://Git.Example.com:8443/a/b.git");
    assert_eq!(login, Some(("ci".to_owned(), "p@ss/%zz%".to_owned())));
    assert_eq!(url.http_server(), Some("https://git.example.com:8443"));
    // Perhaps a token; of no use alone.
    assert_eq!(parts("https://t0ken@h/x").0.as_str(), "https://h/x");
    assert_eq!(parts("https://t0ken@h/x").1, None);
    for kept in ["git@h:x", "ssh://git@h:22/x", "git://h/x", "/a@b/x", "file:///a@b/x"] {
        assert_eq!(parts(kept).0.as_str(), kept);
        assert_eq!(public_url(kept), kept);
    }
    for (url, shown) in [
        ("https://u:s3cret@h/x", "https://h/x"),
        ("ftp://u:s3cret@h/x", "ftp://***@h/x"),
        ("u:s3cret@h/x", "***@h/x"),
        ("nonsense", "nonsense"),
    ] {
        assert_eq!(public_url(url), shown);
    }
}

#[test]
fn servers_are_told_apart() {
    for (a, b, same) in [
        ("https://h/x", "https://H/y", true),
        ("https://h/x", "https://h:8443/x", false),
        ("https://h/x", "http://h/x", false),
        ("https://h/x", "https://h.evil/x", false),
        ("git@h:x", "ssh://other@h:22/y", true),
        ("git@h:x", "https://h/x", false),
    ] {
        assert_eq!(parts(a).0.same_server(&parts(b).0), same, "{a} {b}");
    }
}

proptest! {
    #[test]
    fn no_url_panics_and_no_password_survives(
        scheme in "((https?|ssh|git|file|ftp)://[a-z:@%]{0,4}|https?://[a-z0-9:@%/?#]{0,4}|[a-z]{1,4})",
        rest in "[a-z:@/.#?%-]{0,8}",
    ) {
        let url = format!("{scheme}:s3cret-9@{rest}");
        prop_assert!(!public_url(&url).contains("s3cret"), "{} of {}", public_url(&url), url);
        match Repository::new(&url, None) {
            Ok(repository) => {
                prop_assert!(!repository.url().contains("s3cret"));
                prop_assert!(repository.secrets().iter().any(|s| s.contains("s3cret")));
            }
            Err(e) => {
                let message = format!("{e:#}");
                prop_assert!(!message.contains("s3cret"), "{}", message);
            }
        }
    }

    #[test]
    fn a_directory_name_is_a_plain_file_name(url in "(https://h/)?.{0,20}") {
        if let Ok(name) = directory_name(&url) {
            prop_assert_eq!(Path::new(&name).file_name().and_then(|n| n.to_str()), Some(&*name));
        }
    }
}
