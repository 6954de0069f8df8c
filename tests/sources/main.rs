//! Repositories of entries: real git, real servers, several processes, and what happens
//! when something of it fails.
#![allow(missing_docs, unreachable_pub)]

mod logins;
mod servers;
mod trees;
mod trouble;
mod world;

use std::path::Path;

use mad_harness::credentials::Credentials;
use mad_harness::source::Repository;

/// Not a test, but what [`World::elsewhere`] starts.
#[test]
fn another_process() {
    let Ok(url) = std::env::var("SOURCES_URL") else { return };
    let dir = std::env::var("SOURCES_DIR").expect("a directory");
    let credentials = Credentials::load(dir.as_ref()).expect("logins");
    let repository = Repository::new(&url, credentials.get("x")).expect("a repository");
    let cache = Path::new(&dir).join("cache");
    let (source, _) =
        repository.resolve(&cache, &mut std::io::stderr(), &world::never).unwrap_or_else(|e| {
            panic!("{e:#}");
        });
    println!("commit {}", source.commit);
}
