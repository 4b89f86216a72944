//! The icon and the menu as the desktop asks for them.

use airunner_core::notification::escape_markup;
use ksni::menu::{CheckmarkItem, StandardItem, SubMenu};
use ksni::{Category, Icon, MenuItem, ToolTip, Tray};
use tokio::sync::mpsc;

use crate::controller::Input;
use crate::icon::{IconKind, Pixels};
use crate::view::{Action, Entry, View};

/// What is offered on the bus.
pub(super) struct Item {
    view: View,
    pictures: Vec<Icon>,
    inputs: mpsc::Sender<Input>,
}

impl Item {
    pub(super) fn new(view: View, inputs: mpsc::Sender<Input>) -> Self {
        Self {
            pictures: pictures(view.icon),
            view,
            inputs,
        }
    }

    pub(super) fn set(&mut self, view: View) {
        if view.icon != self.view.icon {
            self.pictures = pictures(view.icon);
        }
        self.view = view;
    }

    /// With a full channel the click is lost, which a user who sees nothing happen repeats.
    fn send(&self, input: Input) {
        if self.inputs.try_send(input).is_err() {
            tracing::warn!("more clicks than can be followed: one is lost");
        }
    }
}

impl Tray for Item {
    /// There is no window that a left click could open.
    const MENU_ON_ACTIVATE: bool = true;

    fn id(&self) -> String {
        "airunner".to_owned()
    }

    fn category(&self) -> Category {
        Category::SystemServices
    }

    fn title(&self) -> String {
        "AI Runner".to_owned()
    }

    fn icon_pixmap(&self) -> Vec<Icon> {
        self.pictures.clone()
    }

    fn tool_tip(&self) -> ToolTip {
        ToolTip {
            title: "AI Runner".to_owned(),
            // Desktops may read it as HTML.
            description: escape_markup(&self.view.status).into_owned(),
            ..ToolTip::default()
        }
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        entries(&self.view.menu)
    }

    fn menu_about_to_show(&mut self) {
        self.send(Input::MenuOpened);
    }
}

fn entries(entries: &[Entry]) -> Vec<MenuItem<Item>> {
    entries.iter().map(entry).collect()
}

fn entry(entry: &Entry) -> MenuItem<Item> {
    match entry {
        Entry::Separator => MenuItem::Separator,
        Entry::Text(text) => StandardItem {
            label: label(text),
            enabled: false,
            ..StandardItem::default()
        }
        .into(),
        Entry::Item { label: text, action } => StandardItem {
            label: label(text),
            enabled: action.is_some(),
            activate: click(action),
            ..StandardItem::default()
        }
        .into(),
        Entry::Check {
            label: text,
            checked,
            action,
        } => CheckmarkItem {
            label: label(text),
            enabled: action.is_some(),
            checked: *checked,
            activate: click(action),
            ..CheckmarkItem::default()
        }
        .into(),
        Entry::Submenu {
            label: text,
            entries: inside,
        } => SubMenu {
            label: label(text),
            submenu: entries(inside),
            ..SubMenu::default()
        }
        .into(),
    }
}

fn click(action: &Option<Action>) -> Box<dyn Fn(&mut Item) + Send> {
    let action = action.clone();
    Box::new(move |item| {
        if let Some(action) = &action {
            item.send(Input::Clicked(action.clone()));
        }
    })
}

/// One underscore marks the key of an entry; two are one.
fn label(text: &str) -> String {
    text.replace('_', "__")
}

fn pictures(kind: IconKind) -> Vec<Icon> {
    kind.pictures().into_iter().filter_map(picture).collect()
}

/// Opacity comes first on the bus.
fn picture(pixels: Pixels) -> Option<Icon> {
    let size = i32::try_from(pixels.size).ok()?;
    let mut data = pixels.rgba;
    for pixel in data.chunks_exact_mut(4) {
        pixel.rotate_right(1);
    }
    Some(Icon {
        width: size,
        height: size,
        data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_the_menu_language_are_escaped() {
        assert_eq!(label("my_model & co"), "my__model & co");
        assert_eq!(label("__"), "____");
    }

    #[test]
    fn opacity_comes_first() {
        let pixels = Pixels {
            size: 1,
            rgba: vec![1, 2, 3, 4],
        };
        assert_eq!(picture(pixels).unwrap().data, [4, 1, 2, 3]);
    }
}
