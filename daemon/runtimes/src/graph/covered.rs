//! Whether [`super::proto`] covers everything that a file holds. prost passes over fields that
//! it does not know, so writing the file again would lose them: this walk finds them first. It
//! also bounds how much memory the decoded messages can take, which is many times their size on
//! the wire.

use super::GraphError;
use crate::onnx::wire::{Fields, Payload};

/// Fields of all messages together. An export of many thousand nodes has a few hundred thousand.
const MAX_FIELDS: usize = 2_000_000;
/// Messages within messages; prost ends at 100.
const MAX_DEPTH: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Entry,
    Value,
    Type,
    TensorType,
    Shape,
    Dimension,
    OperatorSet,
    Function,
}

/// What a field holds.
enum Content {
    Plain,
    Inner(Message),
}

impl Message {
    fn field(self, number: u64) -> Option<Content> {
        use Content::{Inner, Plain};
        let content = match (self, number) {
            (Self::Model, 7) => Inner(Self::Graph),
            (Self::Model, 8) | (Self::Function, 9) => Inner(Self::OperatorSet),
            (Self::Model, 14)
            | (Self::Graph, 16)
            | (Self::Node, 9)
            | (Self::Tensor, 13 | 16)
            | (Self::Value, 4)
            | (Self::Function, 14) => Inner(Self::Entry),
            (Self::Model, 25) => Inner(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Inner(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) => Inner(Self::Tensor),
            (Self::Graph, 11..=13) | (Self::Function, 12) => Inner(Self::Value),
            (Self::Node, 5) | (Self::Function, 11) => Inner(Self::Attribute),
            (Self::Attribute, 6 | 11) => Inner(Self::Graph),
            (Self::Attribute, 14 | 15) | (Self::Value, 2) => Inner(Self::Type),
            (Self::Type, 1) => Inner(Self::TensorType),
            (Self::TensorType, 2) => Inner(Self::Shape),
            (Self::Shape, 1) => Inner(Self::Dimension),
            (Self::Model, 1..=6)
            | (Self::Graph, 2 | 10)
            | (Self::Node, 1..=4 | 6..=8)
            | (Self::Attribute, 1..=4 | 7..=9 | 13 | 20 | 21)
            | (Self::Tensor, 1 | 2 | 4..=12 | 14)
            | (Self::Entry | Self::OperatorSet, 1 | 2)
            | (Self::Value, 1 | 3)
            | (Self::Type, 6)
            | (Self::TensorType, 1)
            | (Self::Dimension, 1..=3)
            | (Self::Function, 1 | 4..=6 | 8 | 10 | 13) => Plain,
            _ => return None,
        };
        Some(content)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Model => "ModelProto",
            Self::Graph => "GraphProto",
            Self::Node => "NodeProto",
            Self::Attribute => "AttributeProto",
            Self::Tensor => "TensorProto",
            Self::Entry => "StringStringEntryProto",
            Self::Value => "ValueInfoProto",
            Self::Type => "TypeProto",
            Self::TensorType => "TypeProto.Tensor",
            Self::Shape => "TensorShapeProto",
            Self::Dimension => "TensorShapeProto.Dimension",
            Self::OperatorSet => "OperatorSetIdProto",
            Self::Function => "FunctionProto",
        }
    }
}

/// Fails where the file holds a field that the messages do not have, or too many fields.
pub(crate) fn check(model: &[u8]) -> Result<(), GraphError> {
    let mut fields = 0;
    walk(Message::Model, model, 0, &mut fields)
}

fn walk(message: Message, bytes: &[u8], depth: usize, seen: &mut usize) -> Result<(), GraphError> {
    if depth > MAX_DEPTH {
        return Err(GraphError::TooDeep { limit: MAX_DEPTH });
    }
    for field in Fields::of(bytes) {
        let (number, payload) = field.map_err(GraphError::Wire)?;
        *seen += 1;
        if *seen > MAX_FIELDS {
            return Err(GraphError::TooManyFields { limit: MAX_FIELDS });
        }
        let not_covered = || GraphError::NotCovered {
            message: message.name(),
            field: number,
        };
        match (message.field(number), payload) {
            (Some(Content::Plain), _) => {}
            (Some(Content::Inner(inner)), Payload::Bytes(bytes)) => walk(inner, bytes, depth + 1, seen)?,
            (Some(Content::Inner(_)), Payload::Number(_) | Payload::Fixed(_)) | (None, _) => {
                return Err(not_covered());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_would_be_lost_is_named() {
        // ModelProto.training_info; GraphProto.sparse_initializer within a graph.
        for (bytes, message, field) in [
            (&[0xa2, 0x01, 0x00][..], "ModelProto", 20),
            (&[0x3a, 0x02, 0x7a, 0x00][..], "GraphProto", 15),
        ] {
            let error = check(bytes).unwrap_err().to_string();
            assert!(
                error.contains(message) && error.contains(&field.to_string()),
                "{error}"
            );
        }
    }

    #[test]
    fn a_message_where_a_number_stands_is_none() {
        assert!(check(&[0x38, 0x01]).is_err());
        assert!(check(&[0x08, 0x0a]).is_ok());
    }

    #[test]
    fn the_number_of_fields_is_bounded() {
        let many = [0x08, 0x01].repeat(MAX_FIELDS + 1);
        assert!(matches!(check(&many), Err(GraphError::TooManyFields { .. })));
    }

    #[test]
    fn graphs_within_graphs_end() {
        // model > graph > node > attribute > graph > node > ...
        let mut bytes: Vec<u8> = Vec::new();
        let inner = [0x32, 0x2a, 0x0a].into_iter().cycle().take(3 * 30);
        for tag in inner.chain([0x3a]) {
            let mut outer = vec![tag];
            let mut length = bytes.len();
            while length >= 0x80 {
                outer.push(length as u8 | 0x80);
                length >>= 7;
            }
            outer.push(length as u8);
            outer.extend(&bytes);
            bytes = outer;
        }
        assert!(matches!(check(&bytes), Err(GraphError::TooDeep { .. })));
    }
}
