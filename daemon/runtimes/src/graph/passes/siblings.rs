//! Query, key and value that meet their attention only behind norms, rotations or other nodes:
//! one product, and a `Split` that gives each its own part. Whether something lies between is not
//! asked: three products of one value are taken for a family, as two may as well be gate and up in
//! an unknown form.

use std::collections::{BTreeMap, HashSet};

use super::super::edit::{Build, Edits, Graph, Widened, narrowed};
use super::super::index::Index;
use super::super::plan::{Arrangement, Plan};
use super::quantized::{Quantized, products};

/// Products of one value from which on they are a family.
const FAMILY: usize = 3;
/// The version of the standard from which on `Split` reads sizes.
const SIZES_ARE_READ: i64 = 13;

/// Members of families that can be rows of one matrix. `taken` are nodes that go elsewhere.
pub(super) fn siblings(graph: &Graph, index: &Index<'_>, taken: &HashSet<usize>) -> Vec<Vec<Quantized>> {
    if graph.standard_version() < SIZES_ARE_READ {
        return Vec::new();
    }
    let mut families: BTreeMap<String, Vec<Quantized>> = BTreeMap::new();
    for product in products(graph, index).0 {
        if product.nodes.iter().all(|node| !taken.contains(node)) {
            families.entry(product.input.clone()).or_default().push(product);
        }
    }
    let families = families.into_values().filter(|family| family.len() >= FAMILY);
    let mut found: Vec<Vec<Quantized>> = families.flat_map(|family| alike(index, family)).collect();
    found.sort_by_key(|members| members[0].nodes[0]);
    found
}

/// The members of a family, those together that go together; none alone.
fn alike(index: &Index<'_>, family: Vec<Quantized>) -> Vec<Vec<Quantized>> {
    let mut groups: Vec<Vec<Quantized>> = Vec::new();
    for member in family.into_iter().filter(|member| is_free(index, member)) {
        let fits = |group: &&mut Vec<Quantized>| {
            group[0].goes_with(&member) && group[0].bias.is_some() == member.bias.is_some()
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(member),
            None => groups.push(vec![member]),
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// Whether it can be computed earlier, with others, and nobody misses what it is made of.
fn is_free(index: &Index<'_>, member: &Quantized) -> bool {
    let bias = member.bias.as_deref();
    bias.is_none_or(|bias| index.constant(bias).is_some())
        && !index.is_output(&member.output)
        && !index.uses(&member.output).is_empty()
        && index.is_closed(&member.nodes, &member.output)
}

pub(super) fn pack(graph: &mut Graph, plan: &mut Plan, edits: &mut Edits, members: &[Quantized]) {
    let [first, ..] = members else { return };
    let sizes: Vec<i64> = members
        .iter()
        .map(|member| member.source.rows.cast_signed())
        .collect();
    let sources = members.iter().map(|member| member.source.clone()).collect();
    let key = plan.pack(Arrangement::Stacked, sources, first.shape);
    // Where the first one is, the input is there already, and no reader of any has come.
    let nodes = || members.iter().flat_map(|member| member.nodes.iter().copied());
    let Some(place) = nodes().min() else { return };
    let input = Widened::default().get(graph, edits, place, &first.input, first.dtype);
    let bias = joined_bias(graph, edits, place, members);
    let joined = graph.fresh(&first.output);
    let (output, cast) = narrowed(graph, &joined, first.dtype);
    let product = Build::ours("QuantizedMatMul")
        .inputs(&[Some(&input), bias.as_deref()])
        .text("weights", &key)
        .integer("rows", sizes.iter().sum())
        .integer("columns", first.shape.columns.cast_signed())
        .output(&output);
    let sizes = graph.add_integers("sizes", &sizes);
    let mut split = Build::standard("Split")
        .input(&joined)
        .input(&sizes)
        .integer("axis", -1)
        .output(&first.output);
    split.output = members.iter().map(|member| member.output.clone()).collect();
    edits.remove(nodes());
    edits.put_before(place, [Some(product), cast, Some(split)].into_iter().flatten());
}

/// One bias behind the other; ONNX Runtime joins them when it loads the graph, as all are constants.
pub(super) fn joined_bias(
    graph: &mut Graph,
    edits: &mut Edits,
    place: usize,
    members: &[Quantized],
) -> Option<String> {
    let names = members.iter().map(|member| member.bias.as_deref());
    let names: Vec<&str> = names.collect::<Option<_>>()?;
    let [first, ..] = names[..] else { return None };
    let joined = graph.fresh(first);
    let concat = names
        .iter()
        .fold(Build::standard("Concat"), |concat, name| concat.input(name))
        .integer("axis", 0)
        .output(&joined);
    edits.put_before(place, [concat]);
    Some(Widened::default().get(graph, edits, place, &joined, members[0].dtype))
}

#[cfg(test)]
#[path = "siblings_tests.rs"]
mod tests;
