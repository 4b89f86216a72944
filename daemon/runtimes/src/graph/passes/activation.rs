//! What a gated layer of a network multiplies: `act(gate) * up`, in the forms that exporters
//! write it in.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

use super::super::index::{Index, is_microsoft, is_standard};
use super::super::proto::NodeProto;
use super::integer::ends_bytes;

/// How far constants may be from what they stand for: they were rounded to half floats.
const TOLERANCE: f64 = 1e-3;
/// Multiplications within one product, and factors of it, that are looked at.
const MAX_DEPTH: usize = 8;
const MAX_FACTORS: usize = 4;

/// `act(gate) * up` and the nodes that compute it.
#[derive(Debug)]
pub(super) struct Gated<'g> {
    pub(super) gate: &'g str,
    pub(super) up: &'g str,
    pub(super) activation: &'static str,
    pub(super) nodes: Vec<usize>,
}

/// Reads the product that a node ends.
pub(super) fn gated<'g>(index: &Index<'g>, number: usize) -> Option<Gated<'g>> {
    let product = Product::of(index, number)?;
    (0..product.factors.len()).find_map(|place| {
        let mut rest = product.factors.clone();
        let activated = function(index, rest.remove(place))?;
        if !is_near(product.constant, activated.constant) {
            return None;
        }
        if activated.multiplies_gate {
            let gate = rest.iter().position(|factor| *factor == activated.gate)?;
            rest.remove(gate);
        }
        let [up] = rest[..] else { return None };
        let mut nodes = product.nodes.clone();
        nodes.extend(activated.nodes);
        Some(Gated {
            gate: activated.gate,
            up,
            activation: activated.name,
            nodes,
        })
    })
}

/// One factor that makes the product an activation.
struct Activated<'g> {
    gate: &'g str,
    name: &'static str,
    /// Whether the gate itself is another factor.
    multiplies_gate: bool,
    /// What the constants of the product come to.
    constant: f64,
    nodes: Vec<usize>,
}

const SILU: &str = "silu";
const GELU_TANH: &str = "gelu_tanh";
const GELU_ERF: &str = "gelu_erf";

fn function<'g>(index: &Index<'g>, factor: &str) -> Option<Activated<'g>> {
    let (number, node) = index.producer(factor)?;
    if is_standard(node, "Add") {
        return written_out(index, number, node);
    }
    let is_sigmoid = is_standard(node, "Sigmoid");
    Some(Activated {
        gate: node.given(0)?,
        name: if is_sigmoid { SILU } else { named(node)? },
        multiplies_gate: is_sigmoid,
        constant: 1.0,
        nodes: vec![number],
    })
}

fn named(node: &NodeProto) -> Option<&'static str> {
    // A second input would be a bias.
    if node.given(1).is_some() {
        return None;
    }
    let alpha = |missing: f32| is_near(f64::from(node.float("alpha").unwrap_or(missing)), 1.0);
    if is_microsoft(node, "QuickGelu") && alpha(1.702) || is_standard(node, "Swish") && alpha(1.0) {
        return Some(SILU);
    }
    if is_microsoft(node, "FastGelu") {
        return Some(GELU_TANH);
    }
    match node.text("approximate") {
        Some("tanh") if is_standard(node, "Gelu") => Some(GELU_TANH),
        Some("none") | None if is_standard(node, "Gelu") => Some(GELU_ERF),
        _ => is_microsoft(node, "Gelu").then_some(GELU_ERF),
    }
}

/// `1 + erf(gate / sqrt 2)` and `1 + tanh(sqrt(2 / pi) * (gate + 0.044715 * gate ** 3))`.
fn written_out<'g>(index: &Index<'g>, number: usize, node: &'g NodeProto) -> Option<Activated<'g>> {
    let curve = plus(index, node, 1.0)?;
    let (curve_number, curve) = index.producer(curve)?;
    let inner = curve.given(0)?;
    let mut nodes = vec![number, curve_number];
    let (gate, name) = if is_standard(curve, "Erf") {
        let product = Product::of(index, index.producer(inner)?.0)?;
        let [gate] = product.factors[..] else { return None };
        if !is_near(product.constant, FRAC_1_SQRT_2) {
            return None;
        }
        nodes.extend(product.nodes);
        (gate, GELU_ERF)
    } else if is_standard(curve, "Tanh") {
        (cubic(index, inner, &mut nodes)?, GELU_TANH)
    } else {
        return None;
    };
    Some(Activated {
        gate,
        name,
        multiplies_gate: true,
        constant: 0.5,
        nodes,
    })
}

