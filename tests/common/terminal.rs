//! `mad` in a terminal of its own, and what a person sees there.

use std::num::NonZero;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Fixture, Mad};

/// Starts a command in a terminal; waits for each text, and then makes a file or types keys.
/// Prints the exit status and what was shown up to each text and in all.
const TERMINAL: &str = r#"
import fcntl, json, os, pty, select, struct, sys, termios

columns, steps, command = json.loads(os.environ.pop("TERMINAL"))
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.execvp(command[0], command)
shown, seen, states = b"", 0, []
while True:
    while steps:
        at = shown.find(steps[0]["until"].encode(), seen)
        if at < 0:
            break
        seen = len(shown)
        states.append(shown.decode(errors="replace"))
        step = steps.pop(0)
        if "make" in step:
            open(step["make"], "w").close()
        os.write(master, step.get("type", "").encode())
    ready, _, _ = select.select([master], [], [], 200)
    try:
        data = os.read(master, 65536) if ready else b""
    except OSError:
        data = b""
    if not data:
        break
    # Answers the question where the cursor is.
    if b"\x1b[6n" in data:
        os.write(master, b"\x1b[1;1R")
    shown += data
_, status = os.waitpid(pid, 0)
states.append(shown.decode(errors="replace"))
print(json.dumps([os.waitstatus_to_exitcode(status), states, len(steps)]))
"#;

/// What happens once a text is shown.
pub enum Then<'a> {
    /// These keys are typed.
    Type(&'a str),
    /// This file is made, beside the catalog.
    Make(&'a str),
}

/// What a terminal showed.
#[derive(Debug)]
pub struct Shown {
    /// The exit status.
    pub status: i64,
    /// Everything that was written to it until each text, and in all.
    pub written: Vec<String>,
    columns: u16,
}

impl Shown {
    /// Everything that was written to it.
    pub fn all(&self) -> &str {
        self.written.last().expect("one at least")
    }

    fn terminal(&self, written: &str) -> vt100::Parser {
        let [rows, columns] = [24, self.columns].map(|n| NonZero::new(n).expect("not zero"));
        let mut terminal = vt100::Parser::new(rows, columns, 0);
        terminal.process(written.as_bytes());
        terminal
    }

    /// The screen after the n-th text, as a person sees it.
    pub fn screen(&self, n: usize) -> String {
        let terminal = self.terminal(&self.written[n]);
        let rows = terminal.screen().rows(0, self.columns);
        let rows: Vec<String> = rows.map(|row| row.trim_end().to_owned()).collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// The screen at the end.
    pub fn at_the_end(&self) -> String {
        self.screen(self.written.len() - 1)
    }

    /// Whether the cursor is shown at the end.
    pub fn has_cursor(&self) -> bool {
        !self.terminal(self.all()).screen().hide_cursor()
    }
}

impl Fixture {
    /// `mad` in a terminal that is so wide. When each text is shown, after those before, what
    /// stands behind it is done. Nothing where there is no Python to make a terminal.
    pub fn in_terminal(&self, columns: u16, mad: Mad, steps: &[(&str, Then<'_>)]) -> Option<Shown> {
        let python = Command::new("python3")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if python.is_err() {
            assert!(std::env::var_os("MAD_TESTS_REQUIRE_PYTHON").is_none(), "python3 is missing");
            eprintln!("skipped: there is no python3");
            return None;
        }
        let step = |(until, then): &(&str, Then<'_>)| match then {
            Then::Type(keys) => json!({ "until": until, "type": keys }),
            Then::Make(file) => json!({ "until": until, "make": self.path(file) }),
        };
        let steps: Vec<Value> = steps.iter().map(step).collect();
        let terminal = json!([columns, steps, mad.words()]);
        let ran = mad
            .through_program(&["python3", "-c", TERMINAL])
            .env("TERMINAL", terminal.to_string())
            .run();
        let said: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.said()));
        let written = said[1].as_array().expect("an array").iter();
        let written: Vec<String> =
            written.map(|text| text.as_str().expect("text").to_owned()).collect();
        let shown = Shown { status: said[0].as_i64().expect("a status"), written, columns };
        assert_eq!(said[2], 0, "not everything was shown: {}", shown.all());
        Some(shown)
    }
}
