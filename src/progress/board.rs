//! What runs now, and the thread that tells.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Expected;
use super::last_line::LastLine;
use super::paint::{self, Count, Shown};
use super::screen::{Screen, aside};

/// How often the end of a terminal is drawn.
const FRAME: Duration = Duration::from_millis(200);
/// How often it is looked for something that was silent for too long.
const LOOK: Duration = Duration::from_secs(1);
/// How long something may wait before that is worth a line.
const MOMENT: Duration = Duration::from_secs(5);
/// How long nothing is said of what goes on: first, and at most. It doubles in between; CI
/// systems end what says nothing for ten minutes.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(300));

/// What runs, and where it is told: at the end of a terminal, or in lines.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    screen: Option<Screen>,
}

#[derive(Debug, Default)]
struct State {
    whole: Option<Whole>,
    running: Vec<Running>,
    waits: Option<Waits>,
    next: u64,
}

/// Why nothing runs.
#[derive(Debug)]
struct Waits {
    why: String,
    since: Instant,
    told: bool,
}

#[derive(Debug)]
struct Whole {
    total: usize,
    done: usize,
    began: Instant,
    /// Seconds of what has not begun, and the share of them that passes because some run at
    /// the same time; none where nothing is known.
    left: Option<(f64, f64)>,
}

#[derive(Debug)]
struct Running {
    id: u64,
    name: String,
    expected: Option<Expected>,
    printed: Arc<Mutex<LastLine>>,
    /// Empty until the first one.
    step: String,
    began: Instant,
    /// When the first one began.
    first: Instant,
    counts: bool,
    /// Whether it had a line of its own.
    told: bool,
    silence: Silence,
}

/// How long nothing was said of something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    since: Instant,
    patience: Duration,
}

impl Silence {
    /// Something was said just now.
    pub(super) fn new(now: Instant) -> Silence {
        Silence { since: now, patience: PATIENCE.0 }
    }

    /// Whether it is time to say something again; the next time is further away.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        let over = now.duration_since(self.since) >= self.patience;
        if over {
            self.since = now;
            self.patience = (self.patience * 2).min(PATIENCE.1);
        }
        over
    }
}

impl Running {
    fn shown(&self, now: Instant) -> Shown<'_> {
        Shown {
            name: &self.name,
            step: &self.step,
            elapsed_s: self.elapsed_s(now),
            expected_s: self.expected.filter(|e| !e.guessed).map(|e| e.seconds),
            printed: hold(&self.printed).text(),
        }
    }

    fn elapsed_s(&self, now: Instant) -> f64 {
        now.duration_since(self.began).as_secs_f64()
    }

    /// Seconds it is likely to go on.
    fn left_s(&self, now: Instant) -> f64 {
        self.expected.map_or(0.0, |e| (e.seconds - self.elapsed_s(now)).max(0.0))
    }
}

impl State {
    fn count(&self, now: Instant) -> Option<Count> {
        let whole = self.whole.as_ref()?;
        let left_s = whole.left.and_then(|(pending, share)| {
            let running = self.running.iter().map(|r| r.left_s(now));
            let longest = running.clone().fold(0.0, f64::max);
            let all = (pending.max(0.0) + running.sum::<f64>()) * share;
            // What takes longer than expected may take any time.
            Some(all.max(longest)).filter(|left| *left > 0.0)
        });
        let elapsed_s = now.duration_since(whole.began).as_secs_f64();
        // More than was known of can turn out to be needed.
        let total = whole.total.max(whole.done);
        Some(Count { done: whole.done, total, elapsed_s, left_s })
    }

    fn find(&mut self, id: u64) -> Option<&mut Running> {
        self.running.iter_mut().find(|r| r.id == id)
    }
}

impl Board {
    /// One that shows what runs on `screen`, or tells in lines without.
    pub(super) fn new(screen: Option<Screen>) -> Arc<Board> {
        let board = Arc::new(Board { state: Mutex::default(), screen });
        let weak = Arc::downgrade(&board);
        // Without the thread, what begins and ends is told all the same.
        let _ = std::thread::Builder::new().name("progress".into()).spawn(move || tell(&weak));
        board
    }

    pub(super) fn begin(&self, total: usize) {
        let whole = Whole { total, done: 0, began: Instant::now(), left: None };
        self.state().whole = Some(whole);
    }

    pub(super) fn expect(&self, seconds: f64, share: f64) {
        if let Some(whole) = &mut self.state().whole {
            whole.left = Some((seconds, share));
        }
    }

