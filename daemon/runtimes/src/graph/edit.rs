//! A graph that passes change, and the changes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;

use super::index::{Index, is_standard, nested, reads};
use super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
};
use super::tensor::TensorRef;
use super::{DOMAIN, Refusal};
use crate::onnx::dtype;

/// The domain of ONNX Runtime's own operators.
pub(crate) const MICROSOFT: &str = "com.microsoft";

/// A model whose main graph can be changed.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    /// Everything but the graph.
    frame: ModelProto,
    proto: GraphProto,
    /// The graph's place in its package, as external data is found beside it.
    file: String,
    names: HashSet<String>,
}

impl Graph {
    /// `None` without a graph.
    pub(crate) fn new(mut model: ModelProto, file: &str) -> Option<Self> {
        let proto = model.graph.take()?;
        let mut names = HashSet::new();
        collect_names(&proto, &mut names);
        Some(Self {
            frame: model,
            proto,
            file: file.to_owned(),
            names,
        })
    }

    pub(crate) fn into_model(self) -> ModelProto {
        let mut model = self.frame;
        if self.proto.node.iter().any(|node| node.domain == DOMAIN) {
            model.opset_import.push(OperatorSetIdProto {
                domain: DOMAIN.to_owned(),
                version: 1,
            });
        }
        model.graph = Some(self.proto);
        model
    }

    pub(crate) fn proto(&self) -> &GraphProto {
        &self.proto
    }

