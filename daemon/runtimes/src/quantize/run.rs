//! From one package to another.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom};
use std::path::Path;

use airunner_core::memory::Quantization;
use airunner_core::model::PackageFormat;
use airunner_core::quantize::{MatrixError, QuantizeLevel, QuantizeReport};
use airunner_kernels::Parallel;

use super::blocks::{Grid, Loss};
use super::levels::{Candidate, TYPICAL, choose};
use super::rewrite::{Halved, Target};
use super::roles::{Role, is_of_tokens, places};
use super::sample::sampled;
use super::source::{Float, Maps, Matrix};
use super::stream::{self, Sink, Stored, Work};
use super::{QuantizeError, Watcher, rewrite};
use crate::graph::edit::Graph;
use crate::graph::full_precision::{FullPrecision, Use, matrices};
use crate::graph::proto::NodeProto;
use crate::graph::read::read;
use crate::graph::write::{Begun, write_more};
use crate::graph::{GRAPH_FILE, WEIGHTS_FILE};
use crate::onnx::{self, dtype};
use crate::package::{self, Files, Package, level_of};

/// Matrices with fewer rows or columns stay as they are: nothing is gained, and what chooses
/// experts is among them.
const SMALLEST: u64 = 32;
/// Weights per scale where rows are not whole blocks of more.
const FALLBACK_BLOCK: usize = 32;
/// Extensions of files with weights for other programs, which have no place in a small package.
const WEIGHTS: [&str; 7] = ["safetensors", "gguf", "bin", "pt", "pth", "h5", "msgpack"];
/// Matrices that a report tells of at most: more than models have, less than a message can hold.
const MOST_ERRORS: usize = 4096;
/// What a process takes for itself and the pieces it works on, bytes.
const WORKING_MEMORY: u64 = 192 << 20;

/// What quantizing takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Needs {
    /// Bytes of the new package, at most.
    pub disk: u64,
    /// Bytes while it is made.
    pub memory: u64,
    /// Bytes while both are compared.
    pub compare_memory: u64,
}

/// What is to be quantized, with everything decided and nothing computed.
struct Plan {
    package: Package,
    format: PackageFormat,
    graph: Graph,
    /// With half precision instead: the same tensors, each once.
    is_half: bool,
    targets: Vec<Target>,
    /// The matrices to store, as indexes of the targets that read them first.
    stored: Vec<usize>,
    /// Bytes of graph and weights.
    bytes_before: u64,
    other_bytes: u64,
}

/// Looks at a package without changing anything.
pub fn needs(directory: &Path, level: QuantizeLevel) -> Result<Needs, QuantizeError> {
    let plan = Plan::make(directory, level)?;
    let before: u64 = plan.distinct().map(|target| target.matrix.data.bytes()).sum();
    let after: u64 = plan.distinct().map(|target| plan.bytes_after(target)).sum();
    let kept = plan.bytes_before.saturating_sub(before);
    let small = after + kept;
    Ok(Needs {
        disk: small + plan.other_bytes,
        memory: WORKING_MEMORY,
        // Weights are computed with as 32-bit floats; one model after the other.
        compare_memory: WORKING_MEMORY
            + super::compare::COMPARING_MEMORY
            + plan.computed_bytes().max(small * 2),
    })
}

