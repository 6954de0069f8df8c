//! Paths with dots into a [`Node`].

use std::fmt;
use std::ops::Range;

use super::node::{Node, Scalar};

/// Keys that an error names.
const NEAREST: usize = 3;
/// Values that are looked at for that; a file may hold a vocabulary.
const LOOKED_AT: usize = 10_000;

/// Why there is no value to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The text is not of its format.
    Unreadable(String),
    /// The path leads to nothing; those that are nearest.
    Absent(Vec<String>),
    /// What is there cannot be replaced by the value.
    Unfit(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Unreadable(why) | Missing::Unfit(why) => f.write_str(why),
            Missing::Absent(nearest) if nearest.is_empty() => f.write_str("it holds no values"),
            Missing::Absent(nearest) => {
                write!(f, "no such path; the nearest: `{}`", nearest.join("`, `"))
            }
        }
    }
}

/// The single value at `path`, and where it stands.
pub(super) fn find<'n>(tree: &'n Node, path: &str) -> Result<(&'n Scalar, Range<usize>), Missing> {
    match steps(tree, path).map(|steps| follow(tree, &steps)) {
        Some(Node::Scalar(scalar, span)) => Ok((scalar, span.clone())),
        Some(Node::List(_)) => Err(Missing::Unfit(format!("`{path}` is a list, not one value"))),
        Some(Node::Map(_)) => {
            Err(Missing::Unfit(format!("`{path}` is a group of keys, not one value")))
        }
        None => Err(Missing::Absent(nearest(tree, path))),
    }
}

/// `tree` with `new` at `path`, without places.
pub(super) fn with(tree: &Node, path: &str, new: Scalar) -> Option<Node> {
    let steps = steps(tree, path)?;
    let mut changed = tree.without_places();
    let mut node = &mut changed;
    for step in steps {
        node = match node {
            Node::List(items) => items.get_mut(step)?,
            Node::Map(items) => &mut items.get_mut(step)?.1,
            Node::Scalar(..) => return None,
        };
    }
    *node = Node::Scalar(new, 0..0);
    Some(changed)
}

/// The way along `path`, as numbers of items. A key may have dots itself.
fn steps(node: &Node, path: &str) -> Option<Vec<usize>> {
    let ends = path.match_indices('.').map(|(i, _)| i).chain([path.len()]);
    for end in ends {
        let (key, rest) = (&path[..end], path.get(end + 1..));
        let step = match node {
            Node::Scalar(..) => None,
            Node::List(items) => key.parse().ok().filter(|i| *i < items.len()),
            Node::Map(items) => items.iter().position(|(k, _)| k == key),
        };
        let Some(step) = step else { continue };
        let further = rest.map_or(Some(Vec::new()), |rest| steps(child(node, step)?, rest));
        if let Some(mut further) = further {
            further.insert(0, step);
            return Some(further);
        }
    }
    None
}

fn child(node: &Node, step: usize) -> Option<&Node> {
    match node {
        Node::List(items) => items.get(step),
        Node::Map(items) => items.get(step).map(|(_, node)| node),
        Node::Scalar(..) => None,
    }
}

fn follow<'n>(tree: &'n Node, steps: &[usize]) -> &'n Node {
    steps.iter().fold(tree, |node, &step| child(node, step).unwrap_or(node))
}

fn nearest(tree: &Node, path: &str) -> Vec<String> {
    let mut all = Vec::new();
    collect(tree, "", &mut all);
    // The last key is what a typo is in; where it stands is what was forgotten.
    let last = |p: &str| p.rsplit('.').next().unwrap_or_default().to_lowercase();
    let likeness = |p: &String| {
        strsim::jaro_winkler(&last(p), &last(path)) + 0.1 * strsim::jaro_winkler(p, path)
    };
    let mut all: Vec<(f64, String)> = all.into_iter().map(|p| (likeness(&p), p)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().take(NEAREST).map(|(_, path)| path).collect()
}

fn collect(node: &Node, path: &str, all: &mut Vec<String>) {
    let below = |key: &dyn fmt::Display| match path {
        "" => key.to_string(),
        path => format!("{path}.{key}"),
    };
    match node {
        _ if all.len() >= LOOKED_AT => {}
        Node::Scalar(..) => all.push(path.to_owned()),
        Node::List(items) => {
            items.iter().enumerate().for_each(|(i, item)| collect(item, &below(&i), all));
        }
        Node::Map(items) => items.iter().for_each(|(key, item)| collect(item, &below(key), all)),
    }
}
