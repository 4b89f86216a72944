//! What an `.onnx` file contains, read without ONNX Runtime: the bounds a hostile file has to
//! keep, and the names by which the program decides how to drive it. Weights are not looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::{Initializer, Node, Parts};
use super::wire::{Fields, Packed, Payload};
use super::{ExternalData, Graph, Limits, Operator, ScanError, TensorShape, dtype};

/// Reads a whole model file.
pub(crate) fn scan(model: &[u8], limits: &Limits) -> Result<Graph, ScanError> {
    scan_with(model, limits, None).map(|(graph, _)| graph)
}

/// Reads a whole model file, with what its memory can be told from.
pub(crate) fn scan_parts<'m>(model: &'m [u8], limits: &Limits) -> Result<(Graph, Parts<'m>), ScanError> {
    scan_with(model, limits, Some(Parts::default())).map(|(graph, parts)| (graph, parts.unwrap_or_default()))
}

fn scan_with<'m>(
    model: &'m [u8],
    limits: &Limits,
    parts: Option<Parts<'m>>,
) -> Result<(Graph, Option<Parts<'m>>), ScanError> {
    let mut scan = Scan {
        limits,
        graph: Graph::default(),
        parts,
        functions: BTreeSet::new(),
        nodes: 0,
        tensors: 0,
    };
    scan.model(model)?;
    scan.check_operators()?;
    Ok((scan.graph, scan.parts))
}

struct Scan<'l, 'm> {
    limits: &'l Limits,
    graph: Graph,
    /// If they are asked for.
    parts: Option<Parts<'m>>,
    /// Domain and name of what the model file defines itself.
    functions: BTreeSet<Operator>,
    nodes: usize,
    tensors: usize,
}

