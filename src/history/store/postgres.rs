//! The index of a team: a PostgreSQL database.

use std::fmt::Write as _;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use rusqlite::types::Value as Cell;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{Column as _, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use sqlx::{Transaction, TypeInfo as _, ValueRef as _};
use tokio::runtime::Runtime;
use tracing::subscriber::NoSubscriber;

use super::tables::{CREATE_RUNS, CREATE_TUNINGS, Family, VERSION};
use super::{Database, IndexError, Known, Row, Rows};
use crate::history::SharedHistory;

/// How long a connection may take to come about.
const PATIENCE_CONNECT: Duration = Duration::from_secs(10);

/// How long an answer may take; then the server is taken for lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// Held by whoever writes, until its transaction ends: "mad hist".
const LOCK: i64 = i64::from_be_bytes(*b"mad hist");

/// How long to wait for others that write. They hold the lock for a hundred runs at a time.
const WAIT: &str = "SET LOCAL lock_timeout = '60s'";

/// The table that holds [`VERSION`].
const CREATE_VERSION: &str = "CREATE TABLE mad_history (version BIGINT NOT NULL);";
const SET_VERSION: &str = "INSERT INTO mad_history (version) VALUES ($1)";
const NEXT_VERSION: &str = "UPDATE mad_history SET version = $1";

/// The version that had no searches yet, and is otherwise the same.
const WITHOUT_TUNINGS: i64 = 2;

#[derive(Debug)]
struct Postgres {
    runtime: Runtime,
    connection: PgConnection,
    /// Server and database, for people.
    place: String,
}

/// Connects, and makes the tables if there are none.
pub(super) fn connect(shared: &SharedHistory) -> Result<Box<dyn Database>, IndexError> {
    // Unheard: of a line of ~/.pgpass that is none it says what is in it.
    let quiet = NoSubscriber::default();
    let read = || PgConnectOptions::from_str(shared.url());
    let options =
        tracing::subscriber::with_default(quiet, read).map_err(|e| IndexError::Server {
            place: "the shared history".to_owned(),
            reason: format!("its URL cannot be understood ({e})"),
            advice: "; characters of a password that mean something in a URL are written %XX",
        })?;
    let mut options = options.disable_statement_logging();
    if options.get_application_name().is_none() {
        options = options.application_name("mad");
    }
    let place = place(&options);
    let build = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = build.map_err(|e| IndexError::Server {
        place: place.clone(),
        reason: e.to_string(),
        advice: "",
    })?;
    let connecting = in_time(PATIENCE_CONNECT, PgConnection::connect_with(&options));
    let connection = runtime.block_on(connecting).map_err(|e| trouble(&place, &e))?;
    let mut postgres = Postgres { runtime, connection, place };
    if !postgres.has_tables()? {
        postgres.wait(make_tables)?;
        // Whoever was first.
        postgres.has_tables()?;
    }
    Ok(Box::new(postgres))
}

impl Postgres {
    fn wait<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, IndexError> {
        let Postgres { runtime, connection, place } = self;
        runtime.block_on(in_time(PATIENCE, work(connection))).map_err(|e| trouble(place, &e))
    }

    /// Whether there are the tables of this version; none are no error, nor are those that only
    /// lack some; others are.
    fn has_tables(&mut self) -> Result<bool, IndexError> {
        let found: Option<i64> = self.wait(version)?;
        match found.map(|found| (found, found.cmp(&VERSION.into()))) {
            None | Some((WITHOUT_TUNINGS, _)) => Ok(false),
            Some((_, std::cmp::Ordering::Equal)) => Ok(true),
            Some((found, std::cmp::Ordering::Greater)) => Err(IndexError::Newer {
                place: self.place.clone(),
                found,
                advice: "update mad on this machine, or ask its own runs: without --history",
            }),
            Some((_, std::cmp::Ordering::Less)) => Err(self.foreign()),
        }
    }

    fn foreign(&self) -> IndexError {
        IndexError::Foreign {
            place: self.place.clone(),
            advice: "make one for it alone: createdb mad",
        }
    }
}

impl Database for Postgres {
    fn place(&self) -> Option<&str> {
        Some(&self.place)
    }

    fn select(&mut self, sql: &str, parameters: &[Cell]) -> Result<Vec<Row>, IndexError> {
        self.wait(async |connection| select(connection, sql, parameters).await)
    }

    fn replace(&mut self, family: &Family, known: &[Known], rows: &Rows) -> Result<(), IndexError> {
        self.wait(async |connection| replace(connection, family, known, rows).await)
    }
}

async fn in_time<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = || std::io::Error::other(format!("no answer for {} s", patience.as_secs()));
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err(late().into()))
}

/// The version of the tables, if there are any.
async fn version(connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    match sqlx::query_scalar("SELECT MAX(version) FROM mad_history").fetch_one(connection).await {
        Err(e) if code(&e).as_deref() == Some("42P01") => Ok(None),
        found => found,
    }
}

async fn make_tables(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut write = begin(connection).await?;
    let there: bool = sqlx::query_scalar("SELECT to_regclass('mad_history') IS NOT NULL")
        .fetch_one(&mut *write)
        .await?;
    let found = if there { version(&mut write).await? } else { None };
    // Texts sort by their bytes, as in SQLite and in Rust.
    let sorted = |tables: &str| tables.replace(" TEXT", " TEXT COLLATE \"C\"");
    let (tables, version) = match found {
        None => (sorted(CREATE_RUNS) + CREATE_VERSION + &sorted(CREATE_TUNINGS), SET_VERSION),
        Some(WITHOUT_TUNINGS) => (sorted(CREATE_TUNINGS), NEXT_VERSION),
        // Another process was faster.
        Some(_) => return write.commit().await,
    };
    write.execute(sqlx::raw_sql(&tables)).await?;
    sqlx::query(version).bind(i64::from(VERSION)).execute(&mut *write).await?;
    write.commit().await
}

