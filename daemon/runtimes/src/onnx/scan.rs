//! What an `.onnx` file contains, read without ONNX Runtime: the bounds a hostile file has to
//! keep, and the names by which the program decides how to drive it. Weights are not looked at.

use std::collections::BTreeSet;

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
        values: 0,
        names: 0,
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
    values: usize,
    /// Bytes of the names that are kept.
    names: usize,
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
                    let input = self.value_info(payload.bytes()?)?;
                    self.graph.inputs.push(input);
                }
                (12, payload) if depth == 0 => {
                    let output = self.value_info(payload.bytes()?)?;
                    self.graph.outputs.push(output);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts one more of what is kept, however short it is in the file.
    fn value(&mut self) -> Result<(), ScanError> {
        self.values += 1;
        if self.values > self.limits.values {
            return Err(ScanError::TooManyValues {
                limit: self.limits.values,
            });
        }
        Ok(())
    }

    fn name<'p>(&self, payload: Payload<'p>) -> Result<&'p str, ScanError> {
        let name = payload.text()?;
        if name.len() > self.limits.name {
            return Err(ScanError::NameTooLong {
                limit: self.limits.name,
            });
        }
        Ok(name)
    }

    /// Counts a name that is kept.
    fn keeps(&mut self, name: &str) -> Result<(), ScanError> {
        self.names = self.names.saturating_add(name.len());
        if self.names > self.limits.names {
            return Err(ScanError::TooManyNames {
                limit: self.limits.names,
            });
        }
        Ok(())
    }

    fn function(&mut self, message: &'m [u8]) -> Result<(), ScanError> {
        self.value()?;
        let mut function = Operator::default();
        for field in Fields::of(message) {
            match field? {
                (1, payload) => self.name(payload)?.clone_into(&mut function.name),
                (10, payload) => self.name(payload)?.clone_into(&mut function.domain),
                (7, payload) => self.node(payload.bytes()?, 1)?,
                _ => {}
            }
        }
        self.keeps(&function.name)?;
        self.keeps(&function.domain)?;
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
                (4, payload) => self.name(payload)?.clone_into(&mut operator.name),
                (7, payload) => self.name(payload)?.clone_into(&mut operator.domain),
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
        if let Some(count) = self.graph.operators.get_mut(&operator) {
            *count += 1;
            return Ok(());
        }
        self.value()?;
        self.keeps(&operator.name)?;
        self.keeps(&operator.domain)?;
        self.graph.operators.insert(operator, 1);
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
                    name = self.name(payload)?;
                    name.clone_into(&mut tensor.name);
                }
                (13, payload) => {
                    let (key, value) = self.string_entry(payload.bytes()?)?;
                    tensor.external.take(key, value);
                }
                (14, payload) => tensor.is_external = payload.number()? == 1,
                _ => {}
            }
        }
        if let Some(parts) = &mut self.parts {
            parts.add_initializer(name, tensor.initializer()?);
        }
        if tensor.is_external {
            let external = tensor.into_external()?;
            self.keeps(&external.tensor)?;
            self.keeps(&external.location)?;
            self.graph.external.push(external);
        }
        Ok(())
    }

    fn string_entry<'p>(&self, message: &'p [u8]) -> Result<(&'p str, &'p str), ScanError> {
        let (mut key, mut value) = ("", "");
        for field in Fields::of(message) {
            match field? {
                (1, payload) => key = self.name(payload)?,
                (2, payload) => value = self.name(payload)?,
                _ => {}
            }
        }
        Ok((key, value))
    }

    fn value_info(&mut self, message: &[u8]) -> Result<TensorShape, ScanError> {
        self.value()?;
        let mut shape = TensorShape::default();
        for field in Fields::of(message) {
            match field? {
                (1, payload) => self.name(payload)?.clone_into(&mut shape.name),
                (2, payload) => self.value_type(payload.bytes()?, &mut shape)?,
                _ => {}
            }
        }
        self.keeps(&shape.name)?;
        Ok(shape)
    }

    fn value_type(&self, message: &[u8], shape: &mut TensorShape) -> Result<(), ScanError> {
        let mut tensor: Option<&[u8]> = None;
        for field in Fields::of(message) {
            if let (1, payload) = field? {
                tensor = Some(payload.bytes()?);
            }
        }
        for field in Fields::of(tensor.unwrap_or_default()) {
            match field? {
                (1, payload) => shape.dtype = payload.signed()?,
                (2, payload) => self.dimensions(payload.bytes()?, &mut shape.dimensions)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn dimensions(&self, message: &[u8], sizes: &mut Vec<Option<i64>>) -> Result<(), ScanError> {
        for dimension in Fields::of(message) {
            if let (1, payload) = dimension? {
                if sizes.len() == self.limits.dimensions {
                    return Err(ScanError::TooManyDimensions {
                        limit: self.limits.dimensions,
                    });
                }
                sizes.push(static_size(payload.bytes()?)?);
            }
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
    external: ExternalFields,
}

/// What is read of where a tensor's data lies, as the file has it.
#[derive(Default)]
struct ExternalFields {
    location: Option<String>,
    offset: Option<String>,
    length: Option<String>,
}

impl ExternalFields {
    fn take(&mut self, key: &str, value: &str) {
        let field = match key {
            "location" => &mut self.location,
            "offset" => &mut self.offset,
            "length" => &mut self.length,
            _ => return,
        };
        *field = Some(value.to_owned());
    }
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
        let number = |key: &'static str, text: &Option<String>| {
            let number = text
                .as_ref()
                .map(|text| text.parse::<u64>().map_err(|_| bad(key, text)));
            number.transpose()
        };
        let Some(location) = &self.external.location else {
            return Err(bad("location", ""));
        };
        let offset = number("offset", &self.external.offset)?.unwrap_or(0);
        let declared = number("length", &self.external.length)?.unwrap_or(0);
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