/// The other summand where one is this constant.
fn plus<'g>(index: &Index<'g>, node: &'g NodeProto, constant: f64) -> Option<&'g str> {
    let (left, right) = (node.given(0)?, node.given(1)?);
    let is = |value| {
        index
            .number(value)
            .is_some_and(|number| is_near(number, constant))
    };
    match (is(left), is(right)) {
        (false, true) => Some(left),
        (true, false) => Some(right),
        (true, true) | (false, false) => None,
    }
}

/// The gate of `sqrt(2 / pi) * (gate + 0.044715 * gate ** 3)`.
fn cubic<'g>(index: &Index<'g>, value: &str, nodes: &mut Vec<usize>) -> Option<&'g str> {
    let outer = Product::of(index, index.producer(value)?.0)?;
    let [sum] = outer.factors[..] else { return None };
    let (sum_number, sum) = index.producer(sum)?;
    if !is_standard(sum, "Add") || !is_near(outer.constant, FRAC_2_PI.sqrt()) {
        return None;
    }
    let [left, right] = [sum.given(0)?, sum.given(1)?];
    let (gate, cube) = [(left, right), (right, left)]
        .into_iter()
        .find_map(|(gate, cube)| {
            let cube = Product::of(index, index.producer(cube)?.0)?;
            let is_cube = match cube.factors[..] {
                [one, two, three] => one == gate && two == gate && three == gate,
                [power] => is_third_power(index, power, gate),
                _ => false,
            };
            (is_cube && is_near(cube.constant, 0.044_715)).then_some((gate, cube))
        })?;
    if let [power] = cube.factors[..] {
        nodes.push(index.producer(power)?.0);
    }
    nodes.push(sum_number);
    nodes.extend(outer.nodes);
    nodes.extend(cube.nodes);
    Some(gate)
}

fn is_third_power(index: &Index<'_>, value: &str, gate: &str) -> bool {
    index.producer(value).is_some_and(|(_, node)| {
        is_standard(node, "Pow")
            && node.given(0) == Some(gate)
            && node.given(1).and_then(|exponent| index.number(exponent)) == Some(3.0)
    })
}

fn is_near(value: f64, expected: f64) -> bool {
    (value - expected).abs() <= TOLERANCE * expected.abs()
}

/// Multiplications, one into the next, and divisions by constants.
#[derive(Debug)]
struct Product<'g> {
    factors: Vec<&'g str>,
    constant: f64,
    nodes: Vec<usize>,
}

impl<'g> Product<'g> {
    fn of(index: &Index<'g>, number: usize) -> Option<Self> {
        let mut product = Self {
            factors: Vec::new(),
            constant: 1.0,
            nodes: Vec::new(),
        };
        product.node(index, number, 0)?;
        (product.factors.len() <= MAX_FACTORS).then_some(product)
    }

    fn node(&mut self, index: &Index<'g>, number: usize, depth: usize) -> Option<()> {
        let node = &index.nodes()[number];
        let (left, right) = (node.given(0)?, node.given(1)?);
        self.nodes.push(number);
        if is_standard(node, "Div") {
            self.constant /= index.number(right)?;
            return self.factor(index, left, depth);
        }
        if !is_standard(node, "Mul") {
            return None;
        }
        self.factor(index, left, depth)?;
        self.factor(index, right, depth)
    }

    fn factor(&mut self, index: &Index<'g>, value: &'g str, depth: usize) -> Option<()> {
        if let Some(number) = index.number(value) {
            self.constant *= number;
            return Some(());
        }
        let inner = index.producer(value).filter(|(_, node)| {
            let is_product = is_standard(node, "Mul")
                || is_standard(node, "Div")
                    && node
                        .given(1)
                        .is_some_and(|divisor| index.number(divisor).is_some());
            let is_inner = is_product && !ends_bytes(index, node);
            is_inner && depth < MAX_DEPTH && index.sole_use(value).is_some()
        });
        match inner {
            Some((number, _)) => self.node(index, number, depth + 1),
            None => {
                self.factors.push(value);
                Some(())
            }
        }
    }
}