/// A transaction that writes: one at a time in the whole database.
async fn begin(
    connection: &mut PgConnection,
) -> Result<Transaction<'_, sqlx::Postgres>, sqlx::Error> {
    let mut write = connection.begin().await?;
    write.execute(WAIT).await?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).persistent(false);
    lock.execute(&mut *write).await?;
    Ok(write)
}

async fn select(
    connection: &mut PgConnection,
    sql: &str,
    parameters: &[Cell],
) -> Result<Vec<Row>, sqlx::Error> {
    // Not kept by the server under a name, which what pools connections may take for another's.
    let mut query = sqlx::query(sql).persistent(false);
    for parameter in parameters {
        query = match parameter {
            Cell::Null => query.bind(None::<String>),
            Cell::Integer(number) => query.bind(number),
            Cell::Real(number) => query.bind(number),
            Cell::Text(text) => query.bind(text),
            Cell::Blob(bytes) => query.bind(bytes),
        };
    }
    query.fetch_all(connection).await?.iter().map(row).collect()
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let cell = |i: usize| {
        let value = row.try_get_raw(i)?;
        let kind = value.type_info().name().to_owned();
        match kind.as_str() {
            _ if value.is_null() => Ok(Cell::Null),
            "INT8" => row.try_get(i).map(Cell::Integer),
            "FLOAT8" => row.try_get(i).map(Cell::Real),
            _ => row.try_get(i).map(Cell::Text),
        }
    };
    Ok(Row::new(
        row.columns().iter().map(|column| cell(column.ordinal())).collect::<Result<_, _>>()?,
    ))
}

async fn replace(
    connection: &mut PgConnection,
    family: &Family,
    known: &[Known],
    rows: &Rows,
) -> Result<(), sqlx::Error> {
    let mut write = begin(connection).await?;
    let hosts: Vec<&str> = known.iter().map(|known| known.host.as_str()).collect();
    let ids: Vec<&str> = known.iter().map(|known| known.id.as_str()).collect();
    let forget = format!(
        "DELETE FROM {parent} USING UNNEST($1, $2) AS gone (host, id) \
         WHERE {parent}.host = gone.host AND {parent}.id = gone.id",
        parent = family[0].name
    );
    let forget = sqlx::query(&forget).bind(hosts).bind(ids).persistent(false);
    forget.execute(&mut *write).await?;
    for (table, rows) in family.iter().zip(rows) {
        let copy = format!("COPY {} ({}) FROM STDIN", table.name, table.columns.join(", "));
        let mut copy = write.copy_in_raw(&copy).await?;
        copy.send(copy_text(rows).as_bytes()).await?;
        copy.finish().await?;
    }
    write.commit().await
}

/// Rows in the text format of COPY.
fn copy_text(rows: &[Vec<Cell>]) -> String {
    let mut text = String::new();
    for row in rows {
        for (i, cell) in row.iter().enumerate() {
            text.push_str(if i > 0 { "\t" } else { "" });
            match cell {
                Cell::Null | Cell::Blob(_) => text.push_str("\\N"),
                Cell::Integer(number) => _ = write!(text, "{number}"),
                // All its digits.
                Cell::Real(number) => _ = write!(text, "{number:?}"),
                Cell::Text(value) => value.chars().for_each(|c| match c {
                    '\\' => text.push_str("\\\\"),
                    '\t' => text.push_str("\\t"),
                    '\n' => text.push_str("\\n"),
                    '\r' => text.push_str("\\r"),
                    // No text of PostgreSQL can hold it.
                    '\0' => text.push('\u{fffd}'),
                    c => text.push(c),
                }),
            }
        }
        text.push('\n');
    }
    text
}

/// Server and database; no user, no password.
fn place(options: &PgConnectOptions) -> String {
    // As in libpq, the database is called like the user if it has no name.
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("the shared history {database} at {}", socket.display()),
        None => format!(
            "the shared history {database} at {}:{}",
            options.get_host(),
            options.get_port()
        ),
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// What a failure means, and what to do. The codes are in appendix A of PostgreSQL's manual.
fn trouble(place: &str, error: &sqlx::Error) -> IndexError {
    let place = place.to_owned();
    let Some(code) = code(error) else {
        return IndexError::Server {
            place,
            reason: error.to_string(),
            advice: "; what was taken in before stays, so ask again once the server answers",
        };
    };
    let message = error.as_database_error().map(|e| e.message().to_owned()).unwrap_or_default();
    let reason = format!("{message} (SQLSTATE {code})");
    let advice = match code.as_str() {
        // The server, or a role of its, is not to write.
        "25006" | "42501" => {
            let advice = "its administrator can grant it: CREATE on the schema the first time, \
                          then SELECT, INSERT and DELETE on the tables";
            return IndexError::Unwritable { place, reason, advice };
        }
        "42P07" => {
            let advice = "it has tables of the same names; make one for mad alone: createdb mad";
            return IndexError::Foreign { place, advice };
        }
        "28P01" | "28000" => {
            "; a password comes from the URL, PGPASSWORD, or a ~/.pgpass that only its owner can \
             read"
        }
        "3D000" => "; make it: createdb mad",
        "55P03" => "; others have been writing for a minute, so ask again",
        "57014" => {
            "; the server gives up on a statement after its statement_timeout: ALTER ROLE … SET \
             statement_timeout"
        }
        "57P01" | "57P02" | "57P03" => {
            "; what was taken in before stays, so ask again once the server answers"
        }
        _ => "",
    };
    IndexError::Server { place, reason, advice }
}
