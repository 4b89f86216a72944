//! From a TOML text to known models.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use airunner_core::ModelName;
use airunner_core::catalog::{CatalogEntry, CatalogVariant, Modality, normalized};
use airunner_core::memory::{Quantization, parse_bytes};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use toml_edit::{Document, Item, Table};

use super::error::CatalogError;

/// Version of the format.
const VERSION: i64 = 1;
const MAX_ENTRIES: usize = 2000;
const MAX_ALIASES: usize = 32;
const MAX_VARIANTS: usize = 32;
/// Longest text of one value, bytes.
const MAX_TEXT: usize = 500;
const MAX_PARAMETERS: f64 = 10_000.0;
/// What a model needs beside its own memory to run well, percent of it.
const COMFORT_PERCENT: u64 = 150;

/// What a text says, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) entries: Vec<CatalogEntry>,
    pub(super) problems: Vec<CatalogError>,
}

/// How a text is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    /// For messages.
    pub(super) path: &'a Path,
    pub(super) from_user: bool,
    /// Tokens of one conversation that memory is told for.
    pub(super) context: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    modality: String,
    #[serde(default)]
    description: String,
    repository: String,
    #[serde(default = "main_branch")]
    revision: String,
    #[serde(default)]
    license: String,
    /// In billions.
    parameters: f64,
    /// Tokens.
    #[serde(default)]
    context: u32,
    /// Numbers in the cache for one token: 2 x layers x heads of keys x size of a head.
    #[serde(default)]
    cache_values: u32,
    /// With which it runs well, such as `"4GiB"`.
    memory: Option<String>,
    #[serde(default)]
    verified: bool,
    /// Whether this version can run it; usually what its modality says.
    runnable: Option<bool>,
    variants: Vec<Variant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    level: String,
    /// The graph first.
    files: Vec<String>,
    /// To download, such as `"800MB"`.
    size: Option<String>,
}

fn main_branch() -> String {
    "main".to_owned()
}

/// An entry with errors is left out and the rest is used; a text that is no TOML, or of a format
/// this program does not know, is left out as a whole.
pub(super) fn read(text: &str, reading: Reading<'_>) -> Listing {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            return Listing::failed(CatalogError::Syntax {
                path: reading.path.to_path_buf(),
                line: line(text, error.span()),
                message: error.message().to_owned(),
            });
        }
    };
    match tables(&document) {
        Ok(tables) => entries(text, reading, tables),
        Err((message, span)) => Listing::failed(CatalogError::Format {
            path: reading.path.to_path_buf(),
            line: line(text, span),
            message,
        }),
    }
}

type Wrong = (String, Option<Range<usize>>);

fn tables<'d>(document: &'d Document<&str>) -> Result<Vec<&'d Table>, Wrong> {
    let version = document.get("version");
    if version.and_then(Item::as_integer) != Some(VERSION) {
        let message = format!("the format of this file is told by `version = {VERSION}` at its top");
        return Err((message, version.and_then(Item::span)));
    }
    let key = |name: &str| document.key(name).and_then(toml_edit::Key::span);
    if let Some((name, _)) = document
        .iter()
        .find(|(name, _)| !matches!(*name, "version" | "models"))
    {
        return Err((
            format!("there is no key {name:?}; models are in [[models]]"),
            key(name),
        ));
    }
    let tables: Vec<&Table> = match document.get("models") {
        None => Vec::new(),
        Some(Item::ArrayOfTables(tables)) => tables.iter().collect(),
        Some(Item::None | Item::Value(_) | Item::Table(_)) => {
            return Err(("every model begins with [[models]]".to_owned(), key("models")));
        }
    };
    if tables.len() > MAX_ENTRIES {
        return Err((format!("there are more than {MAX_ENTRIES} models"), None));
    }
    Ok(tables)
}

fn entries(text: &str, reading: Reading<'_>, tables: Vec<&Table>) -> Listing {
    let mut listing = Listing::default();
    let mut names = HashSet::new();
    for table in tables {
        let outcome = parse(table, reading).and_then(|entry| {
            if names.insert(normalized(entry.name.as_str())) {
                Ok(entry)
            } else {
                Err((
                    "another entry above has this name".to_owned(),
                    span_of(table, "name"),
                ))
            }
        });
        match outcome {
            Ok(entry) => listing.entries.push(entry),
            Err((message, span)) => listing.problems.push(CatalogError::Entry {
                path: reading.path.to_path_buf(),
                line: line(text, span.or_else(|| table.span())),
                entry: shown_name(table),
                message,
            }),
        }
    }
    listing
}

fn shown_name(table: &Table) -> String {
    let name = table.get("name").and_then(Item::as_str).unwrap_or("without name");
    name.chars().take(MAX_TEXT).collect()
}

fn parse(table: &Table, reading: Reading<'_>) -> Result<CatalogEntry, Wrong> {
    let value = Item::Table(table.clone())
        .into_value()
        .map_err(|_| ("it is empty".to_owned(), None))?;
    let entry = Entry::deserialize(value.into_deserializer()).map_err(|error: toml_edit::de::Error| {
        let span = error.span();
        (error.message().to_owned(), span)
    })?;
    entry
        .checked(reading)
        .map_err(|(key, message)| (format!("{key} {message}"), span_of(table, key)))
}

/// Of the key, or of the table if there is no such key.
fn span_of(table: &Table, key: &str) -> Option<Range<usize>> {
    table
        .key(key)
        .and_then(toml_edit::Key::span)
        .or_else(|| table.span())
}

