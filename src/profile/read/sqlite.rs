//! Databases of rocprofv3 (rocpd), RPD, rocm_trace_lite and Nsight Systems.
//!
//! They are opened to be read only. One without a write-ahead log is opened as a file that
//! nobody changes, so that nothing is written beside it.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags, Row};

use super::{Format, Outcome, ordered};
use crate::profile::kind::Kind;
use crate::profile::trace::Trace;

/// Schema of rocpd, and of Nsight's export, up to which columns are known.
const ROCPD: u64 = 4;
const NSIGHT: u64 = 3;

fn open(path: &Path) -> Result<Connection> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let settled = std::fs::metadata(wal).map_or(true, |m| m.len() == 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match (settled, path.to_str()) {
        (true, Some(name)) => {
            let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            // Two slashes at the beginning would name a host.
            let name = name.replace("//", "/");
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
        }
        _ => Connection::open_with_flags(path, flags),
    };
    connection.context("it cannot be opened as an SQLite database")
}

fn names(db: &Connection, sql: &str) -> Result<BTreeSet<String>> {
    let mut statement = db.prepare(sql)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn tables(db: &Connection) -> Result<BTreeSet<String>> {
    names(db, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
}

fn columns(db: &Connection, table: &str) -> Result<BTreeSet<String>> {
    names(db, &format!("SELECT name FROM pragma_table_info('{}')", table.replace('\'', "''")))
}

pub(super) fn recognise(path: &Path) -> Result<Result<Format, String>> {
    let found = open(path).and_then(|db| Ok((tables(&db)?, db)));
    let (tables, db) = match found {
        Ok(found) => found,
        Err(e) => return Ok(Err(format!("it is a damaged SQLite database: {e:#}"))),
    };
    let has = |prefix: &str| tables.iter().any(|t| t.starts_with(prefix));
    Ok(if has("rocpd_kernel_dispatch") {
        Ok(Format::Rocpd)
    } else if tables.contains("rocpd_op") {
        let rtl = columns(&db, "rocpd_op")?.contains("completionSignal");
        Ok(if rtl { Format::RocmTraceLite } else { Format::Rpd })
    } else if has("CUPTI_ACTIVITY_KIND_") || tables.contains("META_DATA_EXPORT") {
        Ok(Format::NsightSqlite)
    } else {
        Err("it is an SQLite database, but not of a profiler that is known".to_owned())
    })
}

/// Runs `sql`, whose columns are device, start, end and what names it, and adds each row.
fn activities(
    db: &Connection,
    sql: &str,
    trace: &mut Trace,
    outcome: &mut Outcome,
    mut name: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<(String, Option<Kind>)>>,
) -> Result<()> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut odd = 0_u64;
    loop {
        match rows.next() {
            Ok(None) => break,
            Ok(Some(row)) => {
                let times = (row.get::<_, Option<i64>>(1)?, row.get::<_, Option<i64>>(2)?);
                let device = row.get::<_, Option<i64>>(0)?.unwrap_or(0);
                match (times, name(row)?) {
                    ((Some(start), Some(end)), Some((name, kind))) if end >= start => {
                        trace.activity(device, &name, kind, ordered(start), ordered(end));
                    }
                    (_, None) => {}
                    _ => odd += 1,
                }
            }
            Err(e) => {
                outcome.problem = Some(format!("it is damaged and cannot be read to its end: {e}"));
                break;
            }
        }
    }
    if odd > 0 {
        outcome.notes.push(format!("{odd} rows have no time and were passed over"));
    }
    Ok(())
}

/// Texts of a table `id`, `text`, looked up once each.
struct Texts<'a> {
    db: &'a Connection,
    sql: String,
    known: HashMap<i64, String>,
}