/// Makes a package of another one in an empty directory. Nothing of what is left there after an
/// error is of use.
pub fn quantize(
    directory: &Path,
    level: QuantizeLevel,
    out: &Path,
    watcher: &dyn Watcher,
    parallel: &dyn Parallel,
) -> Result<QuantizeReport, QuantizeError> {
    let plan = Plan::make(directory, level)?;
    let name = graph_name(plan.package.variant(), plan.format);
    let target = out.join(name);
    let place = target.parent().unwrap_or(out);
    make_directory(place)?;
    let mut sink = Sink::create(place.join(WEIGHTS_FILE))?;
    let mut work = Work {
        watcher,
        parallel,
        total: plan.distinct().map(|target| target.matrix.data.elements()).sum(),
        done: 0,
    };
    let written = plan.stream(&mut sink, &mut work)?;
    let mut report = written.report(level, &plan);
    plan.finish(written, sink, place)?;
    if place.join(GRAPH_FILE) != target {
        fs::rename(place.join(GRAPH_FILE), &target).map_err(failed("rename", &target))?;
    }
    report.bytes_after = size(&target)? + size(&place.join(WEIGHTS_FILE))?;
    copy_others(directory, out)?;
    for file in [&target, &place.join(WEIGHTS_FILE)] {
        sync(file)?;
    }
    Ok(report)
}

/// What was written.
enum Written {
    Quantized(Vec<Stored>),
    Halved(Vec<Halved>, Vec<Loss>),
}

impl Plan {
    fn make(directory: &Path, level: QuantizeLevel) -> Result<Self, QuantizeError> {
        let package = most_precise(directory)?;
        let summary = package::inspect(directory).map_err(|fault| QuantizeError::Refused(fault.message))?;
        let files = package.files();
        let graph = read(files, package.variant())?;
        if let Some(found) = graph.proto().node.iter().find(|node| is_quantized(node)) {
            return Err(QuantizeError::Quantized {
                found: found.op_type.clone(),
            });
        }
        let is_half = level == QuantizeLevel::F16;
        let (targets, stored) = if is_half {
            halves(&graph)?
        } else {
            targets(&graph, files, level)?
        };
        let weights = weight_files(&package);
        let listed = files.list()?;
        let bytes_of = |is_wanted: &dyn Fn(&str) -> bool| {
            let wanted = listed.iter().filter(|file| is_wanted(&file.path));
            wanted.map(|file| file.size_bytes).sum()
        };
        Ok(Self {
            bytes_before: bytes_of(&|path| weights.iter().any(|file| file == path)),
            other_bytes: bytes_of(&|path| !is_weights(path)),
            format: summary.format,
            package,
            graph,
            is_half,
            targets,
            stored,
        })
    }

    fn distinct(&self) -> impl Iterator<Item = &Target> {
        self.stored.iter().map(|&first| &self.targets[first])
    }

    fn bytes_after(&self, target: &Target) -> u64 {
        let Target { matrix, grid, .. } = target;
        if self.is_half {
            return matrix.data.elements() * 2;
        }
        let columns = matrix.columns as usize;
        let scale = if grid.has_half_scales { 2 } else { 4 };
        let row = grid.weight_bytes(columns) + grid.blocks(columns) * scale + grid.zero_point_bytes(columns);
        // Each part begins at a page.
        matrix.rows * row as u64 + 3 * 4096
    }

    fn computed_bytes(&self) -> u64 {
        let converted = |target: &Target| (target.matrix.data.elements() * 4).max(target.matrix.data.bytes());
        self.distinct().map(converted).sum()
    }

    fn stream(&self, sink: &mut Sink, work: &mut Work<'_>) -> Result<Written, QuantizeError> {
        let mut maps = Maps::new(self.package.files());
        if self.is_half {
            let (mut halved, mut losses) = (Vec::new(), Vec::new());
            for target in self.distinct() {
                let matrix = &target.matrix;
                let Some(float) = Float::of(matrix.data.dtype) else {
                    continue;
                };
                let data = maps.data(&matrix.tensor, &matrix.data)?;
                let (span, loss) = stream::halve(&matrix.tensor, float, &data, sink, work)?;
                losses.push(loss);
                halved.push(Halved {
                    tensor: matrix.tensor.clone(),
                    dtype: matrix.data.dtype,
                    dimensions: matrix.data.dimensions.clone(),
                    span,
                });
            }
            return Ok(Written::Halved(halved, losses));
        }
        let stored = self
            .distinct()
            .map(|target| {
                let matrix = Matrix::open(&mut maps, &target.matrix)?;
                stream::quantize(&matrix, &target.grid, sink, work)
            })
            .collect::<Result<_, _>>()?;
        Ok(Written::Quantized(stored))
    }

