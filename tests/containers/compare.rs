//! `mad compare` of two images.

use serde_json::{Value, json};

use crate::engine::Engine;

/// Reports what the image says. It jitters by some thousandths, as numbers do: of equal ones
/// nobody could tell how far they can be trusted.
const BODY: &str = "echo \"performance: $(($(cat /speed) + RANDOM % 5)).0 tok/s\"";

pub(crate) fn two_images(engine: &Engine) {
    let entry = engine.entry(BODY, json!({ "regress": { "tolerance": 0.05 } }));
    let images = ["old", "new"].map(|name| format!("{}-{name}:1", entry.name));
    for (image, speed) in images.iter().zip(["1000", "800"]) {
        let text = format!("FROM {}\nRUN echo {speed} > /speed", engine.base);
        let path = entry.fixture.path("two");
        std::fs::create_dir_all(&path).expect("a directory");
        std::fs::write(path.join("Dockerfile"), text).expect("a Dockerfile");
        engine.ask(&["build", "--network=host", "-t", image, &path.display().to_string()]);
    }
    let compare = |base: &str, candidate: &str, exit: i32| -> Value {
        let args = ["--json", "compare", "--base-image", base, "--use-image", candidate];
        entry.mad(&args).run().exits(exit).json()
    };
    let [old, new] = [&images[0], &images[1]];
    let slower = compare(old, new, 5);
    let found = &slower["entries"][0];
    assert_eq!(found["outcome"], "slower", "{slower}");
    let change = found["metrics"][0]["change"].as_f64().expect("a change");
    assert!((-0.21..-0.19).contains(&change), "{slower}");
    assert_eq!(slower["base"]["what"], format!("the image {old}"), "{slower}");
    assert_eq!(compare(old, old, 0)["entries"][0]["outcome"], "same");
    // A side that cannot be had is no answer.
    let nowhere = compare("127.0.0.1:1/none:1", new, 2);
    let failure = nowhere["entries"][0]["failure"]["message"].as_str().expect("a failure");
    assert!(failure.contains("the base cannot be made ready"), "{nowhere}");
    entry.nothing_is_left();
}