impl<'a> Texts<'a> {
    fn new(db: &'a Connection, table: &str, text: &str) -> Texts<'a> {
        let sql = format!("SELECT {text} FROM \"{table}\" WHERE id = ?1");
        Texts { db, sql, known: HashMap::new() }
    }

    fn get(&mut self, id: Option<i64>) -> rusqlite::Result<String> {
        let Some(id) = id else { return Ok(String::new()) };
        if let Some(text) = self.known.get(&id) {
            return Ok(text.clone());
        }
        let mut statement = self.db.prepare_cached(&self.sql)?;
        let text = match statement.query_row([id], |row| row.get::<_, Option<String>>(0)) {
            Ok(text) => text.unwrap_or_default(),
            Err(rusqlite::Error::QueryReturnedNoRows) => String::new(),
            Err(e) => return Err(e),
        };
        // A profile has a few thousand names; one that has more need not be kept whole.
        if self.known.len() < 100_000 {
            self.known.insert(id, text.clone());
        }
        Ok(text)
    }
}

/// rocprofv3: `rocpd_kernel_dispatch_<uuid>`, with times in the table or, in another form
/// of the schema, in `rocpd_timestamp_<uuid>`.
pub(super) fn rocpd(path: &Path, trace: &mut Trace) -> Result<Outcome> {
    let db = open(path)?;
    let mut outcome = Outcome::default();
    let tables = tables(&db)?;
    let prefix = "rocpd_kernel_dispatch_";
    let mut suffixes: Vec<String> =
        tables.iter().filter_map(|t| Some(format!("_{}", t.strip_prefix(prefix)?))).collect();
    if suffixes.is_empty() {
        suffixes.push(String::new());
    }
    note_version(&db, &tables, "rocpd_metadata", "tag", "schema_version", ROCPD, &mut outcome);
    for suffix in suffixes {
        for (table, kernels) in [
            (format!("rocpd_kernel_dispatch{suffix}"), true),
            (format!("rocpd_memory_copy{suffix}"), false),
        ] {
            if !tables.contains(&table) {
                continue;
            }
            let columns = columns(&db, &table)?;
            let id = if kernels { "kernel_id" } else { "name_id" };
            let sql = if columns.contains("start") {
                let device = match (kernels, columns.contains("dst_agent_id")) {
                    (true, _) => "agent_id",
                    // Copies to the host run on the GPU they come from, and agents of the
                    // host come first.
                    (false, true) => "max(coalesce(dst_agent_id, 0), coalesce(src_agent_id, 0))",
                    (false, false) => "0",
                };
                format!("SELECT {device}, start, \"end\", {id} FROM \"{table}\"")
            } else if columns.contains("start_id") {
                let device = match kernels {
                    true => "t.agent_id",
                    false => "max(coalesce(k.dst_agent_id, 0), coalesce(k.src_agent_id, 0))",
                };
                format!(
                    "SELECT {device}, s.value, e.value, k.{id} FROM \"{table}\" k \
                     JOIN \"rocpd_timestamp{suffix}\" s ON s.id = k.start_id \
                     JOIN \"rocpd_timestamp{suffix}\" e ON e.id = k.end_id \
                     LEFT JOIN \"rocpd_track{suffix}\" t ON t.id = k.track_id"
                )
            } else {
                bail!("its table {table} has no times that are known; a newer schema?");
            };
            let mut texts = match kernels {
                true => Texts::new(
                    &db,
                    &format!("rocpd_info_kernel_symbol{suffix}"),
                    "coalesce(display_name, kernel_name)",
                ),
                false => Texts::new(&db, &format!("rocpd_string{suffix}"), "string"),
            };
            activities(&db, &sql, trace, &mut outcome, |row| {
                let name = texts.get(row.get(3)?)?;
                let name = if name.is_empty() { "(no name)".to_owned() } else { name };
                Ok(Some((name, (!kernels).then_some(Kind::Copy))))
            })?;
        }
    }
    Ok(outcome)
}

/// RPD and rocm_trace_lite: `rocpd_op`, with its texts in `rocpd_string`.
pub(super) fn rpd(path: &Path, trace: &mut Trace) -> Result<Outcome> {
    let db = open(path)?;
    let mut outcome = Outcome::default();
    let mut texts = Texts::new(&db, "rocpd_string", "string");
    let sql = "SELECT gpuId, start, \"end\", description_id, opType_id FROM rocpd_op";
    activities(&db, sql, trace, &mut outcome, |row| {
        let kind = texts.get(row.get(4)?)?;
        // Marks of the queue, and regions that rocm_trace_lite keeps under GPU -1.
        if matches!(kind.as_str(), "Barrier" | "Marker")
            || row.get::<_, Option<i64>>(0)?.is_some_and(|gpu| gpu < 0)
        {
            return Ok(None);
        }
        let name = texts.get(row.get(3)?)?;
        let copy = kind.starts_with("Copy") || kind.starts_with("Fill");
        let name = if name.is_empty() || copy { kind } else { name };
        Ok(Some((name, copy.then_some(Kind::Copy))))
    })?;
    Ok(outcome)
}

/// Nsight Systems: `CUPTI_ACTIVITY_KIND_*`, with texts in `StringIds`.
pub(super) fn nsight(path: &Path, trace: &mut Trace) -> Result<Outcome> {
    let db = open(path)?;
    let mut outcome = Outcome::default();
    let tables = tables(&db)?;
    note_version(
        &db,
        &tables,
        "META_DATA_EXPORT",
        "name",
        "EXPORT_SCHEMA_VERSION",
        NSIGHT,
        &mut outcome,
    );
    let mut texts = Texts::new(&db, "StringIds", "value");
    for (table, copy) in [("KERNEL", None), ("MEMCPY", Some("memcpy")), ("MEMSET", Some("memset"))]
    {
        let table = format!("CUPTI_ACTIVITY_KIND_{table}");
        if !tables.contains(&table) {
            continue;
        }
        let columns = columns(&db, &table)?;
        let name = if columns.contains("demangledName") { "demangledName" } else { "shortName" };
        let name = match copy {
            None => name,
            Some("memcpy") if columns.contains("copyKind") => "copyKind",
            Some(_) => "NULL",
        };
        let sql = format!("SELECT deviceId, start, \"end\", {name} FROM {table}");
        activities(&db, &sql, trace, &mut outcome, |row| {
            let id: Option<i64> = row.get(3)?;
            Ok(Some(match copy {
                None => (texts.get(id)?, None),
                Some("memcpy") => (format!("memcpy {}", direction(id)), Some(Kind::Copy)),
                Some(other) => (other.to_owned(), Some(Kind::Copy)),
            }))
        })?;
    }
    if !tables.iter().any(|t| t.starts_with("CUPTI_ACTIVITY_KIND_")) {
        outcome.notes.push(
            "it has no activity of a GPU; was it traced (`nsys profile --trace cuda`)?".to_owned(),
        );
    }
    Ok(outcome)
}

/// `ENUM_CUDA_MEMCPY_OPER`.
fn direction(kind: Option<i64>) -> &'static str {
    match kind {
        Some(1) => "host to device",
        Some(2) => "device to host",
        Some(8) => "device to device",
        Some(10) => "peer to peer",
        _ => "(other)",
    }
}

/// Says so where a database has a newer schema than is known. It is read as far as its
/// tables are as they were.
fn note_version(
    db: &Connection,
    tables: &BTreeSet<String>,
    prefix: &str,
    key: &str,
    entry: &str,
    known: u64,
    outcome: &mut Outcome,
) {
    let Some(table) = tables.iter().find(|t| t.starts_with(prefix)) else { return };
    let sql = format!("SELECT value FROM \"{table}\" WHERE {key} = ?1");
    // The version helps to explain; without it the tables speak for themselves.
    let Ok(version) = db.query_row(&sql, [entry], |row| row.get::<_, String>(0)) else { return };
    let major = version.split('.').next().and_then(|v| v.parse::<u64>().ok());
    if major.is_some_and(|major| major > known) {
        outcome.notes.push(format!(
            "its schema version {version} is newer than {known}, which is known; what it says \
             otherwise than before is not seen"
        ));
    }
}
