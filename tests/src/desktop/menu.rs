//! A tray icon and its menu as a desktop sees them on the bus: `org.kde.StatusNotifierItem` and
//! `com.canonical.dbusmenu`.

use std::collections::HashMap;

use zbus::Connection;
use zbus::{OwnedVariant, Variant};

use crate::wait::eventually_ok;

/// An icon on the bus.
pub struct TrayMenu {
    connection: Connection,
    name: String,
}

/// One entry, with those inside it.
#[derive(Clone, Debug, PartialEq)]
pub struct MenuLine {
    id: i32,
    pub label: String,
    pub enabled: bool,
    /// `None`: it is nothing to be checked.
    pub checked: Option<bool>,
    pub separator: bool,
    pub inside: Vec<MenuLine>,
}

type Properties = HashMap<String, OwnedVariant>;
type Layout = (i32, Properties, Vec<OwnedVariant>);

impl TrayMenu {
    #[must_use]
    pub const fn new(connection: Connection, name: String) -> Self {
        Self { connection, name }
    }

    /// The menu as it is now.
    pub async fn lines(&self) -> zbus::Result<Vec<MenuLine>> {
        let all: Vec<&str> = Vec::new();
        let reply = self
            .connection
            .call_method(
                Some(self.name.as_str()),
                "/MenuBar",
                Some("com.canonical.dbusmenu"),
                "GetLayout",
                &(0_i32, -1_i32, all),
            )
            .await?;
        let (_, root): (u32, Layout) = reply.body().deserialize()?;
        Ok(line(root).inside)
    }

    /// As a person would draw it.
    pub async fn text(&self) -> zbus::Result<String> {
        let mut text = String::new();
        for line in self.lines().await? {
            line.draw(&mut text, 0);
        }
        Ok(text)
    }

    /// Waits until the menu contains this.
    pub async fn until(&self, wanted: &str) -> String {
        eventually_ok(&format!("the menu says {wanted:?}"), async || {
            let text = self.text().await.map_err(|error| error.to_string())?;
            if text.contains(wanted) {
                Ok(text)
            } else {
                Err(text)
            }
        })
        .await
    }

    /// Chooses an entry by the beginnings of the labels that lead to it. Waits until it is there
    /// and can be chosen; a menu that changes in that moment is looked at again.
    pub async fn click(&self, path: &[&str]) {
        eventually_ok(&format!("{path:?} can be chosen"), async || {
            let lines = self.lines().await.map_err(|error| error.to_string())?;
            let found = find(&lines, path).filter(|line| line.enabled);
            let id = found.ok_or_else(|| format!("{lines:?}"))?.id;
            self.event(id, "clicked").await.map_err(|error| error.to_string())
        })
        .await;
    }

    async fn event(&self, id: i32, event: &str) -> zbus::Result<()> {
        self.connection
            .call_method(
                Some(self.name.as_str()),
                "/MenuBar",
                Some("com.canonical.dbusmenu"),
                "Event",
                &(id, event, Variant::from(0_i32), 0_u32),
            )
            .await?;
        Ok(())
    }

    /// What a desktop does before it opens the menu.
    pub async fn about_to_show(&self) -> zbus::Result<()> {
        self.connection
            .call_method(
                Some(self.name.as_str()),
                "/MenuBar",
                Some("com.canonical.dbusmenu"),
                "AboutToShow",
                &0_i32,
            )
            .await?;
        Ok(())
    }

    /// The line that is shown when the pointer rests on the icon.
    pub async fn tooltip(&self) -> zbus::Result<String> {
        type Tooltip = (String, Vec<(i32, i32, Vec<u8>)>, String, String);
        let value = self.property("ToolTip").await?;
        let (_, _, _, text): Tooltip = value.try_into()?;
        Ok(text)
    }

    /// The sizes of the icon, and the bytes of its smallest picture.
    pub async fn icon(&self) -> zbus::Result<(Vec<i32>, Vec<u8>)> {
        let value = self.property("IconPixmap").await?;
        let pictures: Vec<(i32, i32, Vec<u8>)> = value.try_into()?;
        let sizes = pictures.iter().map(|(width, _, _)| *width).collect();
        let first = pictures.into_iter().next().map(|(_, _, bytes)| bytes);
        Ok((sizes, first.unwrap_or_default()))
    }

    async fn property(&self, property: &str) -> zbus::Result<OwnedVariant> {
        let reply = self
            .connection
            .call_method(
                Some(self.name.as_str()),
                "/StatusNotifierItem",
                Some("org.freedesktop.DBus.Properties"),
                "Get",
                &("org.kde.StatusNotifierItem", property),
            )
            .await?;
        reply.body().deserialize()
    }
}

fn find<'a>(lines: &'a [MenuLine], path: &[&str]) -> Option<&'a MenuLine> {
    let (first, rest) = path.split_first()?;
    let line = lines.iter().find(|line| line.label.starts_with(first))?;
    if rest.is_empty() {
        Some(line)
    } else {
        find(&line.inside, rest)
    }
}

fn line((id, properties, inside): Layout) -> MenuLine {
    let text = |name: &str| -> Option<String> {
        let value = properties.get(name)?;
        String::try_from(value.clone()).ok()
    };
    let checked = text("toggle-type").filter(|kind| !kind.is_empty()).map(|_| {
        let state = properties.get("toggle-state");
        state.and_then(|state| i32::try_from(state).ok()) == Some(1)
    });
    let enabled = properties
        .get("enabled")
        .is_none_or(|value| bool::try_from(value).unwrap_or(true));
    MenuLine {
        id,
        label: text("label").unwrap_or_default().replace("__", "_"),
        enabled,
        checked,
        separator: text("type").as_deref() == Some("separator"),
        inside: inside
            .into_iter()
            .filter_map(|value| Layout::try_from(value).ok())
            .map(line)
            .collect(),
    }
}

impl MenuLine {
    fn draw(&self, text: &mut String, depth: usize) {
        let indent = "    ".repeat(depth);
        let label = match (self.separator, self.inside.is_empty(), self.enabled) {
            (true, _, _) => "---".to_owned(),
            (false, false, _) => format!("{} >", self.label),
            (false, true, true) => format!("<{}>", self.label),
            (false, true, false) => format!("({})", self.label),
        };
        let mark = match self.checked {
            Some(true) => "[x] ",
            Some(false) => "[ ] ",
            None => "",
        };
        text.push_str(&format!("{indent}{mark}{label}\n"));
        for line in &self.inside {
            line.draw(text, depth + 1);
        }
    }
}
