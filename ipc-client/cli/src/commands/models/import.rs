use std::path::{Path, PathBuf};

use airunner_core::model::{ImportEvent, ImportRequest, Model};
use airunner_core::{Fault, ModelName};
use airunner_ipc_client::Client;
use clap::Args;

use crate::connection::connect;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::Context;
use crate::units;
use crate::views::ModelRow;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Directory with the model's files.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// What to call it; the directory's name if left out.
    #[arg(long)]
    name: Option<String>,
    /// Use the files where they are instead of copying them.
    #[arg(long)]
    link: bool,
}

impl Import {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = connect().await?;
        let request = ImportRequest {
            link: self.link,
            ..request(&self.directory, self.name.as_deref())?
        };
        let model = import(&client, request, context).await?;
        if context.output.is_json() {
            return context.output.value(&ModelRow::from(&model));
        }
        context.output.line(&format!(
            "{} is installed ({})",
            model.name,
            units::size(model.size_bytes)
        ))
    }
}

/// The daemon has a working directory of its own, so it is told an absolute path.
fn request(directory: &Path, name: Option<&str>) -> Result<ImportRequest, Fault> {
    let unusable = || Fault::invalid(format!("{} is not a usable path", directory.display()));
    let absolute = std::path::absolute(directory).map_err(|_| unusable())?;
    let name = match name {
        Some(name) => name,
        None => absolute
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(unusable)?,
    };
    Ok(ImportRequest {
        link: false,
        name: ModelName::new(name)?,
        directory: absolute.to_str().ok_or_else(unusable)?.to_owned(),
    })
}

async fn import(client: &Client, request: ImportRequest, context: &Context) -> Result<Model, Failure> {
    let progress = Progress::new(&context.output, "importing");
    let mut events = client.models().import(request).await?;
    while let Some(event) = events.next().await {
        match event? {
            ImportEvent::Progress(now) => progress.import(&now),
            ImportEvent::Installed(model) => return Ok(*model),
        }
    }
    Err(Fault::internal("the import has no end").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_absolute_and_the_name_is_the_directorys_unless_given() {
        let request = |directory: &str, name| super::request(Path::new(directory), name);
        let named = request("/models/qwen", Some("q/wen")).unwrap();
        assert_eq!(
            (named.name.as_str(), &*named.directory),
            ("q/wen", "/models/qwen")
        );
        let relative = request("qwen", None).unwrap();
        assert!(Path::new(&relative.directory).is_absolute());
        assert_eq!(relative.name.as_str(), "qwen");
        for (directory, name) in [("/", None), ("/x/a b", None), ("/x", Some(".."))] {
            assert!(request(directory, name).is_err(), "{directory} {name:?}");
        }
    }
}
