//! File names made from names of models and machines, and words that tell things apart.

use sha2::{Digest, Sha256};

/// What becomes of the `@` between the name of an entry and that of an image.
pub(crate) const BEFORE_IMAGE: &str = "%40";

/// Longest slug that is spelled out, in bytes; file systems allow 255 with extension.
const SPELLED_OUT: usize = 200;

/// A file name for any name: safe on every common file system, different for different
/// names.
///
/// ASCII letters, digits, `.`, `_` and `-` stay; every other byte, and a leading `.`,
/// becomes `%XX`. The empty name is `%`. A result of more than 200 bytes is cut there and
/// ends in `-` and 16 hexadecimal digits of the name's FNV-1a hash (64 bit); at 217 bytes
/// it cannot be mistaken for one that was spelled out, and two long names clash only if
/// they agree in the first 200 bytes and in the hash.
///
/// Names that differ in case alone clash on a case-insensitive file system.
pub fn slug(name: &str) -> String {
    if name.is_empty() {
        return "%".to_owned();
    }
    let mut slug = String::with_capacity(name.len());
    for (i, byte) in name.bytes().enumerate() {
        let kept = byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if kept && !(i == 0 && byte == b'.') {
            slug.push(char::from(byte));
        } else {
            slug.push_str(&format!("%{byte:02X}"));
        }
    }
    if slug.len() > SPELLED_OUT {
        slug.truncate(SPELLED_OUT);
        slug.push_str(&format!("-{:016x}", fnv1a(name.as_bytes())));
    }
    slug
}

/// The first `bytes` bytes of the SHA-256 of `content`, in hexadecimal digits.
pub(crate) fn digest(content: impl AsRef<[u8]>, bytes: usize) -> String {
    hexadecimal(&Sha256::digest(content)[..bytes])
}

/// Two digits a byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// FNV-1a, 64 bit: small, stable across platforms and releases, not cryptographic.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples() {
        for (name, expected) in [
            ("pyt_llama-3.1_8b", "pyt_llama-3.1_8b"),
            ("dir/model", "dir%2Fmodel"),
            ("..", "%2E."),
            (".hidden", "%2Ehidden"),
            ("100%", "100%25"),
            ("a b", "a%20b"),
            ("é", "%C3%A9"),
            ("", "%"),
        ] {
            assert_eq!(slug(name), expected);
        }
    }

    #[test]
    fn long_names_are_cut_and_told_apart() {
        let spelled_out = "a".repeat(200);
        assert_eq!(slug(&spelled_out), spelled_out);
        let (a, b) = (slug(&"a".repeat(201)), slug(&"a".repeat(202)));
        assert_ne!(a, b);
        assert_eq!((a.len(), b.len()), (217, 217));
    }

    #[test]
    fn hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    /// Names that differ little, which is where an encoding would lose the difference.
    fn near_names() -> impl Strategy<Value = String> {
        prop_oneof!["[.%/ aA2E0]{0,6}", ".{0,12}", "a{195,205}[/b]{0,4}"]
    }

    proptest! {
        #[test]
        fn different_names_have_different_slugs(a in near_names(), b in near_names()) {
            prop_assert_eq!(a == b, slug(&a) == slug(&b));
        }

        #[test]
        fn a_slug_is_a_plain_file_name(name in ".{0,300}") {
            let slug = slug(&name);
            prop_assert!(!slug.is_empty() && slug.len() <= 217 && !slug.starts_with('.'));
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-%".contains(&b);
            prop_assert!(slug.bytes().all(plain), "{}", slug);
        }
    }
}
