//! ONNX Runtime's own kernels, as fast as they can be driven.

use airunner_tests::bench::BareLoop;

use crate::Bench;

/// The shortest loop that is right, in a process of its own.
pub(crate) struct OnnxRuntime(BareLoop);

impl OnnxRuntime {
    pub(crate) fn start(bench: &Bench) -> anyhow::Result<Self> {
        Ok(Self(BareLoop::start(&bench.bare_loop, &bench.package)?))
    }

    /// Tokens per second of reading a prompt.
    pub(crate) async fn prompt(&mut self, tokens: usize) -> anyhow::Result<f64> {
        Ok(self.0.round(tokens, 2, 1).await?.prompt)
    }

    /// Tokens per second of all streams.
    pub(crate) async fn decode(&mut self, streams: usize, prompt: usize, tokens: u32) -> anyhow::Result<f64> {
        Ok(self.0.round(prompt, tokens as usize, streams).await?.decode)
    }
}
