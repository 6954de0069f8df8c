//! The checked-in JSON Schemas are those of the types, and the shipped catalog is as
//! they say. `MAD_UPDATE=1 cargo test --test schema` writes them anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mad_harness::catalog::{Catalog, Entry};
use mad_harness::schema::{Document, text};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema")
}

fn file(document: Document) -> String {
    format!("{}.schema.json", document.name())
}

#[test]
fn the_checked_in_schemas_are_those_of_the_types() {
    let update = std::env::var_os("MAD_UPDATE").is_some();
    for document in Document::ALL {
        let path = directory().join(file(document));
        if update {
            std::fs::write(&path, text(document)).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text(document),
            "{} is not what the types say; run MAD_UPDATE=1 cargo test --test schema",
            path.display()
        );
    }
}

#[test]
fn nothing_else_lies_among_the_schemas() {
    let found: BTreeSet<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, Document::ALL.map(file).into_iter().collect());
}

/// What people look up first is described.
#[test]
fn every_property_of_an_entry_has_a_description() {
    let schema: serde_json::Value = serde_json::from_str(&text(Document::Catalog)).unwrap();
    let entry = schema.pointer("/$defs/Entry/properties").or(schema.pointer("/items/properties"));
    let properties = entry.and_then(|e| e.as_object()).expect("the schema of an entry");
    assert_eq!(properties.len(), Entry::known_keys().len());
    for (key, value) in properties {
        assert!(value.get("description").is_some(), "{key} has no description");
    }
}

#[test]
fn the_shipped_catalog_is_as_the_schema_says() {
    let catalog = Catalog::load(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(catalog.problems.is_empty(), "{:?}", catalog.problems);
    let known: BTreeSet<String> = Entry::known_keys().into_iter().collect();
    let mut names = BTreeSet::new();
    for model in &catalog.models {
        let name = &model.name;
        assert!(names.insert(name.clone()), "{name} exists twice");
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-/.".contains(c);
        assert!(name.chars().all(word), "{name} has an odd character");
        for key in model.raw().keys() {
            assert!(known.contains(key), "{name} has the unknown key {key}");
        }
        assert!(model.script().is_some_and(|s| catalog.root.join(s).exists()), "{name}: script");
        assert!(!model.tags().is_empty(), "{name} has no tag");
        let entry = model.entry();
        assert!(entry.owner.as_ref().is_some_and(|o| !o.is_empty()), "{name} has no owner");
        assert!(entry.timeout.is_some(), "{name} has no timeout");
        let primary = entry.regress.as_ref().and_then(|r| r.primary.as_ref());
        assert!(primary.is_some(), "{name} names no primary metric");
    }
    let has_tag = |tag: &str| catalog.models.iter().any(|m| m.has_tag(tag));
    for tag in ["cpu", "smoke", "gpu-smoke", "training", "inference"] {
        assert!(has_tag(tag), "no entry has the tag {tag}, which the guide names");
    }
}
