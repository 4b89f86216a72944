//! Which passes run, in which order, and what becomes of one that fails.

use std::path::Path;

use super::edit::Graph;
use super::evaluate::Evaluate;
use super::passes;
use super::plan::Plan;
use super::{Changed, GraphError, Refusal, read, write};
use crate::onnx;
use crate::package::Files;

/// A change of graphs, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// Activations are not rounded with scales that the file fixes.
    FixedScales,
    /// Matrices with the same input become one product.
    Merged,
    /// Quantized matrices go to our own operator.
    MatMul,
    /// A quantized table of embeddings shares the packed form.
    Embedding,
    /// Logits only for the rows that are asked for.
    LastRows,
    /// `GroupQueryAttention` becomes paged attention.
    Attention,
    /// So does `MultiHeadAttention`, where it is that of a decoder.
    MultiHead,
    /// So does attention written out in standard operators.
    Decomposed,
    /// What stays with ONNX Runtime computes with small integers.
    AccuracyLevel,
}

impl Pass {
    pub const ALL: [Self; 9] = [
        Self::FixedScales,
        Self::Merged,
        Self::MatMul,
        Self::Embedding,
        Self::LastRows,
        Self::Attention,
        Self::MultiHead,
        Self::Decomposed,
        Self::AccuracyLevel,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FixedScales => "fixed_scales",
            Self::Merged => "merged",
            Self::MatMul => "matmul",
            Self::Embedding => "embedding",
            Self::LastRows => "last_rows",
            Self::Attention => "attention",
            Self::MultiHead => "multi_head",
            Self::Decomposed => "decomposed",
            Self::AccuracyLevel => "accuracy_level",
        }
    }

    /// Whether it works together with those of attention, and quantizes nothing.
    pub(crate) fn is_of_attention(self) -> bool {
        match self {
            Self::LastRows | Self::Attention | Self::MultiHead | Self::Decomposed => true,
            Self::FixedScales | Self::Merged | Self::MatMul | Self::Embedding | Self::AccuracyLevel => false,
        }
    }

    fn run(
        self,
        graph: &mut Graph,
        plan: &mut Plan,
        evaluate: Option<&mut (dyn Evaluate + '_)>,
    ) -> Result<Changed, Refusal> {
        match self {
            Self::FixedScales => passes::fixed_scales(graph, plan),
            Self::Merged => passes::merged(graph, plan),
            Self::MatMul => passes::matmul(graph, plan),
            Self::Embedding => passes::embedding(graph, plan),
            Self::LastRows => passes::last_rows(graph, plan),
            Self::Attention => passes::attention(graph, plan),
            Self::MultiHead => passes::multi_head(graph, plan, evaluate),
            Self::Decomposed => passes::decomposed(graph, plan, evaluate),
            Self::AccuracyLevel => passes::accuracy_level(graph, plan),
        }
    }
}

/// A model after the passes, not yet written.
#[derive(Debug)]
pub struct Rewritten {
    graph: Graph,
    files: Files,
    file: String,
    pub plan: Plan,
    /// Passes that changed something.
    pub applied: Vec<&'static str>,
    /// Passes that did not, and why.
    pub skipped: Vec<(&'static str, String)>,
}

/// Reads a graph of a package and runs the passes that are wanted. Without somebody who computes
/// parts of graphs, [`Pass::Decomposed`] changes nothing, and [`Pass::MultiHead`] little.
pub fn rewrite(
    files: &Files,
    file: &str,
    wanted: &[Pass],
    evaluate: Option<&mut (dyn Evaluate + '_)>,
) -> Result<Rewritten, GraphError> {
    let mut graph = read::read(files, file)?;
    let (path, _) = files.locate(file)?;
    let mut plan = Plan::default();
    let (applied, skipped) = run(&mut graph, &mut plan, wanted, evaluate);
    Ok(Rewritten {
        graph,
        files: files.clone(),
        file: onnx::resolved(files, file, &path),
        plan,
        applied,
        skipped,
    })
}

type Skipped = Vec<(&'static str, String)>;

fn run(
    graph: &mut Graph,
    plan: &mut Plan,
    wanted: &[Pass],
    mut evaluate: Option<&mut (dyn Evaluate + '_)>,
) -> (Vec<&'static str>, Skipped) {
    let (mut applied, mut skipped) = (Vec::new(), Vec::new());
    for pass in Pass::ALL.into_iter().filter(|pass| wanted.contains(pass)) {
        let (mut changed, mut noted) = (graph.clone(), plan.clone());
        match pass.run(
            &mut changed,
            &mut noted,
            evaluate.as_mut().map(|evaluate| &mut **evaluate as _),
        ) {
            Ok(Changed(count)) => {
                tracing::debug!(pass = pass.name(), count, "a pass changed the graph");
                (*graph, *plan) = (changed, noted);
                applied.push(pass.name());
            }
            Err(refusal) => {
                tracing::debug!(pass = pass.name(), %refusal, "a pass left the graph as it is");
                skipped.push((pass.name(), refusal.to_string()));
            }
        }
    }
    (applied, skipped)
}

impl Rewritten {
    /// Writes `model.onnx` and `model.onnx.data` into a directory that is there. Weights are
    /// copied from file to file; nothing is flushed to the disk.
    pub fn write(self, directory: &Path) -> Result<(), GraphError> {
        write::write(self.graph.into_model(), &self.files, &self.file, directory)
    }
}
