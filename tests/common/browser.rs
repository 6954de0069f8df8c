//! Pages in a real browser.
//!
//! A second page holds the first one in a frame, uses it as a person would, and writes down
//! what it saw. Skipped where there is no Chromium, unless MAD_TESTS_REQUIRE_CHROMIUM is set.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// What every script below may use.
const DRIVER: &str = r##"
const saw = {};
const frame = document.querySelector("iframe");
const all = selector => [...page().querySelectorAll(selector)];
const page = () => frame.contentDocument;
const text = selector => all(selector).map(e => e.textContent);
const models = () => text("tr.row .open");
const find = async words => {
  page().getElementById("find").value = words;
  page().getElementById("find").dispatchEvent(new frame.contentWindow.Event("input"));
  await new Promise(done => setTimeout(done, 200));
};
const choose = (id, value) => {
  page().getElementById(id).value = value;
  page().getElementById(id).dispatchEvent(new frame.contentWindow.Event("change"));
};
const click = selector => all(selector)[0].click();
const errors = [];
frame.addEventListener("load", async () => {
  frame.contentWindow.addEventListener("error", e => errors.push(e.message));
  page().addEventListener("securitypolicyviolation", e => errors.push(e.violatedDirective));
  try { await script(); } catch (e) { errors.push(String(e)); }
  const pre = document.createElement("pre");
  pre.textContent = "saw:" + encodeURIComponent(JSON.stringify({ saw, errors })) + ":saw";
  document.body.append(pre);
});
"##;

/// Opens the page in a window of that many pixels, runs the body of `script` and returns
/// `saw`. Nothing, where there is no browser.
pub fn browse(page: &Path, width: u32, address: &str, script: &str) -> Option<Value> {
    let Some(program) =
        PROGRAMS.into_iter().find(|p| Command::new(p).arg("--version").output().is_ok())
    else {
        let required = std::env::var_os("MAD_TESTS_REQUIRE_CHROMIUM").is_some();
        assert!(!required, "there is no Chromium (MAD_TESTS_REQUIRE_CHROMIUM)");
        eprintln!("skipped: there is no Chromium");
        return None;
    };
    let dir = page.parent().expect("a directory");
    let name = page.file_name().expect("a name").to_string_lossy();
    let driver = format!(
        "<!DOCTYPE html><body><iframe width={width} height=900 src=\"{name}{address}\"></iframe>\
         <script>{DRIVER}\nasync function script() {{ {script} }}</script>"
    );
    std::fs::write(dir.join("driver.html"), driver).expect("a file");
    let output = Command::new("timeout")
        .args(["120", program, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args([
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
            "--disable-dev-shm-usage",
        ])
        .arg(format!("--user-data-dir={}", dir.join("chromium").display()))
        .arg(format!("file://{}", dir.join("driver.html").display()))
        .output()
        .expect("a browser");
    let dom = String::from_utf8_lossy(&output.stdout);
    let saw = dom.split("<pre>saw:").nth(1).and_then(|rest| rest.split(":saw").next());
    let saw = saw.unwrap_or_else(|| {
        panic!("nothing was seen:\n{dom}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    let mut saw: Value = serde_json::from_str(&decoded(saw)).expect("JSON");
    assert_eq!(saw["errors"], json!([]), "{saw:#}");
    Some(saw["saw"].take())
}

/// Text without percent-encoding.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let hex: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&hex, 16).expect("two digits")
            }
            other => other,
        });
    }
    String::from_utf8(bytes).expect("text")
}
