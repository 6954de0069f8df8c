//! Traces → Hotspots → Bottleneck: what profilers wrote, and what it means.
//!
//! [`diagnose`] reads files of any profiler that is known ([`Format`]) one activity at a
//! time, so that a trace of many gigabytes takes little memory. [`rules`] has the rules and
//! their thresholds, and [`levers`] what may be tried;
//! [`tool`] attaches a profiler to an execution. [`text`], [`svg`] and [`html`] are forms of the answer.

mod diagnosis;
mod host;
mod intervals;
mod kind;
pub mod levers;
mod picture;
mod read;
pub mod rules;
mod source;
mod text;
pub mod tool;
mod trace;

pub use diagnosis::{
    DeviceShare, Diagnosis, Gaps, GpuUse, Hotspot, KernelSums, KindShare, SCHEMA, diagnose,
};
pub use host::{CpuCounters, CpuFunction, HostUse};
pub use kind::Kind;
pub use picture::{html, svg};
pub use read::{Collective, CommunicationLog, Format};
pub use rules::{Bottleneck, Rule, RuleCheck};
pub use source::{LeftOut, Source};
pub(crate) use text::shortened as kernel_name;
pub use text::text;
