//! Tokens per second, of all sides by turns.

use airunner_platform::bandwidth::read_bandwidth;
use airunner_tests::bench::{Figure, median, ratio};

use crate::Bench;
use crate::onnxruntime::OnnxRuntime;
use crate::ours::Ours;
use crate::peer::Peer;

const PROMPT: usize = 512;
/// Before what is decoded.
const SHORT_PROMPT: usize = 32;
const DECODE: u32 = 128;

/// We, llama.cpp twice, and ONNX Runtime.
const SIDES: usize = 4;

/// What is compared with what it should be against Q4_0 and Q4_K_M.
struct Bars {
    what: &'static str,
    q4_0: &'static str,
    q4_k_m: &'static str,
}

const READING: Bars = Bars {
    what: "prompt of 512 tokens",
    q4_0: "2.3",
    q4_k_m: "2.5",
};
const DECODING: [(usize, Bars); 3] = [
    (
        1,
        Bars {
            what: "decode of 128 tokens",
            q4_0: "1.2",
            q4_k_m: "1.3",
        },
    ),
    (
        4,
        Bars {
            what: "decode of 4 streams together",
            q4_0: "2.2",
            q4_k_m: "",
        },
    ),
    (
        8,
        Bars {
            what: "decode of 8 streams together",
            q4_0: "2.6",
            q4_k_m: "",
        },
    ),
];

/// One figure of each side, round by round.
#[derive(Default)]
struct Sides {
    ours: Vec<f64>,
    q4_0: Vec<f64>,
    q4_k_m: Vec<f64>,
    onnxruntime: Vec<f64>,
    /// Bytes per second that memory gave beside what was measured.
    bandwidth: Vec<f64>,
}

struct Runners<'a> {
    ours: &'a Ours,
    q4_0: Peer,
    q4_k_m: Peer,
    onnxruntime: OnnxRuntime,
    threads: usize,
}

pub(crate) async fn measure(bench: &Bench, ours: &Ours) -> anyhow::Result<Vec<Figure>> {
    let mut runners = Runners {
        ours,
        q4_0: Peer::start(bench, &bench.models.q4_0).await?,
        q4_k_m: Peer::start(bench, &bench.models.q4_k_m).await?,
        onnxruntime: OnnxRuntime::start(bench)?,
        threads: bench.threads,
    };
    // Every side is warmed up by a round that is not counted.
    runners.prompt(&mut Sides::default(), 1).await?;
    runners.decode(&mut Sides::default(), 1, 0).await?;
    let mut reading = Sides::default();
    let mut decoding = DECODING.map(|_| Sides::default());
    for round in 1..=bench.rounds as u64 {
        runners.prompt(&mut reading, 100 + round).await?;
        for (sides, (streams, _)) in decoding.iter_mut().zip(&DECODING) {
            runners.decode(sides, *streams, round).await?;
        }
        eprintln!("measured: round {round} of {}", bench.rounds);
    }
    let mut figures = reading.figures(&READING);
    for (sides, (streams, bars)) in decoding.iter().zip(&DECODING) {
        figures.extend(sides.figures(bars));
        if *streams == 1 {
            figures.push(sides.bandwidth(bench.models.weight_bytes));
        }
    }
    Ok(figures)
}

impl Runners<'_> {
    /// All sides one after the other, each round beginning with another one.
    async fn prompt(&mut self, sides: &mut Sides, seed: u64) -> anyhow::Result<()> {
        for turn in 0..SIDES {
            match (seed as usize + turn) % SIDES {
                0 => sides.ours.push(self.ours.prompt(PROMPT, seed).await?),
                1 => sides.q4_0.push(self.q4_0.prompt(PROMPT).await?),
                2 => sides.q4_k_m.push(self.q4_k_m.prompt(PROMPT).await?),
                _ => sides.onnxruntime.push(self.onnxruntime.prompt(PROMPT).await?),
            }
        }
        Ok(())
    }

    async fn decode(&mut self, sides: &mut Sides, streams: usize, round: u64) -> anyhow::Result<()> {
        for turn in 0..SIDES {
            match (round as usize + turn) % SIDES {
                0 => {
                    let seed = 100_000 * round + 1_000 * streams as u64;
                    let before = read_bandwidth(self.threads);
                    let ours = self.ours.decode(streams, SHORT_PROMPT, DECODE, seed).await?;
                    sides.bandwidth.push(read_bandwidth(self.threads).max(before));
                    sides.ours.push(ours);
                }
                1 => sides
                    .q4_0
                    .push(self.q4_0.decode(streams, SHORT_PROMPT, DECODE).await?),
                2 => sides
                    .q4_k_m
                    .push(self.q4_k_m.decode(streams, SHORT_PROMPT, DECODE).await?),
                _ => {
                    let speed = self.onnxruntime.decode(streams, SHORT_PROMPT, DECODE).await?;
                    sides.onnxruntime.push(speed);
                }
            }
        }
        Ok(())
    }
}

impl Sides {
    fn figures(&self, bars: &Bars) -> Vec<Figure> {
        let against = |name: &str, theirs: &[f64], bar: &'static str| {
            let (a, b) = (median(self.ours.clone()), median(theirs.to_vec()));
            let measured = format!(
                "{:.2} ({a:.1} against {b:.1} tokens/s)",
                ratio(&self.ours, theirs)
            );
            Figure::new(format!("{}, against {name}", bars.what), bar, measured)
        };
        vec![
            against("llama.cpp Q4_0", &self.q4_0, bars.q4_0),
            against("llama.cpp Q4_K_M", &self.q4_k_m, bars.q4_k_m),
            against("ONNX Runtime's own kernels", &self.onnxruntime, ""),
        ]
    }

    /// How near decoding comes to reading the weights and nothing else.
    fn bandwidth(&self, weight_bytes: f64) -> Figure {
        let bytes: Vec<f64> = self.ours.iter().map(|speed| speed * weight_bytes).collect();
        let measured = format!(
            "{:.2} ({:.1} of {:.1} GB/s)",
            ratio(&bytes, &self.bandwidth),
            median(bytes.clone()) / 1e9,
            median(self.bandwidth.clone()) / 1e9
        );
        Figure::new(
            "decode of 128 tokens against the memory-bandwidth limit of the same seconds",
            "0.85",
            measured,
        )
    }
}
