//! Trying again.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Before each further attempt: eight seconds in all.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// How often a pause looks whether to end.
const LOOK: Duration = Duration::from_millis(50);

/// Why a request did not work.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may work the next time.
    Temporary(String),
    /// It will not.
    Final(anyhow::Error),
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Io(e) => e.into(),
            ureq::Error::Timeout(_) | ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
                Failure::Temporary(error.to_string())
            }
            ureq::Error::Protocol(_) => Failure::Temporary(error.to_string()),
            error => Failure::Final(error.into()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A certificate that is not trusted, for one.
            io::ErrorKind::InvalidData => Failure::Final(error.into()),
            _ => Failure::Temporary(error.to_string()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Final(error)
    }
}

/// Counts attempts and pauses between them.
#[derive(Debug, Default)]
pub(super) struct Retry {
    tried: usize,
}

impl Retry {
    /// Attempts before do not count any more: there was progress.
    pub(super) fn start_anew(&mut self) {
        self.tried = 0;
    }

    /// Returns when it is time for another attempt.
    ///
    /// # Errors
    /// When the failure is final, was the last that is put up with, or `stop` says to end.
    pub(super) fn pause(&mut self, failure: Failure, stop: &dyn Fn() -> bool) -> Result<()> {
        if stop() {
            bail!("cancelled");
        }
        let why = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Temporary(why) => why,
        };
        let Some(pause) = PAUSES.get(self.tried) else {
            bail!("{why}, after {} attempts", PAUSES.len() + 1);
        };
        self.tried += 1;
        tracing::debug!("{why}; another attempt in {pause:?}");
        let end = Instant::now() + *pause;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            std::thread::sleep(left.min(LOOK));
            if stop() {
                bail!("cancelled");
            }
        }
        Ok(())
    }
}
