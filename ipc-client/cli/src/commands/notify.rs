use std::time::SystemTime;

use airunner_core::notification::NotificationId;
use airunner_ipc_client::Notifications as Client;
use clap::{Args, Subcommand};

use crate::connection::connect;
use crate::failure::Failure;
use crate::run::Context;
use crate::views::{ActedView, NotificationRow, TestedView, notification_rows, notifications_table};

#[derive(Debug, Args)]
pub(crate) struct Notify {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Send a notification, and say whether somebody can see it.
    Test,
    /// List the notifications that want an answer.
    List(List),
    /// Press a button of a notification.
    Act(Act),
    /// Take a notification away unanswered.
    Dismiss(One),
}

#[derive(Debug, Args)]
struct List {
    /// Also those that want no answer any more.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
struct Act {
    /// Its number, as in `airunner notify list`.
    id: u64,
    /// Which button, as in the column ACTIONS of `airunner notify list`.
    action: String,
}

#[derive(Debug, Args)]
struct One {
    /// Its number, as in `airunner notify list`.
    id: u64,
}

impl Notify {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = connect().await?.notifications();
        match self.action {
            Action::Test => test(&client, context).await,
            Action::List(list) => list.run(&client, context).await,
            Action::Act(act) => act.run(&client, context).await,
            Action::Dismiss(one) => one.dismiss(&client, context).await,
        }
    }
}

/// That nobody can see it is an answer, not a failure.
async fn test(client: &Client, context: &Context) -> Result<(), Failure> {
    let report = client.test().await?;
    if context.output.is_json() {
        return context.output.value(&TestedView::new(&report, SystemTime::now()));
    }
    let by = report.presenter.as_deref().unwrap_or("nobody");
    if report.shown {
        return context.output.line(&format!(
            "It is on the screen, shown by {by}. Press one of its buttons."
        ));
    }
    context.output.line(&format!(
        "Nobody sees it: {}. Notifications wait until somebody can; see them with: airunner notify list",
        report.reason
    ))
}

impl List {
    async fn run(self, client: &Client, context: &Context) -> Result<(), Failure> {
        let (notifications, now) = (client.list(self.all).await?, SystemTime::now());
        if context.output.is_json() {
            return context.output.value(&notification_rows(&notifications, now));
        }
        let table = notifications_table(&notifications, now);
        if table.is_empty() {
            return context.output.line("Nothing wants an answer.");
        }
        context.output.table(&table)
    }
}

impl Act {
    async fn run(self, client: &Client, context: &Context) -> Result<(), Failure> {
        let result = client.act(NotificationId(self.id), &self.action).await?;
        if context.output.is_json() {
            return context.output.value(&ActedView::new(&result, SystemTime::now()));
        }
        let text = if result.accepted {
            "It is being done."
        } else {
            "It had been answered before: nothing was done."
        };
        context.output.line(text)
    }
}

impl One {
    async fn dismiss(self, client: &Client, context: &Context) -> Result<(), Failure> {
        let notification = client.dismiss(NotificationId(self.id)).await?;
        if context.output.is_json() {
            let row = NotificationRow::new(&notification, SystemTime::now());
            return context.output.value(&row);
        }
        let state = notification.state.as_str();
        context
            .output
            .line(&format!("Notification {} is {state}.", self.id))
    }
}
