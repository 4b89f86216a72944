use clap::Args;

use crate::connection::connect;
use crate::failure::Failure;
use crate::run::Context;
use crate::views::{catalog_rows, catalog_table};

#[derive(Debug, Args)]
pub(crate) struct Catalog {
    /// Words to look for in names, descriptions and repositories; everything if left out.
    query: Vec<String>,
}

impl Catalog {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let entries = connect().await?.catalog().list(&self.query.join(" ")).await?;
        if context.output.is_json() {
            return context.output.value(&catalog_rows(&entries));
        }
        let table = catalog_table(&entries);
        if table.is_empty() {
            return context.output.line(
                "No known model is called like that. Any repository of the hub can be pulled by its name.",
            );
        }
        context.output.table(&table)
    }
}