impl<'m> Scan<'_, 'm> {
    fn model(&mut self, message: &'m [u8]) -> Result<(), ScanError> {
        let mut has_graph = false;
        for field in Fields::of(message) {
            match field? {
                (7, payload) => {
                    has_graph = true;
                    self.graph_message(payload.bytes()?, 0)?;
                }
                (25, payload) => self.function(payload.bytes()?)?,
                _ => {}
            }
        }
        if has_graph {
            Ok(())
        } else {
            Err(ScanError::NoGraph)
        }
    }

    fn graph_message(&mut self, message: &'m [u8], depth: usize) -> Result<(), ScanError> {
        if depth > self.limits.depth {
            return Err(ScanError::TooDeep {
                limit: self.limits.depth,
            });
        }
        for field in Fields::of(message) {
            match field? {
                (1, payload) => self.node(payload.bytes()?, depth)?,
                (5, payload) => self.tensor(payload.bytes()?)?,
                (15, payload) => self.sparse_tensor(payload.bytes()?)?,
                (11, payload) if depth == 0 => {
                    let input = value_info(payload.bytes()?)?;
                    self.graph.inputs.push(input);
                }
                (12, payload) if depth == 0 => {
                    let output = value_info(payload.bytes()?)?;
                    self.graph.outputs.push(output);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn function(&mut self, message: &'m [u8]) -> Result<(), ScanError> {
        let mut function = Operator::default();
        for field in Fields::of(message) {
            match field? {
                (1, payload) => function.name = payload.text()?.to_owned(),
                (10, payload) => function.domain = payload.text()?.to_owned(),
                (7, payload) => self.node(payload.bytes()?, 1)?,
                _ => {}
            }
        }
        self.functions.insert(function);
        Ok(())
    }

    fn node(&mut self, message: &'m [u8], depth: usize) -> Result<(), ScanError> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(ScanError::TooManyNodes {
                limit: self.limits.nodes,
            });
        }
        let mut operator = Operator::default();
        let mut node = Node::default();
        for field in Fields::of(message) {
            match field? {
                (1, payload) if self.parts.is_some() => node.input(payload.text()?),
                (2, payload) if self.parts.is_some() => node.output(payload.text()?),
                (4, payload) => operator.name = payload.text()?.to_owned(),
                (7, payload) => operator.domain = payload.text()?.to_owned(),
                (5, payload) => {
                    let attribute = payload.bytes()?;
                    if self.parts.is_some() {
                        node.attribute(attribute)?;
                    }
                    self.attribute(attribute, depth)?;
                }
                _ => {}
            }
        }
        if let Some(parts) = &mut self.parts {
            parts.add_node(&operator, node);
        }
        *self.graph.operators.entry(operator).or_default() += 1;
        Ok(())
    }

    fn attribute(&mut self, message: &'m [u8], depth: usize) -> Result<(), ScanError> {
        for field in Fields::of(message) {
            match field? {
                (5 | 10, payload @ Payload::Bytes(_)) => self.tensor(payload.bytes()?)?,
                (6 | 11, payload @ Payload::Bytes(_)) => self.graph_message(payload.bytes()?, depth + 1)?,
                (22 | 23, payload @ Payload::Bytes(_)) => self.sparse_tensor(payload.bytes()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn sparse_tensor(&mut self, message: &'m [u8]) -> Result<(), ScanError> {
        for field in Fields::of(message) {
            if let (1 | 2, payload) = field? {
                self.tensor(payload.bytes()?)?;
            }
        }
        Ok(())
    }

    fn tensor(&mut self, message: &'m [u8]) -> Result<(), ScanError> {
        self.tensors += 1;
        if self.tensors > self.limits.tensors {
            return Err(ScanError::TooManyTensors {
                limit: self.limits.tensors,
            });
        }
        let mut tensor = TensorHeader::default();
        let mut name: &'m str = "";
        for field in Fields::of(message) {
            match field? {
                (1, Payload::Number(dimension)) => tensor.dimension(dimension)?,
                (1, payload) => {
                    let dimensions: Packed<'_> = Fields::packed(payload.bytes()?);
                    for dimension in dimensions {
                        tensor.dimension(dimension?)?;
                    }
                }
                (2, payload) => tensor.dtype = payload.signed()?,
                (8, payload) => {
                    name = payload.text()?;
                    name.clone_into(&mut tensor.name);
                }
                (13, payload) => {
                    let (key, value) = string_entry(payload.bytes()?)?;
                    tensor.external.insert(key.to_owned(), value.to_owned());
                }
                (14, payload) => tensor.is_external = payload.number()? == 1,
                _ => {}
            }
        }
        if let Some(parts) = &mut self.parts {
            parts.add_initializer(name, tensor.initializer()?);
        }
        if tensor.is_external {
            self.graph.external.push(tensor.into_external()?);
        }
        Ok(())
    }

    /// Refuses operators of domains that neither ONNX Runtime nor the file itself defines.
    fn check_operators(&self) -> Result<(), ScanError> {
        const KNOWN: [&str; 9] = [
            "",
            "ai.onnx",
            "ai.onnx.ml",
            "ai.onnx.training",
            "ai.onnx.preview",
            "ai.onnx.preview.training",
            "com.microsoft",
            "com.microsoft.nchwc",
            "com.microsoft.experimental",
        ];
        let unknown = self.graph.operators.keys().find(|operator| {
            !KNOWN.contains(&operator.domain.as_str()) && !self.functions.contains(operator)
        });
        match unknown {
            Some(operator) => Err(ScanError::UnknownOperator {
                operator: operator.to_string(),
            }),
            None => Ok(()),
        }
    }
}

/// What is read of an initializer.
#[derive(Default)]
struct TensorHeader {
    name: String,
    dtype: i64,
    elements: u64,
    has_dimensions: bool,
    /// The last two dimensions; 0 where there are fewer.
    last_two: [u64; 2],
    is_external: bool,
    external: BTreeMap<String, String>,
}

impl TensorHeader {
    fn dimension(&mut self, dimension: u64) -> Result<(), ScanError> {
        let elements = if self.has_dimensions { self.elements } else { 1 };
        self.has_dimensions = true;
        self.last_two = [self.last_two[1], dimension];
        self.elements = i64::try_from(dimension)
            .ok()
            .and_then(|dimension| elements.checked_mul(dimension.unsigned_abs()))
            .ok_or_else(|| ScanError::TensorSize {
                tensor: self.name.clone(),
            })?;
        Ok(())
    }

    fn initializer(&self) -> Result<Initializer, ScanError> {
        let elements = if self.has_dimensions { self.elements } else { 1 };
        // Texts have no fixed size, and no weight of a language model.
        let bytes = if self.dtype == dtype::STRING || self.dtype == 0 {
            0
        } else {
            dtype::bytes(self.dtype, elements).ok_or_else(|| ScanError::TensorSize {
                tensor: self.name.clone(),
            })?
        };
        Ok(Initializer {
            dtype: self.dtype,
            elements,
            last_two: self.last_two,
            bytes,
            is_external: self.is_external,
        })
    }

    fn into_external(self) -> Result<ExternalData, ScanError> {
        let bad = |key: &'static str, value: &str| ScanError::ExternalField {
            tensor: self.name.clone(),
            key,
            value: value.to_owned(),
        };
        let number = |key: &'static str| {
            let text = self.external.get(key);
            text.map(|text| text.parse::<u64>().map_err(|_| bad(key, text)))
                .transpose()
        };
        let Some(location) = self.external.get("location") else {
            return Err(bad("location", ""));
        };
        let offset = number("offset")?.unwrap_or(0);
        let declared = number("length")?.unwrap_or(0);
        let elements = if self.has_dimensions { self.elements } else { 1 };
        let needed = dtype::bytes(self.dtype, elements).ok_or_else(|| ScanError::TensorSize {
            tensor: self.name.clone(),
        })?;
        Ok(ExternalData {
            location: location.clone(),
            offset,
            length: declared.max(needed),
            tensor: self.name,
        })
    }
}

fn string_entry(message: &[u8]) -> Result<(&str, &str), ScanError> {
    let (mut key, mut value) = ("", "");
    for field in Fields::of(message) {
        match field? {
            (1, payload) => key = payload.text()?,
            (2, payload) => value = payload.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn value_info(message: &[u8]) -> Result<TensorShape, ScanError> {
    let mut shape = TensorShape::default();
    for field in Fields::of(message) {
        match field? {
            (1, payload) => payload.text()?.clone_into(&mut shape.name),
            (2, payload) => value_type(payload.bytes()?, &mut shape)?,
            _ => {}
        }
    }
    Ok(shape)
}

fn value_type(message: &[u8], shape: &mut TensorShape) -> Result<(), ScanError> {
    let mut tensor: Option<&[u8]> = None;
    for field in Fields::of(message) {
        if let (1, payload) = field? {
            tensor = Some(payload.bytes()?);
        }
    }
    for field in Fields::of(tensor.unwrap_or_default()) {
        match field? {
            (1, payload) => shape.dtype = payload.signed()?,
            (2, payload) => {
                for dimension in Fields::of(payload.bytes()?) {
                    if let (1, payload) = dimension? {
                        shape.dimensions.push(static_size(payload.bytes()?)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A dimension's size; `None` if it has a name or nothing instead.
fn static_size(message: &[u8]) -> Result<Option<i64>, ScanError> {
    let mut size = None;
    for field in Fields::of(message) {
        if let (1, payload) = field? {
            size = Some(payload.signed()?);
        }
    }
    Ok(size)
}