    pub(crate) fn index(&self) -> Index<'_> {
        Index::of(&self.proto)
    }

    /// Where the bytes of a constant are.
    pub(crate) fn reference(&self, index: &Index<'_>, value: &str) -> Result<TensorRef, Refusal> {
        let tensor = index.constant(value);
        let tensor = tensor.ok_or_else(|| Refusal::tensor(value, "it is not a constant"))?;
        TensorRef::of(tensor, &self.file)
    }

    /// A name that nothing in the model has.
    pub(crate) fn fresh(&mut self, base: &str) -> String {
        let first = format!("airunner/{base}");
        let name = (0..)
            .map(|number| match number {
                0 => first.clone(),
                _ => format!("{first}.{number}"),
            })
            .find(|name| !self.names.contains(name))
            .unwrap_or(first);
        self.names.insert(name.clone());
        name
    }

    pub(crate) fn apply(&mut self, edits: Edits) {
        let nodes = std::mem::take(&mut self.proto.node);
        let Edits { removed, mut put } = edits;
        for (number, node) in nodes.into_iter().enumerate() {
            self.proto
                .node
                .append(&mut put.remove(&number).unwrap_or_default());
            if !removed.contains(&number) {
                self.proto.node.push(node);
            }
        }
        // Shapes between the nodes are those of before, and optional.
        self.proto.value_info.clear();
        self.sweep();
    }

    /// Removes nodes whose results nobody reads, then initializers.
    fn sweep(&mut self) {
        let outputs = self.proto.output.iter().map(|output| output.name.as_str());
        let mut read: HashSet<&str> = outputs.collect();
        let mut kept = vec![false; self.proto.node.len()];
        for (node, kept) in self.proto.node.iter().zip(&mut kept).rev() {
            *kept = node.output.iter().any(|output| read.contains(output.as_str()));
            if *kept {
                read.extend(reads(node));
            }
        }
        let initializers: Vec<bool> = self
            .proto
            .initializer
            .iter()
            .map(|tensor| read.contains(tensor.name.as_str()))
            .collect();
        retain(&mut self.proto.node, &kept);
        retain(&mut self.proto.initializer, &initializers);
    }

    /// For nodes that are put in before anything is swept away.
    pub(crate) fn add_initializer(&mut self, tensor: TensorProto) {
        self.names.insert(tensor.name.clone());
        self.proto.initializer.push(tensor);
    }

    pub(crate) fn take_initializer(&mut self, name: &str) -> Option<TensorProto> {
        let mut initializers = self.proto.initializer.iter();
        let place = initializers.position(|tensor| tensor.name == name)?;
        Some(self.proto.initializer.remove(place))
    }

    /// Makes the operators of [`MICROSOFT`] known.
    pub(crate) fn import_microsoft(&mut self) {
        let imports = &mut self.frame.opset_import;
        if !imports.iter().any(|import| import.domain == MICROSOFT) {
            imports.push(OperatorSetIdProto {
                domain: MICROSOFT.to_owned(),
                version: 1,
            });
        }
    }

    /// Removes inputs that nobody reads, of those that `is_wanted` names.
    pub(crate) fn remove_unread_inputs(&mut self, is_wanted: impl Fn(&str) -> bool) {
        let read: HashSet<&str> = self.proto.node.iter().flat_map(reads).collect();
        let kept: Vec<bool> = self
            .proto
            .input
            .iter()
            .map(|input| read.contains(input.name.as_str()) || !is_wanted(&input.name))
            .collect();
        retain(&mut self.proto.input, &kept);
    }

    pub(crate) fn remove_outputs(&mut self, is_removed: impl Fn(&str) -> bool) {
        self.proto.output.retain(|output| !is_removed(&output.name));
        self.sweep();
    }

    pub(crate) fn add_input(&mut self, name: &str, dtype: i64, dimensions: &[&str]) {
        self.names.insert(name.to_owned());
        self.proto.input.push(value_info(name, dtype, Some(dimensions)));
    }

    /// Gives one dimension of an output a name.
    pub(crate) fn name_output_dimension(&mut self, output: &str, place: usize, name: &str) {
        let outputs = self.proto.output.iter_mut();
        let shape = outputs
            .filter(|info| info.name == output)
            .find_map(|info| info.kind.as_mut()?.tensor_type.as_mut()?.shape.as_mut());
        if let Some(dimension) = shape.and_then(|shape| shape.dim.get_mut(place)) {
            dimension.dim_value = None;
            dimension.dim_param = Some(name.to_owned());
        }
    }

    /// Adds whole numbers as a constant and returns its name.
    pub(crate) fn add_integers(&mut self, base: &str, numbers: &[i64]) -> String {
        let name = self.fresh(base);
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.proto.initializer.push(TensorProto {
            dims: vec![numbers.len() as i64],
            data_type: dtype::INT64 as i32,
            name: name.clone(),
            raw_data: Some(bytes.into()),
            ..TensorProto::default()
        });
        name
    }

    /// The version of the standard operators; 0 if there are none.
    pub(crate) fn standard_version(&self) -> i64 {
        let mut imports = self.frame.opset_import.iter();
        let standard = imports.find(|import| matches!(import.domain.as_str(), "" | "ai.onnx"));
        standard.map_or(0, |import| import.version)
    }

    /// Another graph in the same frame.
    pub(crate) fn model_of(&self, proto: GraphProto) -> ModelProto {
        ModelProto {
            graph: Some(proto),
            ..self.frame.clone()
        }
    }

    /// Has all nodes read other values in the place of some; nested graphs are left.
    pub(crate) fn redirect(&mut self, others: &HashMap<String, String>) {
        let inputs = self.proto.node.iter_mut().flat_map(|node| &mut node.input);
        for input in inputs {
            if let Some(other) = others.get(input) {
                other.clone_into(input);
            }
        }
    }

    /// Adds one 32-bit float as a constant and returns its name.
    pub(crate) fn add_float(&mut self, base: &str, number: f32) -> String {
        let name = self.fresh(base);
        self.proto.initializer.push(TensorProto {
            data_type: dtype::FLOAT as i32,
            name: name.clone(),
            raw_data: Some(Bytes::copy_from_slice(&number.to_le_bytes())),
            ..TensorProto::default()
        });
        name
    }

    pub(crate) fn set_integer(&mut self, node: usize, name: &str, value: i64) {
        let attributes = &mut self.proto.node[node].attribute;
        attributes.retain(|attribute| attribute.name != name);
        attributes.push(integer(name, value));
    }

    /// `TensorProto.DataType` of a graph input or output; 0 if it is not known.
    pub(crate) fn dtype_of(&self, name: &str) -> i64 {
        self.type_of(name).map_or(0, |kind| i64::from(kind.elem_type))
    }

    /// Sizes of a graph input or output that are fixed.
    pub(crate) fn sizes_of(&self, name: &str) -> Option<Vec<Option<i64>>> {
        let shape = self.type_of(name)?.shape.as_ref()?;
        Some(shape.dim.iter().map(|dimension| dimension.dim_value).collect())
    }

    fn type_of(&self, name: &str) -> Option<&TensorTypeProto> {
        let GraphProto {
            input,
            output,
            value_info,
            ..
        } = &self.proto;
        let mut values = input.iter().chain(output).chain(value_info);
        let value = values.find(|value| value.name == name)?;
        value.kind.as_ref()?.tensor_type.as_ref()
    }
}

