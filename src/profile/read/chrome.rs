//! The Trace Event Format, one event at a time.
//!
//! PyTorch (Kineto) names what ran on a GPU by `cat`: `kernel`, `gpu_memcpy`, `gpu_memset`,
//! and its device by `args.device`. rocm_trace_lite writes the type of the operation there
//! and the whole name in `args.full_name`. rpd2tracing has no `cat`; there the process is
//! called `GPU<n>`, the event after the type, and the kernel is in `args.desc`.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Outcome, ordered};
use crate::profile::kind::Kind;
use crate::profile::trace::Trace;

/// `schemaVersion` of Kineto that is known.
const KINETO: f64 = 1.0;

pub(super) fn read(stream: impl Read, trace: &mut Trace) -> Outcome {
    let before = trace.calls();
    let mut state = State {
        trace,
        event: Event::default(),
        gpus: HashSet::new(),
        events: 0,
        odd: 0,
        begin_end: 0,
        found: false,
        array: false,
        inside: false,
        notes: Vec::new(),
    };
    let mut json = serde_json::Deserializer::from_reader(stream);
    let result = json.deserialize_any(Top(&mut state)).and_then(|()| json.end());
    let (events, odd, begin_end) = (state.events, state.odd, state.begin_end);
    let mut outcome = Outcome { notes: std::mem::take(&mut state.notes), ..Outcome::default() };
    // The format allows an array without its end.
    let open_end = state.array && !state.inside;
    let read = state.trace.calls() - before;
    match result {
        Err(e) if e.is_eof() && open_end && events > 0 => {}
        Err(e) if e.is_eof() => {
            outcome.problem = Some(format!(
                "it ends in the middle, at line {} column {}, after {events} events: was the \
                 profiler ended, or the disk full?",
                e.line(),
                e.column()
            ));
        }
        Err(e) => outcome.problem = Some(format!("after {events} events: {e}")),
        Ok(()) if !state.found => {
            outcome.problem = Some("it has no `traceEvents`".to_owned());
        }
        Ok(()) => {}
    }
    if odd > 0 {
        outcome.notes.push(format!("{odd} events have no time, or no name, and were passed over"));
    }
    if read == 0 && outcome.problem.is_none() {
        let why = match begin_end {
            0 => "was the GPU traced (ProfilerActivity.CUDA)?",
            _ => "it has begin and end events only, which say nothing of GPUs",
        };
        outcome.notes.push(format!("none of its {events} events ran on a GPU; {why}"));
    }
    outcome
}

/// One event, its strings used again for the next one.
#[derive(Default)]
struct Event {
    ph: Scalar,
    cat: Scalar,
    name: Scalar,
    pid: Scalar,
    ts: Scalar,
    dur: Scalar,
    // Of `args`.
    device: Scalar,
    gpu: Scalar,
    full_name: Scalar,
    desc: Scalar,
    process: Scalar,
}

/// A string or a number, or nothing.
#[derive(Default)]
struct Scalar {
    text: String,
    number: Option<f64>,
}

impl Scalar {
    fn clear(&mut self) {
        self.text.clear();
        self.number = None;
    }

    /// Numbers may be written as text.
    fn number(&self) -> Option<f64> {
        self.number.or_else(|| self.text.trim().parse().ok()).filter(|n| n.is_finite())
    }

    /// An identifier, be it a number or a word.
    fn id(&self) -> Option<i64> {
        if let Some(number) = self.number() {
            return Some(number as i64);
        }
        if self.text.is_empty() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        Some((hasher.finish() >> 1) as i64)
    }
}

struct State<'a> {
    trace: &'a mut Trace,
    event: Event,
    /// Processes that are GPUs, by their names.
    gpus: HashSet<i64>,
    events: u64,
    odd: u64,
    begin_end: u64,
    /// `traceEvents` was there.
    found: bool,
    /// The document is an array of events.
    array: bool,
    /// Within an event.
    inside: bool,
    notes: Vec<String>,
}

