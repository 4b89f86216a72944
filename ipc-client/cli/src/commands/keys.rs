use std::time::{Duration, SystemTime};

use airunner_core::access::{NewKey, Scope};
use airunner_ipc_client::Keys as Client;
use clap::{Args, Subcommand};

use crate::connection::connect;
use crate::failure::Failure;
use crate::run::Context;
use crate::units;
use crate::value;
use crate::views::{CreatedKeyView, KeyRow, TokenView, audit_rows, audit_table, key_rows, keys_table};

#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the token with which your own programs on this machine call the HTTP API.
    Token,
    /// Make a key for another program or machine; it is shown this once.
    Create(Create),
    /// List keys, also revoked ones.
    List,
    /// Make a key useless, at once.
    Revoke(Revoke),
    /// Show what was done with keys and addresses, and who was refused.
    Audit(Audit),
}

#[derive(Debug, Args)]
struct Create {
    /// What you call it: letters, digits, dots, dashes, underscores.
    name: String,
    /// What it is good for, separated by commas: inference, models (load, fetch, remove), admin
    /// (everything).
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', default_value = "inference", value_parser = value::scope())]
    scope: Vec<Scope>,
    /// When it stops working, such as 12h or 30d; never if left out.
    #[arg(long, value_name = "T", value_parser = units::parse_duration)]
    expires: Option<Duration>,
}

#[derive(Debug, Args)]
struct Revoke {
    /// Its name, or what it begins with as `airunner keys list` shows it.
    #[arg(value_name = "NAME|PREFIX")]
    key: String,
}

#[derive(Debug, Args)]
struct Audit {
    /// How many lines, the newest.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    lines: u32,
}

impl Keys {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = connect().await?.keys();
        match self.action {
            Action::Token => token(&client, context).await,
            Action::Create(create) => create.run(&client, context).await,
            Action::List => list(&client, context).await,
            Action::Revoke(revoke) => revoke.run(&client, context).await,
            Action::Audit(audit) => audit.run(&client, context).await,
        }
    }
}

async fn token(client: &Client, context: &Context) -> Result<(), Failure> {
    let token = client.local_token().await?;
    if context.output.is_json() {
        return context.output.value(&TokenView {
            token: token.reveal(),
        });
    }
    context.output.line(token.reveal())
}

async fn list(client: &Client, context: &Context) -> Result<(), Failure> {
    let (keys, now) = (client.list().await?, SystemTime::now());
    if context.output.is_json() {
        return context.output.value(&key_rows(&keys, now));
    }
    let table = keys_table(&keys, now);
    if table.is_empty() {
        return context
            .output
            .line("There are no keys. Make one with: airunner keys create NAME");
    }
    context.output.table(&table)
}

impl Create {
    async fn run(self, client: &Client, context: &Context) -> Result<(), Failure> {
        let wanted = NewKey {
            name: self.name,
            scopes: self.scope,
            expires_after: self.expires,
        };
        let created = client.create(wanted).await?;
        if context.output.is_json() {
            let view = CreatedKeyView::new(&created, SystemTime::now());
            return context.output.value(&view);
        }
        context.output.line(created.secret.reveal())?;
        context
            .output
            .note("Keep it: it is not shown again. Whoever has it may do what its scopes allow.");
        Ok(())
    }
}

impl Revoke {
    async fn run(self, client: &Client, context: &Context) -> Result<(), Failure> {
        let key = client.revoke(&self.key).await?;
        if context.output.is_json() {
            return context.output.value(&KeyRow::new(&key, SystemTime::now()));
        }
        context
            .output
            .line(&format!("The key {} opens nothing any more.", key.name))
    }
}

impl Audit {
    async fn run(self, client: &Client, context: &Context) -> Result<(), Failure> {
        let entries = client.audit(self.lines).await?;
        if context.output.is_json() {
            return context.output.value(&audit_rows(&entries));
        }
        let table = audit_table(&entries, SystemTime::now());
        if table.is_empty() {
            return context.output.line("Nothing was written down yet.");
        }
        context.output.table(&table)
    }
}