/// An input or output whose dimensions have names, or are not known.
pub(crate) fn value_info(name: &str, dtype: i64, dimensions: Option<&[&str]>) -> ValueInfoProto {
    let dimension = |name: &&str| DimensionProto {
        dim_param: Some((*name).to_owned()),
        ..DimensionProto::default()
    };
    let shape = dimensions.map(|dimensions| TensorShapeProto {
        dim: dimensions.iter().map(dimension).collect(),
    });
    let tensor_type = TensorTypeProto {
        elem_type: i32::try_from(dtype).unwrap_or_default(),
        shape,
    };
    ValueInfoProto {
        name: name.to_owned(),
        kind: Some(TypeProto {
            tensor_type: Some(tensor_type),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

fn collect_names(graph: &GraphProto, names: &mut HashSet<String>) {
    let values = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
    names.extend(values.map(|value| value.name.clone()));
    names.extend(graph.initializer.iter().map(|tensor| tensor.name.clone()));
    for node in &graph.node {
        names.extend(node.output.iter().cloned());
        for inner in nested(node) {
            collect_names(inner, names);
        }
    }
}

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next().copied().unwrap_or(true));
}

/// Nodes to take away and to put in, by the numbers of the index they were found with.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    removed: BTreeSet<usize>,
    /// What comes before a node.
    put: BTreeMap<usize, Vec<NodeProto>>,
}

impl Edits {
    pub(crate) fn remove(&mut self, nodes: impl IntoIterator<Item = usize>) {
        self.removed.extend(nodes);
    }

    pub(crate) fn put_before(&mut self, node: usize, added: impl IntoIterator<Item = NodeProto>) {
        self.put.entry(node).or_default().extend(added);
    }

    /// Puts nodes where another one was.
    pub(crate) fn replace(&mut self, node: usize, added: impl IntoIterator<Item = NodeProto>) {
        self.remove([node]);
        self.put_before(node, added);
    }
}

/// A node under construction.
pub(crate) struct Build(NodeProto);

impl Build {
    pub(crate) fn standard(operator: &str) -> Self {
        Self(NodeProto {
            op_type: operator.to_owned(),
            ..NodeProto::default()
        })
    }

    pub(crate) fn microsoft(operator: &str) -> Self {
        let mut build = Self::standard(operator);
        MICROSOFT.clone_into(&mut build.0.domain);
        build
    }

    pub(crate) fn ours(operator: &str) -> Self {
        let mut build = Self::standard(operator);
        DOMAIN.clone_into(&mut build.0.domain);
        build
    }

    /// The conversion of a value to another element type.
    pub(crate) fn cast(from: &str, to: &str, dtype: i64) -> NodeProto {
        Self::standard("Cast").input(from).integer("to", dtype).output(to)
    }

    pub(crate) fn input(mut self, name: &str) -> Self {
        self.0.input.push(name.to_owned());
        self
    }

    /// Inputs of which those at the end may be missing.
    pub(crate) fn inputs(mut self, names: &[Option<&str>]) -> Self {
        let given = names.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let names = names[..given].iter().map(|name| name.unwrap_or_default());
        self.0.input.extend(names.map(str::to_owned));
        self
    }

    pub(crate) fn integer(mut self, name: &str, value: i64) -> Self {
        self.0.attribute.push(integer(name, value));
        self
    }

    pub(crate) fn integers(mut self, name: &str, values: &[i64]) -> Self {
        self.0.attribute.push(AttributeProto {
            ints: values.to_vec(),
            ..attribute(name, attribute_type::INTS)
        });
        self
    }

    pub(crate) fn float(mut self, name: &str, value: f32) -> Self {
        self.0.attribute.push(AttributeProto {
            f: Some(value),
            ..attribute(name, attribute_type::FLOAT)
        });
        self
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.0.attribute.push(AttributeProto {
            s: Some(Bytes::copy_from_slice(value.as_bytes())),
            ..attribute(name, attribute_type::STRING)
        });
        self
    }

    pub(crate) fn output(mut self, name: &str) -> NodeProto {
        name.clone_into(&mut self.0.name);
        self.0.output.push(name.to_owned());
        self.0
    }
}

fn attribute(name: &str, kind: i32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        kind,
        ..AttributeProto::default()
    }
}

fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..attribute(name, attribute_type::INT)
    }
}

/// A value as 32-bit floats: itself, or converted before `node`, once for all that ask.
#[derive(Default)]
pub(crate) struct Widened(BTreeMap<String, String>);

impl Widened {
    pub(crate) fn get(
        &mut self,
        graph: &mut Graph,
        edits: &mut Edits,
        node: usize,
        value: &str,
        dtype: i64,
    ) -> String {
        if dtype == dtype::FLOAT {
            return value.to_owned();
        }
        if let Some(wide) = self.0.get(value) {
            return wide.clone();
        }
        let wide = graph.fresh(value);
        edits.put_before(node, [Build::cast(value, &wide, dtype::FLOAT)]);
        self.0.insert(value.to_owned(), wide.clone());
        wide
    }
}

/// Where 32-bit floats are made for a value of another type: the name to write to, and the node
/// that converts it, if any.
pub(crate) fn narrowed(graph: &mut Graph, value: &str, dtype: i64) -> (String, Option<NodeProto>) {
    if dtype == dtype::FLOAT {
        return (value.to_owned(), None);
    }
    let wide = graph.fresh(value);
    let cast = Build::cast(&wide, value, dtype);
    (wide, Some(cast))
}

/// Follows a value upwards through nodes that give it on unchanged.
pub(crate) fn through_identities<'g>(index: &Index<'g>, value: &'g str) -> &'g str {
    let mut value = value;
    for _ in 0..8 {
        let Some((_, node)) = index.producer(value) else {
            break;
        };
        let Some(input) = node.given(0).filter(|_| is_standard(node, "Identity")) else {
            break;
        };
        value = input;
    }
    value
}
