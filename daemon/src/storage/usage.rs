//! What was used and what it cost: counters per model and day, not a row per request.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use airunner_core::usage::{Usage, UsageEvent};
use airunner_core::{Fault, ModelName};
use rusqlite::{Connection, Row, params};

use super::numbers::{day, duration, milliseconds, moment, signed, time, unsigned};
use super::thread::Storage;

/// Bounds of what one event may claim, so that sums never overflow whatever a worker reports.
const TOKENS_MAX: u64 = 1 << 32;
const TIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const BYTES_MAX: u64 = 1 << 50;
/// Longest reason kept, bytes.
const REASON_MAX: usize = 64;

/// Events added up, to be written together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageBatch {
    days: BTreeMap<(ModelName, i64), Counters>,
    latest: BTreeMap<ModelName, Latest>,
}

/// Of one model on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counters {
    loads: u64,
    failed_loads: u64,
    load_time: Duration,
    peak_bytes: u64,
    requests: u64,
    failed_requests: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    busy: Duration,
    unloads: BTreeMap<String, u64>,
}

/// Of one model, whatever the day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Latest {
    used: Option<SystemTime>,
    load: Option<Duration>,
}

impl UsageBatch {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.latest.is_empty()
    }

    pub fn add(&mut self, event: &UsageEvent, at: SystemTime) {
        match event {
            UsageEvent::Loaded { model, took } => {
                let took = (*took).min(TIME_MAX);
                let counters = self.counters(model, at);
                counters.loads += 1;
                counters.load_time += took;
                self.latest.entry(model.clone()).or_default().load = Some(took);
            }
            UsageEvent::LoadFailed { model } => self.counters(model, at).failed_loads += 1,
            UsageEvent::Unloaded {
                model,
                reason,
                peak_bytes,
            } => {
                let counters = self.counters(model, at);
                counters.peak_bytes = counters.peak_bytes.max((*peak_bytes).min(BYTES_MAX));
                *counters.unloads.entry(class(reason)).or_default() += 1;
            }
            UsageEvent::Answered {
                model,
                prompt_tokens,
                completion_tokens,
                busy,
                failed,
            } => {
                let counters = self.counters(model, at);
                counters.requests += 1;
                counters.failed_requests += u64::from(*failed);
                counters.prompt_tokens += (*prompt_tokens).min(TOKENS_MAX);
                counters.completion_tokens += (*completion_tokens).min(TOKENS_MAX);
                counters.busy += (*busy).min(TIME_MAX);
                let latest = self.latest.entry(model.clone()).or_default();
                latest.used = latest.used.max(Some(at));
            }
        }
    }

    /// Takes up what came before.
    pub fn add_earlier(&mut self, earlier: Self) {
        for (key, old) in earlier.days {
            self.days.entry(key).or_default().add(old);
        }
        for (model, old) in earlier.latest {
            let latest = self.latest.entry(model).or_default();
            latest.used = latest.used.max(old.used);
            latest.load = latest.load.or(old.load);
        }
    }

    /// Drops everything of one model.
    pub fn forget(&mut self, model: &ModelName) {
        self.days.retain(|(name, _), _| name != model);
        self.latest.remove(model);
    }

    fn counters(&mut self, model: &ModelName, at: SystemTime) -> &mut Counters {
        self.days.entry((model.clone(), day(at))).or_default()
    }
}

impl Counters {
    fn add(&mut self, other: Self) {
        self.loads += other.loads;
        self.failed_loads += other.failed_loads;
        self.load_time += other.load_time;
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
        self.requests += other.requests;
        self.failed_requests += other.failed_requests;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.busy += other.busy;
        for (reason, count) in other.unloads {
            *self.unloads.entry(reason).or_default() += count;
        }
    }
}

/// Without what the reason was about: `evicted_for:tiny` is `evicted_for`.
fn class(reason: &str) -> String {
    let class = reason.split(':').next().unwrap_or(reason);
    class.chars().take(REASON_MAX).collect()
}