    /// Writes the graph, and behind the quantized weights all others.
    fn finish(self, written: Written, sink: Sink, place: &Path) -> Result<(), QuantizeError> {
        let Self {
            package,
            mut graph,
            targets,
            ..
        } = self;
        let tensors = match written {
            Written::Quantized(stored) => rewrite::rewrite(&mut graph, &targets, &stored),
            Written::Halved(halved, _) => rewrite::halve(&mut graph, &halved),
        };
        let (mut weights, end) = sink.into_file();
        let path = place.join(WEIGHTS_FILE);
        weights
            .seek(SeekFrom::Start(end))
            .map_err(failed("write", &path))?;
        let begun = Begun {
            weights,
            end,
            tensors,
        };
        let (files, variant) = (package.files(), package.variant());
        let (original, _) = files.locate(variant)?;
        let resolved = onnx::resolved(files, variant, &original);
        Ok(write_more(graph.into_model(), files, &resolved, place, begun)?)
    }
}

impl Written {
    fn report(&self, level: QuantizeLevel, plan: &Plan) -> QuantizeReport {
        let losses: Vec<Loss> = match self {
            Self::Quantized(stored) => stored.iter().map(|stored| stored.loss).collect(),
            Self::Halved(_, losses) => losses.clone(),
        };
        let mut all = Loss::default();
        losses.iter().for_each(|loss| all.add(*loss));
        let mut errors: Vec<MatrixError> = plan
            .distinct()
            .zip(&losses)
            .map(|(target, loss)| MatrixError {
                name: target.matrix.tensor.clone(),
                bits: if plan.is_half { 16 } else { target.grid.bits },
                relative_error: loss.relative(),
            })
            .collect();
        errors.sort_by(|one, other| other.relative_error.total_cmp(&one.relative_error));
        errors.truncate(MOST_ERRORS);
        let in_bfloat16 = computes_in_bfloat16(&plan.graph).then_some(
            "its graph computes with bfloat16, which ONNX Runtime does on no CPU: so does the new model",
        );
        let warnings = level.warning().into_iter().chain(in_bfloat16);
        QuantizeReport {
            level,
            bytes_before: plan.bytes_before,
            bytes_after: 0,
            matrices: u32::try_from(losses.len()).unwrap_or(u32::MAX),
            relative_error: all.relative(),
            errors,
            comparison: None,
            warnings: warnings.map(str::to_owned).collect(),
        }
    }
}

/// The package with the variant that has lost least.
pub(super) fn most_precise(directory: &Path) -> Result<Package, QuantizeError> {
    let first = Package::open(directory)?;
    let variants = package::inspect(directory).map(|summary| summary.variants);
    let variants = variants.map_err(|fault| QuantizeError::Refused(fault.message))?;
    for wanted in [Quantization::None, Quantization::BFloat16, Quantization::Float16] {
        for variant in &variants {
            if level_of(first.files(), variant).is_ok_and(|level| level == wanted) {
                return Ok(Package::open_variant(directory, Some(variant))?);
            }
        }
    }
    let found = level_of(first.files(), first.variant())?;
    Err(QuantizeError::Quantized {
        found: found.description().to_owned(),
    })
}

/// Whether weights of bfloat16 are computed with as they are, and not converted before.
pub(super) fn computes_in_bfloat16(graph: &Graph) -> bool {
    let index = graph.index();
    let is_kept_so = |name: &str| {
        let stored = index.stored(name);
        stored.is_some_and(|tensor| i64::from(tensor.data_type) == dtype::BFLOAT16)
    };
    let converts = |node: &NodeProto| matches!(&*node.op_type, "Cast" | "Transpose" | "Identity");
    let mut nodes = graph.proto().node.iter().filter(|node| !converts(node));
    nodes.any(|node| node.input.iter().any(|input| is_kept_so(input)))
}

