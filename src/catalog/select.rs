//! Selection: which entries do these tags mean?
//!
//! madengine's grammar (`name`, `tag`, `all`, `scope/filter`, `name:arg=value`),
//! except that nothing is selected twice and the order is the catalog's.

use thiserror::Error;

use super::{Catalog, Model, split_commas};
use crate::diagnostic::did_you_mean;

/// Tags that select nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", describe(.0))]
pub struct NoMatch(Vec<(String, Option<String>)>);

fn describe(tags: &[(String, Option<String>)]) -> String {
    let lines: Vec<String> = tags
        .iter()
        .map(|(tag, near)| match near {
            Some(near) => format!("no entry has the name or tag `{tag}`; did you mean `{near}`?"),
            None => format!("no entry has the name or tag `{tag}`; `mad discover` lists them"),
        })
        .collect();
    lines.join("\n")
}

impl Catalog {
    /// The entries that `tags` select; all of them when there are no tags.
    ///
    /// Every element may hold several tags separated by commas.
    ///
    /// # Errors
    /// When any one of the tags matches nothing; all of those are named.
    pub fn select<S: AsRef<str>>(&self, tags: &[S]) -> Result<Vec<Model>, NoMatch> {
        let tags: Vec<&str> = tags.iter().flat_map(|t| split_commas(t.as_ref())).collect();
        if tags.is_empty() {
            return Ok(self.models.clone());
        }
        let mut chosen: Vec<(usize, String)> = Vec::new();
        let mut unmatched = Vec::new();
        for tag in &tags {
            let tag = Tag::parse(tag);
            let before = chosen.len();
            let matching = self.models.iter().enumerate().filter(|(_, m)| tag.matches(m));
            chosen.extend(matching.map(|(i, _)| (i, tag.arguments.clone())));
            if chosen.len() == before {
                unmatched.push((tag.text.to_owned(), self.nearest(tag.selector)));
            }
        }
        if !unmatched.is_empty() {
            return Err(NoMatch(unmatched));
        }
        // Stable, so that variants of one entry stay in the order they were asked for.
        chosen.sort_by_key(|(i, _)| *i);
        let mut seen = std::collections::HashSet::new();
        chosen.retain(|pair| seen.insert(pair.clone()));
        Ok(chosen.into_iter().map(|(i, args)| self.models[i].with_arguments(&args)).collect())
    }

    /// Those of the entries that `tags` select, where a tag may match nothing: for a
    /// catalog that holds only a part of its entries.
    pub fn select_present<S: AsRef<str>>(&self, tags: &[S]) -> Vec<Model> {
        let tags: Vec<Tag<'_>> =
            tags.iter().flat_map(|t| split_commas(t.as_ref())).map(Tag::parse).collect();
        let selected = |m: &&Model| tags.is_empty() || tags.iter().any(|t| t.matches(m));
        self.models.iter().filter(selected).cloned().collect()
    }

    fn nearest(&self, word: &str) -> Option<String> {
        let tags = self.models.iter().flat_map(|m| m.tags().iter().map(String::as_str));
        let names = self.models.iter().map(|m| m.name.as_str());
        // A nested entry is often asked for by its last name alone.
        let nested = self.models.iter().find(|m| m.name.ends_with(&format!("/{word}")));
        nested
            .map(|m| m.name.clone())
            .or_else(|| did_you_mean(word, names.chain(tags)).map(str::to_owned))
    }
}

struct Tag<'a> {
    text: &'a str,
    selector: &'a str,
    scope: Option<(&'a str, &'a str)>,
    /// ` --k v --flag`, or nothing.
    arguments: String,
}

impl<'a> Tag<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(':').map(str::trim).filter(|p| !p.is_empty());
        let selector = parts.next().unwrap_or_default();
        let arguments = parts.map(|p| format!(" --{}", p.replace('=', " "))).collect();
        let scope = match text.split_once('/') {
            Some((scope, filter))
                if !scope.is_empty()
                    && !filter.is_empty()
                    && !filter.contains('/')
                    && !text.contains(':') =>
            {
                Some((scope, filter))
            }
            _ => None,
        };
        Tag { text, selector, scope, arguments }
    }

    fn matches(&self, model: &Model) -> bool {
        match self.scope {
            Some((scope, filter)) => {
                let inside = model.name.strip_prefix(scope).is_some_and(|n| n.starts_with('/'));
                inside && (filter == "all" || model.has_tag(filter) || model.name == self.text)
            }
            None => {
                self.selector == "all"
                    || model.name == self.selector
                    || model.has_tag(self.selector)
            }
        }
    }
}
