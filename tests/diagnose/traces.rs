//! Traces as profilers write them: the same workloads in every format, with the columns,
//! keys and tables of the real ones.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

/// Something that ran on the GPU.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) name: &'static str,
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Op {
    pub(crate) fn is_copy(&self) -> bool {
        self.name == COPY
    }
}

const COPY: &str = "MEMORY_COPY_HOST_TO_DEVICE";
const GEMM: &str = "Cijk_Alik_Bljk_BBS_BH_Bias_HAS_SAV_UserArgs_MT256x256x64_MI16x16x1_SN";
const ATTENTION: &str = "void flash_fwd_kernel<Flash_fwd_kernel_traits<128, 64, 64, 4>>(Params)";
const NORM: &str = "void vllm::rms_norm_kernel<c10::BFloat16>(c10::BFloat16*, float, int)";
const ELEMENTWISE: &str = "void at::native::vectorized_elementwise_kernel<4, \
                           at::native::CUDAFunctor_add<float>, std::array<char*, 3ul>>(int)";
const NCCL: &str = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)";

/// The workloads by what holds them back: kernels with their lengths in µs, and the gap
/// after each.
pub(crate) type Workload = (&'static str, &'static [(&'static str, i64)], i64);
pub(crate) const WORKLOADS: [Workload; 5] = [
    ("compute", &[(GEMM, 80), (ELEMENTWISE, 15), (COPY, 2)], 1),
    ("memory", &[(ATTENTION, 40), (NORM, 12), (ELEMENTWISE, 30), (COPY, 10), (GEMM, 20)], 1),
    ("communication", &[(GEMM, 80), (NCCL, 60)], 1),
    ("launch", &[(GEMM, 4), (ELEMENTWISE, 3), (NORM, 2)], 20),
    ("mixed", &[(GEMM, 50), (ATTENTION, 25), (ELEMENTWISE, 25)], 1),
];

/// The operations of a workload, in order.
pub(crate) fn ops(workload: &str) -> Vec<Op> {
    let (_, kernels, gap) = WORKLOADS.iter().find(|w| w.0 == workload).expect("a workload");
    let mut at = 2_414_192_765_353_337;
    let mut ops = Vec::new();
    for _ in 0..60 {
        for (name, us) in *kernels {
            ops.push(Op { name, start: at, end: at + us * 1000 });
            at += (us + gap) * 1000;
        }
    }
    ops
}

/// Every format: what writes it, and whether it has the times of single kernels.
pub(crate) type Writer = fn(&Path, &[Op]) -> PathBuf;
pub(crate) const FORMATS: [(&str, Writer); 14] = [
    ("rocpd", rocpd),
    ("rocpd, timestamps apart", rocpd_timestamps),
    ("Nsight Systems SQLite", nsight_sqlite),
    ("rocm_trace_lite database", rtl_database),
    ("RPD database", rpd),
    ("rocprofv3 trace CSV", rocprofv3_trace),
    ("Nsight Systems trace CSV", nsight_trace),
    ("chrome trace, PyTorch", pytorch),
    ("chrome trace, PyTorch, gzip", pytorch_gzip),
    ("chrome trace, rocm_trace_lite", rtl_chrome),
    ("chrome trace, rpd2tracing", rpd_chrome),
    ("rocprofv3 stats CSV", rocprofv3_stats),
    ("nsys stats CSV", nsight_stats),
    ("rocm_trace_lite summary", rtl_summary),
];

fn sums(ops: &[Op]) -> Vec<(&'static str, i64, i64)> {
    let mut sums: Vec<(&'static str, i64, i64)> = Vec::new();
    for op in ops {
        let length = op.end - op.start;
        match sums.iter_mut().find(|s| s.0 == op.name) {
            Some(sum) => (sum.1, sum.2) = (sum.1 + 1, sum.2 + length),
            None => sums.push((op.name, 1, length)),
        }
    }
    sums.sort_by_key(|s| -s.2);
    sums
}

pub(crate) fn write(path: PathBuf, text: impl AsRef<[u8]>) -> PathBuf {
    fs::write(&path, text).expect("a file");
    path
}

pub(crate) fn rocprofv3_trace(dir: &Path, ops: &[Op]) -> PathBuf {
    let dir = dir.join("rocprof_output/host");
    fs::create_dir_all(&dir).expect("a directory");
    let mut kernels = "\"Kind\",\"Agent_Id\",\"Queue_Id\",\"Stream_Id\",\"Thread_Id\",\
        \"Dispatch_Id\",\"Kernel_Id\",\"Kernel_Name\",\"Correlation_Id\",\"Start_Timestamp\",\
        \"End_Timestamp\",\"Private_Segment_Size\",\"Group_Segment_Size\",\"Workgroup_Size_X\",\
        \"Workgroup_Size_Y\",\"Workgroup_Size_Z\",\"Grid_Size_X\",\"Grid_Size_Y\",\"Grid_Size_Z\"\n"
        .to_owned();
    let mut copies = "\"Kind\",\"Direction\",\"Stream_Id\",\"Source_Agent_Id\",\
        \"Destination_Agent_Id\",\"Correlation_Id\",\"Start_Timestamp\",\"End_Timestamp\"\n"
        .to_owned();
    for (i, op) in ops.iter().enumerate() {
        let (name, start, end) = (op.name, op.start, op.end);
        if op.is_copy() {
            let _ = writeln!(
                copies,
                "\"MEMORY_COPY\",\"{name}\",1,\"Agent 0\",\"Agent 4\",{i},{start},{end}"
            );
        } else {
            let _ = writeln!(
                kernels,
                "\"KERNEL_DISPATCH\",\"Agent 4\",1,1,21228,{i},11,\"{name}\",{i},{start},{end},0,0,64,1,1,1024,1,1"
            );
        }
    }
    write(dir.join("4711_memory_copy_trace.csv"), copies);
    write(dir.join("4711_agent_info.csv"), "\"Node_Id\",\"Agent_Type\"\n0,\"CPU\"\n");
    write(dir.join("4711_kernel_trace.csv"), kernels);
    dir.parent().expect("the output").to_owned()
}

pub(crate) fn rocprofv3_stats(dir: &Path, ops: &[Op]) -> PathBuf {
    let dir = dir.join("stats");
    fs::create_dir_all(&dir).expect("a directory");
    let header = "\"Name\",\"Calls\",\"TotalDurationNs\",\"AverageNs\",\"Percentage\",\"MinNs\",\
                  \"MaxNs\",\"StdDev\"\n";
    let (mut kernels, mut copies) = (header.to_owned(), header.to_owned());
    for (name, calls, total) in sums(ops) {
        let mean = total as f64 / calls as f64;
        let row = format!("\"{name}\",{calls},{total},{mean:.6},1.00,1,2,0.000000\n");
        if name == COPY { &mut copies } else { &mut kernels }.push_str(&row);
    }
    let api = format!("{header}\"hipLaunchKernel\",500,900000000,1800000.0,99.0,1,2,0.0\n");
    let domains = format!("{header}\"KERNEL_DISPATCH\",500,900000,1800.0,99.0,1,2,0.0\n");
    write(dir.join("1_kernel_stats.csv"), kernels);
    write(dir.join("1_memory_copy_stats.csv"), copies);
    write(dir.join("1_hip_api_stats.csv"), api);
    write(dir.join("1_domain_stats.csv"), domains);
    dir
}

pub(crate) fn nsight_stats(dir: &Path, ops: &[Op]) -> PathBuf {
    let mut text = "Generating SQLite file report.sqlite from report.nsys-rep\n\
        Processing [report.sqlite] with [cuda_api_sum.py]... \n\n\
        \"Time (%)\",\"Total Time (ns)\",\"Num Calls\",\"Avg (ns)\",\"Med (ns)\",\"Min (ns)\",\
        \"Max (ns)\",\"StdDev (ns)\",\"Name\"\n\
        66.7,900000000,500,1800000.0,1.0,1,2,0.0,cudaLaunchKernel\n\n\
        Processing [report.sqlite] with [cuda_gpu_kern_sum.py]... \n\n\
        \"Time (%)\",\"Total Time (ns)\",\"Instances\",\"Avg (ns)\",\"Med (ns)\",\"Min (ns)\",\
        \"Max (ns)\",\"StdDev (ns)\",\"Name\"\n"
        .to_owned();
    let mut copies = "\n\"Time (%)\",\"Total Time (ns)\",\"Count\",\"Avg (ns)\",\"Med (ns)\",\
        \"Min (ns)\",\"Max (ns)\",\"StdDev (ns)\",\"Operation\"\n"
        .to_owned();
    for (name, calls, total) in sums(ops) {
        if name == COPY {
            let _ = writeln!(
                copies,
                "99.0,{total},{calls},1.0,1.0,1,2,0.0,[CUDA memcpy Host-to-Device]"
            );
        } else {
            let _ = writeln!(text, "9.1,\"{total}\",{calls},1.0,1.0,1,2,0.0,\"{name}\"");
        }
    }
    write(dir.join("nsys.txt"), text + &copies)
}

pub(crate) fn nsight_trace(dir: &Path, ops: &[Op]) -> PathBuf {
    let mut text = "\"Start (ns)\",\"Duration (ns)\",\"CorrId\",\"GrdX\",\"GrdY\",\"GrdZ\",\"BlkX\",\
        \"BlkY\",\"BlkZ\",\"Reg/Trd\",\"StcSMem (MB)\",\"DymSMem (MB)\",\"Bytes (MB)\",\
        \"Throughput (MB/s)\",\"SrcMemKd\",\"DstMemKd\",\"Device\",\"Ctx\",\"GreenCtx\",\"Strm\",\"Name\"\n"
        .to_owned();
    for op in ops {
        let (start, length) = (op.start, op.end - op.start);
        let name = if op.is_copy() { "[CUDA memcpy Host-to-Device]" } else { op.name };
        let _ = writeln!(
            text,
            "{start},{length},117,4,1,1,64,1,1,16,0.0,0.0,,,,,NVIDIA H100 80GB HBM3 (0),1,,7,\"{name}\""
        );
    }
    write(dir.join("gputrace.csv"), text)
}

pub(crate) fn rtl_summary(dir: &Path, ops: &[Op]) -> PathBuf {
    let mut text = format!("Trace: trace.db ({} GPU ops)\n\n", ops.len());
    let heads = ("Kernel", "Calls", "Total(us)", "Avg(us)", "%");
    let _ = writeln!(
        text,
        "{:<60} {:>6} {:>10} {:>8} {:>6}",
        heads.0, heads.1, heads.2, heads.3, heads.4
    );
    let _ = writeln!(text, "{}", "=".repeat(96));
    let all: i64 = ops.iter().map(|op| op.end - op.start).sum();
    for (name, calls, total) in sums(ops) {
        let name = if name.len() > 60 { format!("{}...", &name[..57]) } else { name.to_owned() };
        let (us, mean) = (total as f64 / 1e3, total as f64 / 1e3 / calls as f64);
        let share = 100.0 * total as f64 / all as f64;
        let _ = writeln!(text, "{name:<60} {calls:>6} {us:>10.1} {mean:>8.1} {share:>6.1}");
    }
    let wall = ops[ops.len() - 1].end - ops[0].start;
    let share = (10_000.0 * all as f64 / wall as f64).round() / 100.0;
    let (busy, wall) = (all as f64 / 1e6, wall as f64 / 1e6);
    let n = ops.len();
    let _ = write!(
        text,
        "\nGPU Utilization:\n  GPU 0: {share}% ({n} ops, {busy:.1}ms busy, {wall:.1}ms wall)"
    );
    write(dir.join("trace_summary.txt"), text)
}

/// The events of Kineto: host events before and between those of the GPU.
pub(crate) fn pytorch_events(ops: &[Op]) -> Value {
    let base = ops[0].start / 1000 - 5000;
    let mut events = vec![
        json!({"name": "process_name", "ph": "M", "ts": base, "pid": 0, "tid": 0,
               "args": {"name": "python", "labels": "GPU 0"}}),
        json!({"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#1", "pid": 4711,
               "tid": 4711, "ts": base, "dur": 900000.5, "args": {"External id": 1}}),
    ];
    for (i, op) in ops.iter().enumerate() {
        let (ts, dur) = (op.start as f64 / 1e3, (op.end - op.start) as f64 / 1e3);
        events.push(json!({"ph": "X", "cat": "cuda_runtime", "name": "hipLaunchKernel",
            "pid": 4711, "tid": 4711, "ts": ts - 20.0, "dur": 4.1,
            "args": {"External id": i, "cbid": 211, "correlation": i}}));
        let (cat, name) = match op.is_copy() {
            true => ("gpu_memcpy", "Memcpy HtoD (Host -> Device)"),
            false => ("kernel", op.name),
        };
        events.push(json!({"ph": "X", "cat": cat, "name": name, "pid": 0, "tid": 7, "ts": ts,
            "dur": dur, "args": {"External id": i, "queued": 0, "device": 0, "context": 1,
            "stream": 7, "correlation": i, "grid": [256, 1, 1], "block": [512, 1, 1]}}));
        events.push(json!({"ph": "f", "id": i, "pid": 0, "tid": 7, "ts": ts, "cat": "ac2g",
            "name": "ac2g", "bp": "e"}));
    }
    // They are not in order, and a step that holds kernels is no kernel.
    events.rotate_left(7);
    events.push(json!({"ph": "X", "cat": "gpu_user_annotation", "name": "ProfilerStep#1",
        "pid": 0, "tid": 7, "ts": base, "dur": 900000}));
    events.push(json!({"name": "Record Window End", "ph": "i", "s": "g", "pid": "", "tid": "",
        "ts": base}));
    json!({"schemaVersion": 1,
           "deviceProperties": [{"id": 0, "name": "AMD Instinct MI300X", "numSms": 304}],
           "displayTimeUnit": "ms", "baseTimeNanoseconds": 0, "traceEvents": events,
           "traceName": "trace.json"})
}

pub(crate) fn pytorch(dir: &Path, ops: &[Op]) -> PathBuf {
    write(
        dir.join("host_4711.1719428393012345.pt.trace.json"),
        format!("{:#}", pytorch_events(ops)),
    )
}

pub(crate) fn pytorch_gzip(dir: &Path, ops: &[Op]) -> PathBuf {
    // By content, not by name.
    let path = dir.join("trace.bin");
    let mut file = GzEncoder::new(File::create(&path).expect("a file"), Compression::fast());
    file.write_all(pytorch_events(ops).to_string().as_bytes()).expect("written");
    file.finish().expect("written");
    path
}

pub(crate) fn rtl_chrome(dir: &Path, ops: &[Op]) -> PathBuf {
    let mut events = vec![
        json!({"name": "process_name", "ph": "M", "pid": 0, "tid": 0, "args": {"name": "GPU 0"}}),
    ];
    for op in ops {
        let (cat, name) = match op.is_copy() {
            true => ("CopyDeviceToDevice", "CopyDeviceToDevice:4096"),
            false => ("KernelExecution", op.name),
        };
        events.push(json!({"name": &name[..name.len().min(20)], "cat": cat, "ph": "X", "pid": 0,
            "tid": 0, "ts": (op.start - ops[0].start) as f64 / 1000.0,
            "dur": (op.end - op.start) as f64 / 1000.0,
            "args": {"full_name": name, "gpu": 0, "queue": 1}}));
        events.push(json!({"name": "hipLaunchKernel", "cat": "hip_api", "ph": "X",
            "pid": 1004711, "tid": 1, "ts": 0.0, "dur": 5.0, "args": {"api_args": ""}}));
    }
    write(dir.join("rtl.json"), json!({"traceEvents": events}).to_string())
}

/// Every number as text, no category, and the kernel in `args.desc`.
pub(crate) fn rpd_chrome(dir: &Path, ops: &[Op]) -> PathBuf {
    let mut text = "{\"traceEvents\": [ {}\n".to_owned();
    text += ",{\"name\": \"process_name\", \"ph\": \"M\", \"pid\":\"0\",\"args\":{\"name\":\"GPU0\"}}\n";
    for op in ops {
        let (kind, desc) = match op.is_copy() {
            true => ("CopyHostToDevice", ""),
            false => ("KernelExecution", op.name),
        };
        let (ts, dur) = (op.start as f64 / 1e3, (op.end - op.start) as f64 / 1e3);
        let _ = writeln!(
            text,
            ",{{\"pid\":\"0\",\"tid\":\"1\",\"name\":\"{kind}\",\"ts\":\"{ts}\",\"dur\":\"{dur}\",\
             \"ph\":\"X\",\"args\":{{\"desc\":\"{desc}\"}}}}\n,{{\"pid\":\"77\",\"tid\":\"3\",\
             \"name\":\"hipLaunchKernel\",\"ts\":\"{ts}\",\"dur\":\"5\",\"ph\":\"X\",\
             \"args\":{{\"desc\":\"kernel\"}}}}"
        );
    }
    write(dir.join("trace.json"), text + "]}\n")
}

fn database(path: &Path, schema: &str) -> Connection {
    let db = Connection::open(path).expect("a database");
    db.execute_batch(schema).expect("a schema");
    db
}

pub(crate) const UUID: &str = "_0000a1b2_c3d4_7e5f_8a9b_0c1d2e3f4a5b";

/// The tables of rocprofv3 with times in the rows.
pub(crate) fn rocpd(dir: &Path, ops: &[Op]) -> PathBuf {
    let path = dir.join("4711_results.db");
    let schema = "
        CREATE TABLE `rocpd_metadata{u}` (id INTEGER PRIMARY KEY, tag TEXT, value TEXT);
        INSERT INTO `rocpd_metadata{u}` (tag, value) VALUES ('schema_version', '3');
        CREATE TABLE `rocpd_string{u}` (id INTEGER PRIMARY KEY, guid TEXT, string TEXT UNIQUE);
        CREATE TABLE `rocpd_info_kernel_symbol{u}` (id INTEGER PRIMARY KEY, guid TEXT, nid INTEGER,
            pid INTEGER, code_object_id INTEGER, kernel_name TEXT, display_name TEXT);
        CREATE TABLE `rocpd_kernel_dispatch{u}` (id INTEGER PRIMARY KEY, guid TEXT, nid INTEGER,
            pid INTEGER, tid INTEGER, agent_id INTEGER, kernel_id INTEGER, dispatch_id INTEGER,
            queue_id INTEGER, stream_id INTEGER, start BIGINT, \"end\" BIGINT, event_id INTEGER);
        CREATE TABLE `rocpd_memory_copy{u}` (id INTEGER PRIMARY KEY, guid TEXT, nid INTEGER,
            pid INTEGER, tid INTEGER, start BIGINT, \"end\" BIGINT, name_id INTEGER,
            dst_agent_id INTEGER, src_agent_id INTEGER, size INTEGER);
        CREATE VIEW `rocpd_kernel_dispatch` AS SELECT * FROM `rocpd_kernel_dispatch{u}`;
        CREATE VIEW `rocpd_memory_copy` AS SELECT * FROM `rocpd_memory_copy{u}`;";
    let db = database(&path, &schema.replace("{u}", UUID));
    rocpd_rows(&db, ops, |db, op, id, name| {
        let sql = match op.is_copy() {
            true => format!(
                "INSERT INTO `rocpd_memory_copy{UUID}` (id, start, \"end\", name_id, dst_agent_id, src_agent_id, size) VALUES (?1, ?2, ?3, ?4, 4, 0, 64)"
            ),
            false => format!(
                "INSERT INTO `rocpd_kernel_dispatch{UUID}` (id, start, \"end\", kernel_id, agent_id) VALUES (?1, ?2, ?3, ?4, 4)"
            ),
        };
        db.execute(&sql, params![id, op.start, op.end, name]).expect("a row");
    });
    path
}

/// The tables of rocprofv3 with times in a table of their own.
pub(crate) fn rocpd_timestamps(dir: &Path, ops: &[Op]) -> PathBuf {
    let path = dir.join("4712_results.db");
    let schema = "
        CREATE TABLE `rocpd_metadata{u}` (id INTEGER PRIMARY KEY, tag TEXT, value TEXT);
        INSERT INTO `rocpd_metadata{u}` (tag, value) VALUES ('schema_version', '4.0.0');
        CREATE TABLE `rocpd_string{u}` (id INTEGER PRIMARY KEY, guid TEXT, string TEXT UNIQUE);
        CREATE TABLE `rocpd_info_kernel_symbol{u}` (id INTEGER PRIMARY KEY, kernel_name TEXT,
            display_name TEXT);
        CREATE TABLE `rocpd_track{u}` (id INTEGER PRIMARY KEY, agent_id INTEGER, queue_id INTEGER);
        INSERT INTO `rocpd_track{u}` VALUES (1, 4, 1);
        CREATE TABLE `rocpd_timestamp{u}` (id INTEGER PRIMARY KEY, value BIGINT, phase INTEGER,
            track_id INTEGER);
        CREATE TABLE `rocpd_kernel_dispatch{u}` (id INTEGER PRIMARY KEY, track_id INTEGER,
            kernel_id INTEGER, start_id INTEGER, end_id INTEGER);
        CREATE TABLE `rocpd_memory_copy{u}` (id INTEGER PRIMARY KEY, track_id INTEGER,
            start_id INTEGER, end_id INTEGER, name_id INTEGER, dst_agent_id INTEGER,
            src_agent_id INTEGER, size INTEGER);";
    let db = database(&path, &schema.replace("{u}", UUID));
    rocpd_rows(&db, ops, |db, op, id, name| {
        for (i, (value, phase)) in [(op.start, 1), (op.end, 2)].into_iter().enumerate() {
            let sql = format!("INSERT INTO `rocpd_timestamp{UUID}` VALUES (?1, ?2, ?3, 1)");
            db.execute(&sql, params![2 * id + i as i64, value, phase]).expect("a row");
        }
        let sql = match op.is_copy() {
            true => format!(
                "INSERT INTO `rocpd_memory_copy{UUID}` VALUES (?1, 1, ?2, ?3, ?4, 4, 0, 64)"
            ),
            false => format!(
                "INSERT INTO `rocpd_kernel_dispatch{UUID}` (id, track_id, start_id, end_id, kernel_id) VALUES (?1, 1, ?2, ?3, ?4)"
            ),
        };
        db.execute(&sql, params![id, 2 * id, 2 * id + 1, name]).expect("a row");
    });
    path
}

fn rocpd_rows(db: &Connection, ops: &[Op], row: impl Fn(&Connection, &Op, i64, i64)) {
    db.execute_batch("BEGIN").expect("begun");
    for (id, (name, ..)) in sums(ops).iter().enumerate() {
        let id = id as i64 + 1;
        let sql = format!("INSERT INTO `rocpd_string{UUID}` (id, string) VALUES (?1, ?2)");
        db.execute(&sql, params![id, name]).expect("a row");
        let sql = format!(
            "INSERT INTO `rocpd_info_kernel_symbol{UUID}` (id, kernel_name, display_name) VALUES (?1, ?2, ?2)"
        );
        db.execute(&sql, params![id, name]).expect("a row");
    }
    let names = sums(ops);
    for (id, op) in ops.iter().enumerate() {
        let name = names.iter().position(|n| n.0 == op.name).expect("a name") as i64 + 1;
        row(db, op, id as i64 + 1, name);
    }
    db.execute_batch("COMMIT").expect("written");
}

pub(crate) fn rtl_database(dir: &Path, ops: &[Op]) -> PathBuf {
    let path = dir.join("trace.db");
    let db = database(
        &path,
        "PRAGMA journal_mode=WAL;
         CREATE TABLE rocpd_string (id INTEGER PRIMARY KEY, string TEXT UNIQUE);
         CREATE TABLE rocpd_op (id INTEGER PRIMARY KEY, gpuId INTEGER, queueId INTEGER,
            sequenceId INTEGER, completionSignal TEXT, start INTEGER, end INTEGER,
            description_id INTEGER REFERENCES rocpd_string(id),
            opType_id INTEGER REFERENCES rocpd_string(id), roctxId INTEGER DEFAULT 0);",
    );
    rpd_rows(&db, ops);
    // A region of the host, as it keeps them.
    db.execute_batch(
        "INSERT INTO rocpd_op (gpuId, queueId, start, end, description_id, opType_id)
         SELECT -1, 0, min(start), max(end), 1, 1 FROM rocpd_op;",
    )
    .expect("a region");
    path
}

pub(crate) fn rpd(dir: &Path, ops: &[Op]) -> PathBuf {
    let path = dir.join("trace.rpd");
    let db = database(
        &path,
        r#"CREATE TABLE "rocpd_metadata" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "tag" varchar(4096) NOT NULL, "value" varchar(4096) NOT NULL);
           INSERT INTO "rocpd_metadata"(tag, value) VALUES ('schema_version', '3');
           CREATE TABLE "rocpd_string" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "string" varchar(4096) NOT NULL);
           CREATE TABLE "rocpd_op" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "gpuId" integer NOT NULL, "queueId" integer NOT NULL, "sequenceId" integer NOT NULL, "start" integer NOT NULL, "end" integer NOT NULL, "description_id" bigint NOT NULL REFERENCES "rocpd_string" ("id") DEFERRABLE INITIALLY DEFERRED, "opType_id" bigint NOT NULL REFERENCES "rocpd_string" ("id") DEFERRABLE INITIALLY DEFERRED);"#,
    );
    rpd_rows(&db, ops);
    path
}

fn rpd_rows(db: &Connection, ops: &[Op]) {
    db.execute_batch("BEGIN").expect("begun");
    let text = |text: &str| -> i64 {
        db.execute(
            "INSERT INTO rocpd_string (string) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM rocpd_string WHERE string = ?1)",
            [text],
        )
        .expect("a text");
        db.query_row("SELECT id FROM rocpd_string WHERE string = ?1", [text], |row| row.get(0))
            .expect("an id")
    };
    for op in ops {
        let (name, kind) = match op.is_copy() {
            true => (text(""), text("CopyHostToDevice")),
            false => (text(op.name), text("KernelExecution")),
        };
        let sql = "INSERT INTO rocpd_op (gpuId, queueId, sequenceId, start, end, description_id, opType_id) VALUES (2, 1, 0, ?1, ?2, ?3, ?4)";
        db.execute(sql, params![op.start, op.end, name, kind]).expect("a row");
        // A barrier covers what is around it.
        let barrier = text("Barrier");
        db.execute(sql, params![op.start, op.end + 100_000, text(""), barrier]).expect("a row");
    }
    db.execute_batch("COMMIT").expect("written");
}

pub(crate) fn nsight_sqlite(dir: &Path, ops: &[Op]) -> PathBuf {
    let path = dir.join("report.sqlite");
    let db = database(
        &path,
        "CREATE TABLE META_DATA_EXPORT (name TEXT, value TEXT);
         INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_SCHEMA_VERSION', '3.15.1');
         CREATE TABLE StringIds (id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL);
         CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER, end INTEGER, eventClass INTEGER,
            globalTid INTEGER, correlationId INTEGER, nameId INTEGER, returnValue INTEGER);
         CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER NOT NULL, end INTEGER NOT NULL,
            deviceId INTEGER NOT NULL, contextId INTEGER, streamId INTEGER, correlationId INTEGER,
            globalPid INTEGER, demangledName INTEGER NOT NULL, shortName INTEGER NOT NULL,
            gridX INTEGER, gridY INTEGER, gridZ INTEGER);
         CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY (start INTEGER NOT NULL, end INTEGER NOT NULL,
            deviceId INTEGER NOT NULL, contextId INTEGER, streamId INTEGER, correlationId INTEGER,
            globalPid INTEGER, bytes INTEGER, copyKind INTEGER NOT NULL);
         BEGIN;",
    );
    for (id, (name, ..)) in sums(ops).iter().enumerate() {
        db.execute("INSERT INTO StringIds VALUES (?1, ?2)", params![id as i64 + 1, name])
            .expect("a row");
    }
    let names = sums(ops);
    for op in ops {
        let name = names.iter().position(|n| n.0 == op.name).expect("a name") as i64 + 1;
        if op.is_copy() {
            db.execute("INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY VALUES (?1, ?2, 0, 1, 7, 1, 1, 64, 1)", params![op.start, op.end])
        } else {
            db.execute(
                "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (?1, ?2, 0, 1, 7, 1, 1, ?3, ?3, 1, 1, 1)",
                params![op.start, op.end, name],
            )
        }
        .expect("a row");
    }
    db.execute_batch("COMMIT").expect("written");
    path
}

/// What NCCL logs on eight ranks, two nodes, without RDMA.
pub(crate) const NCCL_LOG: &str = "\
starting
host:21:21 [0] NCCL INFO Bootstrap : Using eth0:10.0.0.1<0>
host:21:31 [0] NCCL INFO ncclCommInitRank comm 0xaef8a00 rank 0 nranks 8 cudaDev 0 busId 1000 commId 0x5ea - Init START
host:21:31 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM/read
host:21:31 [0] NCCL INFO Channel 01/0 : 0[0] -> 1[1] via SHM/direct/direct
host:21:31 [0] NCCL INFO Channel 00/0 : 7[7] -> 0[0] [receive] via NET/Socket/0
host:21:31 [0] NCCL INFO Channel 01/0 : 7[7] -> 0[0] [receive] via NET/IB/3/GDRDMA
host:21:21 [0] NCCL INFO AllReduce: opCount 3 sendbuff 0x7f8bccf79600 recvbuff 0x7f8bccf79600 count 1048576 datatype 9 op 0 root 0 comm 0xaef8a00 [nranks=8] stream 0xac16b80 task 0 globalrank 0
host:21:21 [0] NCCL INFO AllReduce: opCount 4 sendbuff 0x7f8bccf79600 recvbuff 0x7f8bccf79600 count 1024 datatype 7 op 0 root 0 comm 0xaef8a00 [nranks=8] stream 0xac16b80 task 0 globalrank 0
host:21:21 [0] NCCL INFO AllGather: opCount 5 sendbuff 0x7f8bccf79600 recvbuff 0x7f8bccf79600 count 64 datatype 0 op 0 root 0 comm 0xaef8a00 [nranks=8] stream 0xac16b80
host:21:31 [0] transport/net_ib.cc:123 NCCL WARN NET/IB : No device found.
step 1 done
";