fn is_quantized(node: &NodeProto) -> bool {
    let ours: &[&str] = match node.domain.as_str() {
        "com.microsoft" => &[
            "MatMulNBits",
            "MatMulBnb4",
            "MatMulFpQ4",
            "GatherBlockQuantized",
            "DynamicQuantizeMatMul",
            "MatMulIntegerToFloat",
            "QMoE",
        ],
        _ => &["MatMulInteger", "QLinearMatMul", "DequantizeLinear"],
    };
    ours.contains(&node.op_type.as_str())
}

/// Every large matrix, once.
fn halves(graph: &Graph) -> Result<(Vec<Target>, Vec<usize>), QuantizeError> {
    let index = graph.index();
    let mut targets: Vec<Target> = Vec::new();
    for matrix in matrices(graph, &index) {
        let is_known = targets.iter().any(|target| target.matrix.tensor == matrix.tensor);
        // What a node makes stays: only initializers are exchanged.
        let is_initializer = index.producer(&matrix.tensor).is_none();
        if is_known || !is_initializer || matrix.data.elements() < SMALLEST * SMALLEST {
            continue;
        }
        targets.push(Target {
            grid: grid(8, 32, false, matrix.dtype),
            stored: targets.len(),
            matrix,
        });
    }
    if targets.is_empty() {
        return Err(QuantizeError::Nothing);
    }
    if targets
        .iter()
        .all(|target| target.matrix.data.dtype != dtype::FLOAT)
    {
        return Err(QuantizeError::NotSmaller {
            level: QuantizeLevel::F16,
        });
    }
    let stored = (0..targets.len()).collect();
    Ok((targets, stored))
}

fn grid(bits: u32, block: usize, has_zero_points: bool, dtype: i64) -> Grid {
    Grid {
        bits,
        block,
        has_zero_points,
        has_half_scales: dtype == dtype::FLOAT16,
    }
}

/// Products and tables with how each is kept; those that read the same weights share them.
fn targets(
    graph: &Graph,
    files: &Files,
    level: QuantizeLevel,
) -> Result<(Vec<Target>, Vec<usize>), QuantizeError> {
    let index = graph.index();
    let mut found: Vec<FullPrecision> = matrices(graph, &index)
        .into_iter()
        .filter(|matrix| matrix.rows >= SMALLEST && matrix.columns >= SMALLEST)
        .filter(|matrix| matrix.use_ == Use::Product || is_of_tokens(&index, matrix))
        .collect();
    let mut roles = places(&index, &found);
    let is_router: Vec<bool> = roles.iter().map(|place| place.role == Role::Router).collect();
    let mut routers = is_router.iter();
    found.retain(|_| !routers.next().copied().unwrap_or(false));
    roles.retain(|place| place.role != Role::Router);
    let head = roles.iter().position(|place| place.role == Role::Head);
    let mut maps = Maps::new(files);
    let mut candidates = Vec::with_capacity(found.len());
    for (matrix, &place) in found.iter().zip(&roles) {
        let head = head
            .map(|head| &found[head])
            .filter(|_| place.role == Role::Table);
        let is_tied = match head {
            Some(head) => is_same(&mut maps, head, matrix)?,
            None => false,
        };
        let is_mixed = level == QuantizeLevel::Q4M && !is_tied;
        let losses = if is_mixed {
            sampled(&Matrix::open(&mut maps, matrix)?)
        } else {
            TYPICAL
        };
        candidates.push(Candidate {
            place,
            weights: matrix.rows * matrix.columns,
            is_tied,
            losses,
        });
    }
    let mut targets: Vec<Target> = Vec::with_capacity(found.len());
    let mut stored: Vec<usize> = Vec::new();
    let mut known: HashMap<(String, bool, Grid), usize> = HashMap::new();
    let choices = choose(level, &candidates);
    for ((matrix, choice), candidate) in found.iter().zip(choices).zip(&candidates) {
        let is_whole = matrix.columns % choice.block as u64 == 0;
        let block = if is_whole {
            choice.block
        } else {
            choice.block.min(FALLBACK_BLOCK)
        };
        let grid = grid(choice.bits, block, choice.has_zero_points, matrix.dtype);
        // The last block of a table cannot be cut short.
        if matrix.use_ == Use::Rows && matrix.columns % grid.block as u64 != 0 {
            continue;
        }
        // Of tied weights the head's are those that are kept.
        let same = match head {
            Some(head) if candidate.is_tied => &found[head],
            Some(_) | None => matrix,
        };
        let key = (same.tensor.clone(), same.is_by_rows, grid);
        let stored_as = *known.entry(key).or_insert_with(|| {
            stored.push(targets.len());
            stored.len() - 1
        });
        targets.push(Target {
            matrix: matrix.clone(),
            grid,
            stored: stored_as,
        });
    }
    if targets.is_empty() {
        return Err(QuantizeError::Nothing);
    }
    Ok((targets, stored))
}

