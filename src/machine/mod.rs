//! What this host has, and who may use which part of it.

pub mod lease;

pub use lease::{Lease, LeaseError, LeaseRequest, Leases, Resource, Share};
