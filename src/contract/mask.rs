//! Secrets out of everything that is kept or shown.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, Input, Match, MatchKind, packed};

/// What stands in a secret's place.
const MASK: &[u8] = b"***";
/// A shorter value hides nothing, and masking it everywhere would garble numbers.
const SHORTEST: usize = 4;

/// Replaces secrets by `***` in a stream, also where one is split over chunks.
///
/// Besides the value itself its JSON-escaped and percent-encoded forms are masked, and
/// every line of a value that has several (a key file printed by a logger that prefixes
/// its lines). Overlapping secrets become one mask. Values of fewer than four bytes, not
/// counting white space around them, are left alone; base64 and other transformations
/// are not recognised.
pub struct Masker {
    secrets: Option<Finder>,
    longest: usize,
    /// Bytes that may yet turn out to be the start of a secret.
    held: Vec<u8>,
    /// How many of them are known to be part of one, whose mask is written already.
    masked: usize,
}

impl Masker {
    /// A masker for these values.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let forms: BTreeSet<String> = secrets.into_iter().flat_map(|s| forms(&s)).collect();
        let longest = forms.iter().map(String::len).max().unwrap_or(0);
        let secrets = (!forms.is_empty()).then(|| Finder::new(&forms));
        Self { secrets, longest, held: Vec::new(), masked: 0 }
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_none()
    }

    /// Appends the masked chunk to `out`, except for an end that may be the start of a
    /// secret: at most one byte less than the longest secret is held back.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let Some(secrets) = &self.secrets else {
            out.extend_from_slice(chunk);
            return;
        };
        self.held.extend_from_slice(chunk);
        // A secret that starts before this is here in full.
        let decided = self.held.len().saturating_sub(self.longest - 1);
        self.masked = mask(secrets, &self.held, decided, self.masked, out);
        self.held.drain(..decided);
    }

    /// Appends what was held back; the next chunk starts a new stream.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(secrets) = &self.secrets {
            mask(secrets, &self.held, self.held.len(), self.masked, out);
        }
        self.held.clear();
        self.masked = 0;
    }

    /// A whole text, masked.
    pub fn mask_str<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.secrets {
            Some(secrets) if secrets.find(text.as_bytes(), 0).is_some() => {
                let mut out = Vec::with_capacity(text.len());
                mask(secrets, text.as_bytes(), text.len(), 0, &mut out);
                // A secret is text, so that it starts and ends between characters.
                Cow::Owned(String::from_utf8_lossy(&out).into_owned())
            }
            _ => Cow::Borrowed(text),
        }
    }
}

/// Values that must not appear in any output: `MAD_SECRETS*` of this process and of
/// `env`, and credentials known by their customary names.
pub fn secrets(env: &BTreeMap<String, String>) -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .chain(env.iter().map(|(name, value)| (name.clone(), value.clone())))
        .filter(|(name, value)| is_secret(name) && !value.trim().is_empty())
        .map(|(_, value)| value)
        .collect()
}

/// Whether the values of variables and build arguments of this name are secret.
pub fn is_secret(name: &str) -> bool {
    name.contains("MAD_SECRET")
        || name == "MAD_DOCKERHUB_PASSWORD"
        || name == "HF_TOKEN"
        // Of the shared history: the URL may hold the password.
        || name == "MAD_HISTORY"
        || name == "PGPASSWORD"
        || name == "HUGGING_FACE_HUB_TOKEN"
}

/// Finds the leftmost secret, and of those that start there the longest.
enum Finder {
    /// Vectorised: some ten times as fast as the automaton, which skips ahead by single
    /// letters when there are few secrets.
    Packed(packed::Searcher),
    /// For very many secrets, or a processor without the instructions.
    Automaton(AhoCorasick),
}

impl Finder {
    fn new(forms: &BTreeSet<String>) -> Self {
        let packed = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostLongest)
            .builder()
            .extend(forms)
            .build();
        packed.map_or_else(|| Self::Automaton(automaton(forms)), Self::Packed)
    }

    fn find(&self, bytes: &[u8], from: usize) -> Option<Match> {
        match self {
            Self::Packed(packed) => packed.find_in(bytes, (from..bytes.len()).into()),
            Self::Automaton(automaton) => automaton.find(Input::new(bytes).range(from..)),
        }
    }
}

fn automaton(forms: &BTreeSet<String>) -> AhoCorasick {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(forms)
        .expect("the secrets of a process fit into memory")
}

/// Writes the first `decided` bytes to `out`, of which the first `masked` are part of a
/// secret already written as a mask. Returns how many of the bytes after `decided` are
/// part of one.
fn mask(
    secrets: &Finder,
    bytes: &[u8],
    decided: usize,
    mut masked: usize,
    out: &mut Vec<u8>,
) -> usize {
    let mut from = 0;
    while from < decided {
        let Some(found) = secrets.find(bytes, from) else {
            break;
        };
        if found.start() >= decided {
            break;
        }
        if found.start() >= masked {
            out.extend_from_slice(&bytes[masked..found.start()]);
            out.extend_from_slice(MASK);
        }
        masked = masked.max(found.end());
        // Another secret may overlap the end of this one.
        from = found.start() + 1;
    }
    if masked < decided {
        out.extend_from_slice(&bytes[masked..decided]);
    }
    masked.saturating_sub(decided)
}

/// Everything that gives a secret away.
fn forms(secret: &str) -> Vec<String> {
    if secret.trim().len() < SHORTEST {
        return Vec::new();
    }
    let mut forms = vec![
        secret.to_owned(),
        json_escaped(secret),
        percent_encoded(secret, b"0123456789ABCDEF"),
        percent_encoded(secret, b"0123456789abcdef"),
    ];
    // Also rids a secret that was read from a file of its last line's end.
    forms.extend(secret.lines().map(|line| line.trim().to_owned()));
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

fn json_escaped(secret: &str) -> String {
    let quoted = serde_json::Value::from(secret).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn percent_encoded(secret: &str, digits: &[u8; 16]) -> String {
    let mut encoded = String::new();
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(digits[usize::from(byte >> 4)]));
            encoded.push(char::from(digits[usize::from(byte & 15)]));
        }
    }
    encoded
}