impl Entry {
    /// The error is a key and what is wrong with its value.
    fn checked(self, reading: Reading<'_>) -> Result<CatalogEntry, (&'static str, String)> {
        let name = ModelName::new(&self.name).map_err(|fault| ("name", format!("is wrong: {fault}")))?;
        let modality = Modality::parse(&self.modality).ok_or_else(|| {
            let known = Modality::ALL.map(|modality| modality.as_str()).join(", ");
            (
                "modality",
                format!("is {:?}; it must be one of {known}", self.modality),
            )
        })?;
        if !is_repository(&self.repository) {
            return Err((
                "repository",
                format!("is {:?}; it must be owner/name", self.repository),
            ));
        }
        if !(self.parameters > 0.0 && self.parameters <= MAX_PARAMETERS) {
            let message = format!(
                "is {}; it is in billions, at most {MAX_PARAMETERS}",
                self.parameters
            );
            return Err(("parameters", message));
        }
        let texts = [
            ("description", &self.description),
            ("revision", &self.revision),
            ("license", &self.license),
        ];
        for (key, text) in texts {
            is_plain(text).map_err(|message| (key, message))?;
        }
        if self.revision.is_empty() {
            return Err(("revision", "is empty".to_owned()));
        }
        let aliases = aliases(self.aliases)?;
        let context = match self.context {
            0 => 0,
            context => context.min(reading.context),
        };
        let variants = variants(
            self.variants,
            self.parameters,
            u64::from(self.cache_values),
            context,
        )?;
        let recommended = match &self.memory {
            Some(text) => parse_bytes(text).ok_or_else(|| ("memory", size_wanted(text)))?,
            None => recommended(&variants),
        };
        Ok(CatalogEntry {
            name,
            aliases,
            modality,
            description: self.description,
            repository: self.repository,
            revision: self.revision,
            license: self.license,
            parameters_billions: self.parameters,
            context_length: self.context,
            recommended_memory_bytes: recommended,
            verified: self.verified,
            runnable: self.runnable.unwrap_or(modality == Modality::Chat),
            from_user: reading.from_user,
            variants,
            installed: None,
            fits: None,
        })
    }
}

fn aliases(aliases: Vec<String>) -> Result<Vec<String>, (&'static str, String)> {
    if aliases.len() > MAX_ALIASES {
        return Err(("aliases", format!("are more than {MAX_ALIASES}")));
    }
    for alias in &aliases {
        is_plain(alias).map_err(|message| ("aliases", message))?;
        if normalized(alias).is_empty() {
            return Err((
                "aliases",
                format!("hold {alias:?}, which has neither letter nor digit"),
            ));
        }
    }
    Ok(aliases)
}

fn variants(
    variants: Vec<Variant>,
    parameters: f64,
    cache_values: u64,
    context: u32,
) -> Result<Vec<CatalogVariant>, (&'static str, String)> {
    if variants.is_empty() || variants.len() > MAX_VARIANTS {
        return Err(("variants", format!("must be 1 to {MAX_VARIANTS}")));
    }
    variants
        .into_iter()
        .map(|variant| {
            let mut variant = variant
                .checked(parameters)
                .map_err(|message| ("variants", message))?;
            variant.memory_bytes = variant.estimated_memory(cache_values, context);
            Ok(variant)
        })
        .collect()
}

impl Variant {
    fn checked(self, parameters: f64) -> Result<CatalogVariant, String> {
        let level = Quantization::parse(&self.level).ok_or_else(|| {
            let known = Quantization::ALL.map(Quantization::as_str).join(", ");
            format!("have the level {:?}; levels are {known}", self.level)
        })?;
        if let Some(file) = self.files.iter().find(|file| !is_relative(file)) {
            return Err(format!(
                "have the file {file:?}, which is no path inside a repository"
            ));
        }
        let size_bytes = match &self.size {
            Some(text) => {
                parse_bytes(text).ok_or_else(|| format!("have a size that {}", size_wanted(text)))?
            }
            None => CatalogVariant::estimated_size(level, parameters),
        };
        let file = self.files.into_iter().next().ok_or("have one without files")?;
        Ok(CatalogVariant {
            level,
            file,
            size_bytes,
            memory_bytes: 0,
            fits: false,
        })
    }
}

/// With the smallest variant, and room beside it.
fn recommended(variants: &[CatalogVariant]) -> u64 {
    let least = variants.iter().map(|variant| variant.memory_bytes).min();
    least.unwrap_or(0) / 100 * COMFORT_PERCENT
}

fn size_wanted(text: &str) -> String {
    format!("is {text:?}; it must be a number of bytes such as \"800MB\"")
}

fn is_plain(text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT {
        return Err(format!("is longer than {MAX_TEXT} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("holds control characters".to_owned());
    }
    Ok(())
}

fn is_repository(text: &str) -> bool {
    text.split('/').count() == 2 && ModelName::new(text).is_ok()
}

fn is_relative(path: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':']);
    path.len() <= MAX_TEXT && is_plain(path).is_ok() && path.split('/').all(plain)
}

fn line(text: &str, span: Option<Range<usize>>) -> usize {
    let before = span.map_or(0, |span| span.start).min(text.len());
    1 + text.as_bytes()[..before]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
}

impl Listing {
    fn failed(problem: CatalogError) -> Self {
        Self {
            entries: Vec::new(),
            problems: vec![problem],
        }
    }
}
