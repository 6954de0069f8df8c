//! A package needs some code. The catalog is in `models.json`, its tests in `tests/models.rs`.
