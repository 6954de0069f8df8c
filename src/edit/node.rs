//! What all three formats hold, with the places of single values.

use std::fmt;
use std::ops::Range;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Scalar(Scalar, Range<usize>),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// A single value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    /// As it is written: nothing is computed with it.
    Number(String),
    Text(String),
    /// What no lever sets: a date, something with a tag.
    Other(String),
}

impl Node {
    /// The same whatever stands before it.
    pub(super) fn without_places(&self) -> Node {
        match self {
            Node::Scalar(scalar, _) => Node::Scalar(scalar.clone(), 0..0),
            Node::List(items) => Node::List(items.iter().map(Node::without_places).collect()),
            Node::Map(items) => {
                let item = |(key, node): &(String, Node)| (key.clone(), node.without_places());
                Node::Map(items.iter().map(item).collect())
            }
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Null => f.write_str("null"),
            Scalar::Bool(b) => write!(f, "{b}"),
            Scalar::Number(text) | Scalar::Text(text) | Scalar::Other(text) => f.write_str(text),
        }
    }
}