/// Whether a table has the weights of the head: the same tensor, or a copy.
fn is_same(maps: &mut Maps<'_>, head: &FullPrecision, table: &FullPrecision) -> Result<bool, QuantizeError> {
    if (head.rows, head.columns, head.dtype) != (table.rows, table.columns, table.dtype) {
        return Ok(false);
    }
    if head.tensor == table.tensor {
        return Ok(head.is_by_rows == table.is_by_rows);
    }
    Ok(Matrix::open(maps, head)?.equals(&Matrix::open(maps, table)?))
}

/// The graph's place in the new package.
fn graph_name(variant: &str, format: PackageFormat) -> String {
    match (format, variant.rsplit_once('/')) {
        // Its settings name the file.
        (PackageFormat::GenAi, _) => variant.to_owned(),
        (_, Some((directory, _))) => format!("{directory}/{GRAPH_FILE}"),
        (_, None) => GRAPH_FILE.to_owned(),
    }
}

/// The graph and its weights, relative to the package.
fn weight_files(package: &Package) -> Vec<String> {
    let mut files = onnx::external_files(package.variant(), package.graph());
    files.push(package.variant().to_owned());
    files
}

fn is_weights(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    path.contains(".onnx") || WEIGHTS.contains(&extension)
}

/// Everything but graphs and weights: tokenizer, settings, licence.
fn copy_others(from: &Path, to: &Path) -> Result<(), QuantizeError> {
    let files = Files::open(from)?;
    let package = most_precise(from)?;
    let weights = weight_files(&package);
    for file in files.list()? {
        if is_weights(&file.path) || weights.contains(&file.path) {
            continue;
        }
        let (path, _) = files.locate(&file.path)?;
        let target = to.join(&file.path);
        if let Some(parent) = target.parent() {
            make_directory(parent)?;
        }
        // Not its permissions: what is read-only could not be removed everywhere.
        let copied =
            File::open(&path).and_then(|mut from| std::io::copy(&mut from, &mut File::create_new(&target)?));
        copied.map_err(failed("copy", &target))?;
        sync(&target)?;
    }
    Ok(())
}

fn make_directory(path: &Path) -> Result<(), QuantizeError> {
    fs::create_dir_all(path).map_err(failed("create", path))
}

fn size(path: &Path) -> Result<u64, QuantizeError> {
    Ok(path.metadata().map_err(failed("read", path))?.len())
}

fn sync(path: &Path) -> Result<(), QuantizeError> {
    let opened = File::options().write(true).open(path);
    opened
        .and_then(|file| file.sync_all())
        .map_err(failed("write", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> QuantizeError + use<> {
    let path = path.to_owned();
    move |source| QuantizeError::File { action, path, source }
}
