//! Who makes and who reads each value of a graph.

use std::collections::{HashMap, HashSet};

use super::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};
use super::tensor;

/// Only for looking: a pass collects what it wants to change, drops the index, and changes.
pub(crate) struct Index<'g> {
    nodes: &'g [NodeProto],
    producers: HashMap<&'g str, usize>,
    /// Nodes that read a value, once per input; nested graphs read for their node.
    uses: HashMap<&'g str, Vec<usize>>,
    constants: HashMap<&'g str, &'g TensorProto>,
    inputs: HashSet<&'g str>,
    outputs: HashSet<&'g str>,
}

impl<'g> Index<'g> {
    pub(crate) fn of(graph: &'g GraphProto) -> Self {
        let inputs: HashSet<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
        let mut index = Self {
            nodes: &graph.node,
            producers: HashMap::with_capacity(graph.node.len()),
            uses: HashMap::with_capacity(graph.node.len()),
            // An initializer that is an input as well may be another at every run.
            constants: graph
                .initializer
                .iter()
                .map(|tensor| (tensor.name.as_str(), tensor))
                .filter(|(name, _)| !inputs.contains(name))
                .collect(),
            outputs: graph.output.iter().map(|output| output.name.as_str()).collect(),
            inputs,
        };
        for (number, node) in graph.node.iter().enumerate() {
            index.add(number, node);
        }
        index
    }

    fn add(&mut self, number: usize, node: &'g NodeProto) {
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            self.producers.insert(output, number);
        }
        for read in reads(node) {
            self.uses.entry(read).or_default().push(number);
        }
        if is_standard(node, "Constant")
            && let ([attribute], [output]) = (&node.attribute[..], &node.output[..])
            && let Some(tensor) = &attribute.t
        {
            self.constants.insert(output, tensor);
        }
    }

    pub(crate) fn nodes(&self) -> &'g [NodeProto] {
        self.nodes
    }

    pub(crate) fn producer(&self, value: &str) -> Option<(usize, &'g NodeProto)> {
        let &number = self.producers.get(value)?;
        Some((number, &self.nodes[number]))
    }

    pub(crate) fn uses(&self, value: &str) -> &[usize] {
        self.uses.get(value).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn is_input(&self, value: &str) -> bool {
        self.inputs.contains(value)
    }

    pub(crate) fn is_output(&self, value: &str) -> bool {
        self.outputs.contains(value)
    }

    /// The one node that reads a value, if there is just one and the graph does not return it.
    pub(crate) fn sole_use(&self, value: &str) -> Option<(usize, &'g NodeProto)> {
        match *self.uses(value) {
            [number] if !self.is_output(value) => Some((number, &self.nodes[number])),
            _ => None,
        }
    }

    /// Whether nothing but these nodes reads what they make, the last value apart.
    pub(crate) fn is_closed(&self, nodes: &[usize], last: &str) -> bool {
        let made = nodes.iter().flat_map(|&number| &self.nodes[number].output);
        made.filter(|value| !value.is_empty() && *value != last)
            .all(|value| {
                !self.is_output(value) && self.uses(value).iter().all(|reader| nodes.contains(reader))
            })
    }

    /// The tensor of a value that is the same at every run.
    pub(crate) fn constant(&self, value: &str) -> Option<&'g TensorProto> {
        if let Some(tensor) = self.constants.get(value) {
            return Some(tensor);
        }
        let (_, node) = self.producer(value)?;
        // Names come from the file: a node that reads itself must not be followed for ever.
        let input = node.input.first().filter(|_| is_standard(node, "Identity"))?;
        self.constants.get(input.as_str()).copied()
    }

    /// The same, for the name under which the tensor stands itself.
    pub(crate) fn stored(&self, name: &str) -> Option<&'g TensorProto> {
        self.constants.get(name).copied()
    }

    pub(crate) fn integers(&self, value: &str) -> Option<Vec<i64>> {
        if let Some(tensor) = self.constant(value) {
            return tensor::integers(tensor);
        }
        let attribute = self.constant_attribute(value)?;
        match attribute.name.as_str() {
            "value_int" => attribute.i.map(|whole| vec![whole]),
            "value_ints" => Some(attribute.ints.clone()),
            _ => None,
        }
    }

    pub(crate) fn number(&self, value: &str) -> Option<f64> {
        if let Some(tensor) = self.constant(value) {
            return tensor::number(tensor);
        }
        let attribute = self.constant_attribute(value)?;
        match attribute.name.as_str() {
            "value_float" => attribute.f.map(f64::from),
            "value_int" => attribute.i.map(|whole| whole as f64),
            _ => None,
        }
    }

    fn constant_attribute(&self, value: &str) -> Option<&'g AttributeProto> {
        let (_, node) = self.producer(value)?;
        node.attribute.first().filter(|_| is_standard(node, "Constant"))
    }

    /// Whether a value is the same at every run, small or large.
    pub(crate) fn is_constant(&self, value: &str) -> bool {
        self.constant(value).is_some() || self.constant_attribute(value).is_some()
    }
}

/// Every value that a node reads, its nested graphs included. Names that a nested graph makes
/// itself are among them: no outer value may have the same name, so they do no harm.
pub(crate) fn reads(node: &NodeProto) -> impl Iterator<Item = &str> {
    let mut names: Vec<&str> = node.input.iter().map(String::as_str).collect();
    let mut graphs: Vec<&GraphProto> = nested(node).collect();
    while let Some(graph) = graphs.pop() {
        names.extend(graph.output.iter().map(|output| output.name.as_str()));
        for inner in &graph.node {
            names.extend(inner.input.iter().map(String::as_str));
            graphs.extend(nested(inner));
        }
    }
    names.into_iter().filter(|name| !name.is_empty())
}

pub(crate) fn nested(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    let attributes = node.attribute.iter();
    attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

pub(crate) fn is_standard(node: &NodeProto, name: &str) -> bool {
    node.op_type == name && matches!(node.domain.as_str(), "" | "ai.onnx")
}

pub(crate) fn is_microsoft(node: &NodeProto, name: &str) -> bool {
    node.op_type == name && node.domain == "com.microsoft"
}

pub(crate) fn is_ours(node: &NodeProto, name: &str) -> bool {
    node.op_type == name && node.domain == super::DOMAIN
}

impl NodeProto {
    /// The name of an input, if it is given.
    pub(crate) fn given(&self, place: usize) -> Option<&str> {
        let name = self.input.get(place)?;
        (!name.is_empty()).then_some(name)
    }

    /// The name of an output, if it is asked for.
    pub(crate) fn made(&self, place: usize) -> Option<&str> {
        let name = self.output.get(place)?;
        (!name.is_empty()).then_some(name)
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.i
    }

    pub(crate) fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name)?.f
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.attribute(name)?.s.as_ref()?).ok()
    }
}
