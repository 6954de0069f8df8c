//! What may be tried, by stack and bottleneck: the shipped catalog, `mad.toml`'s, the
//! entry's own.

mod stack;

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use stack::{DetectedStack, Stack, detect};

use super::diagnosis::Diagnosis;
use super::kind::Kind;
use super::rules::{Bottleneck, percent};
use crate::catalog::{Config, Lever, LeverKind, Model};
use crate::options::is_variable_name;

/// The catalog that is part of the program.
pub const SHIPPED: &str = include_str!("catalog.toml");

/// Share that the kind which a lever needs must have.
const NEEDED: f64 = 0.05;

/// The form of the shipped catalog, and of the same table in `mad.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Levers {
    levers: Vec<Lever>,
}

/// The shipped catalog.
///
/// # Errors
/// Never: a test reads it.
pub fn shipped() -> Result<Vec<Lever>> {
    let levers: Levers = toml::from_str(SHIPPED).context("the shipped levers")?;
    Ok(levers.levers)
}

/// A lever that a diagnosis suggests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Suggestion {
    /// What may be changed.
    pub lever: Lever,
    /// Who says so: `entry`, `mad.toml`, or the stack of the shipped catalog.
    pub from: String,
    /// The bottleneck that it acts on.
    pub target: Bottleneck,
    /// What was found that speaks for it.
    pub evidence: String,
}

/// Where levers come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Catalogs<'a> {
    /// `mad.toml`, if there is one.
    pub config: Option<&'a Config>,
    /// The entry, if it is known.
    pub model: Option<&'a Model>,
}

/// All levers for a workload of this stack and who names them, the most special first: the
/// entry's own, those of `mad.toml`, those of the stack, those of any stack. A name that stands
/// twice counts once, as the more special one has it.
///
/// # Errors
/// Never: see [`shipped`].
pub fn all(stack: Stack, of: Catalogs<'_>) -> Result<Vec<(Lever, String)>> {
    let own = of.model.and_then(|m| m.entry().tune.as_ref()).map(|t| t.levers.clone());
    let config = of.config.map(|c| c.levers.clone()).unwrap_or_default();
    let mut all: Vec<(Lever, String)> = Vec::new();
    all.extend(own.unwrap_or_default().into_iter().map(|l| (l, "entry".to_owned())));
    let shipped = shipped()?;
    for stack in stack.lineage() {
        let word = stack.word();
        let for_it = |l: &&Lever| l.stacks.iter().any(|s| s == word);
        let configured = config.iter().filter(for_it).map(|l| (l.clone(), "mad.toml".to_owned()));
        all.extend(configured);
        all.extend(shipped.iter().filter(for_it).map(|l| (l.clone(), word.to_owned())));
    }
    // Without a stack it is for any.
    let any = config.iter().filter(|l| l.stacks.is_empty());
    all.extend(any.map(|l| (l.clone(), "mad.toml".to_owned())));
    let mut seen = std::collections::HashSet::new();
    all.retain(|(lever, _)| seen.insert(lever.name.clone()));
    Ok(all)
}

/// The levers for what `diagnosis` found in a workload of this stack, in the order of [`all`].
///
/// # Errors
/// Never: see [`shipped`].
pub fn suggest(diagnosis: &Diagnosis, stack: Stack, of: Catalogs<'_>) -> Result<Vec<Suggestion>> {
    let suggestion = |(lever, from): (Lever, String)| {
        let (target, evidence) = evidence(diagnosis, &lever)?;
        Some(Suggestion { lever, from, target, evidence })
    };
    Ok(all(stack, of)?.into_iter().filter_map(suggestion).collect())
}