impl State<'_> {
    fn finish(&mut self) {
        self.events += 1;
        let event = &self.event;
        match event.ph.text.as_str() {
            "M" if event.name.text == "process_name" => {
                let process = &event.process.text;
                if process.starts_with("GPU") || process.starts_with("/device:GPU") {
                    self.gpus.extend(event.pid.id());
                }
            }
            "B" | "E" => self.begin_end += 1,
            "X" => self.complete(),
            _ => {}
        }
    }

    fn complete(&mut self) {
        let event = &self.event;
        let pid = event.pid.id().unwrap_or(0);
        let cat = event.cat.text.as_str();
        let kind = match cat {
            "kernel" | "Kernel" | "KernelExecution" | "gpu" => None,
            "gpu_memcpy" | "gpu_memset" | "Memcpy" | "Memset" => Some(Kind::Copy),
            _ if cat.starts_with("Copy") || cat.starts_with("Memcpy") => Some(Kind::Copy),
            "" if self.gpus.contains(&pid) && !event.name.text.starts_with("Graph ") => None,
            _ => return,
        };
        let name = [&event.full_name.text, &event.desc.text, &event.name.text];
        let name = name.into_iter().find(|n| !n.is_empty());
        let (Some(name), Some(ts), Some(dur)) = (name, event.ts.number(), event.dur.number())
        else {
            self.odd += 1;
            return;
        };
        if matches!(event.name.text.as_str(), "Barrier" | "Marker") || dur < 0.0 {
            return;
        }
        let device = event.device.id().or_else(|| event.gpu.id()).unwrap_or(pid);
        let start = (ts * 1e3).round() as i64;
        let end = start.saturating_add((dur * 1e3).round() as i64);
        self.trace.activity(device, name, kind, ordered(start), ordered(end));
    }
}

/// The document: an array of events, or an object with one.
struct Top<'a, 'b>(&'a mut State<'b>);

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with `traceEvents`, or an array of events")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "traceEvents" => {
                    self.0.found = true;
                    map.next_value_seed(Events(self.0))?;
                }
                "schemaVersion" => {
                    let mut version = Scalar::default();
                    map.next_value_seed(&mut version)?;
                    if version.number().is_some_and(|v| v > KINETO) {
                        let version = version.number().unwrap_or_default();
                        self.0.notes.push(format!(
                            "its schemaVersion {version} is newer than {KINETO}, which is known; \
                             what it says otherwise than before is not seen"
                        ));
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        (self.0.found, self.0.array) = (true, true);
        Events(self.0).visit_seq(seq)
    }
}

struct Events<'a, 'b>(&'a mut State<'b>);

impl<'de> DeserializeSeed<'de> for Events<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Events<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(OneEvent(self.0))?.is_some() {}
        Ok(())
    }
}

struct OneEvent<'a, 'b>(&'a mut State<'b>);

impl<'de> DeserializeSeed<'de> for OneEvent<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneEvent<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.0;
        state.inside = true;
        let e = &mut state.event;
        for scalar in [
            &mut e.ph,
            &mut e.cat,
            &mut e.name,
            &mut e.pid,
            &mut e.ts,
            &mut e.dur,
            &mut e.device,
            &mut e.gpu,
            &mut e.full_name,
            &mut e.desc,
            &mut e.process,
        ] {
            scalar.clear();
        }
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Key::Ph => map.next_value_seed(&mut e.ph)?,
                Key::Cat => map.next_value_seed(&mut e.cat)?,
                Key::Name => map.next_value_seed(&mut e.name)?,
                Key::Pid => map.next_value_seed(&mut e.pid)?,
                Key::Ts => map.next_value_seed(&mut e.ts)?,
                Key::Dur => map.next_value_seed(&mut e.dur)?,
                Key::Args => map.next_value_seed(Args(e))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        state.inside = false;
        state.finish();
        Ok(())
    }
}

/// `args`, which may be anything.
struct Args<'a>(&'a mut Event);

impl<'de> DeserializeSeed<'de> for Args<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Args<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("arguments")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let e = self.0;
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Key::Device => map.next_value_seed(&mut e.device)?,
                Key::Gpu => map.next_value_seed(&mut e.gpu)?,
                Key::FullName => map.next_value_seed(&mut e.full_name)?,
                Key::Desc => map.next_value_seed(&mut e.desc)?,
                Key::Name => map.next_value_seed(&mut e.process)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Scalar {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Scalar {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.text.push_str(text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.number = Some(number as f64);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.number = Some(number as f64);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.number = Some(number);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Keys that matter, compared without being kept.
enum Key {
    Ph,
    Cat,
    Name,
    Pid,
    Ts,
    Dur,
    Args,
    Device,
    Gpu,
    FullName,
    Desc,
    Unknown,
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Key, D::Error> {
        d.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            "ph" => Key::Ph,
            "cat" => Key::Cat,
            "name" => Key::Name,
            "pid" => Key::Pid,
            "ts" => Key::Ts,
            "dur" => Key::Dur,
            "args" => Key::Args,
            "device" => Key::Device,
            "gpu" => Key::Gpu,
            "full_name" => Key::FullName,
            "desc" => Key::Desc,
            _ => Key::Unknown,
        })
    }
}
