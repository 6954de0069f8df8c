//! Standard output that may be closed early, as in `… | head`.

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::os::fd::AsFd;

/// Prints the list of cases as libtest does. A closed pipe ends it quietly.
pub(super) fn print_list<'a>(names: impl Iterator<Item = &'a str>) {
    let mut out = BufWriter::new(io::stdout().lock());
    for name in names {
        if writeln!(out, "{name}: test").is_err() {
            return;
        }
    }
    let _ = out.flush();
}

/// Runs `body`, whose output must not be lost to a panic when nobody reads it any
/// more: libtest-mimic panics on a closed pipe, which would end the benchmarks.
pub(super) fn guarded<T>(body: impl FnOnce() -> T) -> T {
    if io::stdout().is_terminal() {
        return body();
    }
    match Guard::install() {
        Ok(guard) => {
            let result = body();
            guard.remove();
            result
        }
        Err(e) => {
            tracing::debug!("standard output is not guarded: {e}");
            body()
        }
    }
}

/// While it is installed, standard output is a pipe to a thread that passes it on
/// for as long as somebody takes it.
struct Guard {
    original: std::os::fd::OwnedFd,
    forwarder: std::thread::JoinHandle<()>,
}

impl Guard {
    fn install() -> io::Result<Guard> {
        let original = io::stdout().as_fd().try_clone_to_owned()?;
        let mut target = std::fs::File::from(original.try_clone()?);
        let (mut reader, writer) = io::pipe()?;
        io::stdout().flush()?;
        rustix::stdio::dup2_stdout(&writer)?;
        drop(writer);
        let forwarder = std::thread::Builder::new().name("stdout".into()).spawn(move || {
            let mut buffer = [0; 16 << 10];
            let mut open = true;
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                open = open && target.write_all(&buffer[..n]).is_ok();
            }
        })?;
        Ok(Guard { original, forwarder })
    }

    fn remove(self) {
        let _ = io::stdout().flush();
        // The last write end of the pipe goes with this, so that the thread ends.
        let _ = rustix::stdio::dup2_stdout(&self.original);
        let _ = self.forwarder.join();
    }
}