/// What speaks for a lever: the bottleneck it acts on, and what was found.
pub(crate) fn evidence(d: &Diagnosis, lever: &Lever) -> Option<(Bottleneck, String)> {
    let needed = lever.needs.as_deref().and_then(Kind::of_word);
    if needed.is_some_and(|kind| d.share_of(&[kind]) < NEEDED) {
        return None;
    }
    // Where nothing dominates, what takes a good part may be worth a try.
    let sides: Vec<Bottleneck> = match d.bottleneck {
        Bottleneck::Mixed => vec![Bottleneck::Compute, Bottleneck::Memory],
        Bottleneck::Unknown => Vec::new(),
        one => vec![one],
    };
    let target = sides.into_iter().find(|b| lever.targets.iter().any(|t| t == b.word()))?;
    let kinds: &[Kind] = match (needed, target) {
        (Some(ref kind), _) => &[*kind],
        (None, Bottleneck::Compute) => &[Kind::Gemm],
        (None, Bottleneck::Memory) => &[Kind::Attention, Kind::Elementwise, Kind::Norm, Kind::Copy],
        (None, Bottleneck::Communication) => &[Kind::Collective],
        (None, _) => &[],
    };
    let spot = d.hotspots.iter().find(|h| kinds.contains(&h.kind));
    let spot = spot.map(|h| {
        format!("{} {} ({})", percent(h.share), super::text::shortened(&h.name), h.kind.word())
    });
    Some((
        target,
        [Some(d.because.clone()), spot].into_iter().flatten().collect::<Vec<_>>().join("; "),
    ))
}

/// What is wrong with a lever, wherever it is written.
pub fn problems(lever: &Lever) -> Vec<String> {
    let name = &lever.name;
    let mut problems = Vec::new();
    if lever.values.is_empty() || name.trim().is_empty() {
        problems.push(format!("the lever `{name}` has no name, or no values to try"));
    }
    if lever.kind == LeverKind::Env && !name.is_empty() && !is_variable_name(name) {
        problems.push(format!("the lever `{name}` is of the kind `env` and no name of a variable"));
    }
    if lever.kind == LeverKind::Config && lever.file.is_none() {
        problems.push(format!("the lever `{name}` is of the kind `config` and names no `file`"));
    }
    let known: Vec<&str> = Bottleneck::ALL.iter().take(4).map(|b| b.word()).collect();
    for target in lever.targets.iter().filter(|t| !known.contains(&t.as_str())) {
        problems
            .push(format!("the lever `{name}` targets `{target}`: one of {}", known.join(", ")));
    }
    let known: Vec<&str> = Stack::ALL.iter().map(|s| s.word()).collect();
    for stack in lever.stacks.iter().filter(|s| !known.contains(&s.as_str())) {
        problems.push(format!("the lever `{name}` is for `{stack}`: one of {}", known.join(", ")));
    }
    let known: Vec<&str> = Kind::ALL.iter().map(|k| k.word()).collect();
    for kind in lever.needs.iter().filter(|k| !known.contains(&k.as_str())) {
        problems.push(format!("the lever `{name}` needs `{kind}`: one of {}", known.join(", ")));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_catalog_is_sound() {
        let levers = shipped().expect("it is TOML of the right form");
        let mut seen = std::collections::HashSet::new();
        for lever in &levers {
            assert_eq!(problems(lever), Vec::<String>::new());
            let name = &lever.name;
            assert!(!lever.targets.is_empty() && !lever.stacks.is_empty(), "{name}");
            assert!(!lever.why.is_empty(), "{name} says no reason");
            for stack in &lever.stacks {
                assert!(seen.insert((name.clone(), stack.clone())), "{name} twice for {stack}");
            }
            for conflict in &lever.conflicts {
                let other = levers.iter().find(|l| l.name == *conflict);
                let other = other.unwrap_or_else(|| panic!("{name}: no lever {conflict}"));
                assert!(other.conflicts.contains(name), "{conflict} says nothing of {name}");
            }
            assert_eq!(lever.file.is_some(), lever.kind == LeverKind::Config);
        }
        for stack in Stack::ALL {
            for target in ["compute", "memory", "communication", "launch"] {
                let words: Vec<&str> = stack.lineage().map(Stack::word).collect();
                let fits = |l: &&Lever| {
                    l.targets.iter().any(|t| t == target)
                        && l.stacks.iter().any(|s| words.contains(&s.as_str()))
                };
                assert!(
                    levers.iter().any(|l| fits(&l)),
                    "{} has no lever for {target}",
                    stack.word()
                );
            }
        }
        let tunable = levers.iter().find(|l| l.name == "PYTORCH_TUNABLEOP_ENABLED");
        assert_eq!(tunable.map(|l| l.warmup), Some(1), "cold it is worthless");
    }
}
