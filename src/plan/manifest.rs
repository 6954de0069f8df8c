//! Images of a manifest: which of them are for this machine.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::gate::is_of;
use super::images::variant;
use super::{Existing, ImageSource, Planner};
use crate::catalog::Model;
use crate::machine::Gpu;
use crate::manifest::BuiltImage;

impl Planner<'_> {
    /// The images of the entry that are for this machine, each with what tells it from
    /// the others.
    pub(super) fn manifest_images(
        &self,
        model: &Model,
        images: &[BuiltImage],
    ) -> Result<Vec<(String, ImageSource)>, String> {
        let fitting: Vec<&BuiltImage> =
            images.iter().filter(|image| self.unfit(model, image).is_none()).collect();
        if fitting.is_empty() {
            return Err(match images {
                [] => "the manifest has no image for it any more; build again".to_owned(),
                _ => "no image of the manifest is for this machine".to_owned(),
            });
        }
        let file = |image: &BuiltImage| {
            let path = Some(&image.dockerfile).filter(|d| !d.is_empty() && !image.is_given());
            path.map(PathBuf::from)
        };
        let named = |image: &&BuiltImage| match file(image) {
            _ if fitting.len() == 1 => String::new(),
            Some(file) => variant(model, &file),
            None => image.docker_image.clone(),
        };
        let mut names: Vec<String> = fitting.iter().map(named).collect();
        if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            names = fitting.iter().map(|image| image.docker_image.clone()).collect();
        }
        let source = |image: &BuiltImage| {
            let base = Some(&image.base_docker).filter(|base| !base.is_empty()).cloned();
            // madengine writes down what its command printed, whatever that was.
            let digest = Some(&image.docker_sha).filter(|sha| sha.starts_with("sha256:"));
            ImageSource::Existing(Existing {
                name: image.docker_image.clone(),
                id: image.image_id.clone(),
                pull: image.pullable().map(str::to_owned),
                dockerfile: file(image),
                base_digest: base.as_ref().zip(digest).map(|(base, sha)| format!("{base}@{sha}")),
                base,
            })
        };
        Ok(names.into_iter().zip(fitting.into_iter().map(source)).collect())
    }

    /// Why none of the images that the manifest has for the entry may run here.
    pub(super) fn gate_images(&self, model: &Model) -> Option<String> {
        let images = model.images().filter(|images| !images.is_empty())?;
        let reasons: Option<Vec<String>> =
            images.iter().map(|image| self.unfit(model, image)).collect();
        Some(reasons?.join("; "))
    }

    /// What the user should know about images of the entry that do not run here.
    pub(super) fn left_out(&self, model: &Model) -> Vec<String> {
        let images = model.images().unwrap_or_default();
        images.iter().filter_map(|image| self.unfit(model, image)).collect()
    }

    /// Why an image may not run here, if so: it is for other GPUs. One that is for a vendor
    /// alone also runs where there are none, if the entry wants none.
    fn unfit(&self, model: &Model, image: &BuiltImage) -> Option<String> {
        if self.runs_elsewhere(model) {
            return None;
        }
        let (name, host) = (&image.docker_image, self.host());
        let vendor = &image.gpu_vendor;
        let arch = image.gpu_architecture.as_deref().filter(|arch| !arch.is_empty());
        let (_, chosen) = self.choose_gpus(model, &self.vendors(model));
        let gpus = &self.machine.gpus;
        let gpus: Vec<&Gpu> = match chosen.as_slice() {
            [] => gpus.first().into_iter().collect(),
            chosen => chosen.iter().map(|&i| &gpus[i]).collect(),
        };
        if gpus.is_empty() {
            return arch.map(|arch| format!("the image {name} is for {arch}, {host} has no GPU"));
        }
        gpus.into_iter().find_map(|gpu| {
            if !vendor.is_empty() && !vendor.eq_ignore_ascii_case(&gpu.vendor.to_string()) {
                let has = gpu.vendor;
                return Some(format!("the image {name} is for {vendor} GPUs, {host} has {has}"));
            }
            let arch = arch.filter(|arch| !is_of(gpu, arch))?;
            Some(format!("the image {name} is for {arch}, {host} has {}", gpu.arch))
        })
    }
}
