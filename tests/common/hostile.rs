//! Names that somebody wrote to do harm.

use std::path::PathBuf;

use super::Fixture;

/// Names that would be markup, commands or links somewhere.
pub const HOSTILE: [&str; 11] = [
    "<script>document.title='owned'</script>",
    "</script><img src=x onerror=document.title='owned'>",
    "=cmd|' /C calc'!A0",
    "a|b",
    "```\n# heading",
    "@everyone #1 www.example.com",
    "[x](javascript:alert(1))",
    "\u{1b}[31mred\u{7}",
    "{{data}} {{script}}",
    "\"quoted\" 'quoted' &amp;",
    "</details><!--",
];

/// A file with these names as models, metrics and tags.
pub fn hostile(fixture: &Fixture) -> PathBuf {
    let path = fixture.path("hostile.csv");
    let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = "model,tags,performance,metric,status,training_precision,args\n".to_owned();
    for name in HOSTILE {
        let name = cell(name);
        text.push_str(&format!("{name},{name},1.5,{name},SUCCESS,{name},{name}\n"));
        text.push_str(&format!("{name},{name},{name},failing,SUCCESS,{name},\n"));
    }
    std::fs::write(&path, text).expect("a file");
    path
}
