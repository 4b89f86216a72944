//! How fast a model is here.

use serde::Serialize;

use crate::table::{Align, Table};
use crate::units;

/// `airunner bench`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BenchView {
    pub(crate) model: String,
    /// How many tokens the prompts that were measured have.
    pub(crate) prompt_tokens: u32,
    pub(crate) prompt_tokens_per_second: f64,
    pub(crate) tokens_per_second: Streams,
    pub(crate) first_token_ms: FirstToken,
    pub(crate) load_ms: f64,
    pub(crate) memory_bytes: u64,
    /// Of main memory, by all threads.
    pub(crate) memory_bandwidth_bytes_per_second: f64,
    /// Of the bandwidth, what reading the weights for one stream takes; none on a GPU, which has
    /// memory of its own.
    pub(crate) bandwidth_fraction: Option<f64>,
}

/// All answers together, by how many come at once.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Streams {
    #[serde(rename = "1")]
    pub(crate) one: f64,
    #[serde(rename = "4")]
    pub(crate) four: f64,
    #[serde(rename = "8")]
    pub(crate) eight: f64,
}

/// Of a prompt that is read anew, and of one whose beginning is known.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct FirstToken {
    pub(crate) cold: f64,
    pub(crate) warm: f64,
}

pub(crate) fn bench_table(view: &BenchView) -> Table {
    let mut table = Table::new(&[("FIGURE", Align::Left), (THIS_MACHINE, Align::Right)]);
    let rate = |rate: f64| format!("{rate:.1} tokens/s");
    let prompt = view.prompt_tokens;
    let streams = view.tokens_per_second;
    table.row([
        format!("prompt of {prompt} tokens"),
        rate(view.prompt_tokens_per_second),
    ]);
    table.row(["one answer".into(), rate(streams.one)]);
    table.row(["4 answers at once, together".into(), rate(streams.four)]);
    table.row(["8 answers at once, together".into(), rate(streams.eight)]);
    table.row(["first token, new prompt".into(), time(view.first_token_ms.cold)]);
    table.row(["first token, next turn".into(), time(view.first_token_ms.warm)]);
    table.row(["loading".into(), time(view.load_ms)]);
    table.row(["memory".into(), units::size(view.memory_bytes)]);
    let bandwidth = units::speed(view.memory_bandwidth_bytes_per_second as u64);
    table.row(["reading main memory".into(), bandwidth]);
    if let Some(fraction) = view.bandwidth_fraction {
        let share = format!("{:.0} %", fraction * 100.0);
        table.row(["of that, one answer uses".into(), share]);
    }
    table
}

const THIS_MACHINE: &str = "THIS MACHINE";

/// Short times with a decimal: they are what is compared.
fn time(ms: f64) -> String {
    if ms < 100.0 {
        format!("{ms:.1} ms")
    } else {
        units::short_time(std::time::Duration::from_secs_f64(ms / 1e3))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::value;
    use super::*;

    fn view() -> BenchView {
        BenchView {
            model: "tiny".into(),
            prompt_tokens: 512,
            prompt_tokens_per_second: 250.04,
            tokens_per_second: Streams {
                one: 30.0,
                four: 90.0,
                eight: 120.0,
            },
            first_token_ms: FirstToken {
                cold: 2048.0,
                warm: 12.34,
            },
            load_ms: 350.0,
            memory_bytes: 700 << 20,
            memory_bandwidth_bytes_per_second: 42.0 * f64::from(1 << 30),
            bandwidth_fraction: Some(0.87),
        }
    }

    #[test]
    fn the_figures_have_the_fields_of_the_contract() {
        assert_eq!(
            value(&view()),
            json!({
                "model": "tiny", "prompt_tokens": 512, "prompt_tokens_per_second": 250.04,
                "tokens_per_second": { "1": 30.0, "4": 90.0, "8": 120.0 },
                "first_token_ms": { "cold": 2048.0, "warm": 12.34 },
                "load_ms": 350.0, "memory_bytes": 700 << 20,
                "memory_bandwidth_bytes_per_second": 42.0 * f64::from(1 << 30), "bandwidth_fraction": 0.87
            })
        );
    }

    #[test]
    fn people_see_every_figure_and_no_share_of_memory_that_is_not_read() {
        let (head, rows) = bench_table(&view()).lines();
        assert_eq!(head, "FIGURE                         THIS MACHINE");
        assert_eq!(
            rows,
            [
                "prompt of 512 tokens         250.0 tokens/s",
                "one answer                    30.0 tokens/s",
                "4 answers at once, together   90.0 tokens/s",
                "8 answers at once, together  120.0 tokens/s",
                "first token, new prompt               2.0 s",
                "first token, next turn              12.3 ms",
                "loading                              350 ms",
                "memory                              700 MiB",
                "reading main memory              42.0 GiB/s",
                "of that, one answer uses               87 %",
            ]
        );
        let on_gpu = BenchView {
            bandwidth_fraction: None,
            ..view()
        };
        assert_eq!(bench_table(&on_gpu).lines().1.len(), 9);
    }
}
