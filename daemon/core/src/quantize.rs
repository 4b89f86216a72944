//! Smaller models made of full-precision ones.

use crate::model::Model;
use crate::name::ModelName;

/// How small a model is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuantizeLevel {
    /// Weights as 16-bit floats.
    F16,
    /// 8 bits in blocks of 32.
    Q8,
    /// 8 bits for the output head and the matrices that write into the residual stream, 4 for the
    /// others.
    Q6,
    /// 4 bits in blocks of 32, and 8 for the output head and as many sensitive matrices as it
    /// takes to lose no more than llama.cpp's `Q4_K_M`.
    Q4M,
    /// 4 bits in blocks of 64, and 8 for the output head.
    Q4S,
    /// 2 bits, with 4 for sensitive matrices and 8 for the output head: noticeably worse.
    Q2,
}

impl QuantizeLevel {
    pub const ALL: [Self; 6] = [Self::F16, Self::Q8, Self::Q6, Self::Q4M, Self::Q4S, Self::Q2];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::F16 => "fp16",
            Self::Q8 => "q8",
            Self::Q6 => "q6",
            Self::Q4M => "q4_m",
            Self::Q4S => "q4_s",
            Self::Q2 => "q2",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(text))
    }

    /// All levels, for messages.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// Why one should think twice.
    #[must_use]
    pub const fn warning(self) -> Option<&'static str> {
        match self {
            Self::Q2 => Some("2 bits are an experiment: expect noticeably worse answers than with q4_s"),
            Self::F16 | Self::Q8 | Self::Q6 | Self::Q4M | Self::Q4S => None,
        }
    }
}

/// What to make of which model.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizeRequest {
    pub model: ModelName,
    pub level: QuantizeLevel,
    /// `None`: the model's name and the level.
    pub name: Option<ModelName>,
    /// What both models are compared on; `None`: a text of the program's own.
    pub text: Option<String>,
}

/// The longest text to compare models on, bytes. Only its beginning is looked at.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

impl QuantizeRequest {
    /// What the new model is called.
    pub fn target(&self) -> Result<ModelName, crate::Fault> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let base = self.model.as_str();
        let base = base.strip_prefix(crate::name::BUILTIN_PREFIX).unwrap_or(base);
        ModelName::new(&format!("{base}-{}", self.level.as_str()))
    }

    pub fn validate(&self) -> Result<(), crate::Fault> {
        self.target()?;
        match &self.text {
            Some(text) if text.len() > MAX_TEXT_BYTES => Err(crate::Fault::invalid(format!(
                "the text has {} bytes, more than the {MAX_TEXT_BYTES} that are taken",
                text.len()
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

/// What is done at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuantizeStage {
    /// Another model is being made.
    Waiting,
    Checking,
    Quantizing,
    /// Both models compute a text.
    Comparing,
    Publishing,
}

impl QuantizeStage {
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Checking,
        Self::Quantizing,
        Self::Comparing,
        Self::Publishing,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Checking => "checking",
            Self::Quantizing => "quantizing",
            Self::Comparing => "comparing",
            Self::Publishing => "publishing",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantizeProgress {
    pub stage: QuantizeStage,
    /// Of everything, 0 to 1.
    pub fraction: f64,
}

/// What one matrix lost.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixError {
    pub name: String,
    /// Of one weight.
    pub bits: u32,
    /// Root of the mean squared error, as a part of that of the weights.
    pub relative_error: f64,
}

/// Both models on the same text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantizeComparison {
    /// Tokens that were predicted.
    pub tokens: u32,
    /// Mean Kullback-Leibler divergence of the new model's predictions from the old one's, nats.
    pub kl_divergence: f64,
    pub perplexity_before: f64,
    pub perplexity_after: f64,
    /// Part of the tokens where both think the same most likely.
    pub same_first: f64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizeReport {
    pub level: QuantizeLevel,
    /// Of graph and weights.
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// Matrices that were quantized.
    pub matrices: u32,
    /// Of all of them together.
    pub relative_error: f64,
    /// Of each of them (of 4,096 at most), the worst first.
    pub errors: Vec<MatrixError>,
    /// `None` if the models were not compared; a warning says why.
    pub comparison: Option<QuantizeComparison>,
    pub warnings: Vec<String>,
}

/// What happens while a model is made smaller. The last is `Installed`.
#[derive(Clone, Debug, PartialEq)]
pub enum QuantizeEvent {
    Progress(QuantizeProgress),
    Installed {
        model: Box<Model>,
        report: Box<QuantizeReport>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_stages_are_read_as_they_are_written() {
        for level in QuantizeLevel::ALL {
            assert_eq!(QuantizeLevel::parse(level.as_str()), Some(level));
        }
        assert_eq!(QuantizeLevel::parse("Q4_M"), Some(QuantizeLevel::Q4M));
        assert_eq!(QuantizeLevel::parse("q5"), None);
        for stage in QuantizeStage::ALL {
            assert_eq!(QuantizeStage::parse(stage.as_str()), Some(stage));
        }
    }

    #[test]
    fn the_new_name_tells_the_level() {
        let mut request = QuantizeRequest {
            model: ModelName::new("builtin/helper").unwrap(),
            level: QuantizeLevel::Q4M,
            name: None,
            text: None,
        };
        assert_eq!(request.target().unwrap().as_str(), "helper-q4_m");
        request.model = ModelName::new("owner/model").unwrap();
        assert_eq!(request.target().unwrap().as_str(), "owner/model-q4_m");
        request.name = Some(ModelName::new("small").unwrap());
        assert_eq!(request.target().unwrap().as_str(), "small");
        request.model = ModelName::new(&"a".repeat(128)).unwrap();
        request.name = None;
        assert!(request.validate().is_err());
        request.name = Some(ModelName::new("small").unwrap());
        request.text = Some("x".repeat(MAX_TEXT_BYTES + 1));
        assert!(request.validate().is_err());
    }
}