    pub(super) fn end(&self) {
        let mut state = self.state();
        state.whole = None;
        // Under the lock: the thread must not draw once more.
        if let Some(screen) = &self.screen {
            screen.clear();
        }
    }

    pub(super) fn add(
        &self,
        name: &str,
        expected: Option<Expected>,
        printed: Arc<Mutex<LastLine>>,
    ) -> u64 {
        let (mut state, now) = (self.state(), Instant::now());
        state.next += 1;
        let id = state.next;
        if let (Some(expected), Some(whole)) = (expected, &mut state.whole)
            && let Some((pending, _)) = &mut whole.left
        {
            *pending -= expected.seconds;
        }
        state.running.push(Running {
            id,
            name: paint::plain(name),
            expected,
            printed,
            step: String::new(),
            began: now,
            first: now,
            counts: true,
            told: false,
            silence: Silence::new(now),
        });
        id
    }

    pub(super) fn step(&self, id: u64, text: &str, line: bool, now: Instant) {
        let mut state = self.state();
        let Some(running) = state.find(id) else { return };
        if running.step.is_empty() {
            if !running.told {
                running.first = now;
            }
            running.began = now;
            running.silence = Silence::new(now);
        }
        running.step = paint::plain(text);
        if line {
            let first = !std::mem::replace(&mut running.told, true);
            if self.screen.is_none() {
                running.silence = Silence::new(now);
                self.write(&paint::begun(&running.shown(now), first));
            }
        }
    }

    pub(super) fn rest(&self, id: u64, expected: Option<Expected>) {
        if let Some(running) = self.state().find(id) {
            running.step.clear();
            running.expected = expected;
        }
    }

    pub(super) fn remove(&self, id: u64, how: Option<(&str, bool)>, now: Instant) {
        let mut state = self.state();
        let Some(at) = state.running.iter().position(|r| r.id == id) else { return };
        let ended = state.running.remove(at);
        if let Some(whole) = state.whole.as_mut().filter(|_| ended.counts) {
            whole.done += 1;
        }
        let Some((how, failed)) = how.filter(|(_, failed)| ended.told || *failed) else { return };
        let took = now.duration_since(ended.first).as_secs_f64();
        let line = paint::ended(&ended.name, how, took, state.count(now).as_ref());
        match &self.screen {
            Some(screen) if failed => self.write(&paint::alarming(&line, screen.colour)),
            _ => self.write(&line),
        }
    }

    pub(super) fn waits(&self, why: Option<String>) {
        let state = &mut *self.state();
        match (&mut state.waits, why) {
            (Some(waits), Some(why)) => waits.why = why,
            (waits, why) => {
                *waits = why.map(|why| Waits { why, since: Instant::now(), told: false });
            }
        }
    }

    pub(super) fn discount(&self, id: u64) {
        if let Some(running) = self.state().find(id) {
            running.counts = false;
        }
    }

    pub(super) fn say(&self, line: &str) {
        let _state = self.state();
        self.write(line);
    }

    /// What time alone brings about.
    fn tick(&self, now: Instant) {
        let mut state = self.state();
        match &self.screen {
            Some(screen) => {
                let Some(count) = state.count(now) else { return };
                let running = state.running.iter().filter(|r| !r.step.is_empty());
                let running: Vec<Shown<'_>> = running.map(|r| r.shown(now)).collect();
                let waits = state.waits.as_ref().map(|waits| waits.why.as_str());
                let text = paint::screen(&running, waits, &count, screen.size(), screen.colour);
                screen.draw(text);
            }
            None => {
                let late = |w: &&mut Waits| !w.told && now.duration_since(w.since) >= MOMENT;
                if let Some(waits) = state.waits.as_mut().filter(late) {
                    waits.told = true;
                    self.write(&waits.why);
                }
                for running in state.running.iter_mut().filter(|r| !r.step.is_empty()) {
                    if running.silence.is_over(now) {
                        running.told = true;
                        self.write(&paint::goes_on(&running.shown(now)));
                    }
                }
            }
        }
    }

    /// A reader that has gone away is no reason to end what runs.
    fn write(&self, line: &str) {
        aside(|| drop(writeln!(std::io::stderr(), "{line}")));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        hold(&self.state)
    }
}

/// Tells of what goes on, as long as there is a board.
fn tell(board: &Weak<Board>) {
    let is_drawn = board.upgrade().is_some_and(|board| board.screen.is_some());
    let pause = if is_drawn { FRAME } else { LOOK };
    loop {
        std::thread::sleep(pause);
        let Some(board) = board.upgrade() else { return };
        board.tick(Instant::now());
    }
}

/// The data is whole even if a thread panicked while it held the lock.
pub(super) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