impl Storage {
    /// Adds to what is counted already.
    pub async fn record_usage(&self, batch: UsageBatch) -> Result<(), Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            for ((model, day), counters) in &batch.days {
                add(&transaction, model, *day, counters)?;
            }
            for (model, latest) in &batch.latest {
                keep(&transaction, model, latest)?;
            }
            transaction.commit()
        })
        .await
    }

    /// Of the days since then, the first of them completely; the model last used comes first.
    pub async fn usage(&self, since: SystemTime) -> Result<Vec<Usage>, Fault> {
        self.call(move |connection| {
            let mut statement = connection.prepare(
                "SELECT days.model, sum(loads), sum(failed_loads), sum(load_ms), sum(requests), \
                 sum(failed_requests), sum(prompt_tokens), sum(completion_tokens), sum(busy_ms), \
                 (SELECT max(peak_bytes) FROM usage_days AS ever WHERE ever.model = days.model), \
                 last_used_at_ms, last_load_ms \
                 FROM usage_days AS days LEFT JOIN usage_models ON usage_models.model = days.model \
                 WHERE day >= ?1 GROUP BY days.model ORDER BY last_used_at_ms DESC NULLS LAST, days.model",
            )?;
            let rows = statement.query_map([day(since)], read)?;
            let mut all: Vec<Usage> = rows
                .filter_map(Result::transpose)
                .collect::<rusqlite::Result<_>>()?;
            for usage in &mut all {
                usage.unloads = unloads(connection, &usage.model, day(since))?;
            }
            Ok(all)
        })
        .await
    }

    /// The models with the most requests on the days since then, the most used first.
    pub async fn most_used(&self, count: usize, since: SystemTime) -> Result<Vec<ModelName>, Fault> {
        self.call(move |connection| {
            let mut statement = connection.prepare(
                "SELECT days.model FROM usage_days AS days \
                 LEFT JOIN usage_models ON usage_models.model = days.model \
                 WHERE day >= ?1 GROUP BY days.model HAVING sum(requests) > 0 \
                 ORDER BY sum(requests) DESC, last_used_at_ms DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![day(since), signed(count as u64)], |row| {
                let name: String = row.get(0)?;
                Ok(ModelName::new(&name).ok())
            })?;
            rows.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// Drops what is counted of one model.
    pub async fn forget_usage(&self, model: ModelName) -> Result<(), Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            for table in ["usage_days", "usage_unloads", "usage_models"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE model = ?1"), [model.as_str()])?;
            }
            transaction.commit()
        })
        .await
    }
}

fn add(connection: &Connection, model: &ModelName, day: i64, counters: &Counters) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO usage_days (model, day, loads, failed_loads, load_ms, peak_bytes, requests, \
         failed_requests, prompt_tokens, completion_tokens, busy_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
         ON CONFLICT (model, day) DO UPDATE SET loads = loads + excluded.loads, \
         failed_loads = failed_loads + excluded.failed_loads, load_ms = load_ms + excluded.load_ms, \
         peak_bytes = max(peak_bytes, excluded.peak_bytes), requests = requests + excluded.requests, \
         failed_requests = failed_requests + excluded.failed_requests, \
         prompt_tokens = prompt_tokens + excluded.prompt_tokens, \
         completion_tokens = completion_tokens + excluded.completion_tokens, \
         busy_ms = busy_ms + excluded.busy_ms",
        params![
            model.as_str(),
            day,
            signed(counters.loads),
            signed(counters.failed_loads),
            milliseconds(counters.load_time),
            signed(counters.peak_bytes),
            signed(counters.requests),
            signed(counters.failed_requests),
            signed(counters.prompt_tokens),
            signed(counters.completion_tokens),
            milliseconds(counters.busy),
        ],
    )?;
    for (reason, count) in &counters.unloads {
        connection.execute(
            "INSERT INTO usage_unloads (model, day, reason, count) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (model, day, reason) DO UPDATE SET count = count + excluded.count",
            params![model.as_str(), day, reason, signed(*count)],
        )?;
    }
    Ok(())
}

fn keep(connection: &Connection, model: &ModelName, latest: &Latest) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO usage_models (model, last_used_at_ms, last_load_ms) VALUES (?1, ?2, ?3) \
         ON CONFLICT (model) DO UPDATE SET \
         last_used_at_ms = coalesce(max(last_used_at_ms, excluded.last_used_at_ms), \
         excluded.last_used_at_ms, last_used_at_ms), \
         last_load_ms = coalesce(excluded.last_load_ms, last_load_ms)",
        params![
            model.as_str(),
            latest.used.map(moment),
            latest.load.map(milliseconds)
        ],
    )?;
    Ok(())
}

/// `None` for a row whose name is none.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<Usage>> {
    let name: String = row.get(0)?;
    let Ok(model) = ModelName::new(&name) else {
        return Ok(None);
    };
    let count = |index| row.get(index).map(unsigned);
    Ok(Some(Usage {
        model,
        loads: count(1)?,
        failed_loads: count(2)?,
        load_time: duration(row.get(3)?),
        requests: count(4)?,
        failed_requests: count(5)?,
        prompt_tokens: count(6)?,
        completion_tokens: count(7)?,
        busy_time: duration(row.get(8)?),
        peak_memory_bytes: count(9)?,
        last_used: row.get::<_, Option<i64>>(10)?.map(time),
        last_load_time: row.get::<_, Option<i64>>(11)?.map(duration),
        unloads: Vec::new(),
    }))
}

fn unloads(connection: &Connection, model: &ModelName, since: i64) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut statement = connection.prepare(
        "SELECT reason, sum(count) FROM usage_unloads WHERE model = ?1 AND day >= ?2 \
         GROUP BY reason ORDER BY sum(count) DESC, reason",
    )?;
    let rows = statement.query_map(params![model.as_str(), since], |row| {
        Ok((row.get(0)?, unsigned(row.get(1)?)))
    })?;
    rows.collect()
}
