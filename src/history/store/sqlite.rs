//! The index of one machine: a SQLite file.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params_from_iter};

use super::tables::{CREATE_RUNS, CREATE_TUNINGS, DROP, Family, VERSION};
use super::{Database, IndexError, Known, Row, Rows};

/// `application_id` of the file: that it is ours.
const APPLICATION: i32 = i32::from_be_bytes(*b"madh");

/// How long another process may hold the file.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Sqlite {
    pub(super) connection: Connection,
}

impl Sqlite {
    /// The file `path`, made when missing and emptied when `anew`.
    ///
    /// The journal is SQLite's default, not a write-ahead log: that needs memory shared between
    /// processes, which file systems of clusters do not have, and leaves two more files.
    pub(super) fn open(path: &Path, anew: bool) -> Result<Sqlite, IndexError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Sqlite::prepare(Connection::open_with_flags(path, flags)?, path, anew)
    }

    pub(super) fn in_memory() -> Result<Sqlite, IndexError> {
        Sqlite::prepare(Connection::open_in_memory()?, Path::new(":memory:"), false)
    }

    fn prepare(connection: Connection, path: &Path, anew: bool) -> Result<Sqlite, IndexError> {
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let mut sqlite = Sqlite { connection };
        // In one look, since another process may be making the tables.
        let look = sqlite.connection.transaction()?;
        let found = version(&look, path)?;
        drop(look);
        if anew || found < VERSION {
            let write = sqlite.write()?;
            // Another process may have been as far as this one.
            if version(&write, path)? < VERSION || anew {
                // Tables of an older version, which are made anew from the records like all.
                write.execute_batch(DROP)?;
                write.execute_batch(CREATE_RUNS)?;
                write.execute_batch(CREATE_TUNINGS)?;
                write.pragma_update(None, "application_id", APPLICATION)?;
                write.pragma_update(None, "user_version", VERSION)?;
            }
            write.commit()?;
        }
        Ok(sqlite)
    }

    fn write(&mut self) -> Result<Transaction<'_>, rusqlite::Error> {
        // Waits here for other writers, rather than failing in the middle.
        self.connection.transaction_with_behavior(TransactionBehavior::Immediate)
    }
}

impl Database for Sqlite {
    fn place(&self) -> Option<&str> {
        None
    }

    fn select(&mut self, sql: &str, parameters: &[Cell]) -> Result<Vec<Row>, IndexError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map(params_from_iter(parameters), |row| {
            let cells: Result<Vec<Cell>, _> = (0..columns).map(|i| row.get(i)).collect();
            cells.map(Row::new)
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn replace(&mut self, family: &Family, known: &[Known], rows: &Rows) -> Result<(), IndexError> {
        let write = self.write()?;
        let forget = format!("DELETE FROM {} WHERE host = $1 AND id = $2", family[0].name);
        for Known { host, id } in known {
            write.prepare_cached(&forget)?.execute([host, id])?;
        }
        for (table, rows) in family.iter().zip(rows) {
            let marks: Vec<String> = (1..=table.columns.len()).map(|i| format!("${i}")).collect();
            let (columns, marks) = (table.columns.join(", "), marks.join(", "));
            let insert = format!("INSERT INTO {} ({columns}) VALUES ({marks})", table.name);
            let mut insert = write.prepare_cached(&insert)?;
            for row in rows {
                insert.execute(params_from_iter(row))?;
            }
        }
        Ok(write.commit()?)
    }
}

/// The version of the tables; 0 for a file without any.
fn version(connection: &Connection, path: &Path) -> Result<i32, IndexError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, found) = (pragma("application_id")?, pragma("user_version")?);
    let count = "SELECT COUNT(*) FROM sqlite_master";
    let tables: i32 = connection.query_row(count, [], |row| row.get(0))?;
    let place = || path.display().to_string();
    match (application, found) {
        (APPLICATION, 1..=VERSION) => Ok(found),
        (APPLICATION, _) if found > VERSION => Err(IndexError::Newer {
            place: place(),
            found: found.into(),
            advice: "use that version, or keep a second index: \
                     mad history --rebuild --database FILE",
        }),
        (0, 0) if tables == 0 => Ok(0),
        _ => {
            Err(IndexError::Foreign { place: place(), advice: "name another file with --database" })
        }
    }
}
