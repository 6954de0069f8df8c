//! Few executions of all candidates, more of the better half.

use std::cmp::Ordering;
use std::time::Instant;

use anyhow::Result;

use super::Search;
use crate::compare::Duel;
use crate::tune::Trust;

/// Blocks of each candidate before the first half goes: enough for what is clear at once to be
/// decided, and not dropped.
const BLOCKS: usize = 4;

impl<'s, 'a> Search<'s, 'a> {
    /// Measures all candidates for a while, drops the worse half, and goes on with the others
    /// for twice as long, until everything is decided.
    pub(super) fn halve(&mut self) -> Result<()> {
        let clock = Instant::now();
        let mut live: Vec<(usize, Duel<'a>)> = Vec::new();
        for i in self.waiting() {
            if self.must_stop(self.reserve()) {
                return Ok(());
            }
            let changes = self.tuning.candidates[i].changes.clone();
            let question = self.question(i, &[], &changes);
            match self.duel(&question)? {
                Ok(duel) => live.push((i, duel)),
                Err(done) => match self.unless_interrupted(done) {
                    Some(done) => self.take(i, &done)?,
                    None => return Ok(()),
                },
            }
        }
        let mut blocks = BLOCKS;
        while !live.is_empty() {
            for (_, duel) in &mut live {
                for _ in 0..blocks {
                    if duel.is_done() {
                        break;
                    }
                    if self.must_stop(self.reserve() + duel.block_time()) {
                        return Ok(());
                    }
                    duel.block();
                }
            }
            let (done, open): (Vec<_>, Vec<_>) = live.into_iter().partition(|(_, d)| d.is_done());
            for (i, duel) in done {
                match self.unless_interrupted(duel.finish()) {
                    Some(done) => self.take(i, &done)?,
                    None => return Ok(()),
                }
            }
            live = self.better_half(open)?;
            blocks *= 2;
            self.longest = self.longest.max(clock.elapsed() / 2);
        }
        Ok(())
    }

    /// Drops the worse half of what is not decided yet.
    fn better_half(&mut self, mut open: Vec<(usize, Duel<'a>)>) -> Result<Vec<(usize, Duel<'a>)>> {
        open.sort_by(|(_, a), (_, b)| b.gain().partial_cmp(&a.gain()).unwrap_or(Ordering::Equal));
        let dropped = open.split_off(open.len().div_ceil(2));
        for (i, duel) in dropped {
            let Some(done) = self.unless_interrupted(duel.finish()) else { return Ok(open) };
            self.take(i, &done)?;
            let candidate = &mut self.tuning.candidates[i];
            candidate.promising = false;
            let because = candidate.trust.take().map(|t| t.because).unwrap_or_default();
            let dropped = "dropped: others looked better after as many executions".to_owned();
            candidate.trust = Some(Trust::none([vec![dropped], because].concat()));
            self.update()?;
        }
        Ok(open)
    }
}
