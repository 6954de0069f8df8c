//! What this host has, and who may use which part of it.
//!
//! Reading order:
//!
//! 1. `description`: [`Machine`], the description that is printed, recorded beside
//!    every measurement and read back from a file.
//! 2. `fingerprint`: which machines' numbers may be compared: [`MachineClass`] and
//!    [`Difference`].
//! 3. `probe` and its sources `cpu`, `amd` (the KFD topology in sysfs) and `nvidia`
//!    (NVML), then `visible`, which applies `*_VISIBLE_DEVICES`. No program is started
//!    for any of it.
//! 4. `cache`: the probe, once per boot instead of once per process.
//! 5. [`lease`]: exclusive or shared use of CPU and GPUs across threads, processes and
//!    users.
//!
//! Load is recorded too ([`load_average`]): an equal fingerprint does not help when
//! another job was running.

mod amd;
mod cache;
mod cpu;
mod description;
mod fingerprint;
pub mod lease;
mod nvidia;
mod probe;
mod visible;

#[cfg(test)]
mod tests;

pub use cpu::usable_cores;
pub use description::{Cpu, Driver, Gpu, Machine, MachineError, SCHEMA, Vendor};
pub(crate) use fingerprint::slug;
pub use fingerprint::{Difference, MachineClass};
pub use lease::{
    Attempt, Choice, Granted, Lease, LeaseError, LeaseRequest, Leases, Resource, Share, Ticket,
};
pub(crate) use nvidia::library as nvidia_library;
pub use probe::load_average;
