//! The entries of a manifest: a catalog whose images are there already.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use indexmap::map::Entry as Slot;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::load::Loader;
use super::source::escape;
use super::{Catalog, Model, Source};
use crate::diagnostic::Diagnostic;
use crate::manifest::ManifestFile;

/// The entries of a manifest as they stand in its text.
#[derive(Deserialize)]
struct Entries<'a> {
    #[serde(borrow)]
    built_models: IndexMap<String, &'a RawValue>,
}

impl Catalog {
    /// The entries of a manifest, with `mad.toml` and scripts below `root`. An entry that
    /// has several images is one entry.
    pub fn of_manifest(root: &Path, file: &ManifestFile) -> Catalog {
        let mut loader = Loader::new(root);
        let keys: Vec<&String> = file.manifest.built_models.keys().collect();
        let source = Arc::new(Source {
            pointers: keys.iter().map(|key| format!("/built_models/{}", escape(key))).collect(),
            ..Source::new(&file.path, file.text.clone())
        });
        // The same text was read as a manifest before.
        if let Ok(entries) = serde_json::from_str::<Entries<'_>>(&source.text) {
            let items: Vec<&RawValue> = entries.built_models.into_values().collect();
            loader.entries(&source, 0, &items, None);
        }
        let mut models: IndexMap<String, Model> = IndexMap::new();
        for mut model in std::mem::take(&mut loader.models) {
            // Gone where madengine ran: it removes what does not fit the host it is on.
            let image = keys.get(model.data.index).and_then(|k| file.manifest.built_images.get(*k));
            let image = image.cloned();
            match models.entry(model.name.clone()) {
                Slot::Vacant(slot) => {
                    if let Some(data) = Arc::get_mut(&mut model.data) {
                        data.images = Some(image.into_iter().collect());
                    }
                    slot.insert(model);
                }
                Slot::Occupied(mut first) if first.get().raw() == model.raw() => {
                    let data = Arc::get_mut(&mut first.get_mut().data);
                    if let Some(images) = data.and_then(|data| data.images.as_mut()) {
                        images.extend(image);
                    }
                }
                Slot::Occupied(first) => {
                    let message = format!("two different entries are named `{}`", model.name);
                    let diagnostic = Diagnostic::error("MAD011", model.place("name"), message)
                        .related(first.get().place("name"), "first used here")
                        .help("build again");
                    loader.problems.push(diagnostic);
                }
            }
        }
        loader.models = models.into_values().collect();
        loader.finish()
    }
}
